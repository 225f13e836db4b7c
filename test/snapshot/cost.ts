/**
 * What saving and restoring a booted Linux costs, under Node or in a page, of Tabhyve and of v86: `npm run snapshot` (the
 * page's part is in test/page/lab).
 */
import type { V86 } from "v86";
import { Machine, type MachineConfig } from "../../src/machine/machine.ts";
import { deflate } from "../../src/snapshot/deflate.ts";
import { PROMPT } from "../guests/scripted.ts";

/** A machine that runs, and its console. */
interface Guest {
  readonly console: Serial;
  save(): Promise<Saved>;
  destroy(): Promise<void>;
}

interface Saved {
  readonly state: Uint8Array;
  /** Its size, compressed. */
  readonly bytes: number;
  /** Milliseconds that the guest has stood still for it. */
  readonly standstill: number;
}

export interface Contender {
  readonly name: string;
  /** A machine whose kernel has begun. */
  boot(): Promise<Guest>;
  /** A machine that goes on from a state, and when it had been made. */
  restore(state: Uint8Array): Promise<{ readonly guest: Guest; readonly made: number }>;
}

/** Milliseconds, and bytes of the file; medians of the runs. */
export interface Cost {
  readonly name: string;
  readonly standstill: number;
  /** Until it is compressed, by the same compressor for all; and the size then. */
  readonly save: number;
  readonly bytes: number;
  /** To the shell's first answer, from the beginning of the restore and from that of making a machine for it. */
  readonly restored: number;
  readonly created: number;
}

/** Seconds that a boot may take on a busy host. */
const PATIENCE = 900;

/** What a guest has written, and what is typed to it. */
class Serial {
  readonly type: (text: string) => void;
  #text = "";
  #heard = (): void => {};

  constructor(type: (text: string) => void) {
    this.type = type;
  }

  heard(text: string): void {
    this.#text += text;
    this.#heard();
  }

  /** Resolves when `mark` has come; what comes up to there is forgotten. */
  async upTo(mark: string): Promise<void> {
    const end = performance.now() + PATIENCE * 1000;
    for (let at = -1; at < 0; ) {
      at = this.#text.indexOf(mark);
      if (at >= 0) this.#text = this.#text.slice(at + mark.length);
      else if (performance.now() > end)
        throw new Error(`no ${JSON.stringify(mark)}; at last: ${this.#text.slice(-500)}`);
      else {
        await new Promise<void>((resolve) => {
          this.#heard = resolve;
          setTimeout(resolve, 1000);
        });
      }
    }
  }
}

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Tabhyve, by a configuration that decides all but the console. */
export function tabhyve(name: string, config: Omit<MachineConfig, "serial" | "onState">): Contender {
  const make = async (): Promise<{ machine: Machine; guest: Guest }> => {
    const machine: Machine = await Machine.create({
      ...config,
      serial: (bytes) => console.heard(latin1(bytes)),
    });
    const console = new Serial((text) => machine.serialInput(new TextEncoder().encode(text)));
    const guest: Guest = {
      console,
      save: async () => {
        const state = await machine.save();
        return { state, bytes: state.length, standstill: machine.stats().standstillMs as number };
      },
      destroy: () => machine.destroy(),
    };
    return { machine, guest };
  };
  return {
    name,
    boot: async () => {
      const { machine, guest } = await make();
      await machine.start();
      return guest;
    },
    restore: async (state) => {
      const { machine, guest } = await make();
      const made = performance.now();
      await machine.restore(state);
      await machine.resume();
      return { guest, made };
    },
  };
}

/** v86, by its class and options; `boot` are those of the kernel. It goes on from its state uncompressed. */
export function v86(
  Emulator: typeof V86,
  options: Readonly<Record<string, unknown>>,
  boot: Readonly<Record<string, unknown>>,
): Contender {
  const make = async (more: object): Promise<{ emulator: V86; guest: Guest }> => {
    const emulator = new Emulator({ ...options, ...more, disable_speaker: true, autostart: false });
    await new Promise<void>((ready) => emulator.add_listener("emulator-ready", () => ready()));
    const console = new Serial((text) => emulator.serial0_send(text));
    emulator.add_listener("serial0-output-byte", (byte) => console.heard(String.fromCharCode(byte)));
    const guest: Guest = {
      console,
      save: async () => {
        const from = performance.now();
        const state = new Uint8Array(await emulator.save_state());
        const standstill = performance.now() - from;
        return { state, bytes: (await deflate(state)).length, standstill };
      },
      destroy: () => emulator.destroy(),
    };
    return { emulator, guest };
  };
  return {
    name: "v86",
    boot: async () => {
      const { emulator, guest } = await make(boot);
      void emulator.run();
      return guest;
    },
    restore: async (state) => {
      const { emulator, guest } = await make({});
      const made = performance.now();
      await emulator.restore_state(state.buffer as ArrayBuffer);
      void emulator.run();
      return { guest, made };
    },
  };
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1];
const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Boots Linux and saves it at its idle shell, `runs` times; each time a new machine goes on and is asked something. */
export async function cost(contender: Contender, runs: number): Promise<Cost> {
  const one = await contender.boot();
  await one.console.upTo(PROMPT);
  await sleep(1000);
  const seen = { standstill: [], save: [], bytes: [], restored: [], created: [] } as Record<
    Exclude<keyof Cost, "name">,
    number[]
  >;
  for (let run = 0; run < runs; run++) {
    const begin = performance.now();
    const { state, bytes, standstill } = await one.save();
    const saved = performance.now();
    const { guest, made } = await contender.restore(state);
    guest.console.type("echo $((6*7))\r");
    await guest.console.upTo("\r\n42\r\n");
    const answered = performance.now();
    await guest.destroy();
    seen.standstill.push(standstill);
    seen.save.push(saved - begin);
    seen.bytes.push(bytes);
    seen.restored.push(answered - made);
    seen.created.push(answered - saved);
  }
  await one.destroy();
  const medians = Object.entries(seen).map(([what, list]) => [what, median(list)]);
  return { name: contender.name, ...(Object.fromEntries(medians) as Omit<Cost, "name">) };
}
