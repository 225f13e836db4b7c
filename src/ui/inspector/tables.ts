/** Segment registers and descriptor tables, decoded. */
import { html, nothing, type TemplateResult } from "lit";
import { isLong } from "../../debug/cpuState.ts";
import { rightsText, selectorText } from "../../debug/decode/descriptors.ts";
import type { Look } from "../../debug/inspector.ts";
import type { TableEntry } from "../../debug/tables.ts";
import type { InspectorUi } from "./inspector.ts";

const hex = (value: bigint | number, digits = 1): string => value.toString(16).padStart(digits, "0");

function entries(title: string, says: string, list: readonly TableEntry[], open: boolean): TemplateResult {
  return html`<details class="more" ?open=${open}>
    <summary>${title} <span class="dim">${says}</span></summary>
    <div class="scroll-x" tabindex="0" role="group" aria-label="Entries of the ${title}">
      <table class="facts-table">
        <caption class="visually-hidden">Entries of the ${title}</caption>
        <thead><tr><th scope="col">entry</th><th scope="col">used by</th><th scope="col">says</th><th scope="col">bytes</th></tr></thead>
        <tbody>
          ${list.map((e) => html`<tr><th scope="row">${title === "IDT" ? `0x${hex(e.index, 2)}` : `0x${hex(e.index * 8, 2)}`}</th><td>${e.used}</td><td>${e.says}</td><td><code>${hex(e.raw, 16)}${e.high === undefined ? "" : ` ${hex(e.high, 16)}`}</code></td></tr>`)}
        </tbody>
      </table>
    </div>
  </details>`;
}

export function tablesView(_: InspectorUi, { cpu, tables }: Look): TemplateResult {
  const long = isLong(cpu);
  // Most gates of an IDT are alike or empty; those that are not are what is looked for.
  const gates = tables?.idt.filter(({ raw, high }) => raw !== 0n || (high ?? 0n) !== 0n) ?? [];
  const empty = (tables?.idt.length ?? 0) - gates.length;
  return html`
    <h3>Segment registers</h3>
    <div class="scroll-x" tabindex="0" role="group" aria-label="Segment registers">
      <table class="facts-table">
        <caption class="visually-hidden">Segment registers</caption>
        <thead><tr><th scope="col">register</th><th scope="col">selector</th><th scope="col">base</th><th scope="col">limit</th><th scope="col">rights</th></tr></thead>
        <tbody>
          ${Object.entries(cpu.segments).map(([name, s]) => html`<tr><th scope="row">${name}</th><td>${selectorText(s.selector)}</td><td><code>${hex(s.base, 8)}</code></td><td><code>${hex(s.limit, 8)}</code></td><td>${rightsText(s.ar, long)}</td></tr>`)}
        </tbody>
      </table>
    </div>
    ${
      tables
        ? html`
            ${entries(
              "GDT",
              `at 0x${hex(cpu.gdt.base)}, limit 0x${hex(cpu.gdt.limit)}`,
              tables.gdt.filter((e, i) => i === 0 || e.raw !== 0n),
              true,
            )}
            ${tables.ldt.length ? entries("LDT", `at 0x${hex(cpu.segments.LDTR.base)}`, tables.ldt, false) : nothing}
            ${entries("IDT", `at 0x${hex(cpu.idt.base)}, limit 0x${hex(cpu.idt.limit)}${empty ? `; ${empty} empty entries` : ""}`, gates, true)}
            ${
              tables.tss.length
                ? html`<h3>Task-state segment</h3>
                    <dl class="regs">${tables.tss.map(({ name, value }) => html`<div class="reg"><dt>${name}</dt><dd><span>${hex(value, 4)}</span></dd></div>`)}</dl>`
                : nothing
            }
          `
        : nothing
    }
  `;
}
