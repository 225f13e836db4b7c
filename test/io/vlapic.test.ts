import { describe, expect, it } from "vitest";
import { ApicPage } from "../../src/io/apicPage.ts";
import { APIC, DELIVERY } from "../../src/io/apicRegs.ts";
import { ATTENTION, VCPU } from "../../src/shared/layout.ts";
import { AREA_BYTES, EN, EXTD, GP, LVTS, makeBoard, OK, one, x2 } from "./apicFakes.ts";
import { FakeTimers } from "./fakes.ts";

describe("vlapic registers", () => {
  it("powers up as the manual says", () => {
    const { apic, read } = one();
    apic.reset();
    expect(apic.readApicBase()).toBe(0xfee0_0900n);
    expect(read(APIC.ID)).toBe(0);
    expect(read(APIC.VERSION)).toBe(0x0005_0014);
    expect(read(APIC.DFR)).toBe(0xffff_ffff);
    expect(read(APIC.LDR)).toBe(0);
    expect(read(APIC.SVR)).toBe(0xff);
    for (const lvt of LVTS) expect(read(lvt)).toBe(0x1_0000);
    for (const offset of [APIC.TPR, APIC.ESR, APIC.ICR_LOW, APIC.ICR_HIGH, APIC.ICR_TIMER, APIC.CCR_TIMER]) {
      expect(read(offset)).toBe(0);
    }
  });

  it("gives each processor its id, and only the first the BSP flag", () => {
    const { cpus } = makeBoard(3);
    expect(cpus.map(({ apic }) => apic.read(APIC.ID, 4))).toEqual([0, 1 << 24, 2 << 24]);
    expect(cpus.map(({ apic }) => apic.readApicBase())).toEqual([0xfee0_0900n, 0xfee0_0800n, 0xfee0_0800n]);
  });

  it("keeps the bits that each register has", () => {
    const { read, write } = one();
    const all = [APIC.LDR, APIC.DFR, APIC.SVR, APIC.ICR_HIGH, APIC.ICR_TIMER, APIC.DCR_TIMER, ...LVTS];
    for (const offset of all) write(offset, 0xffff_ffff);
    expect(all.map(read)).toEqual([
      0xff00_0000, 0xffff_ffff, 0x3ff, 0xff00_0000, 0xffff_ffff, 0xb, 0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff,
      0x1_00ff,
    ]);
    write(APIC.DFR, 0);
    expect(read(APIC.DFR)).toBe(0x0fff_ffff);
  });

  it("does not change read-only registers", () => {
    const { read, write, log } = one();
    for (const offset of [APIC.ID, APIC.VERSION, APIC.ISR, APIC.IRR + 0x70, APIC.CCR_TIMER]) {
      const before = read(offset);
      write(offset, 0x5555_5555);
      expect(read(offset)).toBe(before);
    }
    expect(log.messages).toHaveLength(5);
  });

  it("reads parts of a register and ignores partial writes", () => {
    const { apic, log, write } = one();
    write(APIC.LVT_LINT1, 0x1_0432);
    expect(apic.read(APIC.LVT_LINT1, 1)).toBe(0x32);
    expect(apic.read(APIC.LVT_LINT1 + 1, 1)).toBe(0x04);
    expect(apic.read(APIC.LVT_LINT1 + 2, 2)).toBe(1);
    expect(apic.read(APIC.LVT_LINT1 + 4, 4)).toBe(0);
    apic.write(APIC.LVT_LINT1, 1, 0x77);
    apic.write(APIC.LVT_LINT1 + 4, 4, 0x77);
    expect(apic.read(APIC.LVT_LINT1, 4)).toBe(0x1_0432);
    expect(log.messages).toHaveLength(2);
  });

  it("masks every LVT entry while disabled by software, and keeps it masked", () => {
    const { core, read, write } = one();
    for (const lvt of LVTS) write(lvt, 0x40);
    write(APIC.SVR, 0xff);
    for (const lvt of LVTS) expect(read(lvt)).toBe(0x1_0040);
    write(APIC.LVT_ERROR, 0x41);
    expect(read(APIC.LVT_ERROR)).toBe(0x1_0041);
    write(APIC.SVR, 0x1ff);
    expect(read(APIC.LVT_ERROR)).toBe(0x1_0041);
    write(APIC.LVT_ERROR, 0x41);
    expect(read(APIC.LVT_ERROR)).toBe(0x41);
    expect(core.take()).toBe(-1);
  });

  it("INIT clears everything but id and mode", () => {
    const { cpus } = x2(2);
    const { apic, core, page } = cpus[1];
    apic.writeMsr(0x838, 1000n);
    apic.writeMsr(0x808, 0x20n);
    apic.post(0x50, true);
    apic.initReset();
    expect(apic.readApicBase()).toBe(0xfee0_0c00n);
    expect(apic.readMsr(0x802)).toEqual({ ok: 1n });
    expect(apic.readMsr(0x80d)).toEqual({ ok: 2n });
    expect(apic.readMsr(0x80f)).toEqual({ ok: 0xffn });
    expect(apic.readMsr(0x808)).toEqual({ ok: 0n });
    expect(apic.readMsr(0x838)).toEqual({ ok: 0n });
    expect(page.timer).toBeUndefined();
    expect([core.highest(APIC.IRR), core.highest(APIC.TMR), page.requested(2)]).toEqual([-1, -1, 0]);
  });
});

