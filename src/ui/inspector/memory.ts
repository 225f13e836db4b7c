/** Bytes of memory, by linear or physical address, with what has changed since the machine stood still before. */
import { html, nothing, type TemplateResult } from "lit";
import { failed, type Look, type Memory } from "../../debug/inspector.ts";
import { type InspectorUi, MEMORY_BYTES, placeForm } from "./inspector.ts";

const ROW = 16;
const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, "0");
const printable = (byte: number): string => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·");

function row(ui: InspectorUi, { at, bytes }: Memory, from: number): TemplateResult {
  const before = ui.bytesBefore?.at === at ? ui.bytesBefore.bytes : undefined;
  const own = [...bytes.subarray(from, from + ROW)];
  const cell = (byte: number, i: number): TemplateResult => {
    const was = before?.[from + i];
    const changed = was !== undefined && was !== byte;
    return changed
      ? html`<b class="changed" title="was ${hex(was, 2)}">${hex(byte, 2)}</b>`
      : html`<span>${hex(byte, 2)}</span>`;
  };
  return html`<tr>
    <th scope="row">${hex(BigInt.asUintN(64, at + BigInt(from)), 8)}</th>
    <td class="dump-bytes">${own.map(cell)}</td>
    <td class="dump-text">${own.map(printable).join("")}</td>
  </tr>`;
}

export function memoryView(ui: InspectorUi, { memory }: Look): TemplateResult {
  const shown = memory && "bytes" in memory ? memory : undefined;
  const move = (by: number): void => {
    if (shown) ui.at({ memoryAt: `0x${BigInt.asUintN(64, shown.at + BigInt(by)).toString(16)}` });
  };
  const physical = html`<label class="check"><input type="checkbox" id="physical" .checked=${ui.physical} @change=${(e: Event) => ui.at({ physical: (e.target as HTMLInputElement).checked })} />Physical</label>`;
  const rows = shown ? Array.from({ length: Math.ceil(shown.bytes.length / ROW) }, (_, i) => i * ROW) : [];
  return html`
    ${placeForm("memory-at", "Address", ui.memoryAt, (memoryAt) => ui.at({ memoryAt }), physical)}
    ${failed(memory) ? html`<p class="bad">${failed(memory)}</p>` : nothing}
    ${
      shown
        ? html`
            <table class="dump">
              <caption class="visually-hidden">${ui.physical ? "Physical" : "Linear"} memory from ${hex(shown.at, 1)}</caption>
              <tbody>${rows.map((from) => row(ui, shown, from))}</tbody>
            </table>
            ${shown.bytes.length < MEMORY_BYTES ? html`<p class="dim">${ui.physical ? "There is no memory" : "Nothing is mapped"} from 0x${hex(shown.at + BigInt(shown.bytes.length), 1)} on.</p>` : nothing}
            <div class="buttons">
              <button type="button" @click=${() => move(-MEMORY_BYTES)}>Before</button>
              <button type="button" @click=${() => move(MEMORY_BYTES)}>After</button>
            </div>
          `
        : nothing
    }
  `;
}
