import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { bytes } from "../format.ts";
import type { KeptDisk } from "../storage/keptDisks.ts";

/** What is kept, disk by disk, with what can be done with it, and how much room there is. */
export function keptDisks(app: App): TemplateResult {
  return html`
    ${
      app.kept.length
        ? html`<ul class="kept">${app.kept.map((disk) => row(app, disk))}</ul>`
        : html`<p class="hint">Nothing is kept yet. The image files themselves are never changed.</p>`
    }
    <p class="kept-more">
      <input
        id="import-disk"
        type="file"
        hidden
        aria-label="Disk image to keep"
        @change=${(e: Event) => void onImport(app, e.target as HTMLInputElement)}
      />
      <button type="button" class="link" @click=${() => document.querySelector<HTMLInputElement>("#import-disk")?.click()}>
        Keep a whole disk here…
      </button>
      ${
        app.fetched
          ? html`<button type="button" class="link" @click=${() => app.forgetFetched()}>Forget fetched parts of disks</button>`
          : nothing
      }
    </p>
    ${roomLine(app)}
  `;
}

function row(app: App, disk: KeptDisk): TemplateResult {
  const what =
    disk.imported === "begun"
      ? "import was cut short"
      : `${bytes(disk.bytes)}${disk.imported ? "" : " written"}, ${disk.opened.slice(0, 10)}`;
  const button = (label: string, says: string, click: () => Promise<void> | void): TemplateResult =>
    html`<button type="button" class="link" aria-label=${says} @click=${() => void click()}>${label}</button>`;
  return html`<li>
    <span>${disk.name} <span class="dim">${what}</span></span>
    <span>
      ${disk.imported === "whole" ? button("Use", `Use ${disk.name}`, () => app.useKept(disk)) : nothing}
      ${disk.imported === "begun" ? nothing : button("Save", `Save ${disk.name} as an image`, () => app.saveKept(disk))}
      ${
        disk.imported
          ? button("Delete", `Delete ${disk.name}`, () => app.forget(disk))
          : button("Forget", `Forget what was written to ${disk.name}`, () => app.forget(disk))
      }
    </span>
  </li>`;
}

function roomLine(app: App): TemplateResult | typeof nothing {
  const { usage, quota, persisted } = app.room;
  if (usage === undefined || quota === undefined) return nothing;
  const promise = persisted
    ? "The browser clears it only when you ask."
    : "The browser may clear it when its own disk is full.";
  return html`<p class="hint room">${bytes(usage)} of ${bytes(quota)} that the browser allows. ${promise}</p>`;
}

async function onImport(app: App, input: HTMLInputElement): Promise<void> {
  const file = input.files?.[0];
  input.value = "";
  if (file) await app.importDisk(file);
}
