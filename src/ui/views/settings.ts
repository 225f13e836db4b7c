import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { closeDialog } from "../dialogs.ts";
import { hasDrives } from "../session.ts";
import { effective, MEMORY_MAX_MB, MEMORY_MIN_MB, type Settings, VCPUS_MAX } from "../settings.ts";
import { keptDisks } from "./keptDisks.ts";
import { sheet } from "./sheet.ts";

/** The settings sheet. */
export function settingsSheet(app: App): TemplateResult {
  const guest = app.selected;
  const { memoryMb, append, vcpus, url } = effective(guest, app.settings);
  const changed = app.settings.guests[guest.id] !== undefined;
  return sheet(
    "settings",
    "Settings",
    html`
        <h3>${guest.title}</h3>
        <div class="setting">
          <label for="memory">Memory</label>
          <span class="with-unit">
            <input
              id="memory"
              type="number"
              inputmode="numeric"
              min=${MEMORY_MIN_MB}
              max=${MEMORY_MAX_MB}
              step="1"
              .value=${String(memoryMb)}
              aria-describedby="memory-hint"
              @change=${(e: Event) =>
                onNumber(e.target as HTMLInputElement, MEMORY_MIN_MB, MEMORY_MAX_MB, (n) =>
                  app.setGuest({ memoryMb: n }),
                )}
            />
            MB
          </span>
          <p class="hint" id="memory-hint">${MEMORY_MIN_MB} to ${MEMORY_MAX_MB} MB. Linux wants 96 MB or more.</p>
        </div>
        <div class="setting">
          <label for="vcpus">Virtual CPUs</label>
          <input
            id="vcpus"
            type="number"
            inputmode="numeric"
            min="1"
            max=${VCPUS_MAX}
            step="1"
            .value=${String(vcpus)}
            @change=${(e: Event) => onNumber(e.target as HTMLInputElement, 1, VCPUS_MAX, (n) => app.setGuest({ vcpus: n }))}
          />
        </div>
        ${
          hasDrives(guest)
            ? html`<div class="setting">
                <label for="url">Disk on a web server</label>
                <input
                  id="url"
                  type="url"
                  placeholder="https://…/disk.img, manifest.json, or a CD: ….iso"
                  .value=${url}
                  aria-describedby="url-hint"
                  @change=${(e: Event) => app.setGuest({ url: (e.target as HTMLInputElement).value.trim() })}
                />
                <p class="hint" id="url-hint">Only what the guest reads is fetched. What it writes is kept here, as with other disks.</p>
              </div>`
            : nothing
        }
        ${
          guest.kind === "embedded"
            ? nothing
            : html`<div class="setting">
                <label for="append">Command line</label>
                <textarea
                  id="append"
                  rows="3"
                  spellcheck="false"
                  autocapitalize="off"
                  .value=${append}
                  @change=${(e: Event) => app.setGuest({ append: (e.target as HTMLTextAreaElement).value.trim() })}
                ></textarea>
              </div>`
        }
        <div class="setting" ?data-hidden=${!changed}>
          <button type="button" class="link" ?disabled=${!changed} @click=${() => app.setGuest(undefined)}>Back to this guest's defaults</button>
        </div>

        <h3>Machine</h3>
        ${choice(app, "Transport", "transport", app.settings.transport, (v) => app.setTransport(v), [
          ["auto", "Automatic", app.isolated ? "Threaded on this page" : "Inline on this page"],
          [
            "threaded",
            "Threaded",
            app.isolated ? "vCPU in its own worker, devices beside the page" : "Needs a cross-origin isolated page",
          ],
          ["inline", "Inline", "Whole machine in one worker"],
        ])}

        ${choice(app, "Engine", "engine", app.settings.engine, (v) => app.setEngine(v), [
          ["interp", "Interpreter", "Starts at once"],
          ["auto", "Compiles hot code", "Faster for what takes long"],
        ])}

        ${
          guest.snapshot
            ? html`<div class="setting">
                <label class="check">
                  <input id="prepared" type="checkbox" .checked=${app.settings.prepared} @change=${(e: Event) => app.setPrepared((e.target as HTMLInputElement).checked)} />
                  Start ${guest.title} where it has booted already, if it is as this page gives it
                </label>
              </div>`
            : nothing
        }

        <h3>Disks</h3>
        <div class="setting">
          <label class="check">
            <input id="keep-disks" type="checkbox" .checked=${app.settings.keepDisks} @change=${(e: Event) => app.setKeepDisks((e.target as HTMLInputElement).checked)} />
            Keep what guests write to disks in this browser
          </label>
          ${keptDisks(app)}
        </div>

        <h3>Page</h3>
        ${choice(app, "Theme", "theme", app.settings.theme, (v) => app.setTheme(v), [
          ["system", "System", ""],
          ["light", "Light", ""],
          ["dark", "Dark", ""],
        ])}
        <div class="setting">
          <label class="check">
            <input type="checkbox" .checked=${app.settings.screenReader} @change=${(e: Event) => app.setScreenReader((e.target as HTMLInputElement).checked)} />
            Screen-reader mode for the console
          </label>
        </div>

        <div class="sheet-footer">
          <p class="hint">${app.live ? "Memory, command line and transport apply at the next start." : "Kept in this browser."}</p>
          <button type="button" class="primary" @click=${() => closeDialog("settings")}>Done</button>
        </div>
    `,
  );
}

function choice<K extends "theme" | "transport" | "engine">(
  app: App,
  title: string,
  name: K,
  value: Settings[K],
  set: (value: Settings[K]) => void,
  options: [Settings[K], string, string][],
): TemplateResult {
  return html`
    <fieldset class="setting choice">
      <legend>${title}</legend>
      ${options.map(
        ([option, label, hint]) => html`
          <label class="check">
            <input
              type="radio"
              name=${name}
              .checked=${value === option}
              ?disabled=${option === "threaded" && !app.isolated}
              @change=${() => set(option)}
            />
            <span>${label}${hint ? html`<span class="hint">${hint}</span>` : nothing}</span>
          </label>
        `,
      )}
    </fieldset>
  `;
}

function onNumber(input: HTMLInputElement, min: number, max: number, set: (value: number) => void): void {
  const value = input.valueAsNumber;
  const valid = Number.isInteger(value) && value >= min && value <= max;
  input.setCustomValidity(valid ? "" : `Give a whole number from ${min} to ${max}.`);
  if (valid) set(value);
  else input.reportValidity();
}
