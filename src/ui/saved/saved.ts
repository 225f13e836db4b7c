/** Saved machines: what there are, and everything that a person can do with them. There is one in an App. */
import { type Remote, transfer, wrap } from "comlink";
import { MAGIC } from "../../snapshot/magic.ts";
import type { App } from "../app.ts";
import { closeDialog, openDialog } from "../dialogs.ts";
import type { MachineState } from "../machineHandle.ts";
import { offerFile } from "../offerFile.ts";
import type { Plan } from "../session.ts";
import { chooseTransport } from "../settings.ts";
import { askToPersist, room } from "../storage/room.ts";
import { heldMachines, hold } from "./locks.ts";
import { nameOf, removeMachine, type SavedMachine, type SlotName, savedMachines } from "./machines.ts";
import { ResumeError, resumedPlan, savedPlan } from "./plan.ts";
import type { Failed, SavedWorker } from "./savedWorker.ts";

/** Autosaves of machines that nobody has named: older ones go. */
const UNNAMED_MAX = 3;

/**
 * Between the end of an autosave and the next: so much at least, and so many times as long as it took, that a machine which
 * takes long to save does not do so all the time.
 */
const AUTOSAVE_MS = 30_000;
const AUTOSAVE_SHARE = 20;
/** Between two looks whether one is due: a tab that was frozen meanwhile is late by no more. */
const LOOK_MS = 1000;

const UNAVAILABLE = "This browser keeps no files for the page: download the machine instead.";

/** A machine that this tab has. */
interface Mine {
  readonly id: string;
  readonly release: () => void;
}

export class Saved {
  readonly #app: App;
  #remote: Remote<SavedWorker> | undefined;
  /** The machine that runs here, once it is in the list. */
  #mine: Mine | undefined;
  /** Changes are made one after the other. */
  #queue: Promise<unknown> = Promise.resolve();
  /** An autosave is under way. */
  #autosaving = false;
  /** When the next one is due, in the page's time. */
  #due = 0;

  machines: SavedMachine[] = [];
  /** Those that other tabs have. */
  elsewhere: ReadonlySet<string> = new Set();
  /** False: nothing can be kept, as in private windows of some browsers. */
  available = true;
  /** What is under way, or what was in the way; in one line. */
  line = "";
  failed = false;
  busy = false;
  /** What is asked of a person about a machine of the list. */
  asked: { readonly id: string; readonly what: "rename" | "delete" } | undefined;
  /** An autosave from when the page was last open. */
  offered: SavedMachine | undefined;

  constructor(app: App) {
    this.#app = app;
  }

  /** Looks what there is, offers to continue, and saves by itself from now on: again and again, and when the tab is hidden. */
  async open(): Promise<void> {
    setInterval(() => {
      if (this.#app.state === "running" && performance.now() >= this.#due) void this.autosave();
    }, LOOK_MS);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") void this.autosave();
      // Another tab may have been busy meanwhile.
      else void this.load();
    });
    document.addEventListener("freeze", () => this.#onFreeze());
    addEventListener("pagehide", () => void this.autosave());
    await this.load();
    if (this.available) await this.#removeBroken();
    this.offered = this.machines.find((machine) => machine.auto && !this.elsewhere.has(machine.id));
    this.#app.changed();
  }

