/**
 * Runs that can be repeated (MachineConfig.deterministic): the inline transport, time by instructions
 * (src/vcpu/virtualClock.ts), random numbers from a seed, a fixed wall clock. What is left to come from outside is input;
 * it enters between two turns of the vCPUs, and where it has entered is noted:
 *
 *     {"instructions": 515235245, "ns": 9120000000, "device": "com1", "bytes": "6c730d"}
 *
 * `instructions` is how many all vCPUs had retired, `ns` the virtual clock (which also moves while all are halted), `bytes`
 * hexadecimal. Turns have fixed lengths, so replaying the log gives the same run.
 */
import { hex } from "../shared/bytes.ts";
import type { Pace } from "../vcpu/inline.ts";
import type { VirtualClock } from "../vcpu/virtualClock.ts";

/** One piece of input and when it entered. */
export interface InputEntry {
  readonly instructions: number;
  readonly ns: number;
  readonly device: "com1";
  readonly bytes: string;
}

/** Whether something that was read from a file is an entry. */
export function isInputEntry(value: unknown): value is InputEntry {
  if (typeof value !== "object" || value === null) return false;
  const { instructions, ns, device, bytes } = value as Partial<InputEntry>;
  const count = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 0;
  return count(instructions) && count(ns) && device === "com1" && /^(?:[0-9a-f]{2})+$/.test(String(bytes));
}

export interface DeterministicConfig {
  /** Hears of every piece of input as it enters. */
  readonly record?: (entry: InputEntry) => void;
  /** Input of an earlier run, in order. */
  readonly replay?: readonly InputEntry[];
  /** Holds the machine back, so that another one can keep up with it. */
  readonly pace?: Pace;
}

/** RTC at power-on unless configured: 2026-01-01T00:00:00Z. */
export const WALL_CLOCK_SECONDS = 1_767_225_600;

/** 64-bit numbers from a fixed seed (splitmix64), for RDRAND and RDSEED. */
export function repeatableRandom(seed = 1n): () => bigint {
  let state = seed;
  return () => {
    state = BigInt.asUintN(64, state + 0x9e37_79b9_7f4a_7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return BigInt.asIntN(64, z ^ (z >> 31n));
  };
}

/** Bytes from another fixed seed, for devices. */
export function repeatableBytes(): (into: Uint8Array) => void {
  const next = repeatableRandom(2n);
  return (into) => {
    for (let at = 0; at < into.length; at++) into[at] = Number(next() & 0xffn);
  };
}

const unhex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (b) => Number.parseInt(b, 16));

/** Lets input in between two turns. */
export class InputGate {
  readonly #config: DeterministicConfig;
  readonly #clock: VirtualClock;
  readonly #enter: (bytes: Uint8Array) => void;
  readonly #waiting: Uint8Array[] = [];
  #replayed = 0;

  /** `enter`: gives bytes to COM1. */
  constructor(config: DeterministicConfig, clock: VirtualClock, enter: (bytes: Uint8Array) => void) {
    this.#config = config;
    this.#clock = clock;
    this.#enter = enter;
  }

  /** Input from outside: enters at the next gap. */
  push(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
  }

  /** Between two turns. True if something has entered. */
  gap(): boolean {
    const { instructions, ns } = this.#clock;
    const replay = this.#config.replay ?? [];
    let any = false;
    for (; this.#replayed < replay.length; this.#replayed++) {
      const entry = replay[this.#replayed];
      if (entry.instructions > instructions || entry.ns > ns) break;
      this.#enter(unhex(entry.bytes));
      any = true;
    }
    for (const bytes of this.#waiting.splice(0)) {
      this.#config.record?.({ instructions, ns, device: "com1", bytes: hex(bytes) });
      this.#enter(bytes);
      any = true;
    }
    return any;
  }

  /** Virtual time at which the next input enters; undefined: there is none. */
  get nextNs(): number | undefined {
    if (this.#waiting.length) return this.#clock.ns;
    return this.#config.replay?.[this.#replayed]?.ns;
  }
}
