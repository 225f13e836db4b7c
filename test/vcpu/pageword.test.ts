/**
 * The page word among vCPUs: who may write to a page, who holds code of it. The code under test is the core's
 * (assembly/mem/pageword.ts); this is its state machine, step by step, with ways to get it wrong.
 */
import { describe, expect, it } from "vitest";
import { exhaust, explore, findFaults, type Scenario, type Steps, same } from "./interleave.ts";

interface Fault {
  /** noteWritable looks for code first and sets its bit later. */
  checkThenSet?: boolean;
  /** Whoever asks goes on as soon as it has seen the other one outside the guest, before it has asked. */
  earlyLook?: boolean;
  /** A vCPU comes back into the guest without looking at what it is asked. */
  noLook?: boolean;
  /** A slot that is taken is replaced, and nothing else. */
  forgetful?: boolean;
  /** unwriteAll is set after the slot has been replaced. */
  lateAll?: boolean;
  /** Who waits serves nobody. */
  deaf?: boolean;
  /** The careful path looks at the word before it writes. */
  earlyWord?: boolean;
}

/** What a vCPU does: writes to or executes page n, or is outside the guest for a while. */
type Op = ["write" | "exec", number] | ["out"];

const PAGES = 2;

function scenario(scripts: readonly (readonly Op[])[], fault: Fault = {}): Scenario {
  const n = scripts.length;
  const writers = [0, 0];
  const holders = [0, 0];
  const version = [0, 0];
  const cpus = scripts.map(() => ({
    /** Pages with a write translation; page -> version of its code. */
    writable: new Set<number>(),
    blocks: new Map<number, number>(),
    /** Slot i: 0 or page + 1. */
    slots: new Array<number>(n).fill(0),
    unwriteAll: false,
    drops: new Set<number>(),
    inGuest: false,
  }));

  function* serve(me: number): Steps {
    const cpu = cpus[me];
    for (let i = 0; i < n; i++) {
      for (;;) {
        yield;
        const page = cpu.slots[i];
        if (!page) break;
        cpu.writable.delete(page - 1);
        yield;
        writers[page - 1] &= ~(1 << me);
        yield;
        if (cpu.slots[i] === page) cpu.slots[i] = 0;
      }
    }
    yield;
    if (cpu.unwriteAll) {
      cpu.unwriteAll = false;
      cpu.writable.clear();
    }
  }

  function* takeDrops(me: number): Steps {
    yield* serve(me);
    const cpu = cpus[me];
    for (const page of [...cpu.drops]) {
      yield;
      cpu.drops.delete(page);
      cpu.blocks.delete(page);
      yield;
      holders[page] &= ~(1 << me);
    }
  }

  function* enter(me: number): Steps {
    yield;
    cpus[me].inGuest = true;
    if (!fault.noLook) yield* takeDrops(me);
  }

  function* unwrite(me: number, page: number, others: number): Steps {
    for (let other = 0; other < n; other++) {
      if (!(others & (1 << other))) continue;
      if (fault.earlyLook && !cpus[other].inGuest) continue;
      yield;
      const old = cpus[other].slots[me];
      const taken = old !== 0 && old !== page + 1;
      if (taken && !fault.lateAll && !fault.forgetful) {
        yield;
        cpus[other].unwriteAll = true;
      }
      yield;
      cpus[other].slots[me] = page + 1;
      if (taken && fault.lateAll) {
        yield;
        cpus[other].unwriteAll = true;
      }
    }
    for (let other = 0; other < n; other++) {
      if (!(others & (1 << other)) || fault.earlyLook) continue;
      const gone = () => !cpus[other].slots[me] || !cpus[other].inGuest;
      const asked = () => cpus[me].slots.some((page) => page !== 0);
      while (!gone()) {
        yield () => gone() || (!fault.deaf && asked());
        if (!gone()) yield* serve(me);
      }
    }
  }

  function* exec(me: number, page: number): Steps {
    const cpu = cpus[me];
    if (!cpu.blocks.has(page)) {
      yield;
      holders[page] |= 1 << me;
      const others = writers[page] & ~(1 << me);
      if (others) yield* unwrite(me, page, others);
      yield;
      const read = version[page];
      yield;
      cpu.blocks.set(page, read);
      // addToPage: its own translation goes as well.
      cpu.writable.delete(page);
      writers[page] &= ~(1 << me);
    }
  }

  function* write(me: number, page: number): Steps {
    const cpu = cpus[me];
    if (!cpu.writable.has(page)) {
      yield;
      let code = holders[page] !== 0;
      const had = writers[page] & (1 << me);
      if (fault.checkThenSet) yield;
      else code = holders[page] !== 0;
      writers[page] |= 1 << me;
      if (code) {
        if (!had) {
          yield;
          writers[page] &= ~(1 << me);
        }
        if (fault.earlyWord) yield;
        let posted = fault.earlyWord ? holders[page] : 0;
        yield;
        version[page]++;
        yield;
        if (!fault.earlyWord) posted = holders[page];
        if (posted & (1 << me)) {
          cpu.blocks.delete(page);
          holders[page] &= ~(1 << me);
        }
        for (let other = 0; other < n; other++) {
          if (other === me || !(posted & (1 << other))) continue;
          yield;
          cpus[other].drops.add(page);
        }
        return;
      }
      yield;
      cpu.writable.add(page);
    }
    yield;
    // The write goes through only while the translation is there: instructions are not interrupted.
    if (!cpu.writable.has(page)) return;
    version[page]++;
    for (const other of cpus) same(other.blocks.has(page), false, `code of page ${page}, which vCPU ${me} writes to`);
  }

  function* vcpu(me: number): Steps {
    yield* enter(me);
    let entered = true;
    for (const op of scripts[me]) {
      if (!entered) yield* takeDrops(me);
      entered = op[0] === "out";
      if (op[0] === "exec") yield* exec(me, op[1]);
      else if (op[0] === "write") yield* write(me, op[1]);
      else {
        yield;
        cpus[me].inGuest = false;
        yield* enter(me);
      }
    }
    yield;
    cpus[me].inGuest = false;
  }

  return {
    sides: Object.fromEntries(scripts.map((_, i) => [`vcpu${i}`, vcpu(i)])),
    check: () => {
      for (const cpu of cpus) {
        for (let page = 0; page < PAGES; page++) {
          if (cpu.blocks.has(page) && !cpu.drops.has(page)) {
            same(cpu.blocks.get(page), version[page], `version of page ${page}`);
          }
        }
      }
    },
  };
}

