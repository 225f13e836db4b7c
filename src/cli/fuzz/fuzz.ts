/**
 * `tabhyve fuzz`: random code on one engine and on another (the real CPU, where there is one), compared register by
 * register. A difference is judged (./judge.ts), made small (./shrink.ts) and printed as a vector (./report.ts).
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Width } from "../../isa/operand.ts";
import type { Row } from "../../isa/table/grammar.ts";
import { ROWS } from "../../isa/table/index.ts";
import { reason, UsageError } from "../options.ts";
import type { Vector } from "../vectorFormat.ts";
import type { Case, Result } from "./case.ts";
import { differences } from "./compare.ts";
import { existsIn } from "./encode.ts";
import { CoreEngine, type EngineName } from "./engine.ts";
import { bytes, KINDS, type Kind, program, programRows, single } from "./generate.ts";
import { OF_THE_HOST } from "./judge.ts";
import { NativeEngine } from "./native.ts";
import { Random } from "./random.ts";
import { toVector } from "./report.ts";
import { type Compared, Pair, shrink } from "./shrink.ts";

export interface FuzzOptions {
  readonly seed: number;
  /** Ends when either is reached; undefined: not by that. */
  readonly minutes?: number;
  readonly count?: number;
  readonly modes: readonly Width[];
  readonly kinds: readonly Kind[];
  readonly engine: EngineName;
  readonly against: EngineName | "native";
  /** Only rows whose mnemonic matches. */
  readonly rows?: RegExp;
  /** Where the vectors of differences go, besides standard output. */
  readonly out?: string;
}

export interface FuzzResult {
  readonly cases: number;
  /** By kind and mode. */
  readonly counts: Readonly<Record<string, number>>;
  /** Differences that do not count, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Vectors of one difference, and how often it was met. */
  readonly found: readonly { readonly key: string; readonly times: number; readonly vectors: readonly Vector[] }[];
  /** For each mode: rows that were tried, that completed at least once, and the names of those that never did. */
  readonly coverage: readonly { mode: Width; rows: number; completed: number; never: readonly string[] }[];
}

const BATCH = 1000;
/** Examples of one difference that are made small. */
const EXAMPLES = 3;
const BREAKPOINT = 3;

/** What one mode's cases are made from. */
interface Material {
  readonly rows: readonly Row[];
  readonly forPrograms: readonly Row[];
}

export class Fuzzer {
  readonly #options: FuzzOptions;
  readonly #pair: Pair;
  readonly #material = new Map<Width, Material>();
  readonly #counts: Record<string, number> = {};
  readonly #dropped: Record<string, number> = {};
  readonly #found = new Map<string, { times: number; vectors: Vector[] }>();
  readonly #completed = new Map<Width, Map<number, number>>();
  readonly #report: (vector: Vector, lines: readonly string[]) => void;
  #cases = 0;

  constructor(pair: Pair, options: FuzzOptions, report: (vector: Vector, lines: readonly string[]) => void) {
    this.#options = options;
    this.#report = report;
    this.#pair = pair;
    for (const mode of options.modes) {
      const rows = ROWS.filter((row) => existsIn(row, mode) && this.#available(row));
      if (!rows.length) throw new UsageError("--rows: matches no instruction");
      this.#material.set(mode, { rows, forPrograms: programRows(rows) });
      this.#completed.set(mode, new Map());
    }
  }

  #available(row: Row): boolean {
    const feature = row.values.get("cpuid");
    if (feature && !this.#pair.engine.features.has(feature)) return false;
    return !OF_THE_HOST.has(row.mnemonic) && (this.#options.rows?.test(row.mnemonic) ?? true);
  }

  /** Runs until the time or the count is up. */
  run(progress: (cases: number, differences: number) => void = () => {}): FuzzResult {
    const { minutes, count, kinds, modes } = this.#options;
    const end = minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + minutes * 60_000;
    const most = count ?? (minutes === undefined ? 100_000 : Number.POSITIVE_INFINITY);
    const batch = Math.min(BATCH, Math.ceil(most / (kinds.length * modes.length)));
    for (let n = 0; this.#cases < most && performance.now() < end; n++) {
      for (const kind of kinds) {
        for (const mode of modes) {
          const size = Math.min(batch, most - this.#cases);
          if (size > 0) this.#batch(n, kind, mode, size);
          progress(this.#cases, this.#found.size);
          if (performance.now() >= end) return this.#result();
        }
      }
    }
    return this.#result();
  }

  #batch(n: number, kind: Kind, mode: Width, size: number): void {
    const { rows, forPrograms } = this.#material.get(mode)!;
    const r = new Random(this.#options.seed, n, KINDS.indexOf(kind), mode);
    const cases: Case[] = [];
    const tried: (Row | undefined)[] = [];
    for (let i = 0; i < size; i++) {
      const row = kind === "rows" ? rows[(n * size + i) % rows.length] : undefined;
      tried.push(row);
      cases.push(row ? single(r, mode, row) : kind === "bytes" ? bytes(r, mode) : program(r, mode, forPrograms));
    }
    const wants = this.#pair.reference.run(cases);
    cases.forEach((c, i) => {
      const row = tried[i];
      if (row && wants[i].vector === BREAKPOINT) this.#count(mode, row);
      this.#one(c, wants[i], `${this.#options.seed}-${n}-${i}`);
    });
    this.#cases += size;
    const key = `${kind} ${mode}`;
    this.#counts[key] = (this.#counts[key] ?? 0) + size;
  }

  #count(mode: Width, row: Row): void {
    const completed = this.#completed.get(mode)!;
    completed.set(row.id, (completed.get(row.id) ?? 0) + 1);
  }

  #one(c: Case, want: Result, number: string): void {
    const found = this.#pair.compareOne(c, want, (why) => {
      this.#dropped[why] = (this.#dropped[why] ?? 0) + 1;
    });
    if (!found) return;
    const rough = keyOf(found);
    const known = this.#found.get(rough);
    if (known && known.vectors.length >= EXAMPLES) {
      known.times++;
      return;
    }
    const small = shrink(this.#pair, found);
    const key = small.judgement.path.length === 1 ? keyOf(small) : rough;
    const entry = this.#found.get(key) ?? { times: 0, vectors: [] };
    this.#found.set(key, entry);
    entry.times++;
    if (entry.vectors.length >= EXAMPLES) return;
    const asm = small.judgement.path.map((s) => s.text).slice(0, 40);
    const id = `fuzz:${small.case.about}/${c.mode}/${number}`;
    const vector = toVector(small.case, small.want, small.judgement.mask, id, asm.join("; "));
    entry.vectors.push(vector);
    const fields = differences(small.case, small.want, small.got, small.judgement.mask);
    this.#report(
      vector,
      fields.map((d) => `${d.field}: ${this.#pair.reference.name} ${d.want}, ${this.#pair.engine.name} ${d.got}`),
    );
  }

