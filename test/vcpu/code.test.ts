/**
 * Code that the host overwrites: the page word (assembly/mem/pageword.ts, MachineMemory.write) and the drop slots
 * (src/vcpu/drop.ts, takeDrops in assembly/decode/pages.ts).
 */
import { describe, expect, it, vi } from "vitest";
import { ATTENTION, CONTROL, PAGE_SIZE, VCPU } from "../../src/shared/layout.ts";
import { postDrop } from "../../src/vcpu/drop.ts";
import { vcpuView } from "../../src/vcpu/view.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";
import {
  exhaust,
  explore,
  findFaults,
  real,
  type Scenario,
  type Steps,
  same,
  steppedView,
  withSteppedAtomics,
} from "./interleave.ts";

// Two slots, so that they are full at once.
vi.mock("../../src/shared/layout.ts", async (original) => {
  const layout = await original<typeof import("../../src/shared/layout.ts")>();
  return { ...layout, VCPU: { ...layout.VCPU, dropPages: { ...layout.VCPU.dropPages, count: 2 } } };
});
const SLOTS = 2;

interface Fault {
  /** The code bit is set after the bytes have been read. */
  lateNote?: boolean;
  /** The page is posted before it is written. */
  earlyDrop?: boolean;
  /** DROP is not looked at between a flag in memory and the code it stands for. */
  noLook?: boolean;
}

const memory = new MachineMemory({ regions: [{ gpa: 0, length: 0x20_0000 }], vcpus: 1, shared: true });
const FLAG = 0x1_0000;
const PAGES = [0x2_0000, 0x3_0000, 0x4_0000];
const host = PAGES.map((gpa) => memory.hostAddress(gpa));
const flagAt = memory.hostAddress(FLAG);
const plain = vcpuView(memory.memory.buffer, 0);
const view = steppedView(plain);

/** The host writes version n of each page's code, then the flag n; a guest that has seen the flag must run version n. */
function scenario(pages: number, versions: number, fault: Fault = {}): Scenario {
  for (const f of [VCPU.dropAll, VCPU.attention]) plain.set(f, 0);
  for (let i = 0; i < SLOTS; i++) plain.set(VCPU.dropPages, 0, i);
  const words = plain.words;
  const attention = plain.index(VCPU.attention);
  const pageWord = (i: number) => (memory.control.get(CONTROL.pageWords) >> 2) + host[i] / PAGE_SIZE;
  for (let i = 0; i < PAGES.length; i++) {
    words[pageWord(i)] = 0;
    memory.bytes[host[i]] = 0;
  }
  memory.bytes[flagAt] = 0;
  const blocks = new Map<number, number>();
  let done = false;
  memory.onCodeWrite = (page) => postDrop(view, page);

  function* writer(): Steps {
    for (let n = 1; n <= versions; n++) {
      const code = Uint8Array.of(n);
      for (let i = 0; i < pages; i++) {
        if (fault.earlyDrop) {
          yield* real(() => postDrop(view, host[i]));
          memory.bytes.set(code, host[i]);
        } else yield* real(() => memory.write(PAGES[i], code));
      }
      yield* real(() => memory.write(FLAG, code));
    }
  }

  function* takeDrops(): Steps {
    yield;
    if (plain.get(VCPU.dropAll)) {
      plain.set(VCPU.dropAll, 0);
      blocks.clear();
    }
    for (let slot = 0; slot < SLOTS; slot++) {
      yield;
      const entry = plain.get(VCPU.dropPages, slot);
      if (!entry) continue;
      yield;
      const taken = plain.get(VCPU.dropPages, slot);
      plain.set(VCPU.dropPages, 0, slot);
      same(taken & 0xfff, 63, "every line of the page");
      const i = host.indexOf(taken & ~0xfff);
      same(i >= 0, true, "a page in the slot");
      blocks.delete(i);
      yield;
      words[pageWord(i)] &= ~0x10000;
    }
  }

  function* build(i: number): Steps {
    if (!fault.lateNote) {
      yield;
      words[pageWord(i)] |= 0x10000;
    }
    yield;
    const version = memory.bytes[host[i]];
    if (fault.lateNote) {
      yield;
      words[pageWord(i)] |= 0x10000;
    }
    blocks.set(i, version);
  }

  /** The guest reads the flag and calls the code in every page; each block begins with a look at the attention word. */
  function* vcpu(): Steps {
    let flag = 0;
    while (!done) {
      yield;
      const why = words[attention];
      words[attention] = 0;
      if (why & ATTENTION.DROP) yield* takeDrops();
      yield;
      flag = memory.bytes[flagAt];
      let whole = true;
      for (let i = 0; whole && i < pages; i++) {
        if (!blocks.has(i)) yield* build(i);
        yield;
        whole = words[attention] === 0 || Boolean(fault.noLook);
        if (whole) same((blocks.get(i) ?? 0) >= flag, true, `version of page ${i} is not older than the flag`);
      }
      done = whole && flag === versions;
      // What a guest that polls does while nothing changes is left out.
      if (whole && !done) yield () => words[attention] !== 0 || memory.bytes[flagAt] !== flag;
    }
  }

  return {
    sides: { writer: writer(), vcpu: vcpu() },
    check: () => {
      for (let i = 0; i < pages; i++) same(blocks.get(i), versions, `version of page ${i} in the end`);
    },
  };
}

describe("code that the host overwrites", () => {
  it("is not executed after a flag that was written later", () => {
    withSteppedAtomics(() => {
      explore(() => scenario(1, 4), 1000);
      explore(() => scenario(3, 2), 1000, 2);
    });
  });

  it("is not under every schedule with few preemptions", () => {
    withSteppedAtomics(() => {
      expect(exhaust(() => scenario(1, 2), 3)).toBeGreaterThan(100);
      expect(exhaust(() => scenario(3, 1), 2)).toBeGreaterThan(100);
    });
  });

  it("is checked by something that finds faults", () => {
    withSteppedAtomics(() => {
      findFaults([{ lateNote: true }, { earlyDrop: true }, { noLook: true }], (fault) => scenario(1, 4, fault));
    });
  });
});
