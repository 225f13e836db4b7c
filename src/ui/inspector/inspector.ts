/** The inspector's state and frame: which part of the machine is looked at, and when. Loaded when it is opened first. */
import { html, nothing, type TemplateResult } from "lit";
import type { Autopsy } from "../../debug/autopsy.ts";
import type { CpuState } from "../../debug/cpuState.ts";
import { eventText, titleOfVector } from "../../debug/decode/exceptions.ts";
import { type Access, errorSays, faultAccess } from "../../debug/decode/paging.ts";
import type { Look, LookRequest, NamedEvent } from "../../debug/inspector.ts";
import type { Breakpoint } from "../../machine/debug.ts";
import type { App } from "../app.ts";
import { openDialog } from "../dialogs.ts";
import type { MachineHandle } from "../machineHandle.ts";
import type { Session } from "../session.ts";
import { icons } from "../views/icons.ts";
import { autopsyView } from "./autopsy.ts";
import { chipsView } from "./chips.ts";
import { cpuView } from "./cpu.ts";
import { GdbLink } from "./gdbLink.ts";
import { gdbSheet } from "./gdbView.ts";
import "./inspector.css";
import { memoryView } from "./memory.ts";
import { pagingView } from "./paging.ts";
import { tablesView } from "./tables.ts";
import { timelineView } from "./timeline.ts";
import { toggleInspector } from "./toggle.ts";

const TABS = {
  cpu: { label: "CPU", view: cpuView },
  memory: { label: "Memory", view: memoryView },
  paging: { label: "Paging", view: pagingView },
  tables: { label: "Segments", view: tablesView },
  chips: { label: "Chips", view: chipsView },
  timeline: { label: "Timeline", view: timelineView },
  autopsy: { label: "Autopsy", view: autopsyView },
} as const;
export type Tab = keyof typeof TABS;

/** Milliseconds between two looks at a machine that runs. */
const LIVE_MS = 500;
/** Events that are kept. */
const MOST_EVENTS = 4096;
export const MEMORY_BYTES = 256;

export class InspectorUi {
  readonly app: App;
  tab: Tab = "cpu";
  vcpu = 0;
  /** The latest look, and the vCPU's state in the one before it that was another. */
  look: Look | undefined;
  before: CpuState | undefined;
  /** Bytes of the memory that was shown before. */
  bytesBefore: { readonly at: bigint; readonly bytes: Uint8Array } | undefined;
  /** Where things are looked at, as a person has written it. */
  codeAt = "rip";
  memoryAt = "rsp";
  physical = false;
  walkAt = "rip";
  access: Access = { kind: "read", user: false };
  recording = { events: false, code: false };
  events: NamedEvent[] = [];
  /** Milliseconds of the timeline that are shown; undefined: all that is kept. */
  span: number | undefined = 1000;
  shown: "all" | "deliveries" | "accesses" = "all";
  autopsy: Autopsy | undefined;
  /** The way of a gdb into this machine. */
  gdb: GdbLink | undefined;
  /** What could not be done. */
  problem = "";
  /** Whose machine all of this is about. */
  #session: Session | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #busy = false;
  #again = false;
  /** The stop that was gone to. */
  #shownStop: Look["stop"];

  constructor(app: App) {
    this.app = app;
    this.#timer = setInterval(() => this.app.state === "running" && void this.refresh(), LIVE_MS);
    void this.refresh();
  }

  /** Nobody looks any more: what was recorded and where the machine stopped is given up. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.disconnectGdb();
    await this.#ask(async (ask) => {
      await ask("record", { events: false, code: false });
      await ask("setBreakpoints", []);
    });
  }

  get handle(): MachineHandle | undefined {
    return this.app.session?.handle;
  }

  /** Why the machine stands still, or that it does not, in words. */
  get stateText(): string {
    const stop = this.look?.stop;
    if (this.look?.gdb) return `a gdb has the machine, which is ${this.app.state}`;
    if (this.app.state === "running") return `running, looked at ${1000 / LIVE_MS} times a second`;
    if (this.app.state !== "paused") return this.app.state === "failed" ? "stopped by a fault" : this.app.state;
    if (stop?.kind === "exception") {
      const { vcpu, vector } = stop;
      const says = errorSays(this.look!.cpu, stop) ?? titleOfVector(vector);
      return `${eventText({ type: "exception", ...stop })}, vCPU ${vcpu}: ${says}; not delivered yet`;
    }
    if (stop?.kind !== "breakpoint") return stop ? "after a step" : "paused";
    const what = stop.breakpoint.kind === "execute" ? "breakpoint" : "watchpoint";
    return `${what} at 0x${stop.breakpoint.address.toString(16)}, vCPU ${stop.vcpu}`;
  }

