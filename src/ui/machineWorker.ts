/** Entry of the worker that holds a whole machine (inline transport). */
import { expose, transfer } from "comlink";
import type { MachineConfig, MachineErrorCode, MachineHandle, MachineState, MachineStats, StopDetail } from "./machineHandle.ts";
import { createHere, describeError } from "./realMachine.ts";

export class MachineWorker {
  #handle: MachineHandle | undefined;

  /** Makes the machine; returns what went wrong, since an error's fields do not cross to the page. */
  async create(
    core: Uint8Array,
    config: MachineConfig,
    serial: (bytes: Uint8Array) => void,
    state: (state: MachineState, detail?: StopDetail) => void,
  ): Promise<{ code: MachineErrorCode; message: string; remedy?: string } | undefined> {
    try {
      this.#handle = await createHere(core, config, {
        serial: joined((bytes) => serial(transfer(bytes, [bytes.buffer]))),
        state,
      });
      return undefined;
    } catch (error) {
      return describeError(error);
    }
  }

  async command(name: "start" | "pause" | "resume" | "reset" | "powerOff" | "destroy"): Promise<void> {
    await this.#handle?.[name]();
  }

  serialInput(bytes: Uint8Array): void {
    this.#handle?.serialInput(bytes);
  }

  setConsoleSize(cols: number, rows: number): void {
    this.#handle?.setConsoleSize(cols, rows);
  }

  stats(): MachineStats | Promise<MachineStats> {
    return this.#handle?.stats() ?? { state: "off", instructions: 0, vcpuSeconds: 0, exits: 0 };
  }
}

/**
 * Joins what comes within one task, a slice of the vCPU, into one message: a guest's single bytes, each sent by itself,
 * cost more than the guest.
 */
function joined(send: (bytes: Uint8Array<ArrayBuffer>) => void): (bytes: Uint8Array) => void {
  let pieces: Uint8Array[] = [];
  const flush = (): void => {
    const all = new Uint8Array(pieces.reduce((n, piece) => n + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    pieces = [];
    send(all);
  };
  return (bytes) => {
    if (pieces.push(bytes) === 1) queueMicrotask(flush);
  };
}

expose(new MachineWorker());
