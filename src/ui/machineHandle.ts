/**
 * What the page knows of a machine. The engine implements `CreateMachine`; the page, its tests and FakeMachine
 * meet it only here. No DOM types: the engine side compiles without the DOM lib, and every value is structured
 * clone-able, so that a Comlink proxy can stand in for the handle.
 */
import type { Inspector } from "../debug/inspector.ts";

import type { MemoryPiece, Registers } from "../machine/debug.ts";
import type { DownloadProgress } from "./download.ts";
import type { SiteFile } from "./guests.ts";

export type { MemoryPiece, Registers };

/** How exits reach the device models: several threads on shared memory, or everything in one worker. */
export type Transport = "threaded" | "inline";

/** Media for a machine's drives. With a kernel there are only the disks, on NVMe. */
export interface Media {
  disk?: Medium;
  disk2?: Medium;
  cdrom?: Medium;
  floppy?: Medium;
}

/** A file that a person has brought, or one on a web server, of which only what is read is fetched. */
export type Medium = MediumFile | RemoteMedium | KeptMedium;
/** What a person knows it by. */
export const nameOfMedium = (medium: Medium): string => ("url" in medium ? medium.url : medium.name);

export interface RemoteMedium {
  readonly url: string;
  /** What its manifest must be, in lower-case hexadecimal; absent: whatever it is. */
  readonly sha256?: string;
}

/** A disk that the browser keeps whole (src/ui/storage/keptDisks.ts). */
export interface KeptMedium {
  readonly kept: string;
  readonly name: string;
}

