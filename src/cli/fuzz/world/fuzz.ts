/** Worlds on the interpreter and in compiled code: compared after every slice, and at every exception. */
import { disassemble } from "../../../isa/disassemble.ts";
import type { Width } from "../../../isa/operand.ts";
import type { Row } from "../../../isa/table/grammar.ts";
import { ROWS } from "../../../isa/table/index.ts";
import type { RegionCompiler } from "../../../vcpu/jit.ts";
import { linearOf, PROCESS_SIZE } from "../../vectorMemory.ts";
import { existsIn } from "../encode.ts";
import { programRows } from "../generate.ts";
import { type World, world } from "./generate.ts";
import { MEMORY, PROCESS, WorldMachine } from "./machine.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly minutes?: number;
  readonly count?: number;
  /** Number of the first world. */
  readonly first: number;
  readonly modes: readonly Width[];
}

export interface WorldResult {
  readonly cases: number;
  readonly instructions: number;
  /** Of them, those that ran in compiled code. */
  readonly compiled: number;
  readonly exceptions: number;
  /** Text of each difference: how to have it again, what differs, the program that is left of it. */
  readonly found: readonly string[];
}

/** Instructions and exceptions after which a world is over. */
const MOST = 20_000;
const EXCEPTIONS = 60;
/** INT3, which a program ends with. */
const BREAKPOINT = 3;
/** What keeps its own state outside of the machine, or has nothing to do with the engines. */
const LEFT_OUT = new Set("SWAPGS MONITOR MWAIT INVLPG INVPCID XSETBV LGDT LIDT SGDT SIDT RDPMC RDMSR WRMSR".split(" "));

type Fields = readonly string[];

export class WorldFuzzer {
  readonly #want: WorldMachine;
  readonly #got: WorldMachine;
  readonly #rows: ReadonlyMap<Width, readonly Row[]>;
  #exceptions = 0;

