/**
 * A machine made of the engine, in the worker that has it (./machineWorker.ts). Threaded: the vCPUs run in workers of their own;
 * inline: the whole machine on this thread.
 */
import type { BlockSource } from "../block/block.ts";
import { Waits } from "../block/waits.ts";
import { mnemonicOf } from "../debug/decode/exceptions.ts";
import type { Inspector } from "../debug/inspector.ts";
import type { Display } from "../display/display.ts";
import { VGA_ROM } from "../machine/firmwareTables.ts";
import { LoaderError } from "../machine/loader/types.ts";
import { Machine, type StopReason } from "../machine/machine.ts";
import { SnapshotError } from "../shared/device.ts";
import { type Snapshot, unpack, unpackSound } from "../snapshot/container.ts";
import { PackedPages } from "../snapshot/packed.ts";
import { OutOfMemoryError } from "../vmm/memory.ts";
import { DownloadError, download } from "./download.ts";
import type { StartHelper } from "./helpers.ts";
import {
  type Core,
  type InspectMethod,
  type MachineCallbacks,
  type MachineConfig,
  MachineError,
  type MachineErrorCode,
  type MachineHandle,
  type MediumFile,
  type SavedState,
  type SiteState,
  type StopDetail,
  TERM,
} from "./machineHandle.ts";
import { Standstill } from "./standstill.ts";
import { checkStamps, closeMedia, type OpenMedia, openMedia, openMedium, stampsOf } from "./storage/media.ts";

/** Milliseconds from a picture to the next. */
const FRAME_MS = 1000 / 60;

const NO_KERNEL = "The kernel of this saved machine is not at hand, so it cannot boot again.";

const TRIPLE_FAULT_REMEDY =
  "Reset boots it again. If it happens every time, the kernel may need another command line or more memory.";

/** @param asked whether the page asked for it, not the guest */
function detailOf(reason: StopReason | undefined, asked: boolean): StopDetail | undefined {
  switch (reason?.kind) {
    case undefined:
      return undefined;
    case "power-off":
      return { reason: "power-off", what: asked ? "Powered off." : "The guest powered off." };
    case "debug-exit":
      return { reason: "power-off", what: `The guest ended with status ${reason.status}.` };
    case "reset":
      return { reason: "reset", what: asked ? "The machine was reset." : "The guest reset the machine." };
    case "triple-fault":
      return {
        reason: "triple-fault",
        what: "The guest faulted while handling a double fault: a real CPU would shut down.",
        where: whereOf(reason.where),
        remedy: TRIPLE_FAULT_REMEDY,
      };
    case "engine-error":
      return {
        reason: "engine-error",
        what: reason.message,
        remedy: "This is a bug in Tabhyve: please report it with these lines.",
      };
  }
}

/** The registers at a triple fault, and what began it: an exception by its name, or an interrupt. */
function whereOf({ vector, ...where }: Record<string, string>): Record<string, string> {
  if (vector === undefined) return where;
  if (Number(vector) > 31) return { interrupt: `0x${Number(vector).toString(16)}`, ...where };
  return { exception: `${mnemonicOf(Number(vector))} (vector ${vector})`, ...where };
}

/** An error of the engine as the page words it. */
export function describeError(error: unknown): { code: MachineErrorCode; message: string; remedy?: string } {
  if (error instanceof MachineError) {
    return { code: error.code, message: error.message, ...(error.remedy !== undefined && { remedy: error.remedy }) };
  }
  if (error instanceof SnapshotError) return { code: "snapshot", message: error.message };
  // What is not the file that was promised is of no use; the guest may boot.
  if (error instanceof DownloadError) {
    return { code: error.kind === "hash" ? "snapshot" : "network", message: error.message };
  }
  if (error instanceof LoaderError) return { code: "bad-image", message: error.message };
  if (error instanceof OutOfMemoryError) {
    return {
      code: "out-of-memory",
      message: error.message,
      remedy: "Start a smaller machine, or close other tabs.",
    };
  }
  return { code: "engine", message: error instanceof Error ? error.message : String(error) };
}

