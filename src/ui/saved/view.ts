import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { bytes } from "../format.ts";
import { NAMES } from "../images.ts";
import { icons } from "../views/icons.ts";
import { sheet } from "../views/sheet.ts";
import { latest, nameOf, type SavedMachine, type Slot, type SlotName } from "./machines.ts";
import { NAME_MAX } from "./name.ts";

/** The sheet with the machines that are saved, and the way to save the one that runs. */
export function savedSheet(app: App): TemplateResult {
  const { saved } = app;
  return sheet(
    "saved",
    "Saved machines",
    html`
        ${saved.canSave ? saveForm(app) : nothing}
        ${
          saved.available
            ? nothing
            : html`<p class="saved-note">This browser keeps no files for the page, as in some private windows. Download the machine instead; such a file can be opened here again.</p>`
        }
        <ul class="saved-list" aria-label="Saved machines">${saved.machines.map((machine) => row(app, machine))}</ul>
        ${
          saved.machines.length || !saved.available
            ? nothing
            : html`<p class="hint">Nothing is saved yet. ${saved.canSave ? "" : "Start a machine, then save it here."}</p>`
        }
        <p class="saved-line" role="status" ?data-failed=${saved.failed}>${saved.line}</p>
        <div class="sheet-footer">
          <p class="hint">${roomText(app)}</p>
          <input id="upload-machine" type="file" hidden aria-label="File of a saved machine" @change=${(e: Event) => {
            const input = e.target as HTMLInputElement;
            const file = input.files?.[0];
            input.value = "";
            if (file) void saved.upload(file);
          }} />
          <button type="button" ?disabled=${saved.busy} @click=${() => document.querySelector<HTMLInputElement>("#upload-machine")?.click()}>
            ${icons.file} Open a file…
          </button>
        </div>
    `,
  );
}

function saveForm(app: App): TemplateResult {
  const { saved } = app;
  const name = (): string => {
    const typed = document.querySelector<HTMLInputElement>("#save-name")!.value.trim();
    return typed || suggested(app);
  };
  return html`
    <form class="save-form" @submit=${(e: Event) => {
      e.preventDefault();
      void saved.save(name());
    }}>
      <label for="save-name">The machine that runs here</label>
      <input id="save-name" type="text" maxlength=${NAME_MAX} autocomplete="off" .value=${suggested(app)} />
      <div class="buttons">
        <button type="submit" class="primary" id="save-machine" ?disabled=${saved.busy || !saved.available}>${icons.saved} Save</button>
        <button type="button" ?disabled=${saved.busy} @click=${() => void saved.downloadThis(name())}>Download</button>
      </div>
    </form>
  `;
}

const suggested = (app: App): string => app.saved.mine?.name ?? app.session?.plan.guest.title ?? "";

function row(app: App, machine: SavedMachine): TemplateResult {
  const { saved } = app;
  const name = nameOf(machine);
  const elsewhere = saved.elsewhere.has(machine.id);
  const asked = saved.asked?.id === machine.id ? saved.asked.what : undefined;
  const button = (label: string, click: () => unknown, disabled = false): TemplateResult =>
    html`<button type="button" class="link" aria-label="${label} ${name}" ?disabled=${saved.busy || disabled} @click=${() => void click()}>${label}</button>`;
  const belongs = disksOf(machine);
  return html`
    <li class="saved-row" data-id=${machine.id}>
      <div class="saved-head">
        <strong>${name}</strong>
        ${saved.isMine(machine) ? html`<span class="badge">open here</span>` : nothing}
        ${elsewhere ? html`<span class="badge elsewhere">open in another tab</span>` : nothing}
      </div>
      <p class="dim saved-meta">
        ${machine.name === undefined ? "Saved by itself" : "Saved"} ${when(latest(machine))} · ${bytes(machine.bytes)} ·
        ${machine.plan.memoryBytes / 2 ** 20} MB RAM
      </p>
      ${belongs ? html`<p class="dim saved-meta">${belongs}</p>` : nothing}
      ${asked === "rename" ? rename(app, machine) : nothing}
      ${asked === "delete" ? confirmDelete(app, machine) : nothing}
      <p class="saved-actions">
        ${slotButton("auto", machine.auto)} ${slotButton("saved", machine.saved)}
        ${button("Rename", () => saved.ask(machine, "rename"), elsewhere)}
        ${button("Duplicate", () => saved.duplicate(machine))}
        ${button("Download", () => saved.download(machine))}
        ${button("Delete", () => saved.ask(machine, "delete"), elsewhere)}
      </p>
    </li>
  `;

  function slotButton(slot: SlotName, at: Slot | undefined): TemplateResult | typeof nothing {
    if (!at) return nothing;
    const label = labelOf(slot, machine, saved.isMine(machine) && app.live);
    return button(label, () => saved.resume(machine, slot));
  }
}