  #result(): FuzzResult {
    const coverage = this.#options.modes.map((mode) => {
      const { rows } = this.#material.get(mode)!;
      const completed = this.#completed.get(mode)!;
      const never = rows.filter((row) => !completed.has(row.id)).map((row) => row.text.split("|")[1].trim());
      return { mode, rows: rows.length, completed: completed.size, never };
    });
    return {
      cases: this.#cases,
      counts: this.#counts,
      dropped: this.#dropped,
      found: [...this.#found].map(([key, value]) => ({ key, ...value })),
      coverage,
    };
  }
}

/** What makes two differences the same one: the instruction that ended the path, and the registers that differ. */
function keyOf(d: Compared): string {
  const last = d.judgement.path.at(-1);
  const fields = d.fields.map((f) => f.replace(/\d.*/, "")).filter((f, i, all) => all.indexOf(f) === i);
  return `${last?.row?.mnemonic ?? "(bad)"} ${fields.join(" ")}`;
}

/** The pair of engines that the options name. */
export function pairOf(core: WebAssembly.Module, options: Pick<FuzzOptions, "engine" | "against">): Pair {
  const native = options.against === "native" ? new NativeEngine() : undefined;
  const theirs = native?.features();
  const engine = new CoreEngine(core, options.engine, theirs);
  const stepper = new CoreEngine(core, "step", theirs);
  return new Pair(native ?? new CoreEngine(core, options.against as EngineName), engine, stepper);
}

/** Runs the command. Exit status: 0 no difference, 1 some. */
export function fuzz(core: Uint8Array, options: FuzzOptions): number {
  const pair = pairOf(new WebAssembly.Module(core as BufferSource), options);
  const file = options.out === undefined ? undefined : open(options.out);
  const say = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  const fuzzer = new Fuzzer(pair, options, (vector, lines) => {
    say(`${vector.id}: ${vector.asm} [${vector.code}]`);
    for (const line of lines) say(`    ${line}`);
    say(JSON.stringify(vector));
    if (file !== undefined) writeSync(file, `${JSON.stringify(vector)}\n`);
  });
  const start = performance.now();
  let said = start;
  const result = fuzzer.run((cases, found) => {
    if (performance.now() - said < 10_000) return;
    said = performance.now();
    const rate = Math.round(cases / ((said - start) / 1000));
    process.stderr.write(`tabhyve: ${cases} cases, ${rate} a second, ${found} differences\n`);
  });
  if (file !== undefined) closeSync(file);
  for (const line of summary(result, options, (performance.now() - start) / 1000)) say(line);
  return result.found.length ? 1 : 0;
}

function open(path: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    throw new UsageError(`--out ${path}: ${reason(error)}`);
  }
}

/** The end of a run, as text. */
export function summary(result: FuzzResult, options: FuzzOptions, seconds: number): string[] {
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .sort((a, b) => b[1] - a[1])
      .map(([name, n]) => `${name}: ${n}`)
      .join(", ") || "none";
  const { engine, against, seed } = options;
  return [
    `seed ${seed}, ${engine} against ${against}: ${result.cases} cases in ${Math.round(seconds)} s`,
    `  ${list(result.counts)}`,
    `  differences that do not count: ${list(result.dropped)}`,
    ...result.coverage.map(
      ({ mode, rows, completed, never }) =>
        `  ${mode}-bit: ${completed} of ${rows} rows of the table completed; only faults from ${never.join("; ") || "none"}`,
    ),
    `  differences: ${result.found.length ? result.found.map(({ key, times }) => `${key} (${times})`).join(", ") : "none"}`,
  ];
}
