/** The page walk of any address, for any kind of access. */
import { html, nothing, type TemplateResult } from "lit";
import type { Access } from "../../debug/decode/paging.ts";
import { failed, type Look } from "../../debug/inspector.ts";
import { type InspectorUi, placeForm } from "./inspector.ts";
import { walkDrawing } from "./walkView.ts";

const KINDS = { read: "read", write: "write", fetch: "instruction fetch" } as const;

export function pagingView(ui: InspectorUi, { walk, cpu, stop }: Look): TemplateResult {
  const { access } = ui;
  const faults = stop?.kind === "exception" && stop.address !== undefined;
  const options = html`
    <select id="access-kind" aria-label="Access" @change=${(e: Event) => ui.at({ access: { ...access, kind: (e.target as HTMLSelectElement).value as Access["kind"] } })}>
      ${Object.entries(KINDS).map(([kind, says]) => html`<option value=${kind} .selected=${kind === access.kind}>${says}</option>`)}
    </select>
    <label class="check"><input type="checkbox" id="access-user" .checked=${access.user} @change=${(e: Event) => ui.at({ access: { ...access, user: (e.target as HTMLInputElement).checked } })} />by user code</label>
  `;
  return html`
    ${placeForm("walk-at", "Address", ui.walkAt, (walkAt) => ui.at({ walkAt }), options)}
    <div class="buttons">
      ${(["rip", "rsp", "cr2"] as const).map((name) => html`<button type="button" @click=${() => ui.at({ walkAt: name })}>${name.toUpperCase()}</button>`)}
      ${faults ? html`<button type="button" @click=${() => ui.atFault({ stop, cpu })}>The fault</button>` : nothing}
    </div>
    ${failed(walk) ? html`<p class="bad">${failed(walk)}</p>` : nothing}
    ${walk && "told" in walk ? walkDrawing(walk.told, walk.verdict, cpu) : nothing}
  `;
}
