/** Interrupt controllers and timers. */
import { html, type TemplateResult } from "lit";
import type { Look } from "../../debug/inspector.ts";
import type { InspectorUi } from "./inspector.ts";

export function chipsView(_: InspectorUi, { chips = [] }: Look): TemplateResult {
  return html`${chips.map(
    ({ name, rows }, i) => html`<details class="more" ?open=${i === 0}>
      <summary>${name}</summary>
      <div class="scroll-x" tabindex="0" role="group" aria-label=${name}>
        <table class="facts-table">
          <caption class="visually-hidden">${name}</caption>
          <tbody>${rows.map((row) => html`<tr><th scope="row">${row.name}</th><td><code>${row.value}</code></td><td>${row.says}</td></tr>`)}</tbody>
        </table>
      </div>
    </details>`,
  )}`;
}
