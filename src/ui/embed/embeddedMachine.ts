/** A machine in somebody's page, whatever shows it: its sessions one after the other, behind a VmHandle. */
import type {
  MachineHandle,
  MachineState,
  MachineStats,
  MemoryPiece,
  ScreenLines,
  StopDetail,
} from "../machineHandle.ts";
import { type Problem, problemOf } from "../problems.ts";
import { type Plan, Session, withScreen } from "../session.ts";
import { GuestText } from "./guestText.ts";
import type { VmHandle, VmState } from "./vmHandle.ts";

export interface Surroundings {
  /** Where the site lies that guests come from. */
  readonly site: URL;
  /** What to make, whenever a machine is made. */
  plan(): Promise<Plan>;
  /** Something that is shown has changed. */
  changed(): void;
  ready(): void;
  state(state: VmState, detail: StopDetail | undefined): void;
  serial(bytes: Uint8Array): void;
  screen(lines: ScreenLines): void;
  notice(text: string): void;
  error(problem: Problem): void;
  /** Another machine begins: what is shown is of the one before. */
  begins(plan: Plan): void;
  consoleSize(): { cols: number; rows: number } | undefined;
}

const NO_MACHINE = "There is no machine: start it first.";
/** What no command leads out of but a reset or another start. */
const ENDED: readonly VmState[] = ["off", "failed", "none"];
/** Milliseconds. */
const PATIENCE = 30_000;

export class EmbeddedMachine implements VmHandle {
  readonly #around: Surroundings;
  readonly #files = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly #text = new GuestText();
  readonly #changes = new EventTarget();
  #starting: Promise<void> | undefined;
  #planning = false;
  #told: Problem | undefined;
  session: Session | undefined;
  /** Why there is no session: the plan could not be made. */
  #problem: Problem | undefined;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  get state(): VmState {
    return this.#planning ? "preparing" : (this.session?.state ?? "none");
  }

  get problem(): Problem | undefined {
    return this.#problem ?? this.session?.problem;
  }

  async start(saved?: Uint8Array): Promise<void> {
    if (!saved && this.#starting) return this.#starting;
    if (!saved && this.state === "running") return;
    if (!saved && this.state === "paused") return this.resume();
    // Who starts it and waits for its text in one go waits for this machine's.
    this.#text.goOn();
    // Two at once would be two machines: the later one waits for the one before.
    const before = this.#starting;
    const starting = (async () => {
      await before?.catch(() => {});
      await this.#make(saved);
    })();
    this.#starting = starting;
    try {
      await starting;
    } finally {
      if (this.#starting === starting) this.#starting = undefined;
    }
  }

  async #make(saved: Uint8Array | undefined): Promise<void> {
    const old = this.session;
    this.session = undefined;
    this.#problem = undefined;
    this.#planning = true;
    this.#around.changed();
    try {
      await old?.end();
      const plan = await this.#around.plan();
      if (saved) plan.resume = { snapshot: saved.slice(), stamps: {} };
      this.#text.clear();
      this.#around.begins(plan);
      this.session = this.#session(plan);
    } catch (error) {
      this.#problem = problemOf(error);
      this.#tell(this.#problem);
      throw new Error(this.#problem.cause);
    } finally {
      this.#planning = false;
      this.#around.changed();
    }
    const { session } = this;
    await session.start();
    if (session.gone) throw new Error("The machine was stopped while it was being made.");
    if (session.problem) throw new Error(session.problem.cause);
    await this.#entered("running", "paused");
  }

  #session(plan: Plan): Session {
    const session: Session = new Session(
      plan,
      this.#files,
      {
        changed: () => {
          if (session === this.session) this.#tell(session.problem);
          this.#around.changed();
        },
        serial: (bytes) => {
          this.#text.serial(bytes);
          this.#around.serial(bytes);
        },
        screen: (lines) => {
          this.#text.screen(lines.text);
          this.#around.screen(lines);
        },
        tone: () => {},
        notice: (text) => this.#around.notice(text),
        consoleSize: () => this.#around.consoleSize(),
        created: () => this.#around.ready(),
        state: (state, detail) => this.#onState(state, detail),
      },
      this.#around.site,
    );
    return session;
  }

  #tell(problem: Problem | undefined): void {
    if (problem && problem !== this.#told) this.#around.error(problem);
    this.#told = problem;
  }

  #onState(state: MachineState, detail: StopDetail | undefined): void {
    if (state === "off" || state === "failed") this.#text.end(detail?.what ?? "The machine is off.");
    else this.#text.goOn();
    this.#around.state(state, detail);
    this.#changes.dispatchEvent(new Event("state"));
  }

  /** What the machine's worker has entered is heard later than that a command is done, so commands wait for it. */
  async #entered(...states: VmState[]): Promise<void> {
    while (!states.includes(this.state) && !ENDED.includes(this.state)) await this.#nextState();
  }

  #nextState(): Promise<unknown> {
    return new Promise((heard) => this.#changes.addEventListener("state", heard, { once: true }));
  }

  async pause(): Promise<void> {
    await this.#there.pause();
    await this.#entered("paused");
  }

  async resume(): Promise<void> {
    await this.#there.resume();
    await this.#entered("running");
  }

  async reset(): Promise<void> {
    const { session } = this;
    if (!session?.handle) throw new Error(NO_MACHINE);
    await session.reset();
    if (session.problem) throw new Error(session.problem.cause);
    // From states that are ended, too.
    while (this.state !== "running" && this.state !== "none") await this.#nextState();
  }

  async stop(): Promise<void> {
    // What is still to be made cannot be stopped; what is being made can.
    if (!this.session) await this.#starting?.catch(() => {});
    const { session } = this;
    if (!session) return;
    if (session.state === "running" || session.state === "paused") {
      await session.handle?.powerOff();
      await this.#entered("off");
    }
    await session.end();
    if (this.session === session) this.session = undefined;
    this.#text.end("The machine was stopped.");
    this.#around.state("none", undefined);
    this.#changes.dispatchEvent(new Event("state"));
    this.#around.changed();
  }

  async type(text: string): Promise<void> {
    const machine = this.#there;
    if (this.hasScreen) machine.type?.(text);
    else machine.serialInput(new TextEncoder().encode(text.replaceAll(/\r?\n/g, "\r")));
  }

  async send(bytes: Uint8Array): Promise<void> {
    this.#there.serialInput(bytes);
  }

  waitForText(pattern: string | RegExp, timeout = PATIENCE): Promise<string> {
    return this.#text.wait(pattern, timeout);
  }

  registers(vcpu?: number) {
    return this.#there.registers!(vcpu);
  }

  readMemory(piece: MemoryPiece) {
    return this.#there.readMemory!(piece);
  }

  async save(): Promise<Uint8Array> {
    return (await this.#there.save!()).snapshot;
  }

  async stats(): Promise<MachineStats> {
    return this.#there.stats();
  }

  /** Whether the machine that there is has a display. */
  get hasScreen(): boolean {
    return this.session !== undefined && withScreen(this.session.plan);
  }

  get #there(): MachineHandle {
    const handle = this.session?.handle;
    if (!handle) throw new Error(NO_MACHINE);
    return handle;
  }
}
