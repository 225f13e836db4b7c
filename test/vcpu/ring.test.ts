/** The ring of coalesced writes: many writers (assembly/ring.ts), one reader (src/vcpu/ring.ts). */
import { describe, expect, it, vi } from "vitest";
import { CONTROL, RING_BASE } from "../../src/shared/layout.ts";
import { drainRing } from "../../src/vcpu/ring.ts";
import type { StructView } from "../../src/vcpu/view.ts";
import {
  exhaust,
  explore,
  findFaults,
  modelMemory,
  real,
  type Scenario,
  type Steps,
  same,
  step,
  steppedView,
  withSteppedAtomics,
} from "./interleave.ts";

// Two entries, so that the ring is full at once.
vi.mock("../../src/shared/layout.ts", async (original) => ({ ...(await original<object>()), RING_SIZE: 32 }));
const ENTRIES = 2;

interface Fault {
  /** The kind is written before the fields. */
  earlyKind?: boolean;
  /** A writer does not wait for the reader. */
  noWait?: boolean;
  /** The reader reads the doorbell after it has drained. */
  lateBell?: boolean;
}

/** assembly/ring.ts, ringPut, one step per access to shared memory. */
function* ringPut(control: StructView, vcpu: number, value: number, fault: Fault): Steps {
  const words = control.words;
  yield;
  const head = control.index(CONTROL.ringHead);
  const ticket = words[head]++;
  const room = () => ticket - words[control.index(CONTROL.ringTail)] < ENTRIES;
  if (!fault.noWait) yield room;
  const at = (RING_BASE + (ticket & (ENTRIES - 1)) * 16) >> 2;
  const fields: [number, number][] = [
    [1, vcpu],
    [2, value],
    [3, value],
  ];
  fields[fault.earlyKind ? "unshift" : "push"]([0, 1]);
  for (const [i, v] of fields) {
    yield;
    words[at + i] = v;
  }
  yield;
  words[control.index(CONTROL.doorbell)]++;
}

function scenario(writers: number, each: number, fault: Fault = {}): Scenario {
  const { control } = modelMemory();
  const view = steppedView(control);
  const got: [number, number][] = [];
  function* writer(id: number): Steps {
    for (let i = 1; i <= each; i++) yield* ringPut(control, id, i, fault);
  }
  /** The ring's part of ThreadedEngine.#serve. */
  function* reader(): Steps {
    for (;;) {
      let seen = yield* real(() => view.load(CONTROL.doorbell));
      yield* real(() =>
        drainRing(view, (_kind, vcpu, low, high) =>
          step(() => {
            same(high, low, "halves of an entry");
            got.push([vcpu, low]);
          }),
        ),
      );
      if (fault.lateBell) seen = yield* real(() => view.load(CONTROL.doorbell));
      yield () => control.words[control.index(CONTROL.doorbell)] !== seen;
    }
  }
  const sides: Record<string, Steps> = { reader: reader() };
  for (let id = 0; id < writers; id++) sides[`writer${id}`] = writer(id);
  return {
    sides,
    servers: ["reader"],
    check: () => {
      for (let id = 0; id < writers; id++) {
        const mine = got.filter(([v]) => v === id).map(([, value]) => value);
        same(mine.join(), Array.from({ length: each }, (_, i) => i + 1).join(), `entries of writer ${id}`);
      }
      same(got.length, writers * each, "entries");
    },
  };
}

describe("the ring", () => {
  it("loses nothing, repeats nothing and keeps each writer's order", () => {
    withSteppedAtomics(() => explore(() => scenario(3, 3), 1500));
  });

  it("does so under every schedule of one and two writers with few preemptions", () => {
    withSteppedAtomics(() => {
      expect(exhaust(() => scenario(1, 3), 2)).toBeGreaterThan(100);
      expect(exhaust(() => scenario(2, 2), 1)).toBeGreaterThan(100);
    });
  });

  it("is checked by something that finds faults", () => {
    withSteppedAtomics(() => {
      findFaults([{ earlyKind: true }, { noWait: true }, { lateBell: true }], (fault) => scenario(2, 3, fault));
    });
  });

  it("hands an entry out once, where that throws and where it drains the ring itself", () => {
    const { control } = modelMemory();
    const put = (value: number): void => {
      const ticket = control.words[control.index(CONTROL.ringHead)]++;
      control.words.set([1, 0, value, value], (RING_BASE + (ticket & (ENTRIES - 1)) * 16) >> 2);
    };
    const got: number[] = [];
    for (const value of [1, 2]) put(value);
    const throws = (): boolean =>
      drainRing(control, (_kind, _vcpu, low) => {
        got.push(low);
        throw new Error(`entry ${low}`);
      });
    expect(throws).toThrow("entry 1");
    expect(throws).toThrow("entry 2");
    for (const value of [3, 4]) put(value);
    const nested = (_kind: number, _vcpu: number, low: number): void => {
      got.push(low);
      // Room for one that comes meanwhile.
      if (low === 3) put(5);
      expect(drainRing(control, nested)).toBe(true);
    };
    expect(drainRing(control, nested)).toBe(true);
    expect(got).toEqual([1, 2, 3, 4, 5]);
  });
});