describe("vlapic errors", () => {
  it("latches errors in ESR when it is written, and interrupts once for each", () => {
    const { core, read, write } = one();
    write(APIC.LVT_ERROR, 0xfe);
    write(APIC.ICR_LOW, 0x4_000f); // self, vector 15
    write(APIC.ICR_LOW, 0x4_000f);
    expect(read(APIC.ESR)).toBe(0);
    expect(core.serve()).toEqual([0xfe]);
    write(APIC.ESR, 0);
    expect(read(APIC.ESR)).toBe(0x20);
    write(APIC.ESR, 0);
    expect(read(APIC.ESR)).toBe(0);
  });

  it("reports a received illegal vector and a reserved register", () => {
    const { apic, core, read, write } = one();
    expect(apic.post(3, false)).toBe(false);
    write(0x2f0, 0); // CMCI is not there
    write(APIC.SELF_IPI, 0x40); // x2APIC only
    write(APIC.ESR, 0);
    expect(read(APIC.ESR)).toBe(0xc0);
    expect(core.serve()).toEqual([]);
  });

  it("survives an error vector that is illegal itself", () => {
    const { read, write } = one();
    write(APIC.LVT_ERROR, 0x05);
    write(0x400, 0);
    write(APIC.ESR, 0);
    expect(read(APIC.ESR)).toBe(0xc0);
  });
});

describe("vlapic posting", () => {
  it("is served by priority and wakes a halted processor", async () => {
    const board = makeBoard(1, new FakeTimers(), new SharedArrayBuffer(AREA_BYTES));
    const { apic, core } = board.cpus[0];
    const words = new Int32Array(board.memory.buffer);
    const halted = Atomics.waitAsync(words, VCPU.attention.offset / 4, 0, 5000);
    expect(apic.post(0x31, false)).toBe(true);
    await expect(halted.value).resolves.toBe("ok");
    apic.post(0x52, false);
    apic.post(0xef, false);
    expect(core.attention()).toBe(ATTENTION.POSTED);
    expect(core.serve()).toEqual([0xef, 0x52, 0x31]);
  });

  it("calls the wake function it was given", () => {
    let kicks = 0;
    const page = new ApicPage({ buffer: new ArrayBuffer(AREA_BYTES) }, 0, () => kicks++);
    page.attend(ATTENTION.NMI);
    expect(kicks).toBe(1);
  });

  it("marks the trigger mode of the last request in TMR", () => {
    const { apic, core } = one();
    apic.post(0x61, true);
    expect(core.bit(APIC.TMR, 0x61)).toBe(true);
    apic.post(0x61, false);
    expect(core.bit(APIC.TMR, 0x61)).toBe(false);
  });

  it("refuses fixed interrupts while disabled by software, but not NMI, INIT and SIPI", () => {
    const { apic, bus, core, heard, write } = one();
    write(APIC.SVR, 0xff);
    core.attention();
    expect(apic.post(0x40, false)).toBe(false);
    const message = { destination: 0, extended: false, logical: false, vector: 0x99, level: false };
    expect(bus.deliver({ ...message, mode: DELIVERY.LOWEST_PRIORITY })).toBe(false);
    expect(core.attention()).toBe(0);
    expect(bus.deliver({ ...message, mode: DELIVERY.NMI })).toBe(true);
    expect(core.attention()).toBe(ATTENTION.NMI);
    bus.deliver({ ...message, mode: DELIVERY.INIT });
    bus.deliver({ ...message, mode: DELIVERY.STARTUP });

    expect(heard).toEqual(["0 INIT", "0 SIPI 153"]);
  });

  it("ends interrupts for a core that leaves EOI, TPR and self-IPI to the device thread", () => {
    const { cpus, ioapic, entry } = x2(1);
    const { apic, core } = cpus[0];
    entry(10, 0x8000 | 0x45);
    ioapic.pin(10).set(true);
    expect(apic.writeMsr(0x83f, 0x77n)).toEqual(OK);
    expect(core.take()).toBe(0x77);
    apic.writeMsr(0x80b, 0n);
    apic.writeMsr(0x808, 0x40n);
    expect(core.take()).toBe(-1);
    apic.writeMsr(0x808, 0x30n);
    expect(core.take()).toBe(0x45);
    core.attention();
    apic.writeMsr(0x80b, 0n);
    expect(core.highest(APIC.ISR)).toBe(-1);
    expect(core.attention()).toBe(ATTENTION.POSTED);
    expect(core.take()).toBe(0x45); // still asserted: the IOAPIC has heard of the EOI
  });
});

