import { describe, expect, it } from "vitest";
import { APIC, DELIVERY } from "../../src/io/apicRegs.ts";
import { IOAPIC_PINS } from "../../src/io/vioapic.ts";
import type { Device } from "../../src/shared/device.ts";
import { ATTENTION } from "../../src/shared/layout.ts";
import { makeBoard } from "./apicFakes.ts";
import { type Random, refusesSnapshots, snapshotProperty } from "./fakes.ts";

const LEVEL = 0x8000;
const MASKED = 0x1_0000;
const REMOTE_IRR = 0x4000;
const LOGICAL = 0x800;

const pulse = ({ ioapic }: ReturnType<typeof makeBoard>, n: number) => {
  ioapic.pin(n).set(true);
  ioapic.pin(n).set(false);
};

describe("vioapic registers", () => {
  it("identifies itself, and is masked at reset", () => {
    const { ioapic, readEntry } = makeBoard(1);
    ioapic.write(0, 4, 1);
    expect(ioapic.read(0, 4)).toBe(1);
    expect(ioapic.read(0x10, 4)).toBe(0x0017_0011);
    for (let n = 0; n < IOAPIC_PINS; n++) expect(readEntry(n)).toBe(MASKED);
  });

  it("keeps its id; ARB follows", () => {
    const { ioapic } = makeBoard(1);
    ioapic.write(0, 1, 0);
    ioapic.write(0x10, 4, 0xffff_ffff);
    expect(ioapic.read(0x10, 4)).toBe(0x0f00_0000);
    ioapic.write(0, 4, 2);
    expect(ioapic.read(0x10, 4)).toBe(0x0f00_0000);
    ioapic.reset();
    expect(ioapic.read(0x10, 4)).toBe(0);
  });

  it("keeps the writable bits of an entry, in halves", () => {
    const { ioapic, readEntry } = makeBoard(1);
    ioapic.write(0, 4, 0x3f);
    ioapic.write(0x10, 4, 0xffff_ffff);
    expect(ioapic.read(0x10, 4)).toBe(0xff00_0000);
    expect(ioapic.read(0x13, 1)).toBe(0xff);
    expect(readEntry(23)).toBe(MASKED);
    ioapic.write(0x10, 4, 0xffff_ffff);
    expect(readEntry(23)).toBe(0x1_afff);
  });

  it("has nothing else: no EOI register in this version, no partial writes", () => {
    const board = makeBoard(1);
    board.entry(5, LEVEL | 0x40);
    board.ioapic.pin(5).set(true);
    board.ioapic.write(0x40, 4, 0x40);
    expect(board.readEntry(5) & REMOTE_IRR).toBe(REMOTE_IRR);
    board.ioapic.write(0x10, 2, 0);
    expect(board.readEntry(5) & 0xff).toBe(0x40);
    board.ioapic.write(0, 4, 0x40);
    board.ioapic.write(0x10, 4, 1);
    expect(board.ioapic.read(0x10, 4)).toBe(0);
    expect(board.log.messages).toHaveLength(4);
    expect(() => board.ioapic.pin(24)).toThrow(RangeError);
  });
});

describe("vioapic edge", () => {
  it("sends one interrupt for each edge", () => {
    const board = makeBoard(1);
    board.entry(4, 0x34);
    board.ioapic.pin(4).set(true);
    expect(board.served()).toEqual([[0x34]]);
    board.ioapic.pin(4).set(true);
    expect(board.served()).toEqual([[]]);
    board.ioapic.pin(4).set(false);
    pulse(board, 4);
    expect(board.served()).toEqual([[0x34]]);
    expect(board.cpus[0].core.bit(APIC.TMR, 0x34)).toBe(false);
    expect(board.readEntry(4)).toBe(0x34);
  });

  it("merges edges that nobody has served", () => {
    const board = makeBoard(1);
    board.entry(4, 0x34);
    pulse(board, 4);
    pulse(board, 4);
    expect(board.served()).toEqual([[0x34]]);
    const { core } = board.cpus[0];
    pulse(board, 4);
    expect(core.take()).toBe(0x34);
    pulse(board, 4);
    expect(core.take()).toBe(-1);
    core.eoi();
    expect(core.take()).toBe(0x34);
  });

  it("loses an edge while masked", () => {
    const board = makeBoard(1);
    board.entry(4, MASKED | 0x34);
    board.ioapic.pin(4).set(true);
    board.entry(4, 0x34);
    expect(board.served()).toEqual([[]]);
    board.ioapic.pin(4).set(false);
    pulse(board, 4);
    expect(board.served()).toEqual([[0x34]]);
  });
});

