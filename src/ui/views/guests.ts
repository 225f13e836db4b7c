import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { bytes } from "../format.ts";
import { type Guest, sumOfBytes } from "../guests.ts";
import { namedFragment } from "../lesson/index.ts";
import { filesOf } from "../prepared.ts";
import { isolationCause } from "../problems.ts";
import { effective } from "../settings.ts";
import { icons } from "./icons.ts";

/** The list of guests, the way to bring one's own files, and what is reduced on this host. */
export function guestsPane(app: App): TemplateResult {
  return html`
    <aside class="guests" aria-labelledby="guests-title">
      <h2 id="guests-title">Guests</h2>
      <div class="scroll">
        <div class="cards" role="radiogroup" aria-labelledby="guests-title" aria-busy=${app.guests === undefined}>
          ${app.guests?.map((guest) => card(app, guest)) ?? html`<div class="card ghost"></div><div class="card ghost"></div>`}
        </div>
        ${app.lessons.length ? lessons(app) : nothing}
        ${app.isolated || !app.guests ? nothing : isolationNote()}
      </div>
      <div class="bring">
        <button type="button" class="wide" @click=${() => document.querySelector<HTMLInputElement>("#files")?.click()}>
          ${icons.file} Open files…
        </button>
        <input
          id="files"
          type="file"
          multiple
          hidden
          aria-label="Files for the machine"
          @change=${(event: Event) => {
            const input = event.target as HTMLInputElement;
            void app.addFiles([...(input.files ?? [])]);
            input.value = "";
          }}
        />
        <p class="hint">Kernel, initrd, disk, CD, floppy disk or firmware: or drop them anywhere on this page.</p>
      </div>
      ${footer(app)}
    </aside>
  `;
}

function lessons(app: App): TemplateResult {
  return html`
    <h3 id="lessons-title">Lessons</h3>
    <ol class="lesson-list" aria-labelledby="lessons-title">
      ${app.lessons.map(
        ({ folder, title }, i) => html`<li>
          <button type="button" id="lesson-${folder}" @click=${() => app.openLesson(namedFragment(folder))}>${i + 1}. ${title}</button>
        </li>`,
      )}
    </ol>
  `;
}

function card(app: App, guest: Guest): TemplateResult {
  const runs = app.live && app.session?.plan.guest.id === guest.id;
  return html`
    <label class="card">
      <input type="radio" name="guest" .value=${guest.id} .checked=${app.selected.id === guest.id} @change=${() => app.select(guest)} />
      <span class="card-title">${guest.title}${runs ? html`<span class="badge">running</span>` : nothing}</span>
      <span class="card-text">${guest.description}</span>
      <span class="card-meta">${size(app, guest)} · ${effective(guest, app.settings).memoryMb} MB RAM</span>
    </label>
  `;
}

function size(app: App, guest: Guest): string {
  if (guest.kind === "embedded") return "No download";
  if (guest.kind === "own") {
    const { kernel, initrd } = app.own;
    if (!kernel) return initrd ? "Initrd only" : "No files yet";
    return bytes(kernel.file.size + (initrd?.file.size ?? 0));
  }
  return bytes(sumOfBytes(filesOf(app.planFor(guest))));
}

/** On narrow screens the way to start; everywhere the way to change to another guest while one runs. */
function footer(app: App): TemplateResult {
  const running = app.session?.plan.guest;
  const other = app.live && running?.id !== app.selected.id;
  return html`
    <div class="guests-footer" ?data-wanted=${other} ?data-hidden=${app.guests === undefined}>
      ${other ? html`<p class="hint">${running?.title} will be powered off.</p>` : nothing}
      ${
        app.live && !other
          ? html`<button type="button" class="wide" @click=${() => app.showPane("console")}>Go to the machine</button>`
          : html`<button type="button" class="primary wide" ?disabled=${!app.startable} @click=${() => app.start()}>
              ${icons.play} Start ${app.selected.title}
            </button>`
      }
    </div>
  `;
}

function isolationNote(): TemplateResult {
  return html`
    <details class="note">
      <summary>${icons.info} Reduced mode: one worker</summary>
      <p>
        ${isolationCause()} Without isolation the browser withholds SharedArrayBuffer, so the whole machine runs in a
        single worker. Guests behave the same; devices and timers are less prompt.
      </p>
      <p>To get the full machine, open this page over https or from localhost, in its own tab, and reload it once.</p>
      <button type="button" @click=${() => location.reload()}>Reload</button>
    </details>
  `;
}
