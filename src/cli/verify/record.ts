/**
 * A run in lockstep that can be made again. As a folder, what a difference leaves behind (README.md, `--verify`):
 *
 *     machine.snapshot   the machine before it, the same for both engines
 *     bundle.json        Bundle: how the machines are made and what comes in when; where they differ, and how
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EngineKind } from "../../vcpu/jit.ts";
import { readInput, reason, UsageError } from "../options.ts";
import type { End, Plan } from "./lockstep.ts";
import type { PacedConfig } from "./paced.ts";
import type { Difference } from "./state.ts";

/** Instructions of a turn, and rounds after which memory and chips are compared. */
export const TURN = 10_000n;
const THOROUGH = 100;

export const isThorough = (round: number): boolean => round % THOROUGH === 0;
/** The last round before `round` after which memory and chips were compared. */
export const thoroughBefore = (round: number): number => Math.floor((round - 1) / THOROUGH) * THOROUGH;

/** Bytes that COM1 got before a round. */
export interface Input {
  readonly round: number;
  readonly bytes: string;
}

/** Where two engines first differ. */
export interface Place {
  /** The round in which they come to differ: rounds count from the snapshot. */
  readonly round: number;
  /** How many instructions of that round's turn it takes. */
  readonly instructions: number;
  /** From this round on, memory and chips are compared after each. */
  readonly thoroughFrom: number;
}

export interface Bundle {
  readonly version: 1;
  readonly machine: Pick<PacedConfig, "memoryBytes" | "vcpus" | "topology" | "cpu" | "debugExit">;
  readonly engine: EngineKind;
  readonly threshold?: number;
  readonly input: readonly Input[];
  readonly place: Place;
  readonly differences: readonly Difference[];
  /** The instructions that led there, the last one last. */
  readonly path: readonly string[];
  /** Registers of both engines' machines. */
  readonly states: readonly Record<string, string>[];
}

/** The run up to a place, again. */
export function again(input: readonly Input[], place: Place): Plan {
  return {
    turn: (round) => (round === place.round ? BigInt(place.instructions) : TURN),
    thorough: (round) => isThorough(round) || round >= place.thoroughFrom || round > place.round,
    input: (round) => input.filter((i) => i.round === round).map((i) => Buffer.from(i.bytes, "hex")),
    over: (round) => round > place.round,
    idle: async () => {},
  };
}

export function writeBundle(folder: string, snapshot: Uint8Array, bundle: Bundle): void {
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "machine.snapshot"), snapshot);
    writeFileSync(join(folder, "bundle.json"), `${JSON.stringify(bundle, undefined, 2)}\n`);
  } catch (error) {
    throw new UsageError(`--bundle ${folder}: cannot be written (${reason(error)})`);
  }
}

/** @throws UsageError if the folder holds no bundle of this version. */
export function readBundle(folder: string): { snapshot: Uint8Array; bundle: Bundle } {
  const file = join(folder, "bundle.json");
  const text = new TextDecoder().decode(readInput("", file));
  let bundle: Partial<Bundle> | null = null;
  try {
    bundle = JSON.parse(text);
  } catch {}
  const { round, instructions, thoroughFrom } = bundle?.place ?? {};
  const whole = [round, instructions].every(Number.isSafeInteger) && typeof thoroughFrom === "number";
  if (bundle?.version !== 1 || !whole || !bundle.machine || !Array.isArray(bundle.input))
    throw new UsageError(`${file}: not the bundle of a difference`);
  return { snapshot: readInput("", join(folder, "machine.snapshot")), bundle: bundle as Bundle };
}

/** Differences and instructions that are printed; the bundle has all. */
const MOST = 12;

/** What a bundle has found, in words; `instructions` have run since the guest has booted. */
export function describe(engine: string, bundle: Bundle, instructions: number): string[] {
  const { differences, path } = bundle;
  const lines = differences
    .slice(0, MOST)
    .map(({ name, want, got }) => `  ${name}: interp ${short(want)}, ${engine} ${short(got)}`);
  if (differences.length > MOST) lines.push(`  and ${differences.length - MOST} more`);
  if (path.length) lines.push("after", ...path.slice(-MOST).map((line) => `  ${line}`));
  return [`the engines differ after ${instructions} instructions`, ...lines];
}

const short = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

export const isDifference = (end: End): end is End & { kind: "differ" } => end.kind === "differ";