describe("vioapic level", () => {
  it("holds Remote IRR until EOI, and asks again while asserted", () => {
    const board = makeBoard(1);
    const { core } = board.cpus[0];
    board.entry(10, LEVEL | 0x5a);
    board.ioapic.pin(10).set(true);
    expect(board.readEntry(10)).toBe(LEVEL | REMOTE_IRR | 0x5a);
    expect(core.take()).toBe(0x5a);
    expect(core.bit(APIC.TMR, 0x5a)).toBe(true);
    board.ioapic.pin(10).set(false);
    board.ioapic.pin(10).set(true);
    expect(core.take()).toBe(-1);
    core.eoi();
    expect(core.take()).toBe(0x5a);
    board.ioapic.pin(10).set(false);
    core.eoi();
    expect(board.readEntry(10)).toBe(LEVEL | 0x5a);
    expect(core.take()).toBe(-1);
  });

  it("forgets nothing while masked: the level counts", () => {
    const board = makeBoard(1);
    board.entry(10, MASKED | LEVEL | 0x5a);
    board.ioapic.pin(10).set(true);
    expect(board.served()).toEqual([[]]);
    board.entry(10, LEVEL | 0x5a);
    board.ioapic.pin(10).set(false);
    expect(board.served()).toEqual([[0x5a]]);
  });

  it("does not send again at an EOI while masked, and does when unmasked (Linux's threaded interrupts)", () => {
    const board = makeBoard(1);
    const { core } = board.cpus[0];
    board.entry(10, LEVEL | 0x5a);
    board.ioapic.pin(10).set(true);
    expect(core.take()).toBe(0x5a);
    board.entry(10, MASKED | LEVEL | 0x5a);
    core.eoi();
    expect(board.readEntry(10)).toBe(MASKED | LEVEL | 0x5a);
    expect(core.take()).toBe(-1);
    board.entry(10, LEVEL | 0x5a);
    expect(core.take()).toBe(0x5a);
  });

  it("an EOI ends every input with that vector, and no other", () => {
    const board = makeBoard(1);
    for (const [n, vector] of [
      [16, 0x60],
      [17, 0x60],
      [18, 0x61],
    ]) {
      board.entry(n, LEVEL | vector);
      board.ioapic.pin(n).set(true);
      board.ioapic.pin(n).set(false);
    }
    board.bus.eoi(0x60);
    expect([16, 17, 18].map((n) => board.readEntry(n) & REMOTE_IRR)).toEqual([0, 0, REMOTE_IRR]);
  });

  it("edge and back clears Remote IRR, as guests do without an EOI register", () => {
    const board = makeBoard(1);
    board.entry(10, LEVEL | 0x5a);
    board.ioapic.pin(10).set(true);
    board.ioapic.pin(10).set(false);
    board.entry(10, MASKED | 0x5a);
    board.entry(10, LEVEL | 0x5a);
    expect(board.readEntry(10)).toBe(LEVEL | 0x5a);
  });

  it("is sent when the target can take it at last, and not counted as serviced before", () => {
    const board = makeBoard(1);
    const { apic } = board.cpus[0];
    apic.write(APIC.SVR, 4, 0xff);
    board.entry(10, LEVEL | 0x5a);
    board.ioapic.pin(10).set(true);
    expect(board.readEntry(10)).toBe(LEVEL | 0x5a);
    apic.write(APIC.SVR, 4, 0x1ff);
    expect(board.readEntry(10)).toBe(LEVEL | REMOTE_IRR | 0x5a);
    expect(board.cpus[0].core.take()).toBe(0x5a);
  });
});

