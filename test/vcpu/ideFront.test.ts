/** The front of IDE channels: a vCPU's changes (assembly/ide.ts, post and values) against the device thread's (src/bus/ideFront.ts). */
import { describe, expect, it } from "vitest";
import { exhaust, explore, findFaults, type Scenario, type Steps, same } from "./interleave.ts";

interface Fault {
  /** vCPU: looks at what has been taken before it counts its own change. */
  lateCount?: boolean;
  /** Device thread: looks for changes under way before it says what it has taken. */
  earlyLook?: boolean;
  /** Device thread: interrupts while changes are under way. */
  noHold?: boolean;
}

/** Bits of the one register here. */
const INT = 1;
const BUSY = 2;

/**
 * A driver acknowledges and starts transfers; each must come to an interrupt whose handler sees INT. Now and then it writes
 * something else that it need not, which acknowledges, too.
 */
function scenario(transfers: number, extra: boolean, fault: Fault = {}): Scenario {
  const m = { values: 0, posted: 0, taken: 0, clear: 0, set: 0, bell: 0 };
  const ring: { clear: number; set: number; start: boolean }[] = [];
  let line = false;
  let handled = 0;

  function* post(clear: number, set: number, start = false): Steps {
    let before = m.posted;
    let taken = m.taken;
    if (fault.lateCount) yield;
    else {
      yield;
      before = m.posted++;
      yield;
      taken = m.taken;
    }
    const [s, c] = before === taken ? [set, clear] : [(m.set & ~clear) | set, m.clear | clear];
    if (fault.lateCount) {
      yield;
      m.posted++;
    }
    yield;
    m.clear = c;
    yield;
    m.set = s;
    yield;
    ring.push({ clear, set, start });
    if (start) m.bell++;
  }

  function* read(): Steps<number> {
    yield;
    const published = m.values;
    yield;
    if (m.posted !== m.taken) return (published & ~m.clear) | m.set;
    yield;
    return m.values;
  }

  function* vcpu(): Steps {
    for (let n = 0; n < transfers; n++) {
      yield* post(BUSY | INT, BUSY);
      yield* post(0, 0, true);
      if (extra) yield* post(0, 0);
      yield () => line;
      line = false;
      same((yield* read()) & INT, INT, "INT in the handler");
      handled++;
      yield* post(INT, 0);
    }
  }

  function* device(): Steps {
    let taken = 0;
    let held = false;
    for (;;) {
      const seen = m.bell;
      for (;;) {
        yield;
        const entry = ring.shift();
        if (!entry) break;
        taken++;
        const values = entry.start ? INT : (m.values & ~entry.clear) | entry.set;
        const may = fault.noHold || m.posted === taken;
        if (fault.earlyLook) yield;
        m.values = values;
        yield;
        m.taken = taken;
        if (!entry.start && !held) continue;
        yield;
        held = fault.earlyLook ? !may : !fault.noHold && m.posted !== taken;
        if (held) m.bell++;
        else line = true;
      }
      yield () => m.bell !== seen || ring.length > 0;
    }
  }

  return {
    sides: { vcpu: vcpu(), device: device() },
    servers: ["device"],
    check: () => same(handled, transfers, "transfers"),
  };
}

describe("an IDE channel's registers", () => {
  it("say INT when its interrupt is handled", () => {
    explore(() => scenario(3, false), 1500);
    explore(() => scenario(3, true), 1500);
  });

  it("do so under every schedule with few preemptions", () => {
    expect(exhaust(() => scenario(2, false), 2)).toBeGreaterThan(100);
    expect(exhaust(() => scenario(2, true), 2)).toBeGreaterThan(100);
  });

  it("are checked by something that finds faults", () => {
    findFaults([{ lateCount: true }, { earlyLook: true }, { noHold: true }], (fault) => scenario(3, true, fault));
  });
});