  async load(): Promise<void> {
    try {
      this.machines = (await savedMachines()).machines;
      const held = await heldMachines();
      if (this.#mine) held.delete(this.#mine.id);
      this.elsewhere = held;
      this.available = true;
    } catch {
      this.available = false;
      this.machines = [];
    }
    this.#app.room = await room();
    this.#app.changed();
  }

  /** Opens the sheet. */
  async show(): Promise<void> {
    this.asked = undefined;
    this.#say("");
    openDialog("saved");
    await this.load();
  }

  /** Whether the machine that runs here can be saved. */
  get canSave(): boolean {
    return this.#app.live && this.#app.session?.handle?.save !== undefined;
  }

  isMine(machine: SavedMachine): boolean {
    return this.#mine?.id === machine.id;
  }

  /** The machine of the list that runs here. */
  get mine(): SavedMachine | undefined {
    return this.machines.find((machine) => this.isMine(machine));
  }

  /** Saves what runs under a name: over itself, or as another machine if the name is another. */
  save(name: string): Promise<void> {
    return this.#work("Saving…", async () => {
      if (!this.available) return UNAVAILABLE;
      askToPersist();
      const before = this.mine;
      if (before?.name !== undefined && before.name !== name) this.#leave();
      const failed = await this.#write("saved", name);
      return failed ?? { done: `${name} is saved.` };
    });
  }

  /**
   * Saves what runs into its slot for that. Says nothing unless it fails. A lesson's machine begins anew with every run: its
   * program is what is kept, by the lesson.
   */
  autosave(): Promise<void> {
    if (this.#app.course || this.#autosaving || !this.canSave || !this.available) return Promise.resolve();
    this.#autosaving = true;
    const from = performance.now();
    return this.#serially(async () => {
      const failed = await this.#write("auto").catch((error: Error) => error.message);
      if (failed) this.#app.say(`The machine could not be saved by itself: ${failed}`);
      await this.#forgetOld();
      await this.load();
    }).finally(() => {
      this.#autosaving = false;
      const now = performance.now();
      this.#due = now + Math.max(AUTOSAVE_MS, AUTOSAVE_SHARE * (now - from));
    });
  }

  /** Goes on with a machine, in place of what runs here, which is saved by itself. */
  resume(machine: SavedMachine, slot: SlotName): Promise<void> {
    return this.#work("Opening…", async () => {
      const mine = this.isMine(machine) ? this.#mine : await this.#take(machine.id);
      if (!mine) {
        return `${nameOf(machine)} is open in another tab: go on there, or duplicate it here.`;
      }
      try {
        const resume = await this.#worker.read(machine.id, slot);
        if ("failed" in resume) return this.#unless(mine, resume.failed);
        const transport = chooseTransport(this.#app.settings.transport, this.#app.isolated);
        const plan = await resumedPlan(machine, this.#app.guests ?? [], this.#app.own, { transport, resume });
        // Going on elsewhere, or back, loses nothing of what runs here.
        const failed = this.canSave && (await this.#write("auto"));
        if (failed)
          return this.#unless(mine, `${failed} What runs here would be lost: power it off to go on without it.`);
        if (this.#mine !== mine) this.#leave();
        this.#mine = mine;
        this.offered = undefined;
        closeDialog("saved");
        void this.#app.run(plan);
        return { done: "" };
      } catch (error) {
        if (error instanceof ResumeError) return this.#unless(mine, error.message);
        this.#unless(mine, "");
        throw error;
      }
    });
  }

  rename(machine: SavedMachine, name: string): Promise<void> {
    return this.#change(machine, async () => failure(await this.#worker.change(machine.id, { name })));
  }

  /** Forgets a machine, after a person was asked. */
  remove(machine: SavedMachine): Promise<void> {
    return this.#change(machine, async () => {
      await removeMachine(machine.id);
      if (this.isMine(machine)) this.#leave();
      if (this.offered?.id === machine.id) this.offered = undefined;
      return { done: `${nameOf(machine)} is deleted.` };
    });
  }

  duplicate(machine: SavedMachine): Promise<void> {
    return this.#work("Copying…", async () => {
      const name = `${nameOf(machine)} (copy)`;
      return (
        failure(await this.#worker.duplicate(machine.id, crypto.randomUUID(), name)) ?? { done: `${name} is made.` }
      );
    });
  }

  /** A machine of the list as a file. */
  download(machine: SavedMachine): Promise<void> {
    return this.#work("Packing…", async () => {
      const file = await this.#worker.download(machine.id);
      if ("failed" in file) return file.failed;
      return saveFile(file, nameOf(machine));
    });
  }

  /** What runs here as a file: works where nothing can be kept, too. */
  downloadThis(name: string): Promise<void> {
    return this.#work("Saving…", async () => {
      const { session } = this.#app;
      const state = await session?.handle?.save?.();
      if (!session || !state) return "There is no machine to save.";
      const { plan } = await savedPlan(session.plan);
      const slot = { file: "", bytes: state.snapshot.length, at: new Date().toISOString(), stamps: state.stamps };
      return saveFile(await this.#worker.pack(state.snapshot, { name, plan, saved: slot }), name);
    });
  }

  upload(file: File): Promise<void> {
    return this.#work("Reading…", async () => {
      if (!this.available) return UNAVAILABLE;
      const failed = failure(await this.#worker.upload(crypto.randomUUID(), file));
      return failed === undefined ? { done: `${file.name} is in the list.` } : `${file.name}: ${failed}`;
    });
  }

  /** Takes machines out of files that were brought; the others. */
  async takeFrom(files: Iterable<File>): Promise<File[]> {
    const others: File[] = [];
    for (const file of files) {
      const head = await file
        .slice(0, MAGIC.length)
        .text()
        .catch(() => "");
      if (head !== MAGIC) others.push(file);
      else {
        await this.show();
        await this.upload(file);
      }
    }
    return others;
  }

  ask(machine: SavedMachine | undefined, what: "rename" | "delete" = "delete"): void {
    this.asked = machine && { id: machine.id, what };
    this.#app.changed();
  }

  dismissOffer(): void {
    this.offered = undefined;
    this.#app.changed();
  }

  /** Another machine begins: one that does not go on is in no list yet. */
  begins(plan: Plan): void {
    this.offered = undefined;
    this.#due = performance.now() + AUTOSAVE_MS;
    if (!plan.resume) this.#leave();
  }

  /** A machine that is off has nothing to continue. */
  async onState(state: MachineState): Promise<void> {
    const id = this.#mine?.id;
    if (state !== "off" || id === undefined) return;
    await this.#serially(async () => {
      const machine = this.machines.find((m) => m.id === id);
      if (machine?.saved) await this.#worker.change(id, { without: "auto" });
      else if (machine) {
        await removeMachine(id);
        if (this.#mine?.id === id) this.#leave();
      }
      await this.load();
    });
  }

  /** The browser is about to stop the tab. A guest that ran on would meet hours in one moment, and take itself for stuck. */
  #onFreeze(): void {
    void this.autosave();
    const { session, state } = this.#app;
    if (state !== "running") return;
    void session?.command((machine) => machine.pause());
    const goOn = (): void => void session?.command((machine) => machine.resume());
    document.addEventListener("resume", goOn, { once: true });
  }

  /** Saves what runs here; what was in the way. */
  async #write(slot: SlotName, name?: string): Promise<string | undefined> {
    const { session } = this.#app;
    if (!session?.handle?.save) return "There is no machine to save.";
    // First, so that no other tab takes the folder for one that a crash has left.
    if (!this.#mine) this.#mine = await this.#take(crypto.randomUUID());
    const id = this.#mine!.id;
    const state = await session.handle.save();
    const { plan, boot } = await savedPlan(session.plan);
    if (session !== this.#app.session) return undefined;
    const about = { plan, ...(name !== undefined && { name }) };
    // Not copied: that would hold the page up.
    transfer(state, [state.snapshot.buffer as ArrayBuffer]);
    return failure(await this.#worker.write(id, about, slot, state, boot));
  }

  async #take(id: string): Promise<Mine | undefined> {
    const release = await hold(id);
    return release && { id, release };
  }

  #leave(): void {
    this.#mine?.release();
    this.#mine = undefined;
  }

  /** Lets go of a machine that is not resumed after all. */
  #unless(mine: Mine, why: string): string {
    if (this.#mine !== mine) mine.release();
    return why;
  }

  /** Changes a machine that no other tab has. */
  #change(machine: SavedMachine, change: () => Promise<Outcome>): Promise<void> {
    this.asked = undefined;
    return this.#work("", async () => {
      if (this.isMine(machine)) return change();
      const taken = await this.#take(machine.id);
      if (!taken) return `${nameOf(machine)} is open in another tab.`;
      try {
        return await change();
      } finally {
        taken.release();
      }
    });
  }

  /** Removes what a crash has left. */
  async #removeBroken(): Promise<void> {
    for (const id of (await savedMachines()).broken) await this.#removeUnlessHeld(id);
  }

  async #removeUnlessHeld(id: string): Promise<void> {
    const taken = await this.#take(id);
    if (taken) await removeMachine(id).catch(() => {});
    taken?.release();
  }

  /** Autosaves that nobody has come back to must not fill the browser. */
  async #forgetOld(): Promise<void> {
    const unnamed = (await savedMachines()).machines.filter(({ saved }) => !saved);
    for (const { id } of unnamed.slice(UNNAMED_MAX)) await this.#removeUnlessHeld(id);
  }

  async #work(what: string, work: () => Promise<Outcome>): Promise<void> {
    await this.#serially(async () => {
      this.#say(what);
      this.busy = true;
      let outcome: Outcome;
      try {
        outcome = await work();
      } catch (error) {
        outcome = (error as Error).message;
      }
      this.busy = false;
      await this.load();
      if (typeof outcome === "string") this.#say(outcome, true);
      else this.#say(outcome?.done ?? "");
    });
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }

  #say(line: string, failed = false): void {
    this.line = line;
    this.failed = failed;
    // With the sheet closed, as for an offer, it is said where everything is said.
    if (line && !document.querySelector("dialog#saved[open]")) this.#app.say(line);
    this.#app.changed();
  }

  get #worker(): Remote<SavedWorker> {
    this.#remote ??= wrap<SavedWorker>(new Worker(new URL("./savedWorker.ts", import.meta.url), { type: "module" }));
    return this.#remote;
  }
}

/** What came of it: a text says what was in the way. */
type Outcome = string | { readonly done: string } | undefined;

const failure = (result: Failed | undefined): string | undefined => result?.failed;

function saveFile(file: Blob, name: string): Outcome {
  const filename = `${name.replace(/[^\w.() -]+/g, "_")}.tabhyve`;
  offerFile(file, filename);
  return { done: `${filename} is on its way to your downloads.` };
}