describe("vlapic IPIs", () => {
  const icr = (board: ReturnType<typeof makeBoard>, from: number, low: number, destination = 0) => {
    board.cpus[from].apic.write(APIC.ICR_HIGH, 4, (destination << 24) >>> 0);
    board.cpus[from].apic.write(APIC.ICR_LOW, 4, low);
  };

  it("physical: to one, to nobody, to all", () => {
    const board = makeBoard(3);
    icr(board, 0, 0x4050, 2);
    expect(board.served()).toEqual([[], [], [0x50]]);
    icr(board, 0, 0x4050, 7);
    expect(board.served()).toEqual([[], [], []]);
    icr(board, 1, 0x4051, 0xff);
    expect(board.served()).toEqual([[0x51], [0x51], [0x51]]);
  });

  it("shorthands: self, all, all but self", () => {
    const board = makeBoard(3);
    icr(board, 1, 0x4_4050, 0);
    expect(board.served()).toEqual([[], [0x50], []]);
    icr(board, 1, 0x8_4051, 0);
    expect(board.served()).toEqual([[0x51], [0x51], [0x51]]);
    icr(board, 1, 0xc_4052, 0);
    expect(board.served()).toEqual([[0x52], [], [0x52]]);
  });

  it("logical, flat model", () => {
    const board = makeBoard(3);
    board.setLogicalIds();
    icr(board, 0, 0x4850, 0b110);
    expect(board.served()).toEqual([[], [0x50], [0x50]]);
    icr(board, 0, 0x4851, 0xff);
    expect(board.served()).toEqual([[0x51], [0x51], [0x51]]);
    icr(board, 0, 0x4852, 0x80);
    expect(board.served()).toEqual([[], [], []]);
  });

  it("logical, cluster model", () => {
    const board = makeBoard(4);
    [0x11, 0x12, 0x21, 0x22].forEach((id, n) => {
      board.cpus[n].apic.write(APIC.DFR, 4, 0);
      board.cpus[n].apic.write(APIC.LDR, 4, (id << 24) >>> 0);
    });
    icr(board, 0, 0x4850, 0x13);
    expect(board.served()).toEqual([[0x50], [0x50], [], []]);
    icr(board, 0, 0x4851, 0x22);
    expect(board.served()).toEqual([[], [], [], [0x51]]);
    icr(board, 0, 0x4852, 0xff);
    expect(board.served()).toEqual([[0x52], [0x52], [0x52], [0x52]]);
  });

  it("lowest priority: the least busy; equals share by vector", () => {
    const board = makeBoard(3);
    board.setLogicalIds();
    board.cpus[0].page.setRegister(APIC.TPR, 0x20);
    board.cpus[2].page.setRegister(APIC.TPR, 0x30);
    icr(board, 0, 0x4961, 0b111);
    expect(board.served()).toEqual([[], [0x61], []]);
    for (const { page } of board.cpus) page.setRegister(APIC.TPR, 0);
    for (const vector of [0x60, 0x61, 0x62]) icr(board, 0, 0x4900 | vector, 0b111);
    expect(board.served()).toEqual([[0x60], [0x61], [0x62]]);
    board.cpus[1].apic.write(APIC.SVR, 4, 0xff);
    icr(board, 0, 0x4961, 0b010);
    icr(board, 0, 0x4961, 0b011);
    expect(board.served()).toEqual([[0x61], [], []]);
  });

  it("starts a processor: INIT, de-assert (ignored), SIPI", () => {
    const board = makeBoard(2);
    icr(board, 0, 0xc500, 1);
    icr(board, 0, 0x8500, 1);
    icr(board, 0, 0x0608, 1);
    expect(board.heard).toEqual(["1 INIT", "1 SIPI 8"]);
  });

  it("NMI to all but self; SMI and reserved modes go nowhere", () => {
    const board = makeBoard(2);
    icr(board, 0, 0xc_4402);
    expect(board.cpus.map(({ core }) => core.attention())).toEqual([0, ATTENTION.NMI]);
    for (const mode of [2, 3, 7]) icr(board, 0, 0x8_4050 | (mode << 8));
    expect(board.served()).toEqual([[], []]);
    expect(board.log.messages).toHaveLength(3);
  });

  it("IPIs are edge triggered whatever ICR says, and never busy", () => {
    const board = makeBoard(2);
    icr(board, 0, 0xd050, 1);
    expect(board.cpus[0].apic.read(APIC.ICR_LOW, 4)).toBe(0xc050);
    expect(board.cpus[1].core.bit(APIC.TMR, 0x50)).toBe(false);
    expect(board.served()).toEqual([[], [0x50]]);
  });
});

