/** `tabhyve run`: one machine from the command line, its COM1 on stdio or in a file. */
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { Machine, type MachineConfig, type StopReason } from "../machine/machine.ts";
import { type Send, UsageError } from "./options.ts";
import { spawnWorker } from "./spawn.ts";
import { Terminal } from "./terminal.ts";

export interface RunOptions {
  readonly kernel: Uint8Array;
  readonly kernelName: string;
  readonly initrd?: Uint8Array;
  readonly append?: string;
  readonly memoryBytes: number;
  readonly transport: "threaded" | "inline";
  /** "stdio", or a file that takes the guest's output. */
  readonly serial: string;
  readonly send: readonly Send[];
  readonly until?: RegExp;
  readonly timeout?: number;
  readonly debugExit: boolean;
  /** A guest that asks for a reset boots again. */
  readonly restart: boolean;
  readonly stats?: string;
  readonly verbose: boolean;
}

/** Exit statuses of the contract. */
export const STATUS = { OK: 0, ENGINE: 1, USAGE: 2, TRIPLE_FAULT: 3, RESET: 4, TIMEOUT: 124 } as const;

/** Serial output kept for patterns: more than any screenful. */
const TAIL = 65536;

export async function run(core: Uint8Array, options: RunOptions): Promise<number> {
  const started = performance.now();
  const out = options.serial === "stdio" ? 1 : openOutput(options.serial);
  const terminal = options.serial === "stdio" ? new Terminal() : undefined;
  const decoder = new TextDecoder("latin1");
  let tail = "";
  let matchedTo = 0;
  let nextSend = 0;
  let dropped = 0;
  return new Promise<number>((resolve, reject) => {
    let machine: Machine | undefined;
    let timer: NodeJS.Timeout | undefined;
    let over = false;
    const finish = (status: number) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      terminal?.close();
      if (options.stats && machine) writeStats(options.stats, machine, (performance.now() - started) / 1000);
      if (out !== 1) closeSync(out);
      (machine ? machine.destroy() : Promise.resolve()).then(() => resolve(status), reject);
    };
    const scan = () => {
      // Each --send is typed once, in order, when its pattern appears after what the one before it matched.
      while (nextSend < options.send.length) {
        const { pattern, text } = options.send[nextSend];
        const m = pattern.exec(tail.slice(matchedTo - dropped));
        if (!m) break;
        matchedTo += m.index + m[0].length;
        nextSend++;
        machine?.serialInput(text);
      }
      if (options.until && nextSend === options.send.length && options.until.test(tail.slice(Math.max(0, matchedTo - dropped)))) finish(STATUS.OK);
    };
    const config: MachineConfig = {
      core,
      kernel: options.kernel,
      kernelName: options.kernelName,
      ...(options.initrd && { initrd: options.initrd }),
      ...(options.append !== undefined && { append: options.append }),
      memoryBytes: options.memoryBytes,
      transport: options.transport,
      spawn: spawnWorker,
      debugExit: options.debugExit,
      restart: options.restart,
      serial: (bytes) => {
        if (over) return;
        writeAll(out, bytes);
        if (!options.send.length && !options.until) return;
        tail += decoder.decode(bytes);
        if (tail.length > 2 * TAIL) {
          dropped += tail.length - TAIL;
          tail = tail.slice(-TAIL);
          matchedTo = Math.max(matchedTo, dropped);
        }
        scan();
      },
      onState: (state, reason) => {
        if (reason && (state === "off" || state === "failed")) finish(statusOf(reason));
      },
      ...(options.verbose && { log: (channel: string, message: string) => void process.stderr.write(`[${channel}] ${message}\n`) }),
    };
    Machine.create(config).then(async (m) => {
      machine = m;
      for (const warning of m.loaded.warnings) process.stderr.write(`tabhyve: ${warning}\n`);
      terminal?.open((bytes) => m.serialInput(bytes), () => finish(STATUS.OK));
      if (options.timeout !== undefined) {
        timer = setTimeout(() => {
          process.stderr.write(`tabhyve: the guest was still running after ${options.timeout} s\n`);
          finish(STATUS.TIMEOUT);
        }, options.timeout * 1000);
      }
      await m.start();
    }).catch(reject);
  });
}

function statusOf(reason: StopReason): number {
  switch (reason.kind) {
    case "power-off":
      return STATUS.OK;
    case "debug-exit":
      return reason.status;
    case "reset":
      return STATUS.RESET;
    case "triple-fault":
      process.stderr.write(`tabhyve: the guest triple-faulted: ${Object.entries(reason.where).map(([k, v]) => `${k} ${v}`).join(", ")}\n`);
      return STATUS.TRIPLE_FAULT;
    case "engine-error":
      process.stderr.write(`tabhyve: the engine failed: ${reason.message}\n`);
      return STATUS.ENGINE;
  }
}

function openOutput(file: string): number {
  try {
    return openSync(file, "w");
  } catch (error) {
    throw new UsageError(`--serial ${file}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Writes synchronously, so that nothing is lost when the process ends; a pipe may ask to be tried again. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function writeStats(file: string, machine: Machine, wall: number): void {
  const s = machine.stats();
  const stats = {
    instructions: s.instructions,
    wallSeconds: wall,
    vcpuSeconds: s.vcpuSeconds,
    mips: s.vcpuSeconds ? s.instructions / s.vcpuSeconds / 1e6 : 0,
    exits: s.exits,
    engines: { interp: 1 },
    regions: 0,
    counters: s.counters,
  };
  writeFileSync(file, `${JSON.stringify(stats, undefined, 2)}\n`);
}

