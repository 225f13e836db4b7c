/** Where the machine stops for whoever looks: addresses, data, and exceptions. */
import { html, type TemplateResult } from "lit";
import { FIRST_EXCEPTIONS, mnemonicOf, titleOfVector } from "../../debug/decode/exceptions.ts";
import type { Breakpoint, PlaceBreakpoint } from "../../machine/debug.ts";
import { icons } from "../views/icons.ts";
import type { InspectorUi } from "./inspector.ts";

const KINDS = {
  execute: "before the instruction",
  write: "when it is written",
  access: "when it is read or written",
} as const;

/** What a form's controls hold, by id. */
const valueIn = (event: Event, id: string): string =>
  (event.target as HTMLElement).closest("form")!.querySelector<HTMLInputElement>(`#${id}`)!.value.trim();

function placeStop(ui: InspectorUi): TemplateResult {
  const add = (event: Event): void => {
    event.preventDefault();
    const kind = valueIn(event, "stop-kind") as PlaceBreakpoint["kind"];
    void ui.addWatchpoint(
      valueIn(event, "stop-at"),
      kind,
      kind === "execute" ? 1 : Number(valueIn(event, "stop-length")),
    );
  };
  return html`<form class="place" @submit=${add}>
    <label for="stop-at">Stop at</label>
    <input type="text" id="stop-at" required spellcheck="false" autocapitalize="off" autocomplete="off" />
    <select id="stop-kind" aria-label="When">${Object.entries(KINDS).map(([kind, says]) => html`<option value=${kind}>${says}</option>`)}</select>
    <select id="stop-length" aria-label="Bytes that are watched">${[1, 2, 4, 8].map((n) => html`<option value=${n} ?selected=${n === 4}>${n} ${n === 1 ? "byte" : "bytes"}</option>`)}</select>
    <button type="submit">Add</button>
    <button type="button" ?disabled=${ui.app.state !== "paused"} title="Goes on until some vCPU comes to the address" @click=${(e: Event) => ui.runTo(valueIn(e, "stop-at"))}>Run to</button>
  </form>`;
}

const exceptionText = (vector: number | undefined): string =>
  vector === undefined ? "any exception" : `${mnemonicOf(vector)}, ${titleOfVector(vector)}`;

function exceptionStop(ui: InspectorUi, list: readonly Breakpoint[]): TemplateResult {
  const add = (event: Event): void => {
    event.preventDefault();
    const [vector, from] = [valueIn(event, "catch-vector"), valueIn(event, "catch-from")];
    const stop = {
      kind: "exception",
      vector: vector === "" ? undefined : Number(vector),
      user: from === "user",
    } as const;
    void ui.setBreakpoints([...list, stop]);
  };
  return html`<form class="place" @submit=${add}>
    <label for="catch-vector">Stop at</label>
    <select id="catch-vector">
      ${[undefined, ...FIRST_EXCEPTIONS].map((vector) => html`<option value=${vector ?? ""}>${exceptionText(vector)}</option>`)}
    </select>
    <select id="catch-from" aria-label="Whose">
      <option value="user">of user code (CPL 3)</option>
      <option value="all">of any code</option>
    </select>
    <button type="submit">Add</button>
  </form>`;
}

function named(b: Breakpoint): { what: string; when: string } {
  if (b.kind === "exception") return { what: exceptionText(b.vector), when: b.user ? "of user code" : "of any code" };
  return {
    what: b.address.toString(16).padStart(8, "0"),
    when: b.kind === "execute" ? KINDS.execute : `${KINDS[b.kind]}, ${b.length} bytes`,
  };
}

export function stops(ui: InspectorUi, list: readonly Breakpoint[]): TemplateResult {
  return html`
    <h3>Stops</h3>
    ${placeStop(ui)} ${exceptionStop(ui, list)}
    <ul class="stops">
      ${list.map((b) => {
        const { what, when } = named(b);
        const remove = (): Promise<void> => ui.setBreakpoints(list.filter((other) => other !== b));
        return html`<li>
          <code>${what}</code><span class="dim">${when}</span>
          <button type="button" class="icon-button small" aria-label="Remove the stop at ${what}" title="Remove" @click=${remove}>${icons.close}</button>
        </li>`;
      })}
    </ul>
  `;
}