async function snapshotOf(resume: SavedState | SiteState, { fetched }: MachineCallbacks): Promise<Snapshot> {
  if ("snapshot" in resume) return unpack(resume.snapshot);
  const { signal } = new AbortController(); // Who gives it up ends the worker.
  const get = () => download(new URL(resume.site), resume.file, (progress) => fetched?.(progress), signal);
  return unpackSound(
    await get().catch((error: unknown) => {
      if (!(error instanceof DownloadError) || error.kind !== "hash") throw error;
      return get(); // A cache has something else: this time past it.
    }),
  );
}

/** What a machine here needs of its page. */
export interface HereCallbacks extends MachineCallbacks {
  readonly startHelper: StartHelper;
}

/** A machine whose device models run on the calling thread. */
export async function createHere(
  { bytes: core, module }: Core,
  config: MachineConfig,
  callbacks: HereCallbacks,
): Promise<MachineHandle> {
  const spawn = config.transport === "threaded" ? () => callbacks.startHelper("vcpu") : undefined;
  let { kernel, initrd } = config;
  // It comes, and its checksum is taken by another thread, while the machine is made.
  const resumed = config.resume && snapshotOf(config.resume, callbacks);
  resumed?.catch(() => {}); // It is waited for below.
  // A machine that goes on needs a kernel only to boot again, and it may not be at hand any more.
  let unbootable = config.resume !== undefined && !kernel && !config.bios && !config.embedded;
  if (!kernel && !config.bios) kernel = (await import("../machine/embedded/index.ts")).embeddedGuest();
  let size = config.consoleSize;
  let asked = false;
  /** Runs what the page asks for; the state it leads to is then not the guest's doing. */
  const ask = async (operation: () => Promise<void>): Promise<void> => {
    asked = true;
    try {
      await operation();
    } finally {
      asked = false;
    }
  };
  const waits = new Waits((line, waiting) => callbacks.notice?.(line, waiting));
  const media: OpenMedia = await openMedia(config, callbacks, waits);
  let restoring = config.resume !== undefined;
  const machine = await Machine.create({
    core,
    ...(module && { module }),
    ...(config.bios ? firmware(config, config.bios, media) : cards(media)),
    kernelName: config.embedded ? "tabhyve" : "kernel",
    // Read at every boot, so that a guest that boots again hears of the size as it is then, and has what came later.
    get kernel() {
      return kernel;
    },
    get initrd() {
      return initrd;
    },
    get restart() {
      return !unbootable;
    },
    get append() {
      return size ? `${config.append} tabhyve.size=${size.cols}x${size.rows} tabhyve.term=${TERM}` : config.append;
    },
    memoryBytes: config.memoryBytes,
    ...(config.vcpus && { vcpus: config.vcpus }),
    ...(config.engine && { engine: config.engine }),
    transport: spawn ? "threaded" : "inline",
    ...(spawn && { spawn }),
    serial: (bytes) => callbacks.serial(bytes),
    ...(callbacks.tone && { tone: (hz: number) => callbacks.tone?.(hz) }),
    onState: (state, reason) => {
      const unseen = restoring || (standstill.looking && !reason && (state === "paused" || state === "running"));
      if (!unseen) callbacks.state(state, detailOf(reason, asked));
      void inspecting.loaded?.then((inspector) => inspector.onState(state, reason));
    },
  });
  const inspecting = new Inspecting(machine);
  waits.machine = machine;
  const standstill = new Standstill(machine);
  if (resumed) {
    try {
      await checkStamps(config, media);
      await machine.restore(await resumed);
    } catch (error) {
      await machine.destroy();
      await closeMedia(media);
      throw error;
    }
    restoring = false;
    callbacks.serial(machine.scrollback);
  }
  const saving = new Saving(machine, media);
  const pc = machine.board.pc;
  const stopFrames = pc && callbacks.screen && frames(pc.display, callbacks.screen);
  return {
    ...(pc && {
      key: (code: string, pressed: boolean) => machine.key(code, pressed),
      type: (text: string) => machine.type(text),
      mouse: (dx: number, dy: number, wheel: number, buttons: number) => machine.mouse(dx, dy, wheel, buttons),
      insert: async (drive: "cdrom" | "floppy", file: MediumFile | undefined) => {
        const before = media[drive];
        media[drive] = file && (await openMedium(drive, file, config, callbacks, waits));
        machine.insert(drive, media[drive]);
        await closeMedia({ before });
      },
    }),
    // From ready or, when it goes on, from paused.
    start: () => machine.resume(),
    pause: () => standstill.inTurn(() => machine.pause()),
    resume: () => standstill.inTurn(() => machine.resume()),
    bootFrom: async (...images) => {
      [kernel, initrd] = images;
      unbootable = false;
    },
    reset: async () => {
      if (unbootable) throw new MachineError("bad-image", NO_KERNEL, "Start it anew with the kernel's file.");
      await ask(() => machine.reset());
    },
    registers: (vcpu = 0) => standstill.look(() => machine.debug.registers(vcpu)),
    readMemory: (piece) => standstill.look(() => machine.debug.piece(piece)),
    save: () => saving.save(),
    powerOff: () => ask(() => machine.powerOff()),
    destroy: async () => {
      stopFrames?.();
      await machine.destroy();
      await closeMedia(media);
    },
    inspect: (name, ...args) => inspecting.call(name, args),
    serveGdb: async (port) => (await inspecting.load()).serveGdb(port),
    serialInput: (bytes) => machine.serialInput(bytes),
    setConsoleSize: (cols, rows) => {
      if (size) size = { cols, rows };
    },
    stats: () => {
      const s = machine.stats();
      return { ...s, exits: Object.values(s.exits).reduce((a, b) => a + b, 0) };
    },
  };
}

