/**
 * The attention word (src/vcpu/attention.ts): posted interrupts (src/io/apicPage.ts), stop and start, sleeping in HLT,
 * device deadlines. The vCPU's side is `run` in assembly/index.ts and `apicSync` in assembly/apic.ts.
 */
import { describe, expect, it } from "vitest";
import { ApicPage } from "../../src/io/apicPage.ts";
import { AREA, ATTENTION, CONTROL, VCPU } from "../../src/shared/layout.ts";
import { armDeadline, clearStop, keepDeadline, requestStop, sleepInHalt } from "../../src/vcpu/attention.ts";
import { ringDoorbell } from "../../src/vcpu/exitWord.ts";
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

const NEVER = 0xffff_ffff_ffff_ffffn;
const VECTOR = 0x41;

interface Fault {
  /** STOP leaves before the other bits have been acted on. */
  stopFirst?: boolean;
  /** The attention word is set before the request. */
  earlyBit?: boolean;
  /** HLT sleeps whatever the attention word says. */
  blindSleep?: boolean;
  /** STOP that was not taken is still there when the vCPU starts. */
  staleStop?: boolean;
}

/** Two devices post one vector each, several times, while the host stops and starts the vCPU. */
function posting(posts: number, pauses: number, fault: Fault = {}): Scenario {
  const memory = modelMemory();
  const [plain] = memory.vcpus;
  const view = steppedView(plain);
  const words = plain.words;
  const attention = plain.index(VCPU.attention);
  const pir = (plain.base + AREA.PIR) >> 2;
  plain.set64(VCPU.apicTimer, NEVER);
  plain.set64(VCPU.deviceDeadline, NEVER);
  const page = new ApicPage(memory, plain.base);
  const posted = [0, 0];
  const seen = [0, 0];
  let running = true;
  let ended = false;

  function* device(k: number): Steps {
    const vector = VECTOR + 32 * k;
    for (let i = 1; i <= posts; i++) {
      // Vlapic.post
      if (fault.earlyBit) yield* real(() => page.attend(ATTENTION.POSTED));
      posted[k] = i;
      yield* real(() => page.request(vector));
      if (!fault.earlyBit) yield* real(() => page.attend(ATTENTION.POSTED));
    }
  }

  function* vcpu(): Steps {
    for (;;) {
      yield;
      const why = words[attention];
      words[attention] = 0;
      if (why & ATTENTION.STOP && fault.stopFirst) {
        running = false;
        yield () => running;
        continue;
      }
      let event = false;
      if (why & ATTENTION.POSTED) {
        for (let k = 0; k < 2; k++) {
          yield;
          const word = pir + (VECTOR >> 5) + k;
          if (words[word]) {
            words[word] = 0;
            seen[k] = posted[k];
            event = true;
          }
        }
      }
      if (why & ATTENTION.STOP) {
        running = false;
        yield () => running;
        continue;
      }
      if (event) continue;
      if (fault.blindSleep) {
        const before = words[attention];
        yield;
        yield () => words[attention] !== before;
      } else yield* real(() => sleepInHalt(view, () => 0));
    }
  }

  /** ThreadedEngine.stop and start. */
  function* host(): Steps {
    for (let i = 0; i < pauses; i++) {
      yield* real(() => requestStop(view));
      yield () => !running;
      // Told once more, as it may be when it comes back by itself at the same time.
      yield* real(() => requestStop(view));
      if (!fault.staleStop) yield* real(() => clearStop(view));
      yield;
      running = true;
    }
    ended = true;
  }

  return {
    sides: { vcpu: vcpu(), device0: device(0), device1: device(1), ...(pauses && { host: host() }) },
    servers: ["vcpu"],
    check: () => {
      same(ended || !pauses, true, "host ended");
      same(running, true, "vCPU runs");
      for (let k = 0; k < 2; k++) same(seen[k], posts, `last interrupt of device ${k} seen`);
    },
  };
}

interface DeadlineFault {
  /** The core stores NEVER instead of comparing first. */
  plainClear?: boolean;
  /** The device thread trusts the core to have its deadline. */
  noKeep?: boolean;
}

