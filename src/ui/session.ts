import type { DownloadProgress } from "./download.ts";
import { download } from "./download.ts";
import { loadEngine } from "./engine.ts";
import { type Guest, isPc, type SiteFile } from "./guests.ts";
import { type ImageRole, MEDIA, type MediumRole } from "./images.ts";
import type {
  MachineCallbacks,
  MachineConfig,
  MachineError,
  MachineHandle,
  MachineState,
  MachineStats,
  RemoteMedium,
  SavedState,
  ScreenLines,
  StopDetail,
  Transport,
} from "./machineHandle.ts";
import type { OwnFile, OwnFiles } from "./ownFiles.ts";
import { greeting, preparedOf } from "./prepared.ts";
import { type Problem, problemOf, problemOfStop } from "./problems.ts";
import { MEMORY_MIN_MB } from "./settings.ts";

/**
 * The life of one machine, from "start" to "gone": fetch, check, create, boot, run, stop. Knows nothing of how it
 * is shown; it says `changed` whenever something a view reads has changed.
 */

/** One line of the progress panel. */
export interface Step {
  label: string;
  done: number;
  /** Absent: how much there is to do is not known. */
  total?: number;
  state: "waiting" | "busy" | "checking" | "done";
  /** For files: whether the hash was checked. */
  verified?: boolean;
}

export interface Plan {
  guest: Guest;
  own: OwnFiles;
  append: string;
  memoryBytes: number;
  vcpus: number;
  transport: Transport;
  engine: "interp" | "auto";
  /** A medium on a web server; empty: none. */
  url: string;
  /** A disk that a link has named. */
  linkedDisk?: RemoteMedium | undefined;
  keepDisks: boolean;
  /** It may go on from the guest's snapshot instead of booting. */
  prepared?: boolean;
  /** Goes on from here instead of booting. */
  resume?: SavedState;
}

export interface SessionEvents {
  changed(): void;
  serial(bytes: Uint8Array): void;
  screen(lines: ScreenLines): void;
  tone(hz: number): void;
  notice(text: string, stays?: boolean): void;
  /** The console's size now, for guests that hear of it when they boot. */
  consoleSize(): { cols: number; rows: number } | undefined;
  /** The machine exists; its console may be given a size. */
  created(handle: MachineHandle): void;
  state(state: MachineState, detail: StopDetail | undefined): void;
}

/** What the status line shows. Rates are taken between the two latest polls. */
export interface Meter {
  instructionsPerSecond: number;
  /** Share of wall time that vCPUs spent executing, 0 to 1. */
  busy: number;
  /** Wall seconds in state `running`, pauses left out. */
  seconds: number;
  instructions: number;
  exits: number;
}

const MB = 2 ** 20;
const POLL_MS = 500;
export const NO_METER: Meter = { instructionsPerSecond: 0, busy: 0, seconds: 0, instructions: 0, exits: 0 };

export class Session {
  readonly plan: Plan;
  /** Files already fetched and checked, by SHA-256: a retry does not fetch them again. Whoever gets one leaves it as it is. */
  readonly #files: Map<string, Uint8Array<ArrayBuffer>>;
  /** Where guests/ lies. */
  readonly #site: URL;
  readonly #events: SessionEvents;
  readonly #abort = new AbortController();
  #handle: MachineHandle | undefined;
  /** What it goes on from, as long as what it boots from has not been fetched. */
  #snapshot: SiteFile | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #last: { at: number; stats: MachineStats } | undefined;

  readonly #engine: Step = { label: "Machine", done: 0, state: "waiting" };
  readonly #boot: Step = { label: "Boot", done: 0, state: "waiting" };
  /** All that is to be done, from the beginning; shown until the guest's first output, undefined afterwards. */
  steps: Step[] | undefined;
  state: MachineState | "preparing" = "preparing";
  detail: StopDetail | undefined;
  problem: Problem | undefined;
  meter: Meter = NO_METER;

  constructor(
    plan: Plan,
    files: Map<string, Uint8Array<ArrayBuffer>>,
    events: SessionEvents,
    site = new URL(document.baseURI),
  ) {
    this.plan = plan;
    this.#site = site;
    this.#files = files;
    this.#events = events;
    this.#snapshot = preparedOf(plan);
    this.steps = this.#allSteps();
  }

