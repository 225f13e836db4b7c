/** `tabhyve run`: one machine from the command line, its COM1 on stdio or in a file. */
import { closeSync, writeFileSync, writeSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import type { Waits } from "../block/waits.ts";
import type { Symbols } from "../debug/symbols.ts";
import { setRecording } from "../debug/trace.ts";
import type { InputEntry } from "../machine/determinism.ts";
import { VGA_ROM } from "../machine/firmwareTables.ts";
import { Machine, type MachineConfig, type MachineStats } from "../machine/machine.ts";
import { heatOf } from "../machine/machineConfig.ts";
import type { Cards } from "../machine/pciCards.ts";
import type { Drives } from "../machine/pcParts.ts";
import { stateHash } from "../machine/stateHash.ts";
import type { Snapshot } from "../snapshot/container.ts";
import type { EngineKind } from "../vcpu/jit.ts";
import { autopsyOf } from "./autopsy.ts";
import { type Ending, Output, openOutput, STATUS, statusOf } from "./ending.ts";
import { type GdbPlace, GdbPort } from "./gdbPort.ts";
import { optimiseLater } from "./hostTiers.ts";
import type { Send } from "./options.ts";
import { png } from "./png.ts";
import { ScreenWatch } from "./screenWatch.ts";
import { spawnWorker } from "./spawn.ts";
import { Terminal } from "./terminal.ts";
import { SerialWatch } from "./watch.ts";

export interface RunOptions {
  readonly kernel?: Uint8Array;
  readonly kernelName: string;
  /** Firmware, instead of a kernel. */
  readonly bios?: Uint8Array;
  /** The VGA's ROM, for firmware to find. */
  readonly vgaBios?: Uint8Array;
  readonly drives?: Drives;
  readonly cards?: Cards;
  /** Typed on the keyboard when the screen shows a pattern. */
  readonly keys?: readonly Send[];
  /** File that takes the screen at the end: a picture if it ends in .png, else text. */
  readonly screen?: string;
  readonly initrd?: Uint8Array;
  readonly append?: string;
  readonly memoryBytes: number;
  readonly vcpus: number;
  /** MachineConfig.topology */
  readonly topology?: MachineConfig["topology"];
  /** MachineConfig.cpu */
  readonly cpu: string;
  readonly transport: "threaded" | "inline";
  /** Time goes by instructions; input is recorded in a file, or comes from one (src/machine/determinism.ts). */
  readonly deterministic?: { readonly record?: string; readonly replay?: readonly InputEntry[] };
  readonly engine: EngineKind;
  /** MachineConfig.jitThreshold */
  readonly jitThreshold?: number;
  /** "stdio", or a file that takes the guest's output. */
  readonly serial: string;
  readonly send: readonly Send[];
  readonly until?: RegExp;
  /** Seconds. */
  readonly timeout?: number;
  readonly debugExit: boolean;
  /** Where gdb can connect. */
  readonly gdb?: GdbPlace;
  /** Keeps the last instructions, for the autopsy of a triple fault. */
  readonly trace?: boolean;
  /** Names of addresses in it. */
  readonly symbols?: Symbols;
  /** A guest that asks for a reset boots again. */
  readonly restart: boolean;
  /** File for what the run has counted. */
  readonly stats?: string;
  /** File for the numbers of chunks that the guest has read, in their order. */
  readonly prefetch?: { readonly file: string; readonly chunks: Iterable<number> };
  /** Disks that wait for a server, which may let the machine stand still. */
  readonly waits?: Waits;
  /** Counters in compiled code, too. */
  readonly statsDetail: boolean;
  /** Goes on from it instead of booting. */
  readonly snapshot?: Snapshot;
  /** File for the machine's state at the end. */
  readonly snapshotOut?: string;
  readonly verbose: boolean;
}

/** Signals that end the run as the user's own wish. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Milliseconds that the vCPUs get to stop in. */
const GRACE = 3000;
/** Milliseconds between two looks at the screen. */
const LOOK = 40;

/**
 * Runs a machine to its end; the exit status. It may leave a vCPU behind that did not stop, so end the process.
 *
 * @throws UsageError, LoaderError, OutOfMemoryError, SnapshotError with one line that says what cannot be used.
 */
export async function run(core: Uint8Array, options: RunOptions): Promise<number> {
  const started = performance.now();
  const { deterministic: repeatable } = options;
  const record = repeatable?.record === undefined ? undefined : openOutput("--record", repeatable.record);
  const deterministic = repeatable && {
    ...(repeatable.replay && { replay: repeatable.replay }),
    ...(record !== undefined && {
      record: (entry: InputEntry) => void writeSync(record, `${JSON.stringify(entry)}\n`),
    }),
  };
  let over = false;
  let settle!: (ending: Ending) => void;
  const ending = new Promise<Ending>((resolve) => {
    settle = resolve;
  });
  const end = (status: number, message?: string) => {
    over = true;
    settle({ status, ...(message && { message }) });
  };
  let output: Output | undefined;
  let gdb: GdbPort | undefined;
  const watch = new SerialWatch(options.send, options.until, (text) => machine.serialInput(text));
  const machine: Machine = await Machine.create({
    core,
    ...(options.kernel && { kernel: options.kernel }),
    ...(options.bios && { bios: options.bios }),
    ...(options.drives && { drives: options.drives }),
    ...(options.cards && { cards: options.cards }),
    ...(options.vgaBios && { firmwareFiles: { [VGA_ROM]: options.vgaBios } }),
    kernelName: options.kernelName,
    ...(options.initrd && { initrd: options.initrd }),
    ...(options.append !== undefined && { append: options.append }),
    memoryBytes: options.memoryBytes,
    vcpus: options.vcpus,
    ...(options.topology && { topology: options.topology }),
    cpu: options.cpu,
    transport: options.transport,
    engine: options.engine,
    ...(options.jitThreshold !== undefined && { jitThreshold: options.jitThreshold }),
    spawn: spawnWorker,
    hostCores: availableParallelism(),
    ...(deterministic && { deterministic }),
    profile: options.statsDetail,
    debugExit: options.debugExit,
    restart: options.restart,
    serial: (bytes) => {
      if (over) return;
      const failed = output?.write(bytes);
      if (failed) end(failed.status, failed.message);
      else if (watch.take(bytes)) end(STATUS.OK);
    },
    onState: (state, why) => {
      const ended = why && (state === "off" || state === "failed") ? statusOf(why) : undefined;
      const last = () => ended && end(...ended);
      if (!gdb?.onState(state, why, last)) last();
    },
    ...(options.verbose
      ? { log: (channel: string, text: string) => say(`[${channel}] ${text}`) }
      : options.bios && { log: complaints }),
  });

  if (options.waits) options.waits.machine = machine;
  optimiseLater();

  const onSignal = (signal: NodeJS.Signals) => end(STATUS.SIGNAL + constants.signals[signal]);
  const terminal = options.serial === "stdio" ? new Terminal() : undefined;
  let timer: NodeJS.Timeout | undefined;
  const screen = machine.board.pc?.display;
  const screenWatch = new ScreenWatch(options.keys ?? [], options.until, (text) => machine.type(text));
  const looking =
    screen && (options.keys?.length || options.until)
      ? setInterval(() => {
          if (!over && screenWatch.look(screen.text() ?? [])) end(STATUS.OK);
        }, LOOK)
      : undefined;
  let stats: number | undefined;
  let prefetch: number | undefined;
  let snapshotOut: number | undefined;
  let status: number;
  try {
    output = new Output(options.serial);
    if (options.stats !== undefined) stats = openOutput("--stats", options.stats);
    if (options.prefetch) prefetch = openOutput("--record-prefetch", options.prefetch.file);
    if (options.snapshotOut !== undefined) snapshotOut = openOutput("--snapshot-out", options.snapshotOut);
    for (const warning of machine.loaded?.warnings ?? []) say(`tabhyve: ${warning}`);
    for (const signal of SIGNALS) process.on(signal, onSignal);
    if (options.timeout !== undefined) {
      const late = `the guest was still running after ${options.timeout} s`;
      timer = setTimeout(end, options.timeout * 1000, STATUS.TIMEOUT, late);
    }
    terminal?.open(
      (bytes) => machine.serialInput(bytes),
      () => end(STATUS.OK),
    );
    if (options.snapshot) {
      await machine.restore(options.snapshot);
      // A terminal shows what the guest's last one did; nothing that reads a pipe takes it for new.
      if (options.serial === "stdio" && process.stdout.isTTY) output.write(machine.scrollback);
    }
    if (options.trace) {
      await machine.glance(() => setRecording(machine.debug, { events: false, code: true }, heatOf(machine.config)));
    }
    if (options.gdb) gdb = await GdbPort.listen(machine, options.gdb, (line) => say(`tabhyve: ${line}`));
    // From ready or, with a snapshot, from paused.
    if (!options.gdb?.wait) await machine.resume();
    const ended = await ending;
    status = ended.status;
    if (options.screen !== undefined && screen) {
      const text = /\.png$/i.test(options.screen) ? png(screen.picture(true)) : `${(screen.text() ?? []).join("\n")}\n`;
      writeFileSync(openOutput("--screen", options.screen), text);
    }
    terminal?.close();
    if (ended.message) say(`tabhyve: ${ended.message}`);
    if (status === STATUS.TRIPLE_FAULT) process.stderr.write(autopsyOf(machine, options.symbols) ?? "");
    if (snapshotOut !== undefined) {
      // A guest that has switched itself off has left nothing to go on with.
      const gone = machine.state === "off" || machine.state === "failed";
      if (gone)
        say(`tabhyve: --snapshot-out ${options.snapshotOut}: the machine is ${machine.state}, nothing is saved`);
      else writeFileSync(snapshotOut, await machine.save());
      closeSync(snapshotOut);
      if (gone) status = STATUS.USAGE;
    }
  } finally {
    over = true;
    clearTimeout(timer);
    clearInterval(looking);
    // From here on a signal ends the process at once.
    for (const signal of SIGNALS) process.off(signal, onSignal);
    terminal?.close();
    gdb?.close();
    await Promise.race([machine.destroy(), new Promise((resolve) => setTimeout(resolve, GRACE).unref())]);
    output?.close();
    if (record !== undefined) closeSync(record);
  }
  if (prefetch !== undefined) {
    writeFileSync(prefetch, [...(options.prefetch?.chunks ?? [])].map((n) => `${n}\n`).join(""));
    closeSync(prefetch);
  }
  // Stopped vCPUs have accounted for all that they did.
  if (stats !== undefined) {
    const all = {
      ...statistics(machine.stats(), started),
      ...(deterministic && { stateHash: await stateHash(machine) }),
      ...(options.statsDetail && { profile: await machine.profile() }),
    };
    writeFileSync(stats, `${JSON.stringify(all, undefined, 2)}\n`);
    closeSync(stats);
  }
  return status;
}

/** Where firmware says on its debug port that it boots nothing: a run without a screen would be silent. */
function complaints(channel: string, text: string): void {
  if (channel === "debugport" && /boot failed|no bootable/i.test(text))
    say(`tabhyve: the firmware says: ${text.trim()}`);
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** What `--stats` writes. `mips` is per second of execution, not of waiting; `engines` are shares of instructions. */
function statistics(stats: MachineStats, started: number) {
  const { instructions, vcpuSeconds, exits, counters } = stats;
  const jit = instructions ? counters.jitInstructions / instructions : 0;
  return {
    instructions,
    wallSeconds: (performance.now() - started) / 1000,
    vcpuSeconds,
    mips: vcpuSeconds ? instructions / vcpuSeconds / 1e6 : 0,
    exits,
    engines: { interp: 1 - jit, jit },
    regions: counters.regions,
    counters,
  };
}