const W = (page: number): Op => ["write", page];
const X = (page: number): Op => ["exec", page];
const OUT: Op = ["out"];
const TWO = () => [
  [W(0), X(1), W(0), X(0), W(1)],
  [X(0), W(1), X(0), OUT, X(1)],
];
const THREE = () => [
  [W(0), OUT, W(1), W(0), X(1)],
  [X(0), X(1), W(0), X(0)],
  [W(1), X(0), W(1), X(1)],
];
/** A writer that stays outside while another vCPU wants one page after the other. */
const OUTSIDE = () => [
  [W(0), W(1), OUT, W(0), W(1)],
  [X(0), X(1)],
];
/** Each wants to execute what the other writes to. */
const CIRCLE = () => [
  [W(0), X(1), W(0)],
  [W(1), X(0), W(1)],
];

describe("the page word among vCPUs", () => {
  it("lets nobody write unseen to a page with code, and ends", () => {
    explore(() => scenario(TWO()), 3000);
    explore(() => scenario(THREE()), 3000, 2);
    explore(() => scenario(OUTSIDE()), 2000, 3);
    explore(() => scenario(CIRCLE()), 1000, 4);
  });

  it("does so under every schedule with few preemptions", () => {
    expect(exhaust(() => scenario(TWO()), 2)).toBeGreaterThan(100);
    expect(exhaust(() => scenario(OUTSIDE()), 2)).toBeGreaterThan(100);
  });

  it("is checked by something that finds faults", () => {
    const scripts = { THREE, OUTSIDE, CIRCLE, TWO };
    const faults: [Fault, keyof typeof scripts][] = [
      [{ checkThenSet: true }, "TWO"],
      [{ earlyLook: true }, "OUTSIDE"],
      [{ noLook: true }, "OUTSIDE"],
      [{ forgetful: true }, "OUTSIDE"],
      [{ lateAll: true }, "OUTSIDE"],
      [{ deaf: true }, "CIRCLE"],
      [{ earlyWord: true }, "THREE"],
    ];
    findFaults(faults, ([fault, name]) => scenario(scripts[name](), fault), 10_000);
  });
});