/** A periodic deadline, two clocks that differ by `skew`, and exits that ring the doorbell when the first `others` are due. */
function deadlines(ticks: number, skew: number, others: number, fault: DeadlineFault = {}, grain = 0.1): Scenario {
  const memory = modelMemory();
  const [plain] = memory.vcpus;
  const view = steppedView(plain);
  const control = steppedView(memory.control);
  const words = plain.words;
  const attention = plain.index(VCPU.attention);
  const bell = memory.control.index(CONTROL.doorbell);
  const PERIOD = 1_000_000n;
  plain.set64(VCPU.apicTimer, NEVER);
  plain.set64(VCPU.deviceDeadline, PERIOD);
  let next = PERIOD;
  let fired = 0;

  function* time(): Steps {
    const end = ticks + Math.ceil(Math.abs(skew)) + 1;
    for (now = 0; now < end; now += grain) yield;
  }

  function* vcpu(): Steps {
    for (;;) {
      yield;
      words[attention] = 0;
      // tick: the deadline is read, compared with the clock, and cleared.
      yield;
      const due = plain.get64(VCPU.deviceDeadline);
      if (Number(due) / 1e6 <= now) {
        yield;
        if (fault.plainClear || plain.get64(VCPU.deviceDeadline) === due) plain.set64(VCPU.deviceDeadline, NEVER);
        yield* real(() => ringDoorbell(control));
      }
      yield* real(() => sleepInHalt(view, () => now));
    }
  }

  function* other(): Steps {
    for (let i = 1; i <= others; i++) {
      yield () => now >= i;
      yield* real(() => ringDoorbell(control));
    }
  }

  /** ThreadedEngine.#answer and MachineTimers.fire. */
  function* device(): Steps {
    for (;;) {
      yield;
      const seen = memory.control.words[bell];
      yield;
      if (next !== NEVER && Number(next) / 1e6 <= now - skew) {
        fired++;
        next = fired === ticks ? NEVER : next + PERIOD;
        yield* real(() => armDeadline(view, next));
      } else if (!fault.noKeep) yield* real(() => keepDeadline(view, next));
      yield () => memory.control.words[bell] !== seen;
    }
  }

  now = 0;
  return {
    sides: { vcpu: vcpu(), device: device(), other: other(), time: time() },
    servers: ["vcpu", "device"],
    check: () => same(fired, ticks, "ticks"),
  };
}

/** Guest time of the model in ms. */
let now = 0;
const withClock = (work: () => void): void =>
  withSteppedAtomics(work, (ms) => {
    const until = now + ms;
    return () => now >= until;
  });

describe("posted interrupts", () => {
  it("are delivered after the last was posted, whatever the vCPU was doing, stopped or asleep", () => {
    withSteppedAtomics(() => explore(() => posting(3, 2), 1500));
  });

  it("are so under every schedule with few preemptions", () => {
    withSteppedAtomics(() => {
      expect(exhaust(() => posting(1, 0), 3)).toBeGreaterThan(100);
      expect(exhaust(() => posting(1, 1), 1)).toBeGreaterThan(100);
    });
  });

  it("are checked by something that finds faults", () => {
    withSteppedAtomics(() => {
      findFaults([{ stopFirst: true }, { earlyBit: true }, { blindSleep: true }, { staleStop: true }], (fault) =>
        posting(3, 2, fault),
      );
    });
  });
});

describe("device deadlines", () => {
  it("all fire, with clocks that agree, and with either ahead", () => {
    withClock(() => {
      for (const skew of [0, 1, -1]) explore(() => deadlines(3, skew, 2), 500, 2 + skew);
    });
  });

  it("all fire under every schedule with few preemptions", () => {
    withClock(() => {
      expect(exhaust(() => deadlines(2, 0, 1, {}, 0.5), 1)).toBeGreaterThan(100);
    });
  });

  it("are checked by something that finds faults", () => {
    withClock(() => {
      const both = { plainClear: true, noKeep: true };
      // A lost update; then the core's clock ahead.
      findFaults([both], (fault) => deadlines(3, 0, 2, fault));
      findFaults([{ noKeep: true }], (fault) => deadlines(3, 1, 0, fault));
    });
  });
});