  /** `regions` makes what compiles regions for the second engine. */
  constructor(
    core: WebAssembly.Module,
    modes: readonly Width[],
    regions?: (memory: WebAssembly.Memory) => RegionCompiler,
  ) {
    this.#want = new WorldMachine(core);
    this.#got = new WorldMachine(core, regions);
    this.#rows = new Map(
      modes.map((mode) => {
        const rows = programRows(ROWS.filter((row) => existsIn(row, mode) && !LEFT_OUT.has(row.mnemonic)));
        return [mode, rows];
      }),
    );
  }

  run(
    options: WorldOptions,
    tell: (cases: number, found: number) => void,
    report: (text: string) => void,
  ): WorldResult {
    const { seed, minutes, count, first, modes } = options;
    const end = minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + minutes * 60_000;
    const most = count ?? (minutes === undefined ? 10_000 : Number.POSITIVE_INFINITY);
    const found: string[] = [];
    let [cases, instructions, compiled] = [0, 0, 0];
    for (let n = first; cases < most && performance.now() < end; n++) {
      const mode = modes[n % modes.length];
      const w = world(seed, n, mode, this.#rows.get(mode)!);
      const before = this.#got.compiled;
      const fields = this.#differs(w);
      cases++;
      instructions += this.#got.executed;
      compiled += this.#got.compiled - before;
      if (fields) {
        const text = this.#shrunk(w, `--seed ${seed} --first ${n} --count 1 --mode ${modes.join()}`, fields);
        found.push(text);
        report(text);
      }
      tell(cases, found.length);
    }
    return { cases, instructions, compiled, exceptions: this.#exceptions, found };
  }

  /** What differs, at the first place where something does. */
  #differs(w: World): Fields | undefined {
    const [want, got] = [this.#want, this.#got];
    try {
      want.load(w, 0);
      got.load(w, w.heat);
      for (let turn = 0, exceptions = 0; want.executed < MOST; turn++) {
        const slice = w.slices[turn % w.slices.length];
        const [a, b] = [want.run(slice), got.run(slice)];
        if (a !== b || want.fingerprint() !== got.fingerprint()) return this.#fields(a, b);
        if (a !== "" && a !== "exception") break;
        if (a !== "exception") continue;
        this.#exceptions++;
        const rip = want.interrupted - w.start;
        if (want.vector === BREAKPOINT && rip === w.code.length) break;
        if (++exceptions > EXCEPTIONS) break;
        const part = w.parts.find((at) => at > rip) ?? w.parts[0];
        for (const m of [want, got])
          m.resume(w.mode, w.start + (rip < 0 || rip >= w.code.length ? w.parts.at(-1)! : part));
      }
      return want.memory().equals(got.memory()) ? undefined : this.#fields("", "");
    } catch (error) {
      want.restart();
      got.restart();
      return [`the core trapped: ${(error as Error).message}`];
    }
  }

  #fields(a: string, b: string): Fields {
    const [want, got] = [this.#want, this.#got];
    const out = a === b ? [] : [`end: interp ${a || "goes on"}, jit ${b || "goes on"}`];
    const theirs = got.registers();
    for (const [name, value] of want.registers()) {
      if (theirs.get(name) !== value) out.push(`${name}: interp ${value}, jit ${theirs.get(name)}`);
    }
    const [x, y] = [want.memory(), got.memory()];
    if (!x.equals(y)) {
      let at = 0;
      while (x[at] === y[at]) at++;
      const own = at + MEMORY - PROCESS;
      const known = own >= 0 && own < PROCESS_SIZE;
      const where = known ? `memory ${linearOf(own).toString(16)}` : `physical ${(MEMORY + at).toString(16)}`;
      out.push(`${where}: interp ${x.toString("hex", at, at + 8)}, jit ${y.toString("hex", at, at + 8)}`);
    }
    return out;
  }

  /** NOPs in place of every instruction that the difference does not need. */
  #shrunk(w: World, how: string, fields: Fields): string {
    let best = w;
    let left = fields;
    const attempt = (next: World): void => {
      const still = this.#differs(next);
      if (still) [best, left] = [next, still];
    };
    for (const heat of [1, 2]) if (heat < best.heat) attempt({ ...best, heat });
    for (let round = 0; round < 2; round++) {
      for (let i = w.starts.length - 1; i >= 0; i--) {
        const [code, twin] = [best.code.slice(), best.twin.slice()];
        const to = w.starts[i + 1] ?? code.length - 1;
        code.fill(0x90, w.starts[i], to);
        twin.fill(0x90, w.starts[i], to);
        if (!code.every((b, at) => b === best.code[at])) attempt({ ...best, code, twin });
      }
    }
    const lines: string[] = [];
    for (let at = 0; at < best.code.length; ) {
      const { length, text } = disassemble(best.code, at, { mode: best.mode, ip: BigInt(best.start + at) });
      if (text !== "nop") lines.push(`    ${(best.start + at).toString(16)}  ${text}`);
      at += length;
    }
    const slices = best.slices.join();
    return [how, ...left.map((f) => `  ${f}`), `  heat ${best.heat}, slices ${slices}`, ...lines].join("\n");
  }
}

/** Runs the command. Exit status: 0 no difference, 1 some. */
export function fuzzWorlds(core: Uint8Array, options: WorldOptions): number {
  const start = performance.now();
  let said = start;
  const result = new WorldFuzzer(new WebAssembly.Module(core as BufferSource), options.modes).run(
    options,
    (cases, found) => {
      if (performance.now() - said < 10_000) return;
      said = performance.now();
      const rate = Math.round(cases / ((said - start) / 1000));
      process.stderr.write(`tabhyve: ${cases} worlds, ${rate} a second, ${found} differences\n`);
    },
    (text) => void process.stdout.write(`${text}\n`),
  );
  const { cases, instructions, compiled, exceptions, found } = result;
  const seconds = Math.round((performance.now() - start) / 1000);
  process.stdout.write(
    `seed ${options.seed}: ${cases} worlds in ${seconds} s, ${instructions} instructions, of them ` +
      `${Math.round((compiled / instructions) * 100)} % compiled; ${exceptions} exceptions; ${found.length} differences\n`,
  );
  return found.length ? 1 : 0;
}
