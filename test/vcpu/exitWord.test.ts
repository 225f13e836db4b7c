/** Exits: a worker posts one (src/vcpu/exitWord.ts), the device thread answers it, the ring drained before. */
import { describe, expect, it } from "vitest";
import { CONTROL, RING_BASE, RING_SIZE, VCPU } from "../../src/shared/layout.ts";
import { answerExit, awaitAnswer, postAgain, postExit, takeExits } from "../../src/vcpu/exitWord.ts";
import { drainRing } from "../../src/vcpu/ring.ts";
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

interface Fault {
  /** An exit is answered although an entry before its own ones is not published yet. */
  ignoreGaps?: boolean;
  /** The ring is drained before the exits are taken. */
  drainFirst?: boolean;
  /** The doorbell is read after the exits have been taken. */
  lateBell?: boolean;
}

/** Each vCPU puts its number of writes so far into the ring and then exits; the exit must find the write done. */
function scenario(vcpus: number, exits: number, fault: Fault = {}): Scenario {
  const memory = modelMemory();
  const control = steppedView(memory.control);
  const views = memory.vcpus.map(steppedView);
  const words = memory.control.words;
  const written = [0, 0];
  const served = [0, 0];
  const resumed = [0, 0];

  function* worker(id: number): Steps {
    memory.vcpus[id].set(VCPU.vcpuid, id);
    for (let n = 1; n <= exits; n++) {
      // assembly/ring.ts, ringPut: ticket, fields, kind, doorbell.
      yield;
      const at = (RING_BASE + (words[memory.control.index(CONTROL.ringHead)]++ % (RING_SIZE / 16)) * 16) >> 2;
      yield;
      words.set([id, n], at + 1);
      yield;
      words[at] = 1;
      yield;
      words[memory.control.index(CONTROL.doorbell)]++;
      yield* real(() => postExit(views[id], control));
      yield* real(() => awaitAnswer(views[id]));
      resumed[id]++;
      same(resumed[id], served[id], "answers");
    }
  }

  /** ThreadedEngine.#serve and #answer. */
  function* device(): Steps {
    const drain = () =>
      drainRing(control, (_kind, vcpu, low) =>
        step(() => {
          same(low, written[vcpu] + 1, "write");
          written[vcpu] = low;
        }),
      );
    for (;;) {
      let seen = yield* real(() => control.load(CONTROL.doorbell));
      let all = fault.drainFirst ? yield* real(drain) : true;
      const posted = yield* real(() => takeExits(control));
      if (!fault.drainFirst) all = yield* real(drain);
      if (all || fault.ignoreGaps) {
        for (let id = 0; id < vcpus; id++) {
          if (!(posted & (1 << id))) continue;
          same(written[id], served[id] + 1, "writes done before the exit");
          served[id]++;
          yield* real(() => answerExit(views[id]));
        }
      } else if (posted) yield* real(() => postAgain(control, posted));
      if (fault.lateBell) seen = yield* real(() => control.load(CONTROL.doorbell));
      yield () => words[memory.control.index(CONTROL.doorbell)] !== seen;
    }
  }

  const sides: Record<string, Steps> = { device: device() };
  for (let id = 0; id < vcpus; id++) sides[`vcpu${id}`] = worker(id);
  return {
    sides,
    servers: ["device"],
    check: () => {
      for (let id = 0; id < vcpus; id++) {
        same(served[id], exits, "exits served");
        same(resumed[id], exits, "exits answered");
      }
    },
  };
}

describe("exits", () => {
  it("are answered once each, after everything their vCPU has written before", () => {
    withSteppedAtomics(() => explore(() => scenario(2, 3), 1500));
  });

  it("are so under every schedule with few preemptions", () => {
    withSteppedAtomics(() => {
      expect(exhaust(() => scenario(1, 2), 2)).toBeGreaterThan(100);
      expect(exhaust(() => scenario(2, 1), 1)).toBeGreaterThan(100);
    });
  });

  it("are checked by something that finds faults", () => {
    withSteppedAtomics(() => {
      findFaults([{ ignoreGaps: true }, { drainFirst: true }, { lateBell: true }], (fault) => scenario(2, 3, fault));
    });
  });
});
