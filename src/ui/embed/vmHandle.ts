/**
 * What another page can do with a machine that is embedded in it: as an element (tabhyveVm.ts) and across a frame's border
 * (frameClient.ts) it is the same.
 */
import type { MachineState, MachineStats, MemoryPiece, Registers, StopDetail } from "../machineHandle.ts";
import type { Problem } from "../problems.ts";

/** MachineState, and before there is a machine: none was started, or it is being made. */
export type VmState = MachineState | "none" | "preparing";

/** Every command resolves when what it asks for is reached, and rejects with an Error whose message says why not. */
export interface VmHandle {
  readonly state: VmState;
  /**
   * Makes the machine and boots it; one that runs goes on running, one that is paused goes on.
   *
   * @param saved boots nothing, but goes on from what `save` gave, and prints again what was on its console; a machine that
   *   is there is replaced
   */
  start(saved?: Uint8Array): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** The reset button. */
  reset(): Promise<void>;
  /** Pulls the plug and frees the machine's memory. */
  stop(): Promise<void>;
  /** Types on the machine's keyboard if it has a display, else on the serial line, where a line's end is a carriage return. */
  type(text: string): Promise<void>;
  /** Bytes for the serial line (COM1), as they are. */
  send(bytes: Uint8Array): Promise<void>;
  /**
   * Waits until what the guest prints matches: on the serial line, without escape sequences and carriage returns, or in a new
   * line of a text screen. Only what has come since the last match counts, so that a prompt can be waited for again; several
   * waits are served in their order.
   *
   * @param pattern a text as it is, or a regular expression
   * @param timeout in milliseconds; default 30,000
   * @returns what had come up to the end of the match
   */
  waitForText(pattern: string | RegExp, timeout?: number): Promise<string>;
  /** A vCPU's registers (default: 0), by their names in capitals; a machine that runs stands still while they are read. */
  registers(vcpu?: number): Promise<Registers>;
  /** Guest memory; shorter where a page is not present, or is no memory. */
  readMemory(piece: MemoryPiece): Promise<Uint8Array>;
  /** The machine as it is, as a file; it goes on. */
  save(): Promise<Uint8Array>;
  stats(): Promise<MachineStats>;
}

/** Names of the commands. */
export const COMMANDS = [
  "start",
  "pause",
  "resume",
  "reset",
  "stop",
  "type",
  "send",
  "waitForText",
  "registers",
  "readMemory",
  "save",
  "stats",
] as const satisfies readonly (keyof VmHandle)[];
export type Command = (typeof COMMANDS)[number];

/** Events by name, and what their `detail` is. */
export interface VmEvents {
  /** There is a machine, which has not run yet. */
  ready: undefined;
  /** The machine has entered a state, or the guest has reset it. */
  state: { readonly state: VmState; readonly detail?: StopDetail };
  /** What the guest has written to its serial line. */
  serial: Uint8Array;
  /** The machine is off, or cannot go on. */
  exit: StopDetail;
  /** The machine could not be made, or a command has failed. */
  error: Problem;
}
export const EVENTS = ["ready", "state", "serial", "exit", "error"] as const satisfies readonly (keyof VmEvents)[];
