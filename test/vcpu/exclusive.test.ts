/**
 * Running alone: the state machine of assembly/mem/exclusive.ts, step by step, with ways to get it wrong. Every vCPU adds
 * to one counter: now by an atomic operation, now by a read and a write that are two steps, while it is alone.
 */
import { describe, expect, it } from "vitest";
import { exhaust, explore, findFaults, type Scenario, type Steps, same } from "./interleave.ts";

interface Fault {
  /** enterGuest looks at the owner before it says that it is inside. */
  lookFirst?: boolean;
  /** The one that wants to be alone does not wait for the others. */
  noWait?: boolean;
  /** The one that wants to be alone is still inside while it waits. */
  stayInside?: boolean;
  /** The attention word is not set. */
  quiet?: boolean;
}

type Op = "atomic" | "alone" | "out";

function scenario(scripts: readonly (readonly Op[])[], fault: Fault = {}): Scenario {
  let owner = 0;
  let counter = 0;
  const inGuest = scripts.map(() => false);
  const attention = scripts.map(() => false);

  function* enter(me: number): Steps {
    for (;;) {
      if (fault.lookFirst) {
        yield;
        const free = owner === 0;
        yield;
        if (free) {
          inGuest[me] = true;
          return;
        }
      } else {
        yield;
        inGuest[me] = true;
        yield;
        if (!owner) return;
        yield;
        inGuest[me] = false;
      }
      yield () => owner === 0;
    }
  }

  function* leave(me: number): Steps {
    yield;
    inGuest[me] = false;
  }

  function* alone(me: number): Steps {
    if (!fault.stayInside) yield* leave(me);
    for (;;) {
      yield () => owner === 0;
      if (!owner) {
        owner = me + 1;
        break;
      }
    }
    for (let i = 0; i < scripts.length; i++) {
      if (i === me || fault.quiet) continue;
      yield;
      attention[i] = true;
    }
    if (!fault.noWait) for (let i = 0; i < scripts.length; i++) if (i !== me) yield () => !inGuest[i];
    yield;
    inGuest[me] = true;
    yield;
    const seen = counter;
    yield;
    counter = seen + 1;
    yield;
    owner = 0;
  }

  function* vcpu(me: number): Steps {
    yield* enter(me);
    for (const op of scripts[me]) {
      yield;
      const asked = attention[me];
      attention[me] = false;
      if (asked || op === "out") {
        yield* leave(me);
        yield* enter(me);
      }
      if (op === "alone") yield* alone(me);
      else if (op === "atomic") {
        // A spin loop, in a guest that does not come back by itself.
        if (fault.quiet) yield () => owner === 0 || attention[me];
        yield;
        same(inGuest[me], true, "inside");
        counter++;
      }
    }
    yield* leave(me);
  }

  const total = scripts.flat().filter((op) => op !== "out").length;
  return {
    sides: Object.fromEntries(scripts.map((_, i) => [`vcpu${i}`, vcpu(i)])),
    check: () => {
      same(counter, total, "counter");
      same(owner, 0, "owner");
    },
  };
}

const SCRIPTS = (): Op[][] => [
  ["atomic", "alone", "atomic", "out", "atomic"],
  ["alone", "atomic", "out", "alone"],
  ["out", "atomic", "atomic", "atomic"],
];

describe("running alone", () => {
  it("loses no addition, and ends", () => {
    explore(() => scenario(SCRIPTS()), 4000);
    expect(exhaust(() => scenario(SCRIPTS().slice(0, 2)), 2)).toBeGreaterThan(100);
  });

  it("is checked by something that finds faults", () => {
    const faults = [{ lookFirst: true }, { noWait: true }, { stayInside: true }, { quiet: true }];
    findFaults(faults, (fault) => scenario(SCRIPTS(), fault), 5000);
  });
});
