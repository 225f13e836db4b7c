import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { openDialog } from "../dialogs.ts";
import { continueOffer, savedSheet } from "../saved/view.ts";
import { guestsPane } from "./guests.ts";
import { icons, logo } from "./icons.ts";
import { linkCard } from "./linkCard.ts";
import { settingsSheet } from "./settings.ts";
import { shareSheet } from "./share.ts";
import { stage } from "./stage.ts";
import { statusLine } from "./status.ts";
import { toolbar } from "./toolbar.ts";

/** The whole page, from the state of the App. The one part that lit does not own is the inside of #console. */
export function page(app: App): TemplateResult {
  return html`
    <a class="skip" href="#stage">Skip to the machine</a>
    ${header(app)}
    <main class="panes" data-pane=${app.pane} ?data-lesson=${app.course !== undefined} ?data-inspects=${app.inspector !== undefined}>
      ${app.course?.pane() ?? guestsPane(app)}
      <section class="machine" id="stage" tabindex="-1" aria-label="Machine">
        ${toolbar(app)} ${app.course?.element ?? nothing} ${stage(app)} ${statusLine(app)}
      </section>
      ${app.inspector?.view() ?? nothing}
    </main>
    ${settingsSheet(app)} ${linkCard(app)} ${shareSheet(app)} ${savedSheet(app)} ${continueOffer(app)}
    <div class="toast" role="status" ?data-empty=${app.toast === ""}>${app.toast}</div>
    ${
      app.dragging
        ? html`<div class="dropzone" aria-hidden="true">
            <div>${icons.file}<strong>Drop a kernel, an initrd, a disk, a CD or a saved machine</strong><span>They are told apart by content and stay in this tab.</span></div>
          </div>`
        : nothing
    }
  `;
}

function header(app: App): TemplateResult {
  const tab = (pane: App["pane"], label: string): TemplateResult => html`
    <button type="button" aria-pressed=${app.pane === pane} @click=${() => app.showPane(pane)}>${label}</button>
  `;
  return html`
    <header class="top">
      <h1>${logo}<span>Tabhyve</span></h1>
      <p class="tagline">An x86-64 machine in this tab</p>
      <div class="segments" role="group" aria-label="View">${tab("guests", app.course ? "Lesson" : "Guests")}${tab("console", "Machine")}${app.inspector ? tab("inspector", "Inspector") : nothing}</div>
      <button type="button" class="icon-button" aria-label="Saved machines" title="Saved machines" @click=${() => app.saved.show()}>
        ${icons.saved}
      </button>
      <button type="button" class="icon-button" aria-label="Settings" title="Settings" @click=${() => openDialog("settings")}>
        ${icons.settings}
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label=${app.dark ? "Use the light theme" : "Use the dark theme"}
        title=${app.dark ? "Use the light theme" : "Use the dark theme"}
        @click=${() => app.setTheme(app.dark ? "light" : "dark")}
      >
        ${app.dark ? icons.sun : icons.moon}
      </button>
    </header>
  `;
}
