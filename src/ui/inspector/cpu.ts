/** Registers with what has changed, and the code around RIP with breakpoints. */
import { html, nothing, type TemplateResult } from "lit";
import { type CpuState, GPR_NAMES, modeText } from "../../debug/cpuState.ts";
import { bitsText, CR0_BITS, CR4_BITS, EFER_BITS, RFLAGS_BITS } from "../../debug/decode/bits.ts";
import { failed, type Look } from "../../debug/inspector.ts";
import type { Line } from "../../debug/listing.ts";
import type { Breakpoint } from "../../machine/debug.ts";
import { icons } from "../views/icons.ts";
import { type InspectorUi, placeForm } from "./inspector.ts";
import { stops } from "./stops.ts";

const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, "0");

/** A register's value; changed since the last look: told by weight, colour and a title. */
function register(
  name: string,
  of: (cpu: CpuState) => bigint,
  now: CpuState,
  before: CpuState | undefined,
  says = "",
): TemplateResult {
  const value = of(now);
  const was = before && of(before);
  const changed = was !== undefined && was !== value;
  const text = hex(value, 16);
  return html`<div class="reg">
    <dt>${name}</dt>
    <dd>
      ${changed ? html`<b class="changed" title="was ${hex(was, 16)}">${text}</b>` : html`<span>${text}</span>`}
      ${says ? html`<span class="reg-says">${says}</span>` : nothing}
    </dd>
  </div>`;
}

const RUN_STATES = ["running", "halted", "waits for a start-up IPI", "shut down"];

function registers(now: CpuState, before: CpuState | undefined): TemplateResult {
  const reg = (name: string, of: (cpu: CpuState) => bigint, says?: string): TemplateResult =>
    register(name, of, now, before, says);
  return html`
    <p class="cpu-mode">${modeText(now)}, CPL ${now.cpl}, ${RUN_STATES[now.runState]} <span class="dim">${now.icount.toLocaleString("en")} instructions</span></p>
    <dl class="regs">
      ${GPR_NAMES.map((name, i) => reg(name, (cpu) => cpu.gpr[i]!))}
      ${reg("rip", (cpu) => cpu.rip)} ${reg("cr2", (cpu) => cpu.cr2)}
    </dl>
    <dl class="regs wide-regs">
      ${reg("rflags", (cpu) => cpu.rflags, bitsText(now.rflags, RFLAGS_BITS))}
      ${reg("cr0", (cpu) => cpu.cr0, bitsText(now.cr0, CR0_BITS))} ${reg("cr3", (cpu) => cpu.cr3)}
      ${reg("cr4", (cpu) => cpu.cr4, bitsText(now.cr4, CR4_BITS))}
      ${reg("efer", (cpu) => cpu.efer, bitsText(now.efer, EFER_BITS))}
    </dl>
    <details class="more">
      <summary>SSE and debug registers</summary>
      <dl class="regs wide-regs">
        ${now.xmm.map((_, i) => register(`xmm${i}`, (cpu) => cpu.xmm[i]!, now, before))}
        ${register("mxcsr", (cpu) => BigInt(cpu.mxcsr), now, before)}
        ${[0, 1, 2, 3, 6, 7].map((i) => register(`dr${i}`, (cpu) => cpu.dr[i]!, now, before))}
      </dl>
    </details>
  `;
}

const bytesText = (bytes: Uint8Array): string => [...bytes].map((b) => hex(b, 2)).join(" ");

/** Rows have one button each, of which one can be reached by Tab; arrows go on from there. */
function codeKeys(event: KeyboardEvent): void {
  const all = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("button.gutter")];
  const at = all.indexOf(event.target as HTMLElement);
  const next = event.key === "ArrowDown" ? at + 1 : event.key === "ArrowUp" ? at - 1 : undefined;
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  all[Math.min(all.length - 1, Math.max(0, next))]?.focus();
}

function code(
  ui: InspectorUi,
  lines: readonly Line[],
  rip: bigint,
  breakpoints: readonly Breakpoint[],
): TemplateResult {
  const set = new Set(breakpoints.flatMap((b) => (b.kind === "execute" ? b.address : [])));
  const reached = lines.some(({ address }) => address === rip) ? rip : lines[0]?.address;
  return html`<table class="code" @keydown=${codeKeys}>
    <caption class="visually-hidden">Code</caption>
    <tbody>
      ${lines.map((line, i) => {
        const { address, bytes, text, symbol, refers } = line;
        const on = set.has(address);
        const starts = symbol && (i === 0 || !symbol.includes("+"));
        return html`
          ${starts ? html`<tr class="code-symbol"><td></td><td colspan="3">${symbol}:</td></tr>` : nothing}
          <tr aria-current=${address === rip ? "true" : nothing}>
            <td>
              <button type="button" class="gutter" tabindex=${address === reached ? 0 : -1} aria-pressed=${on} aria-label="Breakpoint at ${hex(address, 1)}" title="Breakpoint" @click=${() => ui.toggleBreakpoint(address)}>
                ${on ? icons.tick : address === rip ? icons.play : nothing}
              </button>
            </td>
            <td class="code-address">${hex(address, 8)}</td>
            <td class="code-bytes">${bytesText(bytes)}</td>
            <td class="code-text">${text}${refers ? html` <span class="dim">${refers}</span>` : nothing}</td>
          </tr>
        `;
      })}
    </tbody>
  </table>`;
}

export function cpuView(ui: InspectorUi, look: Look): TemplateResult {
  const listing = look.code;
  const { symbols } = look;
  const slide = symbols?.slide
    ? `, ${symbols.slide > 0n ? "" : "-"}0x${hex(symbols.slide < 0n ? -symbols.slide : symbols.slide, 1)} from where the file has them`
    : "";
  return html`
    ${registers(look.cpu, ui.before)}
    <h3>Code</h3>
    ${failed(listing) ? html`<p class="bad">${failed(listing)}</p>` : nothing}
    ${listing && "lines" in listing ? (listing.lines.length ? code(ui, listing.lines, look.cpu.rip, look.breakpoints) : html`<p class="dim">Nothing is mapped there.</p>`) : nothing}
    ${symbols ? html`<p class="hint">${symbols.count} symbols${slide}</p>` : nothing}
    ${placeForm("code-at", "Around", ui.codeAt, (codeAt) => ui.at({ codeAt: codeAt || "rip" }))}
    ${stops(ui, look.breakpoints)}
  `;
}
