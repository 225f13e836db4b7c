/**
 * `tabhyve run --verify`: the guest on the interpreter and on another engine in lockstep. It goes in segments, each from a
 * snapshot, so that a difference can be had again from the last one. `tabhyve verify FOLDER` does that.
 */
import { Machine } from "../../machine/machine.ts";
import { type Snapshot, unpack } from "../../snapshot/container.ts";
import { type Ending, Output, STATUS, statusOf } from "../ending.ts";
import type { RunOptions } from "../run.ts";
import { Terminal } from "../terminal.ts";
import { SerialWatch } from "../watch.ts";
import { locate, pathTo, show } from "./locate.ts";
import { Lockstep, type Plan, type Setup } from "./lockstep.ts";
import {
  type Bundle,
  describe,
  type Input,
  isDifference,
  isThorough,
  readBundle,
  TURN,
  thoroughBefore,
  writeBundle,
} from "./record.ts";

/** Rounds of a segment: at most 200 million instructions. */
const SEGMENT = 20_000;

export interface VerifyOptions extends RunOptions {
  /** Folder for what a difference leaves. */
  readonly bundle: string;
  /** A snapshot to go on from instead of booting. */
  readonly snapshotFile?: Uint8Array;
  /** MachineConfig.regions */
  readonly regions?: Setup["regions"];
}

const say = (line: string): void => void process.stderr.write(`tabhyve: ${line}\n`);

/** What all machines of a run have in common. */
function machineOf({ memoryBytes, vcpus, topology, cpu, debugExit }: RunOptions): Bundle["machine"] {
  return { memoryBytes, vcpus, cpu, debugExit, ...(topology && { topology }) };
}

/** The guest as it is before its first instruction. */
async function booted(core: Uint8Array, options: RunOptions): Promise<Uint8Array> {
  const { kernel, kernelName, initrd, append } = options;
  const machine = await Machine.create({
    ...{ core, kernelName, ...machineOf(options), transport: "inline", deterministic: {} },
    ...(kernel && { kernel }),
    ...(initrd && { initrd }),
    ...(append !== undefined && { append }),
    serial: () => {},
  });
  for (const warning of machine.loaded?.warnings ?? []) say(warning);
  try {
    return await machine.save();
  } finally {
    await machine.destroy();
  }
}

/** What a run is doing now, over all of its segments. */
class Session {
  ending: Ending | undefined;
  /** What has come in since the segment began. */
  record: Input[] = [];
  #waiting: Uint8Array[] = [];
  #wake = (): void => {};

  end(status: number, message?: string): void {
    this.ending ??= { status, ...(message !== undefined && { message }) };
    this.#wake();
  }

  type(bytes: Uint8Array): void {
    this.#waiting.push(bytes.slice());
    this.#wake();
  }

