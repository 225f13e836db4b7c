import { html, type TemplateResult } from "lit";
import { RELEASE_CHORD } from "../../console/keys.ts";
import type { App } from "../app.ts";
import { count, duration } from "../format.ts";
import { NO_METER } from "../session.ts";
import { STATE_NAMES } from "./stateNames.ts";

/** State, speed, time and exits. Each field has a fixed width, so that numbers change in place. */
export function statusLine(app: App): TemplateResult {
  const meter = app.session?.meter ?? NO_METER;
  const field = (name: string, value: string, unit: string, title: string): TemplateResult =>
    html`<span class="field meter ${name}" title=${title}><b>${value}</b> ${unit}</span>`;
  const plan = app.session?.plan;
  return html`
    <footer class="status" aria-label="Machine status" ?data-idle=${!app.session}>
      <span class="field state" data-state=${app.state}><i class="dot"></i><b id="state">${STATE_NAMES[app.state]}</b></span>
      ${field("ips", count(meter.instructionsPerSecond), "instr/s", "Guest instructions per second")}
      ${field("busy", `${Math.round(meter.busy * 100)}%`, "CPU", "Share of time the virtual CPU executes")}
      ${field("time", duration(meter.seconds), "", "Time the machine has been running")}
      ${field("exits", count(meter.exits), "exits", "Exits from the core to the device models")}
      <span class="field plan">${plan ? `${plan.transport} · ${plan.memoryBytes / 2 ** 20} MB` : ""}</span>
      <span class="field chord"><kbd>${RELEASE_CHORD}</kbd> releases the keyboard</span>
    </footer>
  `;
}