describe("vioapic messages", () => {
  it("go to physical and logical destinations", () => {
    const board = makeBoard(3);
    board.setLogicalIds();
    board.entry(1, 0x41, 2);
    board.entry(2, LOGICAL | 0x42, 0b011);
    board.entry(3, 0x43, 0xff);
    board.entry(5, LOGICAL | (DELIVERY.LOWEST_PRIORITY << 8) | 0x45, 0b110);
    for (const n of [1, 2, 3, 5]) pulse(board, n);
    expect(board.served()).toEqual([
      [0x43, 0x42],
      [0x43, 0x42],
      [0x45, 0x43, 0x41],
    ]);
  });

  it("reach processors in x2APIC mode by 8-bit ids", () => {
    const board = makeBoard(2);
    for (const { apic } of board.cpus) apic.writeApicBase(apic.readApicBase() | 0x400n);
    board.entry(1, 0x41, 1);
    board.entry(2, 0x42, 0xff);
    board.entry(3, LOGICAL | 0x43, 0b10);
    for (const n of [1, 2, 3]) pulse(board, n);
    expect(board.served()).toEqual([[0x42], [0x43, 0x42, 0x41]]);
  });

  it("NMI and INIT are edges whatever the entry says; SMI is logged", () => {
    const board = makeBoard(1);
    const { core } = board.cpus[0];
    board.entry(1, LEVEL | (DELIVERY.NMI << 8));
    board.entry(2, LEVEL | (DELIVERY.INIT << 8));
    board.entry(3, DELIVERY.SMI << 8);
    for (const n of [1, 2, 3]) pulse(board, n);
    expect(core.attention()).toBe(ATTENTION.NMI);
    expect(board.heard).toEqual(["0 INIT"]);
    expect(board.readEntry(1) & REMOTE_IRR).toBe(0);
    expect(board.log.messages).toHaveLength(1);
  });

  it("ExtINT follows the input, the mask and the destination", () => {
    const board = makeBoard(2);
    const seen = () => board.cpus.map(({ core }) => core.extint);
    board.entry(0, DELIVERY.EXTINT << 8, 0);
    board.ioapic.pin(0).set(true);
    expect(seen()).toEqual([true, false]);
    expect(board.cpus[0].core.attention()).toBe(ATTENTION.EXTINT);
    board.entry(0, DELIVERY.EXTINT << 8, 1);
    expect(seen()).toEqual([false, true]);
    board.cpus[1].apic.write(APIC.SVR, 4, 0xff);
    expect(seen()).toEqual([false, false]);
    board.cpus[1].apic.write(APIC.SVR, 4, 0x1ff);
    expect(seen()).toEqual([false, true]);
    board.ioapic.pin(0).set(false);
    expect(seen()).toEqual([false, false]);
    board.ioapic.pin(0).set(true);
    board.entry(0, MASKED | (DELIVERY.EXTINT << 8), 1);
    expect(seen()).toEqual([false, false]);
    board.entry(0, DELIVERY.EXTINT << 8, 1);
    board.ioapic.reset();
    expect(seen()).toEqual([false, false]);
  });
});

describe("apicBus messages of devices (MSI)", () => {
  it("have destination, mode and vector in address and data", () => {
    const board = makeBoard(3);
    board.setLogicalIds();
    expect(board.bus.deliverMsi(0xfee0_1000, 0x41)).toBe(true);
    expect(board.served()).toEqual([[], [0x41], []]);
    board.bus.deliverMsi(0xfeef_f000, 0x42);
    expect(board.served()).toEqual([[0x42], [0x42], [0x42]]);
    board.bus.deliverMsi(0xfee0_6004, 0x43); // logical without redirection: all of them
    expect(board.served()).toEqual([[], [0x43], [0x43]]);
    board.bus.deliverMsi(0xfee0_600c, 0x44); // logical with redirection: one of them
    expect(board.served()).toEqual([[], [0x44], []]);
    board.bus.deliverMsi(0xfee0_7004, 0x0145); // lowest priority
    expect(board.served()).toEqual([[0x45], [], []]);
    board.bus.deliverMsi(0xfee0_2000, 0x0400);
    expect(board.cpus[2].core.attention() & ATTENTION.NMI).toBe(ATTENTION.NMI);
  });

  it("level triggered: assert counts, deassert does not", () => {
    const board = makeBoard(1);
    board.bus.deliverMsi(0xfee0_0000, 0x8041);
    expect(board.served()).toEqual([[]]);
    board.bus.deliverMsi(0xfee0_0000, 0xc041);
    expect(board.cpus[0].core.bit(APIC.TMR, 0x41)).toBe(true);
    expect(board.served()).toEqual([[0x41]]);
  });

  it("are only those to 0xfeexxxxx", () => {
    const board = makeBoard(1);
    for (const address of [0xfed0_0000, 0xfef0_0000, 0x1_fee0_0000, 0]) {
      expect(board.bus.deliverMsi(address, 0x41)).toBe(false);
    }
    expect(board.served()).toEqual([[]]);
  });
});