  #allSteps(): Step[] {
    const { guest, own } = this.plan;
    const named =
      guest.kind === "own"
        ? Object.values(own).map(({ file }) => ({ label: file.name, total: file.size }))
        : (this.#snapshot ? [this.#snapshot] : guest.files).map((file) => ({ label: file.name, total: file.bytes }));
    return [...named.map((f): Step => ({ ...f, done: 0, state: "waiting" })), this.#engine, this.#boot];
  }

  /** Runs until the guest executes, or until `problem` says why it does not. Never rejects. */
  async start(): Promise<void> {
    try {
      const handle = await this.#make();
      if (this.gone) return void (await handle.destroy());
      if (this.#snapshot) handle.serialInput(greeting(this.#events.consoleSize() ?? { cols: 80, rows: 24 }));
      this.#handle = handle;
      this.#engine.state = "done";
      this.#boot.state = "busy";
      this.#events.created(handle);
      await handle.start();
      if (this.plan.resume) this.#prepared();
      this.#poll();
    } catch (error) {
      if (this.gone) return;
      const problem = problemOf(error);
      // What goes on has the memory that it had.
      const smaller = !this.plan.resume && this.plan.memoryBytes / 2 >= MEMORY_MIN_MB * MB;
      this.fail(smaller ? problem : { ...problem, actions: problem.actions.filter((action) => action !== "smaller") });
    }
  }

  async #make(): Promise<MachineHandle> {
    const loading = loadEngine();
    loading.catch(() => {}); // Whoever waits for it below hears of it, unless something else has failed before.
    const config = await this.#prepare();
    this.#engine.state = "busy";
    this.#events.changed();
    const create = await loading;
    this.#throwIfGone();
    try {
      const callbacks: MachineCallbacks = {
        serial: (bytes) => this.#onSerial(bytes),
        state: (state, detail) => this.#onState(state, detail),
        screen: (lines) => this.#onScreen(lines),
        tone: (hz) => {
          if (!this.gone) this.#events.tone(hz);
        },
        notice: (text, stays) => {
          if (!this.gone) this.#events.notice(text, stays);
        },
        fetched: this.#progress(this.steps?.[0] ?? {}),
      };
      return await create(config, callbacks, this.#abort.signal);
    } catch (error) {
      if (!this.#snapshot || (error as MachineError).code !== "snapshot") throw error;
      // One that this build cannot take: the guest boots.
      this.#snapshot = undefined;
      this.steps = this.#allSteps();
      return this.#make();
    }
  }

  /** The reset button. */
  reset(): Promise<void> {
    return this.command(async (handle) => {
      if (this.#snapshot) await this.#bringBoot(handle);
      await handle.reset();
    });
  }

  /** Fetches what a guest boots from that has gone on from its snapshot. */
  async #bringBoot(handle: MachineHandle): Promise<void> {
    this.#events.notice(`Fetching what ${this.plan.guest.title} boots from.`);
    const images: Partial<Record<ImageRole, Uint8Array>> = {};
    for (const file of this.plan.guest.files) images[file.role] = await this.#file(file);
    if (images.kernel) await handle.bootFrom?.(images.kernel, images.initrd);
    this.#snapshot = undefined;
  }

  /** True once `end` was called: whatever still arrives is of no interest. */
  get gone(): boolean {
    return this.#abort.signal.aborted;
  }

  get handle(): MachineHandle | undefined {
    return this.#handle;
  }

  /** Runs a command; a rejection becomes a problem. */
  async command(run: (handle: MachineHandle) => Promise<void>): Promise<void> {
    if (!this.#handle) return;
    try {
      await run(this.#handle);
    } catch (error) {
      if (!this.gone) this.fail(problemOf(error));
    }
  }

  fail(problem: Problem): void {
    this.problem = problem;
    this.steps = undefined;
    if (this.state === "preparing" || this.state === "ready") this.state = "failed";
    clearInterval(this.#timer);
    this.#events.changed();
  }

  /** Cancels what is under way and frees the machine. */
  async end(): Promise<void> {
    this.#abort.abort();
    clearInterval(this.#timer);
    await this.#handle?.destroy().catch(() => undefined);
  }

  async #prepare(): Promise<MachineConfig> {
    const { guest, own, append, memoryBytes, vcpus, transport, engine, url, keepDisks } = this.plan;
    const config: MachineConfig = { append, memoryBytes, vcpus, transport, engine, keepDisks };
    if (this.plan.resume) config.resume = this.plan.resume;
    if (url && hasDrives(guest)) config.media = { [/\.iso$/i.test(url) ? "cdrom" : "disk"]: { url } };
    if (this.plan.linkedDisk) config.media = { disk: this.plan.linkedDisk };
    if (guest.kind === "embedded") return { ...config, embedded: true };
    if (guest.kind === "own") {
      const files = Object.entries(own) as [ImageRole, OwnFile][];
      for (const [i, [role, { file }]] of files.entries()) {
        if (isMedium(role)) config.media = { ...config.media, [role]: file };
        else if (file instanceof File) config[role] = new Uint8Array(await file.arrayBuffer());
        this.#throwIfGone();
        Object.assign(this.steps![i]!, { done: file.size, state: "done" });
      }
      return config;
    }
    const size = this.#events.consoleSize();
    // Only for guests of ours: what is on another kernel's command line is its owner's business.
    if (size && !isPc(guest) && guest.kind !== "linked") config.consoleSize = size;
    if (this.#snapshot) return { ...config, resume: { site: this.#site.href, file: this.#snapshot, stamps: {} } };
    const loaded = await Promise.all(guest.files.map((file, i) => this.#file(file, this.steps![i])));
    for (const [i, { role, name }] of guest.files.entries()) {
      if (!isMedium(role)) config[role] = loaded[i]!;
      else config.media = { ...config.media, [role]: new File([loaded[i]!], name) };
    }
    if (isPc(guest)) {
      for (const role of MEDIA) if (own[role]) config.media = { ...config.media, [role]: own[role].file };
    }
    return config;
  }

  async #file(file: SiteFile, step: Partial<Step> = {}): Promise<Uint8Array<ArrayBuffer>> {
    let data = file.data ?? this.#files.get(file.sha256);
    if (data) {
      Object.assign(step, { done: file.bytes, state: "done", ...(!file.data && { verified: true }) });
    } else {
      data = await download(this.#site, file, this.#progress(step), this.#abort.signal);
      this.#files.set(file.sha256, data);
    }
    return data;
  }

  /** Shows how far a file is. */
  #progress(step: Partial<Step>): (p: DownloadProgress) => void {
    return ({ received, phase, verified }) => {
      step.done = received;
      step.state = phase === "fetching" ? "busy" : phase;
      if (verified !== undefined) step.verified = verified;
      this.#events.changed();
    };
  }

  #throwIfGone(): void {
    this.#abort.signal.throwIfAborted();
  }

  #onSerial(bytes: Uint8Array): void {
    if (this.gone) return;
    this.#events.serial(bytes);
    this.#prepared();
  }

  #onScreen(lines: ScreenLines): void {
    if (this.gone) return;
    this.#events.screen(lines);
    this.#prepared();
  }

  /** The guest shows something: how far preparing it is need not be shown any more. */
  #prepared(): void {
    if (!this.steps) return;
    this.steps = undefined;
    this.#events.changed();
  }

  #onState(state: MachineState, detail: StopDetail | undefined): void {
    if (this.gone) return;
    // A guest that boots again, and has nothing yet to boot from.
    if (state === "off" && detail?.reason === "reset" && this.#snapshot) return void this.reset();
    this.state = state;
    this.detail = detail;
    if (state === "running") {
      this.problem = undefined;
      this.#poll();
    } else {
      clearInterval(this.#timer);
      void this.#measure();
      this.#last = undefined;
    }
    if (state === "failed") {
      this.fail(problemOfStop(detail ?? { reason: "engine-error", what: "The engine gave no reason." }));
    }
    this.#events.state(state, detail);
    this.#events.changed();
  }

  #poll(): void {
    clearInterval(this.#timer);
    if (this.state !== "running") return;
    this.#timer = setInterval(() => void this.#measure(), POLL_MS);
    void this.#measure();
  }

  async #measure(): Promise<void> {
    const handle = this.#handle;
    if (!handle) return;
    const stats = await handle.stats();
    if (this.gone) return;
    const at = performance.now();
    const last = this.#last;
    const seconds = last ? (at - last.at) / 1000 : 0;
    // Counters start again with a reset; a rate over that border would be negative.
    const instructions = last ? stats.instructions - last.stats.instructions : -1;
    const running = this.state === "running";
    this.meter = {
      instructionsPerSecond: running && seconds > 0 && instructions >= 0 ? instructions / seconds : 0,
      busy: running && seconds > 0 ? clamp((stats.vcpuSeconds - last!.stats.vcpuSeconds) / seconds) : 0,
      seconds: this.meter.seconds + (running || last ? seconds : 0),
      instructions: stats.instructions,
      exits: stats.exits,
    };
    this.#last = running ? { at, stats } : undefined;
    this.#events.changed();
  }
}

const isMedium = (role: ImageRole): role is MediumRole => (MEDIA as readonly ImageRole[]).includes(role);
/** Whether a guest has drives of any kind. */
export const hasDrives = (guest: Guest): boolean => guest.kind === "own" || isPc(guest);
/** Whether a machine has a display: one that boots by firmware. */
export const withScreen = ({ guest, own }: Plan): boolean =>
  isPc(guest) || (guest.kind === "own" && own.bios !== undefined);
const clamp = (x: number): number => Math.min(1, Math.max(0, x));
