/** INIT and start-up IPIs on their way to a vCPU (src/vcpu/startup.ts); the vCPU's side is assembly/startup.ts. */
import { describe, expect, it } from "vitest";
import { ATTENTION, RUN_STATE, STARTUP, VCPU } from "../../src/shared/layout.ts";
import { finishInit, postInit, postSipi } from "../../src/vcpu/startup.ts";
import {
  exhaust,
  explore,
  findFaults,
  modelMemory,
  real,
  type Scenario,
  type Steps,
  same,
  steppedView,
  withSteppedAtomics,
} from "./interleave.ts";

interface Fault {
  /** INIT empties the word instead of clearing its own bit. */
  clearAll?: boolean;
  /** After INIT nobody looks for a SIPI. */
  noLook?: boolean;
}

type Event = "INIT" | number;

/** The device thread sends `events`; the vCPU ends up where the last ones have left it. */
function scenario(events: readonly Event[], fault: Fault = {}): Scenario {
  const memory = modelMemory();
  const [plain] = memory.vcpus;
  const view = steppedView(plain);
  const words = plain.words;
  const attention = plain.index(VCPU.attention);
  const word = plain.index(VCPU.startup);
  let state: number = RUN_STATE.RUNNING;
  let started = -1;
  let exit = false;
  let sent = false;

  function* device(): Steps {
    const serve = function* (): Steps {
      state = RUN_STATE.WAIT_FOR_SIPI;
      if (!fault.noLook) yield* real(() => finishInit(view));
      yield;
      exit = false;
    };
    for (const event of events) {
      if (event === "INIT") yield* real(() => postInit(view));
      else yield* real(() => postSipi(view, event));
      yield;
      if (exit) yield* serve();
    }
    sent = true;
    for (;;) {
      yield () => exit;
      yield* serve();
    }
  }

  function* vcpu(): Steps {
    for (;;) {
      yield () => words[attention] !== 0;
      words[attention] = 0;
      yield;
      const what = words[word];
      if (what & STARTUP.INIT) {
        yield;
        words[word] = fault.clearAll ? 0 : words[word] & ~STARTUP.INIT;
        yield;
        exit = true;
        yield () => !exit;
        continue;
      }
      if (!(what & STARTUP.SIPI)) continue;
      yield;
      if (words[word] !== what) continue;
      words[word] = 0;
      if (state !== RUN_STATE.WAIT_FOR_SIPI) continue;
      state = RUN_STATE.RUNNING;
      started = what & STARTUP.VECTOR;
    }
  }

  return {
    sides: { device: device(), vcpu: vcpu() },
    servers: ["device", "vcpu"],
    check: () => {
      same(sent, true, "everything sent");
      same(words[attention] & ATTENTION.INIT, 0, "nothing left");
      const last = events.lastIndexOf("INIT");
      const vectors = events.slice(last + 1);
      if (vectors.length) {
        same(state, RUN_STATE.RUNNING, "state");
        same(vectors.includes(started), true, "vector");
      } else if (last >= 0) same(state, RUN_STATE.WAIT_FOR_SIPI, "state");
    },
  };
}

describe("INIT and start-up IPIs", () => {
  it("leave the vCPU as the last INIT and the SIPIs after it say", () => {
    withSteppedAtomics(() => {
      explore(() => scenario(["INIT", 8, 8]), 1500);
      explore(() => scenario(["INIT", 8, "INIT", 9, 9]), 1500, 2);
      explore(() => scenario([7, "INIT", 8, "INIT"]), 1500, 3);
      expect(exhaust(() => scenario(["INIT", 8, "INIT", 9]), 2)).toBeGreaterThan(100);
    });
  });

  it("are checked by something that finds faults", () => {
    withSteppedAtomics(() => {
      findFaults([{ clearAll: true }, { noLook: true }], (fault) => scenario(["INIT", 8], fault));
    });
  });
});