/** A file as the engine sees it: a Blob, without the DOM's type. */
export interface MediumFile {
  readonly name: string;
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** What has changed on the screen (src/display): see ScreenUpdate of src/console/screen.ts. */
export interface ScreenLines {
  width: number;
  height: number;
  top: number;
  pixels: Uint32Array;
  text: string[] | undefined;
}

export interface MachineConfig {
  /** bzImage, ELF with a PVH note or Multiboot image. Absent for the embedded guest. The engine may keep it. */
  kernel?: Uint8Array;
  initrd?: Uint8Array;
  /** Firmware that boots the machine's own drives, instead of a kernel; the VGA's ROM; media. */
  bios?: Uint8Array;
  vgabios?: Uint8Array;
  media?: Media;
  /** What the guest writes to them is kept in the browser, for the next time; else in memory. */
  keepDisks?: boolean;
  /** Kernel command line, without a terminating zero. */
  append: string;
  /** Guest RAM in bytes; a multiple of 1 MiB. */
  memoryBytes: number;
  /** Virtual CPUs; default: 1. */
  vcpus?: number;
  transport: Transport;
  /** Default: interp. */
  engine?: "interp" | "auto";
  /** Boot the guest that is built into the engine instead of `kernel`. */
  embedded?: true;
  /**
   * Size of the console in character cells. If present, the guest is told at each boot, on its command line
   * (`tabhyve.size=COLSxROWS`, and the terminal's type as `tabhyve.term=NAME`).
   */
  consoleSize?: { cols: number; rows: number };
  /** Goes on from this instead of booting; the rest of the configuration is what it was saved with. */
  resume?: SavedState | SiteState;
}

/** What the console is, for guests that ask or are told. */
export const TERM = "xterm-256color";

/** A machine as `save` has found it. */
export interface SavedState {
  /** The snapshot file (src/snapshot/container.ts). */
  snapshot: Uint8Array;
  /** What was kept of each disk at that moment (JournalStore.stamp): with other contents the guest would wreck it. */
  stamps: Stamps;
}

/** A machine as the site has it. Whoever makes the machine fetches it, so that the page need not touch so many bytes. */
export interface SiteState {
  /** Address of the site. */
  site: string;
  file: SiteFile;
  stamps: Stamps;
}

export type Stamps = { readonly [drive in keyof Media]?: string };

/**
 * | state   | the guest                                    | left by                        |
 * |---------|----------------------------------------------|--------------------------------|
 * | ready   | loaded, at its reset vector, never ran       | start                          |
 * | running | executes                                     | pause, powerOff, a stop        |
 * | paused  | stands still, so does its clock              | resume, reset, powerOff        |
 * | off     | powered off (ACPI, or from the page)         | reset (boots again), destroy   |
 * | failed  | cannot go on: triple fault or engine error   | reset (boots again), destroy   |
 */
export type MachineState = "ready" | "running" | "paused" | "off" | "failed";

/** Why a state was entered. */
export interface StopDetail {
  reason: "power-off" | "reset" | "triple-fault" | "engine-error";
  /** One sentence: what happened. */
  what: string;
  /**
   * Where it happened, in the order to show: register or fact, then its value as text. For a triple fault `rip`,
   * `cs`, `cr2`, and what is known of the fault chain (`vector`, `error code`).
   */
  where?: Record<string, string>;
  /** One sentence: what a person can do about it. */
  remedy?: string;
}

export interface MachineStats {
  state: MachineState;
  /** Guest instructions retired since power-on, all vCPUs together. */
  instructions: number;
  /** Seconds that vCPUs spent executing since power-on (HLT and pauses not counted). */
  vcpuSeconds: number;
  /** Exits from the core to the device models since power-on. */
  exits: number;
}

export interface MachineCallbacks {
  /** Bytes the guest wrote to COM1, in order. The buffer belongs to the callee. */
  serial(bytes: Uint8Array): void;
  /** The screen has changed, at most 60 times a second; the next one comes when this has returned or its promise is kept. */
  screen?(lines: ScreenLines): void | Promise<void>;
  /** The PC speaker's tone has changed: Hz, 0 = silent. */
  tone?(hz: number): void;
  /** How much of a SiteState has come. */
  fetched?(progress: DownloadProgress): void;
  /** Something a person should know; `stays`: it is true until the next one. */
  notice?(text: string, stays?: boolean): void;
  /** The state changed, or the guest reset itself and runs again (`running` with reason `reset`). */
  state(state: MachineState, detail?: StopDetail): void;
}

/** The methods of an Inspector, by name. */
export type InspectMethod = Exclude<keyof Inspector, "serveGdb" | "onState">;

/** The core: what is compiled of it once for a page serves all of its machines that have threads. */
export interface Core {
  readonly bytes: Uint8Array;
  readonly module: WebAssembly.Module | undefined;
}

/** A machine. Every command is idempotent and resolves once the state it asks for is reached. */
export interface MachineHandle {
  start(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Gives a machine that goes on from a snapshot what it boots when it is reset. */
  bootFrom?(kernel: Uint8Array, initrd: Uint8Array | undefined): Promise<void>;
  /** The RESET line: loads the kernel again and runs, from any state. */
  reset(): Promise<void>;
  /** Pulls the plug; the guest is not asked. */
  powerOff(): Promise<void>;
  /** Bytes for COM1. The engine queues what the guest's FIFO cannot take yet and loses nothing. */
  serialInput(bytes: Uint8Array): void;
  /** A key of the machine's keyboard, by KeyboardEvent.code. Without a display these do nothing. */
  key?(code: string, pressed: boolean): void;
  /** Types a text on it, as a US keyboard would. */
  type?(text: string): void;
  /** Movement in pixels, wheel in notches, buttons: left 1, right 2, middle 4. */
  mouse?(dx: number, dy: number, wheel: number, buttons: number): void;
  /** Puts another CD or floppy disk into its drive, or takes it out. */
  insert?(drive: "cdrom" | "floppy", file: MediumFile | undefined): Promise<void>;
  /** Size of the console in character cells, whenever it changes: for the next boot, a plain UART cannot hear of it. */
  setConsoleSize(cols: number, rows: number): void;
  stats(): MachineStats | Promise<MachineStats>;
  /**
   * True: the console is behind, stop draining the UART's transmitter so that the guest waits; false: go on.
   * Optional: without it the console queues what it cannot show yet.
   */
  holdSerial?(hold: boolean): void;
  /**
   * A vCPU's registers (default: 0). A machine that runs stands still while they are read.
   *
   * @throws RangeError: no such vCPU
   */
  registers?(vcpu?: number): Promise<Registers>;
  /**
   * Guest memory, in the same way; shorter where a page is not present, or is no memory.
   *
   * @throws RangeError: no such vCPU, or too much at once
   */
  readMemory?(piece: MemoryPiece): Promise<Uint8Array>;
  /** The machine as it is, which goes on. @throws Error: it is off or has failed */
  save?(): Promise<SavedState>;
  /** Calls a method of the machine's Inspector (src/debug/inspector.ts), which is loaded for the first call. */
  inspect?<K extends InspectMethod>(
    name: K,
    ...args: Parameters<Inspector[K]>
  ): Promise<Awaited<ReturnType<Inspector[K]>>>;
  /** Lets gdbs have the machine, whose bytes this port carries (Inspector.serveGdb). */
  serveGdb?(port: MessagePort): Promise<void>;
  /** Frees memory and workers. The handle is dead afterwards. */
  destroy(): Promise<void>;
}

/** Why a machine could not be made. */
export type MachineErrorCode =
  /** The kernel or initrd cannot be used: says what was found and what is needed. */
  | "bad-image"
  /** A saved machine does not go into this one, or is damaged. */
  | "snapshot"
  /** What is kept of a disk cannot be had: another tab has it, or it is damaged. */
  | "disk"
  /** A medium on a web server cannot be read. */
  | "medium"
  /** What it goes on from could not be fetched. */
  | "network"
  /** Guest RAM could not be allocated. */
  | "out-of-memory"
  /** `threaded` was asked for where SharedArrayBuffer is not available. */
  | "no-shared-memory"
  /** A worker or the Wasm module did not load, or a bug. */
  | "engine";

/** Rejection of `createMachine`. Recognised by its `code`, since a class does not survive structured clone. */
export class MachineError extends Error {
  readonly code: MachineErrorCode;
  readonly remedy: string | undefined;

  /** @param message one sentence: what was found and, for an image, what is needed */
  constructor(code: MachineErrorCode, message: string, remedy?: string) {
    super(message);
    this.name = "MachineError";
    this.code = code;
    this.remedy = remedy;
  }
}

/**
 * Allocates memory, starts workers, loads the image; resolves in state `ready`. Rejects with a MachineError.
 *
 * @param signal gives it up: it ends at once, and rejects with the signal's reason
 */
export type CreateMachine = (
  config: MachineConfig,
  callbacks: MachineCallbacks,
  signal: AbortSignal,
) => Promise<MachineHandle>;
