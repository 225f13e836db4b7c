/** From a case on which two engines differ to the smallest one that still shows it. */
import { CODE_BASE16, pristine } from "../vectorMemory.ts";
import { type Case, defaultXmm, linearStart, type Result, runs, X } from "./case.ts";
import { differences } from "./compare.ts";
import type { CoreEngine, Engine } from "./engine.ts";
import { type Executed, type Judgement, judge } from "./judge.ts";
import { settle } from "./tolerance.ts";

export interface Compared {
  readonly case: Case;
  readonly want: Result;
  readonly got: Result;
  readonly judgement: Judgement;
  readonly fields: readonly string[];
}

/** Two engines and what decides whether they really differ. */
export class Pair {
  readonly reference: Engine;
  readonly engine: CoreEngine;
  /** Runs instruction by instruction, for judgement. */
  readonly stepper: CoreEngine;

  constructor(reference: Engine, engine: CoreEngine, stepper: CoreEngine) {
    this.reference = reference;
    this.engine = engine;
    this.stepper = stepper;
  }

  /** The differences of each case that count. */
  compare(cases: readonly Case[]): (Compared | undefined)[] {
    const wants = this.reference.run(cases);
    return cases.map((c, i) => this.compareOne(c, wants[i]));
  }

  compareOne(c: Case, want: Result, drop?: (why: string) => void): Compared | undefined {
    const live = this.engine.one(c);
    if (!differences(c, want, live).length) return undefined;
    const got = { ...live, memory: (live.memory as Uint8Array).slice() };
    const judgement = judge(c, this.stepper, want, got);
    if (judgement.drop !== undefined) {
      drop?.(judgement.drop);
      return undefined;
    }
    const { tolerant, mask } = judgement;
    const found = differences(c, want, tolerant ? settle(c, tolerant, want, got) : got, mask);
    if (!found.length) {
      drop?.(tolerant ? `as ${tolerant.toLowerCase()} may` : "undefined flags");
      return undefined;
    }
    return { case: c, want, got, judgement, fields: found.map((d) => d.field) };
  }
}

/** The steps of a path at which a state is taken: the last ones, each once. */
const SNAPSHOTS = 256;

/** The smallest case that shows what `found` does. */
export function shrink(pair: Pair, found: Compared): Compared {
  let best = found;
  if (found.judgement.path.length > 1) best = firstStep(pair, found) ?? withoutParts(pair, found);
  return simplest(pair, best);
}

/** The first instruction of the path whose effect, alone, differs. */
function firstStep(pair: Pair, found: Compared): Compared | undefined {
  const { path } = found.judgement;
  const cases: Case[] = [];
  const skip = Math.max(0, path.length - SNAPSHOTS);
  let n = 0;
  pair.stepper.trace(found.case, (_, snapshot) => {
    const step = path[n++];
    if (step && n > skip) cases.push(alone(found.case, step, snapshot()));
    return n >= path.length;
  });
  return pair.compare(cases).find((d) => d !== undefined);
}

/** One instruction of the path, in the state that the path led to. */
function alone(c: Case, step: Executed, state: Result): Case {
  const at = step.at - (c.mode === 16 ? CODE_BASE16 : 0);
  const code = step.bytes.slice(0, step.row ? step.length : 15);
  const blank = pristine();
  const patches = runs(blank, state.memory as Uint8Array).filter(({ address, bytes }) => {
    return address + bytes.length <= linearStart(c) || address >= linearStart(c) + c.code.length;
  });
  const xsave = state.xsave.slice();
  return {
    mode: c.mode,
    code,
    rip: at,
    rflags: Number(state.rflags) & ~0x100,
    gpr: state.gpr.slice(),
    xsave,
    patches,
    starts: [0],
    about: step.row?.mnemonic.toLowerCase() ?? c.about,
  };
}

/** Instructions of a program replaced by NOPs where that keeps the difference. */
function withoutParts(pair: Pair, found: Compared): Compared {
  let best = found;
  const { starts, code } = found.case;
  for (let i = starts.length - 1; i >= 0; i--) {
    const shorter = best.case.code.slice();
    shorter.fill(0x90, starts[i], starts[i + 1] ?? code.length);
    const [again] = pair.compare([{ ...best.case, code: shorter }]);
    if (again) best = again;
  }
  return best;
}

type Simpler = (c: Case) => Case | undefined;

/** Each register and each patch of memory as it is by default, each prefix left out, as far as the difference stays. */
function simplest(pair: Pair, found: Compared): Compared {
  let best = found;
  for (let changed = true, rounds = 0; changed && rounds < 4; rounds++) {
    changed = false;
    for (const make of simplifications(best.case)) {
      const simpler = make(best.case);
      if (!simpler) continue;
      const [again] = pair.compare([simpler]);
      if (!again?.fields.some((f) => best.fields.includes(f))) continue;
      best = again;
      changed = true;
    }
  }
  return best;
}

function simplifications(c: Case): Simpler[] {
  const out: Simpler[] = [];
  const xsave =
    (change: (x: Uint8Array) => void): Simpler =>
    (from) => {
      const copy = from.xsave.slice();
      change(copy);
      return Buffer.compare(copy, from.xsave) ? { ...from, xsave: copy } : undefined;
    };
  const registers = (x: Uint8Array): void => {
    for (let i = 0; i < 16; i++) x.set(defaultXmm(i), X.xmm + i * 16);
    x.fill(0, X.ymmHigh);
  };
  const fpu = (x: Uint8Array): void => {
    x.fill(0, 0, X.mxcsr);
    x.set([0x7f, 3]);
    x.fill(0, X.st, X.xmm);
  };
  const mxcsr = (x: Uint8Array): void => x.set([0x80, 0x1f, 0, 0], X.mxcsr);
  out.push(
    xsave((x) => {
      registers(x);
      fpu(x);
      mxcsr(x);
    }),
    xsave(registers),
    xsave(fpu),
    xsave(mxcsr),
  );
  out.push((from) => (from.patches.length ? { ...from, patches: [] } : undefined));
  for (let i = c.patches.length - 1; i >= 0; i--) {
    out.push((from) => (i < from.patches.length ? { ...from, patches: from.patches.toSpliced(i, 1) } : undefined));
  }
  out.push((from) => (from.rflags === 0x202 ? undefined : { ...from, rflags: 0x202 }));
  for (let i = 0; i < 16; i++) {
    for (const value of [0n, 1n]) {
      out.push((from) => {
        if (from.gpr[i] <= value) return undefined;
        const gpr = from.gpr.slice();
        gpr[i] = value;
        return { ...from, gpr };
      });
    }
    out.push(xsave((x) => x.set(defaultXmm(i), X.xmm + i * 16)));
    if (i < 8) out.push(xsave((x) => x.fill(0, X.st + i * 16, X.st + i * 16 + 10)));
  }
  out.push(xsave((x) => x.fill(0, X.ymmHigh)));
  if (c.starts.length === 1) {
    for (let i = c.code.length - 2; i >= 0; i--) {
      out.push((from) => {
        if (i >= from.code.length - 1) return undefined;
        return { ...from, code: Uint8Array.from([...from.code.subarray(0, i), ...from.code.subarray(i + 1)]) };
      });
    }
  }
  return out;
}