/** @param here the machine runs here, so that this is a way back */
function labelOf(slot: SlotName, { saved, auto }: SavedMachine, here: boolean): string {
  if (slot === "auto") return here ? "Go back to autosave" : "Continue";
  if (auto) return `Resume as saved ${when(saved!.at)}`;
  return here ? "Go back" : "Resume";
}

function rename(app: App, machine: SavedMachine): TemplateResult {
  return html`
    <form class="saved-ask" @submit=${(e: Event) => {
      e.preventDefault();
      const input = (e.target as HTMLFormElement).querySelector("input")!;
      if (input.value.trim()) void app.saved.rename(machine, input.value.trim());
    }}>
      <input type="text" maxlength=${NAME_MAX} aria-label="New name of ${nameOf(machine)}" .value=${nameOf(machine)} />
      <button type="submit" class="primary">Rename</button>
      <button type="button" @click=${() => app.saved.ask(undefined)}>Cancel</button>
    </form>
  `;
}

function confirmDelete(app: App, machine: SavedMachine): TemplateResult {
  return html`
    <div class="saved-ask" role="group" aria-label="Delete ${nameOf(machine)}?">
      <span>It is gone for good.</span>
      <button type="button" class="primary" @click=${() => void app.saved.remove(machine)}>Delete it</button>
      <button type="button" @click=${() => app.saved.ask(undefined)}>Keep it</button>
    </div>
  `;
}

/** The disks it was saved with, which must be as they were. */
function disksOf({ plan }: SavedMachine): string {
  const named = plan.files.flatMap(({ role, name, kept, image }) =>
    kept === undefined && image === undefined ? [] : [`${NAMES[role]} ${name}`],
  );
  for (const url of [plan.url, plan.linkedDisk?.url]) if (url) named.push(url);
  return named.length ? `Goes with ${named.join(", ")}${plan.keepDisks ? ", as it was then" : ""}` : "";
}

/** What a person has left when the page was last closed, as a card over everything: nothing moves for it. */
export function continueOffer(app: App): TemplateResult | typeof nothing {
  const machine = app.saved.offered;
  if (!machine || app.state !== "none" || !app.guests) return nothing;
  return html`
    <section class="offer" aria-labelledby="offer-title">
      <h2 id="offer-title">Continue where you were</h2>
      <p class="dim">${nameOf(machine)}, saved by itself ${when(machine.auto!.at)}.</p>
      <div class="buttons">
        <button type="button" class="primary" id="continue" ?disabled=${app.saved.busy} @click=${() => void app.saved.resume(machine, "auto")}>
          ${icons.play} Continue
        </button>
        <button type="button" @click=${() => app.saved.dismissOffer()}>Not now</button>
      </div>
    </section>
  `;
}

/** A moment in the person's own way of writing it, without seconds. */
const when = (iso: string): string =>
  new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

function roomText({ room }: App): string {
  if (room.usage === undefined || room.quota === undefined) return "";
  return `${bytes(room.usage)} of ${bytes(room.quota)} that the browser allows.`;
}
