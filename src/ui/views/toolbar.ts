import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { toggleInspector } from "../inspector/toggle.ts";
import { icons } from "./icons.ts";
import { menu } from "./menu.ts";

/** A machine with a display has two faces. */
function views(app: App): TemplateResult {
  const face = (view: App["view"], label: string): TemplateResult =>
    html`<button type="button" aria-pressed=${app.view === view} @click=${() => app.show(view)}>${label}</button>`;
  return html`<div class="segments" role="group" aria-label="Show">${face("screen", "Screen")}${face("console", "Serial")}</div>`;
}

/** Machine controls on the left, console controls on the right. Buttons are disabled, never absent. */
export function toolbar(app: App): TemplateResult {
  const { state, live } = app;
  const main = live
    ? state === "paused"
      ? { label: "Resume", icon: icons.play, run: () => app.pauseOrResume() }
      : { label: "Pause", icon: icons.pause, run: () => app.pauseOrResume() }
    : { label: "Start", icon: icons.play, run: () => app.start() };
  const hasMachine = live || state === "off" || state === "failed";
  const noConsole = app.showsSummary;
  return html`
    <div class="toolbar" role="toolbar" aria-label="Machine controls">
      <button
        type="button"
        id="main-control"
        class="main ${hasMachine && !live && !noConsole && !app.problem ? "primary" : ""}"
        ?disabled=${!live && !app.startable}
        @click=${main.run}
      >
        ${main.icon}<span>${main.label}</span>
      </button>
      <button type="button" ?disabled=${!hasMachine || !app.session?.handle} aria-label="Reset" @click=${() => app.reset()}>
        ${icons.reset}<span class="wide-only">Reset</span>
      </button>
      <button type="button" ?disabled=${!live} aria-label="Power off" @click=${() => app.powerOff()}>
        ${icons.power}<span class="wide-only">Power off</span>
      </button>
      ${app.hasScreen && !noConsole ? views(app) : nothing}
      <span class="toolbar-title">${app.session?.plan.guest.title ?? ""}</span>
      <button
        type="button"
        id="inspect-button"
        class="icon-button"
        ?disabled=${!app.session?.handle?.inspect}
        aria-label="Inspector"
        aria-pressed=${app.inspector !== undefined}
        title="Look into the machine"
        @click=${() => toggleInspector(app)}
      >
        ${icons.inspect}
      </button>
      <button
        type="button"
        class="icon-button"
        ?disabled=${noConsole}
        aria-label="Copy selection"
        title="Copy selection (Ctrl+Shift+C)"
        @click=${() => app.console?.copy()}
      >
        ${icons.copy}
      </button>
      <button
        type="button"
        class="icon-button"
        ?disabled=${!live}
        aria-label="Paste"
        title="Paste (Ctrl+Shift+V)"
        @click=${() => app.console?.paste()}
      >
        ${icons.paste}
      </button>
      ${menu(app)}
    </div>
  `;
}