describe("vioapic saved state", () => {
  it("raises asserted inputs again when nobody has taken them", () => {
    const board = makeBoard(1);
    board.entry(10, LEVEL | 0x5a);
    board.entry(0, DELIVERY.EXTINT << 8);
    board.cpus[0].apic.write(APIC.SVR, 4, 0xff);
    board.ioapic.pin(10).set(true);
    board.ioapic.pin(0).set(true);
    const other = makeBoard(1);
    other.ioapic.import(board.ioapic.export());
    expect(other.cpus[0].core.take()).toBe(0x5a);
    expect(other.cpus[0].core.extint).toBe(true);
    expect(other.readEntry(10) & REMOTE_IRR).toBe(REMOTE_IRR);
  });

  it("does not take an input for a new edge that was asserted when it was saved", () => {
    const board = makeBoard(1);
    board.entry(4, 0x34);
    board.ioapic.pin(4).set(true);
    const other = makeBoard(1);
    other.ioapic.import(board.ioapic.export());
    other.ioapic.pin(4).set(true);
    expect(other.served()).toEqual([[]]);
    other.ioapic.pin(4).set(false);
    other.ioapic.pin(4).set(true);
    expect(other.served()).toEqual([[0x34]]);
  });

  it("saves and restores, with the local APICs it talks to", () => {
    snapshotProperty((timers) => {
      const board = makeBoard(2, timers);
      const { ioapic, cpus } = board;
      const exportAll = () => ({
        version: 1,
        apics: cpus.map(({ apic }) => apic.export()),
        ioapic: ioapic.export(),
      });
      const device: Device<ReturnType<typeof exportAll>> = {
        name: "board",
        reset: () => ioapic.reset(),
        export: exportAll,
        import: (state) => {
          for (const [n, { apic }] of cpus.entries()) apic.import(state.apics[n]);
          ioapic.import(state.ioapic);
        },
      };
      const step = (random: Random) => {
        const n = random.below(4);
        const { apic, core } = random.pick(cpus);
        switch (random.below(8)) {
          case 0:
          case 1:
          case 2:
            ioapic.pin(n).set(random.coin());
            break;
          case 3: {
            const mode = random.pick([0, 0, 1, DELIVERY.NMI, DELIVERY.EXTINT]) << 8;
            const low = random.pick([0, LEVEL]) | random.pick([0, 0, MASKED]) | random.pick([0, LOGICAL]) | mode;
            board.entry(n, low | (0x30 + random.below(32)), random.pick([0, 1, 2, 3, 255]));
            break;
          }
          case 4:
          case 5:
            return core.take();
          case 6:
            core.eoi();
            break;
          default:
            if (random.coin()) apic.write(APIC.LDR, 4, (random.below(4) << 24) >>> 0);
            else apic.write(APIC.SVR, 4, random.pick([0xff, 0x1ff, 0x1ff]));
        }
        return [board.readEntry(n), cpus.map(({ core }) => [core.extint, core.waiting])];
      };
      return { device, timers, step };
    });
  });

  it("refuses states that cannot be its own", () => {
    const { ioapic, entry } = makeBoard(1);
    entry(3, LEVEL | 0x40);
    const good = ioapic.export();
    const low = (n: number, value: number) => ({ ...good, low: good.low.map((old, i) => (i === n ? value : old)) });
    ioapic.import(low(3, LEVEL | REMOTE_IRR | 0x40));
    refusesSnapshots(ioapic, [
      undefined,
      { ...good, version: 2 },
      { ...good, id: 1 },
      { ...good, select: 256 },
      { ...good, lines: 1 << 24 },
      { ...good, low: good.low.slice(1) },
      { ...good, high: [...good.high, 0] },
      { ...good, high: good.high.map(() => 1) },
      low(3, 0x1000),
      low(3, REMOTE_IRR), // not level triggered
      low(3, LEVEL | REMOTE_IRR | (DELIVERY.NMI << 8)),
    ]);
  });
});