  plan(serial: (bytes: Uint8Array) => void): Plan {
    return {
      turn: () => TURN,
      thorough: isThorough,
      input: (round) => {
        const all = this.#waiting.splice(0);
        for (const bytes of all) this.record.push({ round, bytes: Buffer.from(bytes).toString("hex") });
        return all;
      },
      over: (round) => this.ending !== undefined || round >= SEGMENT,
      idle: async () => {
        if (this.#waiting.length || this.ending) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      },
      serial,
    };
  }
}

/**
 * Runs a guest to its end. The exit status is `run`'s, or 1 with a bundle if the engines differ.
 *
 * @throws UsageError, LoaderError, OutOfMemoryError, SnapshotError with one line that says what cannot be used.
 */
export async function verify(core: Uint8Array, options: VerifyOptions): Promise<number> {
  const { engine, jitThreshold, regions } = options;
  const setup: Setup = {
    ...{ core, ...machineOf(options), engine },
    ...(jitThreshold !== undefined && { threshold: jitThreshold }),
    ...(regions && { regions }),
  };
  const session = new Session();
  const output = new Output(options.serial);
  const terminal = options.serial === "stdio" ? new Terminal() : undefined;
  const watch = new SerialWatch(options.send, options.until, (text) => session.type(text));
  const serial = (bytes: Uint8Array): void => {
    if (session.ending) return;
    const failed = output.write(bytes);
    if (failed) session.end(failed.status, failed.message);
    else if (watch.take(bytes)) session.end(STATUS.OK);
  };
  const late = `the guest was still running after ${options.timeout} s`;
  const timer =
    options.timeout === undefined
      ? undefined
      : setTimeout(() => session.end(STATUS.TIMEOUT, late), options.timeout * 1000);
  try {
    terminal?.open(
      (bytes) => session.type(bytes),
      () => session.end(STATUS.OK),
    );
    const ending = await segments(setup, options, session, serial);
    if (ending.message) say(ending.message);
    return ending.status;
  } finally {
    clearTimeout(timer);
    terminal?.close();
    output.close();
  }
}

async function segments(
  setup: Setup,
  options: VerifyOptions,
  session: Session,
  serial: (bytes: Uint8Array) => void,
): Promise<Ending> {
  let file = options.snapshotFile ?? (await booted(setup.core, options));
  let snapshot = await unpack(file);
  for (;;) {
    session.record = [];
    const pair = await Lockstep.create(setup, snapshot, session.plan(serial));
    try {
      const end = await pair.run();
      if (isDifference(end)) return await report(setup, options, session, file, snapshot, pair);
      if (end.kind === "stopped") {
        if (end.reason.kind !== "reset" || !options.restart) {
          const [status, message] = statusOf(end.reason);
          return { status, ...(message !== undefined && { message }) };
        }
        file = await booted(setup.core, options);
      } else {
        if (session.ending) return session.ending;
        file = await pair.sides[0].machine.save();
      }
      snapshot = await unpack(file);
    } finally {
      await pair.destroy();
    }
  }
}

/** Finds where the engines of a pair have come to differ, and writes it down. */
async function report(
  setup: Setup,
  options: VerifyOptions,
  session: Session,
  file: Uint8Array,
  snapshot: Snapshot,
  pair: Lockstep,
): Promise<Ending> {
  const { engine } = setup;
  const equal = thoroughBefore(pair.round);
  const tell = (text: string): void => void (process.stderr.isTTY && say(text));
  const found = await locate(setup, snapshot, session.record, pair.round, equal, tell);
  if (!found)
    return { status: STATUS.ENGINE, message: "the engines differed, but not when run again from the snapshot" };
  const bundle: Bundle = {
    version: 1,
    machine: machineOf(options),
    engine,
    ...(setup.threshold !== undefined && { threshold: setup.threshold }),
    input: session.record,
    place: found.place,
    differences: found.differences,
    path: await pathTo(setup, snapshot, session.record, found.place),
    states: found.states,
  };
  writeBundle(options.bundle, file, bundle);
  return {
    status: STATUS.ENGINE,
    message: [...describe(engine, bundle, found.instructions), `the bundle is in ${options.bundle}`].join("\n"),
  };
}

/**
 * Runs a bundle again. Exit status: 1 the engines differ (still, or in another place), 0 they agree.
 *
 * @throws UsageError if it is no bundle, SnapshotError
 */
export async function verifyBundle(core: Uint8Array, folder: string, regions?: Setup["regions"]): Promise<number> {
  const { snapshot, bundle } = readBundle(folder);
  const { machine, engine, threshold, input, place } = bundle;
  const setup: Setup = {
    ...{ core, ...machine, engine },
    ...(threshold !== undefined && { threshold }),
    ...(regions && { regions }),
  };
  const found = await show(setup, await unpack(snapshot), input, place);
  if (!found) {
    say("the engines agree");
    return 0;
  }
  const elsewhere = found.place === place ? bundle : { ...bundle, differences: found.differences, path: [] };
  for (const line of describe(engine, elsewhere, found.instructions)) process.stdout.write(`${line}\n`);
  return 1;
}
