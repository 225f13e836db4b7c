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
        serial: (bytes) => serial(transfer(bytes, [bytes.buffer])),
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

expose(new MachineWorker());