  async #ask(work: (ask: NonNullable<MachineHandle["inspect"]>) => Promise<unknown>): Promise<void> {
    const inspect = this.handle?.inspect;
    if (!inspect) return;
    try {
      await work(inspect);
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      this.app.changed();
    }
  }

  /** Looks again at what is shown; once more afterwards if it was asked for meanwhile. */
  async refresh(): Promise<void> {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    do {
      this.#again = false;
      this.#follow();
      await this.#ask(async (ask) => {
        const state = this.app.state;
        if (state === "preparing" || state === "none") return;
        this.#took(await ask("look", this.#request()));
        if (this.tab === "autopsy") this.autopsy = state === "failed" ? await ask("autopsy") : undefined;
      });
    } while (this.#again);
    this.#busy = false;
    this.app.changed();
  }

  /** Forgets what it knew of a machine that is not there any more. */
  #follow(): void {
    const { session } = this.app;
    if (session === this.#session) return;
    this.#session = session;
    this.disconnectGdb();
    Object.assign(this, { vcpu: 0, look: undefined, before: undefined, bytesBefore: undefined, autopsy: undefined });
    Object.assign(this, { events: [], recording: { events: false, code: false } });
  }

  #request(): LookRequest {
    const { tab, vcpu } = this;
    return {
      vcpu,
      ...(tab === "cpu" && { code: { at: this.codeAt, before: 4, after: 24 } }),
      ...(tab === "memory" && { memory: { at: this.memoryAt, length: MEMORY_BYTES, physical: this.physical } }),
      ...(tab === "paging" && { walk: { at: this.walkAt, access: this.access } }),
      ...(tab === "tables" && { tables: true }),
      ...(tab === "chips" && { chips: true }),
      ...(tab === "timeline" && { since: this.#since() }),
    };
  }

  /** The next event's number of each vCPU. */
  #since(): number[] {
    const vcpus = this.app.session?.plan.vcpus ?? 1;
    return Array.from(
      { length: vcpus },
      (_, id) => (this.events.findLast(({ vcpu }) => vcpu === id)?.number ?? -1) + 1,
    );
  }

  #took(look: Look): void {
    const last = this.look;
    const moved = last?.cpu.icount !== look.cpu.icount || last.cpu.rip !== look.cpu.rip;
    if (last?.cpu.id === look.cpu.id && moved) this.before = last.cpu;
    if (last?.cpu.id !== look.cpu.id) this.before = undefined;
    const memory = last?.memory;
    if (memory && "bytes" in memory && moved) this.bytesBefore = memory;
    this.#goTo(look);
    if (look.events?.length) {
      this.events = [...this.events, ...look.events].sort((a, b) => a.ns - b.ns).slice(-MOST_EVENTS);
    }
    this.look = look;
    this.problem = "";
  }

  /** Of a new stop: shows the vCPU that has stopped, and of a page fault the way that its address takes. */
  #goTo(look: Look): void {
    const { stop, cpu } = look;
    if (sameStop(stop, this.#shownStop)) return;
    if (stop && stop.vcpu !== cpu.id) {
      this.vcpu = stop.vcpu;
      this.#again = true;
      return;
    }
    this.#shownStop = stop;
    this.atFault(look);
  }

  // What a person does

  show(tab: Tab): void {
    this.tab = tab;
    void this.refresh();
    this.app.changed();
    // Not all of them are in view on a narrow screen.
    requestAnimationFrame(() => document.getElementById(`tab-${tab}`)?.scrollIntoView({ block: "nearest" }));
  }

  choose(vcpu: number): void {
    this.vcpu = vcpu;
    void this.refresh();
  }

  /** Changes what is looked at. */
  at(
    change: Partial<Pick<InspectorUi, "codeAt" | "memoryAt" | "physical" | "walkAt" | "access" | "shown" | "span">>,
  ): void {
    Object.assign(this, change);
    void this.refresh();
  }

  /** The access that has met a page fault. */
  atFault({ stop, cpu }: Pick<Look, "stop" | "cpu">): void {
    if (stop?.kind !== "exception" || stop.address === undefined) return;
    this.at({ walkAt: `0x${stop.address.toString(16)}`, access: faultAccess(cpu, stop.error ?? 0, stop.address) });
  }

  async step(): Promise<void> {
    if (this.app.state !== "paused" || this.look?.gdb) return;
    this.codeAt = "rip";
    await this.#ask((ask) => ask("step", this.vcpu));
    await this.refresh();
  }

  async stepOver(): Promise<void> {
    if (this.app.state !== "paused" || this.look?.gdb) return;
    this.codeAt = "rip";
    await this.#ask((ask) => ask("stepOver", this.vcpu));
  }

  async runTo(place: string): Promise<void> {
    await this.#ask(async (ask) => {
      this.problem = (await ask("runTo", this.vcpu, place)) ?? "";
    });
    this.app.changed();
  }

  async setBreakpoints(list: readonly Breakpoint[]): Promise<void> {
    await this.#ask((ask) => ask("setBreakpoints", list));
    await this.refresh();
  }

  toggleBreakpoint(address: bigint): Promise<void> {
    const list = this.look?.breakpoints ?? [];
    const others = list.filter((b) => b.kind !== "execute" || b.address !== address);
    const more: Breakpoint[] =
      others.length < list.length ? others : [...list, { kind: "execute", address, length: 1 }];
    return this.setBreakpoints(more);
  }

  async addWatchpoint(place: string, kind: "write" | "access" | "execute", length: number): Promise<void> {
    await this.#ask(async (ask) => {
      const address = await ask("place", this.vcpu, place);
      if (typeof address === "string") this.problem = address;
      else await this.setBreakpoints([...(this.look?.breakpoints ?? []), { kind, address, length }]);
    });
    this.app.changed();
  }

  async loadSymbols(file: File): Promise<void> {
    const bytes = new Uint8Array(await file.arrayBuffer());
    await this.#ask(async (ask) => {
      const done = await ask("loadSymbols", bytes);
      this.app.say("failed" in done ? `${file.name}: ${done.failed}.` : `${done.count} symbols of ${file.name}.`);
    });
    await this.refresh();
  }

  /** A person has allowed it. */
  connectGdb(address: string): void {
    const { handle } = this;
    if (handle) this.gdb = new GdbLink(address, handle, () => void this.refresh());
    this.app.changed();
  }

  disconnectGdb(): void {
    this.gdb?.close();
    this.gdb = undefined;
    this.app.changed();
  }

  async record(recording: Partial<InspectorUi["recording"]>): Promise<void> {
    this.recording = { ...this.recording, ...recording };
    if (recording.events) this.events = [];
    await this.#ask((ask) => ask("record", this.recording));
    await this.refresh();
  }

  /** Boots what has triple-faulted again, and records what leads to it. */
  async recordBoot(): Promise<void> {
    await this.record({ events: true, code: true });
    await this.app.session?.reset();
    document.getElementById("inspect-panel")?.focus();
  }

  // What is shown

  view(): TemplateResult {
    const { app } = this;
    const paused = app.state === "paused" && !this.look?.gdb;
    const { vcpus = 1 } = app.session?.plan ?? {};
    return html`
      <section class="inspector" aria-label="Inspector" @keydown=${(e: KeyboardEvent) => this.#key(e)}>
        <h2 class="visually-hidden">Inspector</h2>
        <div class="inspect-bar" role="toolbar" aria-label="Inspector controls">
          <button type="button" ?disabled=${!app.live} @click=${() => app.pauseOrResume()}>
            ${paused ? icons.play : icons.pause}<span>${paused ? "Resume" : "Pause"}</span>
          </button>
          <button type="button" title="One instruction (F11)" ?disabled=${!paused} @click=${() => this.step()}>Step</button>
          <button type="button" title="Over a call (F10)" ?disabled=${!paused} @click=${() => this.stepOver()}>Step over</button>
          ${
            vcpus > 1
              ? html`<div class="segments" role="group" aria-label="vCPU">
                  ${Array.from({ length: vcpus }, (_, id) => html`<button type="button" aria-pressed=${id === this.vcpu} aria-label="vCPU ${id}" @click=${() => this.choose(id)}>${id}</button>`)}
                </div>`
              : nothing
          }
          <label class="file-button" title="An ELF file with symbols, or a System.map">
            Symbols…<input type="file" id="symbols" aria-label="Symbols: an ELF file or a System.map" @change=${(e: Event) => this.#file(e)} />
          </label>
          <button type="button" ?disabled=${!app.live} @click=${() => openDialog("gdb")}>gdb…</button>
          <button type="button" class="icon-button" aria-label="Close the inspector" title="Close" @click=${() => toggleInspector(app)}>${icons.close}</button>
        </div>
        ${this.#tabs()}
        <div class="inspect-body" role="tabpanel" id="inspect-panel" aria-labelledby="tab-${this.tab}" tabindex="0">
          <p class="inspect-state" role="status" ?data-stopped=${this.look?.stop !== undefined}>${this.problem || this.stateText}</p>
          ${this.look ? TABS[this.tab].view(this, this.look) : html`<p class="dim">Start a machine to look into it.</p>`}
        </div>
      </section>
      ${gdbSheet(this)}
    `;
  }

  #tabs(): TemplateResult {
    const names = Object.keys(TABS) as Tab[];
    const move = (event: KeyboardEvent): void => {
      const at = names.indexOf(this.tab);
      const to: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 };
      const next = to[event.key];
      if (next === undefined) return;
      event.preventDefault();
      const name = names[(next + names.length) % names.length]!;
      this.show(name);
      queueMicrotask(() => document.getElementById(`tab-${name}`)?.focus());
    };
    return html`<div class="inspect-tabs" role="tablist" aria-label="What is looked at" @keydown=${move}>
      ${names.map(
        (name) =>
          html`<button type="button" role="tab" id="tab-${name}" aria-controls="inspect-panel" aria-selected=${name === this.tab} tabindex=${name === this.tab ? 0 : -1} @click=${() => this.show(name)}>${TABS[name].label}</button>`,
      )}
    </div>`;
  }

  #file(event: Event): void {
    const input = event.target as HTMLInputElement;
    const [file] = input.files ?? [];
    if (file) void this.loadSymbols(file);
    input.value = "";
  }

  #key(event: KeyboardEvent): void {
    const run: Record<string, () => Promise<void>> = {
      F8: () => this.app.pauseOrResume(),
      F10: () => this.stepOver(),
      F11: () => this.step(),
    };
    const action = run[event.key];
    if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    void action();
  }
}

const sameStop = (a: Look["stop"], b: Look["stop"]): boolean =>
  a?.kind === b?.kind &&
  a?.vcpu === b?.vcpu &&
  (a?.kind !== "breakpoint" || b?.kind !== "breakpoint" || a.address === b.address) &&
  (a?.kind !== "exception" || b?.kind !== "exception" || (a.vector === b.vector && a.address === b.address));

/** A form with one field for an address. */
export function placeForm(
  id: string,
  label: string,
  value: string,
  set: (text: string) => void,
  more?: TemplateResult,
): TemplateResult {
  const submit = (event: Event): void => {
    event.preventDefault();
    set((event.currentTarget as HTMLFormElement).querySelector<HTMLInputElement>(`#${id}`)!.value.trim());
  };
  return html`<form class="place" @submit=${submit}>
    <label for=${id}>${label}</label>
    <input type="text" id=${id} spellcheck="false" autocapitalize="off" autocomplete="off" .value=${value} title="A number in hexadecimal, a register, a symbol, or a sum of them" />
    ${more ?? nothing}
    <button type="submit">Show</button>
  </form>`;
}