describe("vlapic x2APIC mode", () => {
  it("has ids of 32 bits and a derived LDR", () => {
    const { cpus } = x2(3);
    expect(cpus[2].apic.readMsr(0x802)).toEqual({ ok: 2n });
    expect(cpus[2].apic.readMsr(0x80d)).toEqual({ ok: 4n });
    expect(cpus[2].apic.readMsr(0x803)).toEqual({ ok: 0x50014n });
  });

  it("is not there in xAPIC mode, nor the page in x2APIC mode", () => {
    const { apic } = one();
    expect(apic.readMsr(0x802)).toEqual(GP);
    expect(apic.writeMsr(0x80b, 0n)).toEqual(GP);
    apic.writeApicBase(apic.readApicBase() | EXTD);
    expect(apic.read(APIC.VERSION, 4)).toBe(0xffff_ffff);
    apic.write(APIC.TPR, 4, 0x10);
    expect(apic.readMsr(0x808)).toEqual({ ok: 0n });
  });

  it("#GP: reserved registers, read-only, write-only, reserved bits", () => {
    const { apic } = x2(1).cpus[0];
    for (const msr of [0x800, 0x809, 0x80b, 0x80c, 0x80e, 0x82f, 0x831, 0x83f, 0x840, 0x8ff]) {
      expect(apic.readMsr(msr), msr.toString(16)).toEqual(GP);
    }
    for (const msr of [0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x810, 0x81f, 0x827, 0x82f, 0x831, 0x839, 0x83d]) {
      expect(apic.writeMsr(msr, 0n), msr.toString(16)).toEqual(GP);
    }
    const reserved: [number, bigint][] = [
      [0x808, 0x100n],
      [0x80b, 1n],
      [0x80f, 0x1000n],
      [0x828, 1n],
      [0x830, 0x2000n],
      [0x830, 0x10_0000n],
      [0x832, 0x100n],
      [0x832, 0x8_0000n],
      [0x835, 0x800n],
      [0x838, 0x1_0000_0000n],
      [0x83e, 4n],
      [0x83f, 0x100n],
    ];
    for (const [msr, value] of reserved) expect(apic.writeMsr(msr, value), msr.toString(16)).toEqual(GP);
    expect(apic.readMsr(0x808)).toEqual({ ok: 0n });
  });

  it("takes back what a register read as", () => {
    const { apic } = x2(1).cpus[0];
    expect(apic.writeMsr(0x835, 0x1_5700n)).toEqual(OK); // delivery status and Remote IRR set
    expect(apic.readMsr(0x835)).toEqual({ ok: 0x1_0700n });
    expect(apic.writeMsr(0x80f, 0x3ffn)).toEqual(OK); // Linux, 32-bit, sets focus checking
  });

  it("sends IPIs through a 64-bit ICR", () => {
    const board = x2(3);
    const { apic } = board.cpus[0];
    expect(apic.writeMsr(0x830, (2n << 32n) | 0x4050n)).toEqual(OK);
    expect(apic.readMsr(0x830)).toEqual({ ok: (2n << 32n) | 0x4050n });
    expect(board.served()).toEqual([[], [], [0x50]]);
    apic.writeMsr(0x830, (0xffff_ffffn << 32n) | 0x51n);
    expect(board.served()).toEqual([[0x51], [0x51], [0x51]]);
    apic.writeMsr(0x830, (0xffn << 32n) | 0x52n); // id 255, not a broadcast
    expect(board.served()).toEqual([[], [], []]);
    apic.writeMsr(0x830, (0x0000_0005n << 32n) | 0x853n); // logical: cluster 0, first and third
    expect(board.served()).toEqual([[0x53], [], [0x53]]);
    apic.writeMsr(0x830, (0x0001_0001n << 32n) | 0x854n); // cluster 1
    expect(board.served()).toEqual([[], [], []]);
  });
});

