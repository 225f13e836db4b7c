/** A person lets a gdb of this computer have the machine. */
import { html, nothing, type TemplateResult } from "lit";
import { closeDialog } from "../dialogs.ts";
import { sheet } from "../views/sheet.ts";
import { type LinkState, wrongAddress } from "./gdbLink.ts";
import type { InspectorUi } from "./inspector.ts";

const STATES: Record<LinkState, string> = {
  connecting: "Connecting to the bridge…",
  "no gdb": "Connected to the bridge; no gdb has come yet.",
  gdb: "A gdb has the machine.",
  closed: "Not connected: the bridge has ended, or it refuses this page.",
};

export function gdbSheet(ui: InspectorUi): TemplateResult {
  const { gdb } = ui;
  const connected = gdb !== undefined && gdb.state !== "closed";
  const submit = (event: Event): void => {
    event.preventDefault();
    const input = (event.currentTarget as HTMLFormElement).querySelector<HTMLInputElement>("#gdb-address")!;
    const address = input.value.trim();
    input.setCustomValidity(wrongAddress(address) ?? "");
    if (input.reportValidity()) ui.connectGdb(address);
  };
  return sheet(
    "gdb",
    "gdb",
    html`<form class="save-form" @submit=${submit}>
      <p>On this computer, start <code>tabhyve gdb-bridge</code> and give this page the address that it prints.</p>
      <p class="saved-note">Whoever runs gdb then reads and changes everything in this machine: memory, registers, and when it runs. Nothing else of the page or this computer.</p>
      <label for="gdb-address">Address</label>
      <input type="text" id="gdb-address" placeholder="ws://127.0.0.1:…/…" required spellcheck="false" autocomplete="off" ?disabled=${connected} @input=${(e: Event) => (e.target as HTMLInputElement).setCustomValidity("")} />
      <p class="hint" role="status">${gdb ? STATES[gdb.state] : nothing}</p>
      <div class="sheet-footer">
        <button type="button" @click=${() => closeDialog("gdb")}>Close</button>
        ${connected ? html`<button type="button" id="disconnect-gdb" @click=${() => ui.disconnectGdb()}>Disconnect</button>` : html`<button type="submit" id="allow-gdb" class="primary">Allow</button>`}
      </div>
    </form>`,
  );
}
