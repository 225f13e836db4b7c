/** When each vCPU ran, was halted or waited for a device, what came in between, and the accesses to devices one by one. */
import { html, nothing, svg, type TemplateResult } from "lit";
import type { Look } from "../../debug/inspector.ts";
import { eventLine, isAccess, isDelivery, SPAN_KINDS, type Span, sharesOf, spansOf } from "../../debug/timeline.ts";
import type { TraceEvent } from "../../debug/trace.ts";
import type { InspectorUi } from "./inspector.ts";

/** The picture's width in its own units, and a lane's height. */
const WIDTH = 1000;
const LANE = 26;
/** Most events in the list. */
const LISTED = 200;

const SHOWN = {
  all: {
    label: "everything",
    has: (e: TraceEvent): boolean => isDelivery(e) || isAccess(e) || e.kind === "HALT" || e.kind === "WAKE",
  },
  deliveries: { label: "interrupts and exceptions", has: isDelivery },
  accesses: { label: "ports and device memory", has: isAccess },
} as const;

const time = (ns: number, from: number): string => `${((ns - from) / 1e6).toFixed(3)} ms`;

function lane(
  vcpu: number,
  spans: readonly Span[],
  events: readonly TraceEvent[],
  from: number,
  to: number,
): TemplateResult {
  const x = (ns: number): number => ((ns - from) / Math.max(1, to - from)) * WIDTH;
  const shares = sharesOf(spans);
  const says = SPAN_KINDS.map(
    (kind) => `${kind === "exit" ? "waiting for a device" : kind} ${(100 * shares[kind]).toFixed(1)} %`,
  ).join(", ");
  return html`<div class="lane">
    <span class="lane-name">vCPU ${vcpu}</span>
    <svg viewBox="0 0 ${WIDTH} ${LANE}" preserveAspectRatio="none" role="img" aria-label="vCPU ${vcpu}: ${says}">
      ${spans.map((s) => svg`<rect class="span-${s.kind}" x=${x(s.from)} y="6" width=${Math.max(0.5, x(s.to) - x(s.from))} height="14"/>`)}
      ${events.filter(isDelivery).map((e) => svg`<rect class="mark-${e.kind.toLowerCase()}" x=${x(e.ns)} y="0" width="1.5" height=${LANE}><title>${eventLine(e)}</title></rect>`)}
    </svg>
    <span class="lane-says dim">${says}</span>
  </div>`;
}

export function timelineView(ui: InspectorUi, look: Look): TemplateResult {
  const { events, recording } = ui;
  const from = events[0]?.ns ?? 0;
  const to = Math.max(events.at(-1)?.ns ?? 0, from + 1);
  const listed = events.filter(SHOWN[ui.shown].has).slice(-LISTED).reverse();
  return html`
    <div class="recording">
      <label class="check"><input type="checkbox" id="record-events" .checked=${recording.events} @change=${(e: Event) => ui.record({ events: (e.target as HTMLInputElement).checked })} />Record interrupts, exits and device accesses</label>
      <label class="check"><input type="checkbox" id="record-code" .checked=${recording.code} @change=${(e: Event) => ui.record({ code: (e.target as HTMLInputElement).checked })} />Keep the last instructions for an autopsy (slower)</label>
    </div>
    ${
      events.length
        ? html`
            <div class="lanes">
              ${Array.from({ length: look.vcpus }, (_, vcpu) => {
                const own = events.filter((e) => e.vcpu === vcpu);
                return lane(vcpu, spansOf(own, to), own, from, to);
              })}
              <p class="legend"><span class="key span-running"></span>running <span class="key span-halted"></span>halted <span class="key span-exit"></span>waiting for a device <span class="key mark-interrupt"></span>interrupt <span class="key mark-exception"></span>exception <span class="dim">${time(to, from)} of guest time, the last ${events.length} events</span></p>
            </div>
            <div class="place">
              <label for="shown">Show</label>
              <select id="shown" @change=${(e: Event) => ui.at({ shown: (e.target as HTMLSelectElement).value as typeof ui.shown })}>
                ${Object.entries(SHOWN).map(([name, { label }]) => html`<option value=${name} ?selected=${name === ui.shown}>${label}</option>`)}
              </select>
            </div>
            <div class="scroll-x" tabindex="0" role="group" aria-label="Events, the latest first">
              <table class="facts-table">
                <caption class="visually-hidden">Events, the latest first</caption>
                <thead><tr><th scope="col">time</th><th scope="col">vCPU</th><th scope="col">event</th><th scope="col">RIP</th></tr></thead>
                <tbody>${listed.map((e) => html`<tr><td>${time(e.ns, from)}</td><td>${e.vcpu}</td><td>${eventLine(e)}</td><td><code>${e.kind === "QUICK" ? "" : e.rip.toString(16).padStart(8, "0")}</code></td></tr>`)}</tbody>
              </table>
            </div>
          `
        : recording.events
          ? html`<p class="dim">Nothing has happened yet.</p>`
          : nothing
    }
  `;
}
