/** A page walk drawn level by level: how the address is cut up, each entry with its bits, and where it ends. */
import { html, nothing, type TemplateResult } from "lit";
import { type CpuState, CR4 } from "../../debug/cpuState.ts";
import { pageFaultText } from "../../debug/decode/exceptions.ts";
import { explainEntry, type Verdict } from "../../debug/decode/paging.ts";
import type { Walk, WalkStep } from "../../debug/walk.ts";

const hex = (value: bigint | number, digits = 1): string => value.toString(16).padStart(digits, "0");

/** The linear address in the pieces that select an entry each, and the rest. */
function pieces({ steps, linear, mode }: Walk): TemplateResult {
  const wide = mode !== "32-bit";
  const last = steps.at(-1);
  const top = (step: WalkStep): number => step.shift + (mode === "PAE" && step.entry === "PDPTE" ? 1 : wide ? 8 : 9);
  const low = last?.shift ?? 0;
  return html`<ol class="pieces" aria-label="The address in pieces">
    ${steps.map((step) => html`<li><span class="dim">${step.entry} <span class="piece-bits">${top(step)}:${step.shift}</span></span><b>${step.index}</b></li>`)}
    ${last?.leaf ? html`<li><span class="dim">offset <span class="piece-bits">${low - 1}:0</span></span><b>0x${hex(linear & ((1n << BigInt(low)) - 1n))}</b></li>` : nothing}
  </ol>`;
}

function level(step: WalkStep, told: Walk, guilty: boolean, why: string): TemplateResult {
  const { entry, index, at, value, flags } = step;
  return html`<li class="level" ?data-bad=${guilty}>
    <div class="level-head">
      <b>${entry} ${index}</b>
      <code>${hex(value, told.mode === "32-bit" ? 8 : 16)}</code>
      <span class="dim">${at === undefined ? "in a register" : `at physical 0x${hex(at)}`}</span>
    </div>
    <div class="flags">${flags.length ? flags.map((flag) => html`<span class="flag">${flag}</span>`) : html`<span class="flag none">not present</span>`}</div>
    ${guilty ? html`<p class="bad">${why}</p>` : nothing}
    <details>
      <summary>Each bit</summary>
      <table class="bits">
        <caption class="visually-hidden">Bits of the ${entry}</caption>
        <tbody>
          ${explainEntry(step, told.mode).map(({ bits, name, value: of, says }) => html`<tr><td>${bits}</td><th scope="row">${name}</th><td><code>${of > 9n ? `0x${hex(of)}` : hex(of)}</code></td><td>${says}</td></tr>`)}
        </tbody>
      </table>
    </details>
  </li>`;
}

const sizeText = (bytes: number): string =>
  bytes >= 2 ** 30 ? "1 GiB" : bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : "4 KiB";

/** CR3; with CR4.PCIDE its low twelve bits are no part of the address (SDM vol. 3, 4.10.1). */
const cr3Text = ({ cr3, cr4 }: CpuState): string =>
  cr4 & CR4.PCIDE ? `CR3 0x${hex(cr3)}: table 0x${hex(cr3 & ~0xfffn)}, PCID ${cr3 & 0xfffn}` : `CR3 0x${hex(cr3)}`;

export function walkDrawing(told: Walk, verdict: Verdict, cpu: CpuState): TemplateResult {
  const { steps, mode, gpa, pageSize, linear } = told;
  const error = verdict.error;
  return html`
    <p class="walk-title"><code>0x${hex(linear)}</code> <span class="dim">${mode === "none" ? "paging is off" : `${mode} paging, ${cr3Text(cpu)}`}</span></p>
    ${steps.length ? pieces(told) : nothing}
    <ol class="levels" aria-label="Page walk">
      ${steps.map((step, i) => level(step, told, !verdict.ok && verdict.step === i, verdict.why))}
    </ol>
    ${
      verdict.ok
        ? html`<p class="walk-end"><b>physical 0x${hex(gpa ?? 0)}</b> <span class="dim">${mode === "none" ? "" : `in a page of ${sizeText(pageSize ?? 4096)}; `}${verdict.why}</span></p>`
        : html`<div class="walk-end" data-bad>
            <b>#PF, error code 0x${hex(error ?? 0)}</b>
            <p>${pageFaultText(error ?? 0, verdict.access.kind === "fetch")}.</p>
            <p class="dim">${verdict.why} (SDM vol. 3, ${verdict.section}).</p>
          </div>`
    }
  `;
}
