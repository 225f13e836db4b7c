/** A triple fault, told: the chain of exceptions, what was wrong with each delivery, and the code that it began with. */
import { html, nothing, type TemplateResult } from "lit";
import type { Autopsy, Link } from "../../debug/autopsy.ts";
import type { CpuState } from "../../debug/cpuState.ts";
import { eventText } from "../../debug/decode/exceptions.ts";
import type { Look } from "../../debug/inspector.ts";
import { type Line, lineText } from "../../debug/listing.ts";
import type { InspectorUi } from "./inspector.ts";
import { walkDrawing } from "./walkView.ts";

/** Its end is what is seen first. */
const listing = (title: string, lines: readonly Line[], guilty: Line | undefined): TemplateResult =>
  html`<h3>${title}</h3>
    <div class="listing" tabindex="0" role="group" aria-label=${title}>
      <pre>${lines.map((line) => html`<span class="listing-line" ?data-bad=${line === guilty}>${lineText(line, false)}</span>`)}</pre>
    </div>`;

/** The instruction that it began with, and those before it as far as they were recorded. */
function instructions(ui: InspectorUi, { last, code }: Autopsy): TemplateResult {
  const lines = [...last, ...code];
  return html`
    ${lines.length ? listing(last.length ? "The last instructions" : "The instruction", lines, code[0]) : nothing}
    ${code.length ? nothing : html`<p class="dim">The instruction at RIP cannot be read: nothing is mapped there.</p>`}
    ${last.length ? nothing : html`<p><button type="button" id="record-boot" @click=${() => ui.recordBoot()}>Boot again and record what leads to it</button></p>`}
  `;
}

function link({ event, error, met, delivery, becomes }: Link, cpu: CpuState): TemplateResult {
  const { checks, rule, section, walk } = delivery;
  return html`<li class="link">
    <h4>${eventText(event)} <span class="dim">${error ?? ""}</span></h4>
    <ul class="looked-at">
      ${checks.map(({ what, found, ok }) => html`<li ?data-bad=${!ok}><span class="check-mark">${ok ? "ok" : "bad"}</span><span><b>${what}</b> ${found}</span></li>`)}
    </ul>
    ${rule ? html`<p class="rule">Rule: ${rule} <span class="dim">(SDM vol. 3, ${section})</span></p>` : nothing}
    ${walk ? html`<details><summary>Page walk</summary>${walkDrawing(walk.told, walk.verdict, cpu)}</details>` : nothing}
    <p class="becomes">→ <b>${eventText(met)}</b> <span class="dim">${becomes}</span></p>
  </li>`;
}

export function autopsyView(ui: InspectorUi, look: Look): TemplateResult {
  const found = ui.autopsy;
  if (!found) {
    const why =
      look.state === "failed"
        ? "No vCPU has shut down: the engine itself has stopped."
        : "Nothing to examine: the guest has not triple-faulted.";
    return html`<p class="dim">${why} A triple fault is an exception that comes while a double fault is delivered; a CPU shuts down then.</p>`;
  }
  return html`
    <p class="autopsy-summary">${found.summary}</p>
    ${instructions(ui, found)}
    ${found.began ? html`<h3>The address that it began with</h3>${walkDrawing(found.began.told, found.began.verdict, found.cpu)}` : nothing}
    <h3>The chain</h3>
    <ol class="chain">${found.links.map((l) => link(l, found.cpu))}</ol>
  `;
}