/** Saves, one after the other: each packs what has changed since the one before. */
class Saving {
  readonly #machine: Machine;
  readonly #media: OpenMedia;
  readonly #packed = new PackedPages(true);
  #queue: Promise<unknown> = Promise.resolve();

  constructor(machine: Machine, media: OpenMedia) {
    this.#machine = machine;
    this.#media = media;
  }

  save(): Promise<SavedState> {
    const saved = this.#queue.then(() => this.#save());
    this.#queue = saved.catch(() => {});
    return saved;
  }

  async #save(): Promise<SavedState> {
    let stamps: SavedState["stamps"] = {};
    const snapshot = await this.#machine.save({
      packed: this.#packed,
      // What is kept of disks must be what the guest knows of them.
      whileStill: async () => {
        stamps = await stampsOf(this.#media);
      },
    });
    return { snapshot, stamps };
  }
}

/** Nothing of the inspector is loaded, and it knows nothing of the machine, before it is asked for something. */
class Inspecting {
  readonly #machine: Machine;
  loaded: Promise<Inspector> | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  load(): Promise<Inspector> {
    this.loaded ??= import("../debug/inspector.ts").then((module) => new module.Inspector(this.#machine));
    return this.loaded;
  }

  /** TypeScript does not follow that a method and its arguments go together. */
  async call(name: InspectMethod, args: readonly unknown[]): Promise<never> {
    const methods = (await this.load()) as unknown as Record<string, (...args: readonly unknown[]) => never>;
    return methods[name]!(...args);
  }
}

/** What a machine that boots by firmware is made with. */
function firmware(config: MachineConfig, bios: Uint8Array, media: OpenMedia) {
  return {
    bios,
    ...(config.vgabios && { firmwareFiles: { [VGA_ROM]: config.vgabios } }),
    drives: { disks: disks(media), cdrom: media.cdrom ?? null, floppy: media.floppy ?? null },
  };
}

/** What a machine with a kernel has besides. */
const cards = (media: OpenMedia) => ({ cards: { nvme: disks(media) } });

const disks = ({ disk, disk2 }: OpenMedia): BlockSource[] => [disk, disk2].filter((source) => source !== undefined);

/** Sends what changes on the screen, a frame after the other; returns what ends that. */
function frames(display: Display, send: NonNullable<MachineCallbacks["screen"]>): () => void {
  let busy = false;
  const frame = async (): Promise<void> => {
    if (busy) return;
    const { width, height, pixels, top, bottom } = display.picture();
    if (top === bottom) return;
    const text = display.text();
    busy = true;
    try {
      await send({ width, height, top, pixels: pixels.slice(top * width, bottom * width), text });
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void frame(), FRAME_MS);
  return () => clearInterval(timer);
}
