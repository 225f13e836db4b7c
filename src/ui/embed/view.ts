import { html, nothing, type TemplateResult } from "lit";
import { icons } from "../views/icons.ts";
import { problemPanel, progressPanel } from "../views/panels.ts";
import { STATE_NAMES } from "../views/stateNames.ts";
import type { EmbeddedMachine } from "./embeddedMachine.ts";
import type { VmState } from "./vmHandle.ts";

/** What the element shows. The insides of #console and #screen are not lit's. */
export interface VmView {
  readonly machine: EmbeddedMachine;
  readonly controls: boolean;
  readonly facts: readonly (readonly [string, string])[];
  readonly notice: string;
  readonly view: "screen" | "console";
  show(view: "screen" | "console"): void;
  run(command: (machine: EmbeddedMachine) => Promise<void>): void;
}

const NAMES: Record<VmState, string> = { ...STATE_NAMES, none: "Not started" };

export function vmView(v: VmView): TemplateResult {
  const { machine } = v;
  const covered = machine.state === "none" || machine.state === "preparing" || machine.problem !== undefined;
  return html`
    ${v.controls ? bar(v) : nothing}
    <div class="stage">
      <div id="console" ?inert=${covered || v.view === "screen"} ?data-covered=${v.view === "screen"}></div>
      <div id="screen" ?hidden=${v.view !== "screen"} ?inert=${covered}></div>
      ${over(v)}
    </div>
  `;
}

function over(v: VmView): TemplateResult | typeof nothing {
  const { machine } = v;
  const start = (label: string): TemplateResult => html`
    <button type="button" class="primary" id="start" @click=${() => v.run((m) => m.start())}>${icons.play} ${label}</button>
  `;
  if (machine.problem) return problemPanel(machine.problem, start("Try again"));
  const { session } = machine;
  if (session?.steps) {
    const instructions = session.handle ? session.meter.instructions : 0;
    const cancel = html`<button type="button" @click=${() => v.run((m) => m.stop())}>Cancel</button>`;
    return progressPanel(session.plan.guest.title, session.steps, instructions, cancel);
  }
  if (machine.state === "none") {
    return html`
      <div class="over opaque">
        <div class="panel summary">
          ${v.facts.length ? html`<dl class="facts">${v.facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>` : nothing}
          <div class="buttons">${start("Start")}</div>
          <p class="hint">A virtual machine of Tabhyve's: it runs in this page and sends nothing anywhere.</p>
        </div>
      </div>
    `;
  }
  if (machine.state === "preparing") return html`<div class="over opaque"></div>`;
  if (machine.state === "off" && !v.controls) {
    return html`<div class="again"><span>Powered off.</span>${start("Start again")}</div>`;
  }
  return nothing;
}

function bar(v: VmView): TemplateResult {
  const { machine } = v;
  const { state } = machine;
  const live = state === "running" || state === "paused";
  const main =
    state === "running"
      ? { label: "Pause", icon: icons.pause, run: (m: EmbeddedMachine) => m.pause() }
      : { label: state === "paused" ? "Resume" : "Start", icon: icons.play, run: (m: EmbeddedMachine) => m.start() };
  const face = (view: VmView["view"], label: string): TemplateResult =>
    html`<button type="button" aria-pressed=${v.view === view} @click=${() => v.show(view)}>${label}</button>`;
  return html`
    <div class="toolbar" role="toolbar" aria-label="Machine controls">
      <button type="button" id="main-control" ?disabled=${state === "preparing"} @click=${() => v.run(main.run)}>
        ${main.icon}<span>${main.label}</span>
      </button>
      <button type="button" class="icon-button" aria-label="Reset" title="Reset" ?disabled=${!live && state !== "off"} @click=${() => v.run((m) => m.reset())}>
        ${icons.reset}
      </button>
      <button type="button" class="icon-button" aria-label="Power off" title="Power off" ?disabled=${!live} @click=${() => v.run((m) => m.stop())}>
        ${icons.power}
      </button>
      ${machine.hasScreen ? html`<div class="segments" role="group" aria-label="Show">${face("screen", "Screen")}${face("console", "Serial")}</div>` : nothing}
      <span class="state" role="status" data-state=${state}><i class="dot"></i>${v.notice || NAMES[state]}</span>
    </div>
  `;
}
