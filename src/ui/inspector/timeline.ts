/** When each vCPU ran, was halted or waited for a device, what came in between, and the accesses to devices one by one. */
import { html, nothing, svg, type TemplateResult } from "lit";
import type { Look, NamedEvent } from "../../debug/inspector.ts";
import { eventLine, isAccess, isDelivery, SPAN_KINDS, type Span, sharesOf, spansOf } from "../../debug/timeline.ts";
import type { InspectorUi } from "./inspector.ts";

/** The picture's width in its own units, and a lane's height. */
const WIDTH = 1000;
const LANE = 30;
/** Marks lie above and below what the vCPU did, so that many of them do not hide it. */
const MARK = {
  interrupt: { y: 0, height: 7 },
  exception: { y: 23, height: 7 },
  software: { y: 23, height: 7 },
} as const;
/** Most events in the list. */
const LISTED = 200;

/** What is no access and no delivery, but worth a line. */
const HAPPENS: ReadonlySet<NamedEvent["kind"]> = new Set(["HALT", "WAKE", "SHUTDOWN"]);

const SHOWN = {
  all: {
    label: "everything",
    has: (e: NamedEvent): boolean => isDelivery(e) || isAccess(e) || HAPPENS.has(e.kind),
  },
  deliveries: { label: "interrupts and exceptions", has: (e: NamedEvent) => isDelivery(e) || e.kind === "SHUTDOWN" },
  accesses: { label: "ports and device memory", has: isAccess },
} as const;

/** Milliseconds that can be shown. */
const SPANS = [10, 100, 1000, 10_000];
const spanText = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`);

const time = (ns: number, from: number): string => `${((ns - from) / 1e6).toFixed(3)} ms`;

function lane(
  vcpu: number,
  spans: readonly Span[],
  events: readonly NamedEvent[],
  from: number,
  to: number,
): TemplateResult {
  const x = (ns: number): number => ((ns - from) / Math.max(1, to - from)) * WIDTH;
  const shares = sharesOf(spans);
  const says = SPAN_KINDS.map(
    (kind) => `${kind === "exit" ? "waiting for a device" : kind} ${(100 * shares[kind]).toFixed(1)} %`,
  ).join(", ");
  const mark = (e: NamedEvent) => {
    const kind = e.kind.toLowerCase() as keyof typeof MARK;
    const { y, height } = MARK[kind];
    return svg`<rect class="mark-${kind}" x=${x(e.ns)} y=${y} width="1.5" height=${height}><title>${eventLine(e)}</title></rect>`;
  };
  return html`<div class="lane">
    <span class="lane-name">vCPU ${vcpu}</span>
    <svg viewBox="0 0 ${WIDTH} ${LANE}" preserveAspectRatio="none" role="img" aria-label="vCPU ${vcpu}: ${says}">
      ${spans.map((s) => svg`<rect class="span-${s.kind}" x=${x(s.from)} y="8" width=${Math.max(0.5, x(s.to) - x(s.from))} height="14"/>`)}
      ${events.filter(isDelivery).map(mark)}
    </svg>
    <span class="lane-says dim">${says}</span>
  </div>`;
}

const row = (e: NamedEvent, from: number): TemplateResult => html`<tr>
  <td>${time(e.ns, from)}</td>
  <td>${e.vcpu}</td>
  <td>${eventLine(e)}${e.calls ? html` <span class="dim">→ ${e.calls}</span>` : nothing}</td>
  <td><code>${e.kind === "QUICK" ? "" : (e.at ?? e.rip.toString(16).padStart(8, "0"))}</code></td>
</tr>`;

/** A list of choices, of which one is taken. */
const choice = (
  id: string,
  label: string,
  options: readonly (readonly [value: string, says: string])[],
  chosen: string,
  choose: (value: string) => void,
): TemplateResult => html`<label for=${id}>${label}</label>
  <select id=${id} @change=${(e: Event) => choose((e.target as HTMLSelectElement).value)}>
    ${options.map(([value, says]) => html`<option value=${value} ?selected=${value === chosen}>${says}</option>`)}
  </select>`;

function picture(ui: InspectorUi, look: Look): TemplateResult {
  const { events, span } = ui;
  const to = Math.max(look.ns, events.at(-1)!.ns);
  const from = Math.max(events[0]!.ns, span === undefined ? 0 : to - span * 1e6);
  const inside = events.filter(({ ns }) => ns >= from);
  const listed = inside.filter(SHOWN[ui.shown].has).slice(-LISTED).reverse();
  return html`
    <div class="lanes">
      ${Array.from({ length: look.vcpus }, (_, vcpu) => {
        const mine = (e: NamedEvent): boolean => e.vcpu === vcpu;
        const spans = spansOf(events.filter(mine), to).flatMap((s) =>
          s.to > from ? { ...s, from: Math.max(s.from, from) } : [],
        );
        return lane(vcpu, spans, inside.filter(mine), from, to);
      })}
      <p class="legend"><span class="key span-running"></span>running <span class="key span-halted"></span>halted <span class="key span-exit"></span>waiting for a device <span class="key mark-interrupt"></span>interrupt (above) <span class="key mark-exception"></span>exception (below) <span class="dim">${time(to, from)} of guest time, ${inside.length} events</span></p>
    </div>
    <div class="place">
      ${choice(
        "span",
        "The last",
        [...SPANS.map((ms) => [String(ms), spanText(ms)] as const), ["", "that is kept"]],
        String(span ?? ""),
        (value) => ui.at({ span: value ? Number(value) : undefined }),
      )}
      ${choice(
        "shown",
        "List",
        Object.entries(SHOWN).map(([name, { label }]) => [name, label]),
        ui.shown,
        (value) => ui.at({ shown: value as typeof ui.shown }),
      )}
    </div>
    <div class="scroll-x" tabindex="0" role="group" aria-label="Events, the latest first">
      <table class="facts-table events">
        <caption class="visually-hidden">Events, the latest first</caption>
        <thead><tr><th scope="col">time</th><th scope="col">vCPU</th><th scope="col">event</th><th scope="col">RIP</th></tr></thead>
        <tbody>${listed.map((e) => row(e, from))}</tbody>
      </table>
    </div>
  `;
}

export function timelineView(ui: InspectorUi, look: Look): TemplateResult {
  const { events, recording } = ui;
  return html`
    <div class="recording">
      <label class="check"><input type="checkbox" id="record-events" .checked=${recording.events} @change=${(e: Event) => ui.record({ events: (e.target as HTMLInputElement).checked })} />Record interrupts, exits and device accesses</label>
      <label class="check"><input type="checkbox" id="record-code" .checked=${recording.code} @change=${(e: Event) => ui.record({ code: (e.target as HTMLInputElement).checked })} />Keep the last instructions for an autopsy (slower)</label>
    </div>
    ${events.length ? picture(ui, look) : recording.events ? html`<p class="dim">Nothing has happened yet.</p>` : nothing}
  `;
}
