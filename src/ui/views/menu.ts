import { html, nothing, type TemplateResult } from "lit";
import { RELEASE_CHORD } from "../../console/keys.ts";
import type { App } from "../app.ts";
import { icons } from "./icons.ts";

/**
 * The console's menu: a menu button by the ARIA authoring practices. Arrow keys, Home and End move, Escape and Tab
 * close. `popover` gives the top layer and closing by a click elsewhere.
 */
export function menu(app: App): TemplateResult {
  const { screenReader, fontSize } = app.settings;
  const item = (
    label: string,
    run: () => void,
    options: { disabled?: boolean; keys?: string } = {},
  ): TemplateResult => html`
    <button type="button" role="menuitem" tabindex="-1" ?disabled=${options.disabled} @click=${() => choose(run)}>
      <span>${label}</span>${options.keys ? html`<kbd>${options.keys}</kbd>` : ""}
    </button>
  `;
  const idle = !app.live;
  return html`
    <button
      type="button"
      id="menu-button"
      class="icon-button"
      aria-label="Console menu"
      title="Console menu"
      aria-haspopup="menu"
      popovertarget="menu"
      @keydown=${(e: KeyboardEvent) => {
        if (e.key !== "ArrowDown") return;
        e.preventDefault();
        element().showPopover();
      }}
    >
      ${icons.more}
    </button>
    <div id="menu" role="menu" aria-label="Console" popover @toggle=${onToggle} @keydown=${onKey}>
      ${item("Copy selection", () => void app.console?.copy(), { keys: "Ctrl+Shift+C", disabled: app.showsSummary })}
      ${item("Paste", () => void app.console?.paste(), { keys: "Ctrl+Shift+V", disabled: idle })}
      ${item("Release the keyboard", () => undefined, { keys: RELEASE_CHORD })}
      <hr />
      ${item("Send stty size", () => app.sendSttySize(), { disabled: idle })}
      ${item("Send Ctrl+C", () => app.console?.type("\x03"), { disabled: idle })}
      ${item("Send Escape", () => app.console?.type("\x1b"), { disabled: idle })}
      ${
        app.hasScreen
          ? [
              html`<hr />`,
              item("Insert a CD or floppy disk…", () => document.querySelector<HTMLInputElement>("#files")?.click(), {
                disabled: idle,
              }),
              item("Take out the CD", () => void app.eject("cdrom"), { disabled: idle || !app.own.cdrom }),
              item("Take out the floppy disk", () => void app.eject("floppy"), { disabled: idle || !app.own.floppy }),
              html`<hr />`,
              item("Send Ctrl+Alt+Delete", () => app.screen?.chord("ControlLeft", "AltLeft", "Delete"), {
                disabled: idle,
              }),
              item("Send Alt+F1", () => app.screen?.chord("AltLeft", "F1"), { disabled: idle }),
              item("Send Alt+F2", () => app.screen?.chord("AltLeft", "F2"), { disabled: idle }),
              item("Send Print Screen", () => app.screen?.chord("PrintScreen"), { disabled: idle }),
            ]
          : nothing
      }
      <hr />
      ${item("Larger text", () => app.setFontSize(fontSize + 1))}
      ${item("Smaller text", () => app.setFontSize(fontSize - 1))}
      <button
        type="button"
        role="menuitemcheckbox"
        aria-checked=${screenReader}
        tabindex="-1"
        @click=${() => choose(() => app.setScreenReader(!screenReader))}
      >
        <span>Screen-reader mode</span>${screenReader ? icons.check : ""}
      </button>
      <hr />
      ${item("Save the machine…", () => app.saved.show(), { disabled: idle })}
      ${item("Share…", () => void app.links.share(), { disabled: app.course !== undefined || !app.startable })}
      ${item("Clear scrollback", () => app.console?.clear(), { disabled: app.showsSummary })}
      ${item("Save console as text", () => app.saveConsole(), { disabled: app.showsSummary })}
    </div>
  `;
}

const element = (): HTMLElement => document.querySelector<HTMLElement>("#menu")!;
const button = (): HTMLElement => document.querySelector<HTMLElement>("#menu-button")!;
const items = (): HTMLElement[] => [...element().querySelectorAll<HTMLElement>("button:not(:disabled)")];

function choose(run: () => void): void {
  element().hidePopover();
  button().focus();
  run();
}

function onToggle(event: Event): void {
  const open = (event as ToggleEvent).newState === "open";
  button().setAttribute("aria-expanded", String(open));
  if (!open) return;
  const at = button().getBoundingClientRect();
  element().style.top = `${at.bottom + 4}px`;
  element().style.right = `${Math.max(8, document.documentElement.clientWidth - at.right)}px`;
  items()[0]?.focus();
}

function onKey(event: KeyboardEvent): void {
  const all = items();
  const at = all.indexOf(document.activeElement as HTMLElement);
  const to: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
  const next = to[event.key];
  if (next !== undefined) {
    event.preventDefault();
    all[(next + all.length) % all.length]?.focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    element().hidePopover();
    button().focus();
  }
}