describe("vlapic IA32_APIC_BASE", () => {
  it("allows the transitions of the manual and no others", () => {
    const bases = { off: 0n, xapic: EN, x2apic: EN | EXTD, invalid: EXTD };
    const legal: Record<string, string[]> = {
      off: ["off", "xapic"],
      xapic: ["off", "xapic", "x2apic"],
      x2apic: ["off", "x2apic"],
    };
    for (const from of ["off", "xapic", "x2apic"] as const) {
      for (const [to, bits] of Object.entries(bases)) {
        const { apic } = one();
        expect(apic.writeApicBase(0xfee0_0000n | bases[from])).toEqual(OK);
        const wanted = legal[from].includes(to);
        expect(apic.writeApicBase(0xfee0_0000n | bits), `${from} to ${to}`).toEqual(wanted ? OK : GP);
        expect(apic.readApicBase()).toBe(0xfee0_0000n | (wanted ? bits : bases[from]));
      }
    }
  });

  it("#GP: reserved bits and addresses too wide", () => {
    const { apic } = one();
    for (const bit of [0n, 7n, 9n, 40n, 63n]) {
      expect(apic.writeApicBase(0xfee0_0900n | (1n << bit)), `${bit}`).toEqual(GP);
    }
    expect(apic.writeApicBase(0xfd00_0900n)).toEqual(OK);
  });

  it("forgets its registers and hears nothing while disabled", () => {
    const { apic, bus, core, read } = one();
    apic.writeApicBase(0xfee0_0100n);
    expect(read(APIC.VERSION)).toBe(0xffff_ffff);
    expect(apic.post(0x40, false)).toBe(false);
    const nmi = { destination: 0xff, extended: false, logical: false, mode: DELIVERY.NMI, vector: 0, level: false };
    core.attention();
    expect(bus.deliver(nmi)).toBe(false);
    expect(core.attention()).toBe(0);
    apic.writeApicBase(0xfee0_0900n);
    expect(read(APIC.SVR)).toBe(0xff);
  });

  it("keeps what is pending when x2APIC mode is turned on", () => {
    const { apic, core } = one();
    apic.post(0x42, false);
    apic.writeApicBase(apic.readApicBase() | EXTD);
    expect(core.serve()).toEqual([0x42]);
  });
});

describe("vlapic LINT pins", () => {
  it("passes ExtINT on when LINT0 says so", () => {
    const { apic, core, write } = one();
    apic.lint0.set(true);
    expect(core.extint).toBe(false);
    write(APIC.LVT_LINT0, 0x700);
    expect(core.extint).toBe(true);
    expect(core.attention()).toBe(ATTENTION.EXTINT);
    write(APIC.LVT_LINT0, 0x1_0700);
    expect(core.extint).toBe(false);
    write(APIC.LVT_LINT0, 0x700);
    apic.lint0.set(false);
    expect(core.extint).toBe(false);
    apic.setExtint(true);
    write(APIC.SVR, 0xff);
    expect(core.extint).toBe(false);
  });

  it("is INTR and NMI while the APIC is disabled", () => {
    const { apic, core } = one();
    apic.writeApicBase(0xfee0_0100n);
    core.attention();
    apic.lint0.set(true);
    apic.lint1.set(true);
    expect(core.extint).toBe(true);
    expect(core.attention()).toBe(ATTENTION.EXTINT | ATTENTION.NMI);
    apic.writeApicBase(0xfee0_0900n);
    expect(core.extint).toBe(false);
  });

  it("takes fixed interrupts and NMI on edges", () => {
    const { apic, core, write } = one();
    write(APIC.LVT_LINT0, 0x33);
    write(APIC.LVT_LINT1, 0x400);
    apic.lint0.set(true);
    apic.lint0.set(true);
    apic.lint1.set(true);
    expect(core.attention()).toBe(ATTENTION.POSTED | ATTENTION.NMI);
    expect(core.serve()).toEqual([0x33]);
    apic.lint1.set(true);
    expect(core.attention()).toBe(0);
    write(APIC.LVT_LINT1, 0x1_0400);
    apic.lint1.set(false);
    apic.lint1.set(true);
    expect(core.attention()).toBe(0);
  });

  it("virtual wire mode is what firmware leaves", () => {
    const { apic, core, read } = one();
    apic.reset();
    apic.enterVirtualWireMode();
    expect([read(APIC.SVR), read(APIC.LVT_LINT0), read(APIC.LVT_LINT1)]).toEqual([0x1ff, 0x700, 0x400]);
    apic.lint0.set(true);
    expect(core.extint).toBe(true);
  });
});
