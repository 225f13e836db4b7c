/** How a run of a guest ends, and where its output goes. */
import { closeSync, openSync, writeSync } from "node:fs";
import { constants } from "node:os";
import type { StopReason } from "../machine/machine.ts";
import { reason, UsageError } from "./options.ts";

/** Exit statuses of the contract, and of signals as a shell reports them. */
export const STATUS = { OK: 0, ENGINE: 1, USAGE: 2, TRIPLE_FAULT: 3, RESET: 4, TIMEOUT: 124, SIGNAL: 128 } as const;

/** How a run ended; the message is for stderr. */
export interface Ending {
  readonly status: number;
  readonly message?: string;
}

export function statusOf(why: StopReason): [status: number, message?: string] {
  switch (why.kind) {
    case "power-off":
      return [STATUS.OK];
    case "debug-exit":
      return [why.status];
    case "reset":
      return [STATUS.RESET];
    case "triple-fault": {
      const where = Object.entries(why.where).map(([name, value]) => `${name} ${value}`);
      return [STATUS.TRIPLE_FAULT, `the guest triple-faulted: ${where.join(", ")}`];
    }
    case "engine-error":
      return [STATUS.ENGINE, `the engine failed: ${why.message}`];
  }
}

export function openOutput(option: string, file: string): number {
  try {
    return openSync(file, "w");
  } catch (error) {
    throw new UsageError(`${option} ${file}: cannot be written (${reason(error)})`);
  }
}

/** Where the guest's serial output goes: stdout, or a file. */
export class Output {
  readonly #name: string;
  readonly #fd: number;

  constructor(serial: string) {
    this.#name = serial === "stdio" ? "stdout" : `--serial ${serial}`;
    this.#fd = serial === "stdio" ? process.stdout.fd : openOutput("--serial", serial);
  }

  /**
   * Writes synchronously, so that nothing is lost when the process ends, and a guest cannot outrun its reader. How the
   * run ends if that fails: a reader that has gone away is no error, but there is no use in going on.
   */
  write(bytes: Uint8Array): Ending | undefined {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(this.#fd, bytes, at);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EPIPE") return { status: STATUS.SIGNAL + constants.signals.SIGPIPE };
        // A pipe that somebody has made non-blocking is full.
        if (code === "EAGAIN") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
        else return { status: STATUS.USAGE, message: `${this.#name}: cannot be written (${reason(error)})` };
      }
    }
    return undefined;
  }

  close(): void {
    if (this.#fd !== process.stdout.fd) closeSync(this.#fd);
  }
}
