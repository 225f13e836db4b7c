import { describe, expect, it } from "vitest";
import { type PciBar, type PciConfigV1, PciFunction, PciHost, type PciSpace } from "../../src/machine/pci.ts";
import { AcpiPiix4, HostBridge440fx, IsaBridgePiix3 } from "../../src/machine/pciChipset.ts";
import { type IoHandler, SnapshotError, type Width } from "../../src/shared/device.ts";
import { FakePin, fakeLog, Random } from "../io/fakes.ts";

const registers: IoHandler = { read: () => 0, write: () => {} };

/** A card with one range of each kind, two capabilities and INTB#. */
class Card extends PciFunction {
  readonly changes: number[] = [];

  constructor(bars: [number, PciBar][]) {
    const identity = {
      vendor: 0x1af4,
      device: 0x1042,
      classCode: 0x01_0802,
      subsystemVendor: 0x1234,
      subsystem: 0x5678,
    };
    super("card", { ...identity, revision: 1, interruptPin: 2 });
    for (const [index, bar] of bars) this.defineBar(index, bar);
    this.defineCapability(9, Uint8Array.from([1, 2, 3]), Uint8Array.from([0, 0xf0, 0]));
    this.defineCapability(5, Uint8Array.from([7]));
  }

  protected override configChanged(offset: number): void {
    this.changes?.push(offset);
  }
}

const BARS: [number, PciBar][] = [
  [0, { kind: "io", size: 0x40, handler: registers }],
  [1, { kind: "memory32", size: 0x1000, handler: registers }],
  [4, { kind: "memory64", size: 0x4000, prefetchable: true, handler: registers }],
];

function board() {
  const mapped: string[] = [];
  const space: PciSpace = {
    map(kind, base, size) {
      const range = `${kind} ${base.toString(16)}+${size.toString(16)}`;
      mapped.push(range);
      return () => {
        const at = mapped.indexOf(range);
        if (at < 0) throw new Error(`${range} was not mapped`);
        mapped.splice(at, 1);
      };
    },
  };
  const log = fakeLog();
  const pirqs = [0, 1, 2, 3].map(() => new FakePin());
  let rc = 0;
  const resetControl: IoHandler = {
    read: () => rc,
    write: (_offset, _size, value) => {
      rc = value;
    },
  };
  const host = new PciHost({ space, pirq: (n) => pirqs[n], log, resetControl });
  const card = new Card(BARS);
  host.add(0, 0, new HostBridge440fx());
  host.add(3, 0, card);
  const select = (slot: number, func: number, register: number, bus = 0) =>
    host.write(0, 4, (0x8000_0000 | (bus << 16) | (slot << 11) | (func << 8) | (register & ~3)) >>> 0);
  const read = (slot: number, func: number, register: number, size: Width = 4, bus = 0) => {
    select(slot, func, register, bus);
    return host.read(4 + (register & 3), size);
  };
  const write = (slot: number, func: number, register: number, size: Width, value: number) => {
    select(slot, func, register);
    host.write(4 + (register & 3), size, value);
  };
  return { host, card, mapped, pirqs, log, read, write, rc: () => rc };
}

describe("configuration mechanism #1", () => {
  it("answers Linux's probe", () => {
    const { host } = board();
    host.write(3, 1, 1);
    host.write(0, 4, 0x8000_0000);
    expect(host.read(0, 4)).toBe(0x8000_0000);
    expect(host.read(4, 4)).toBe(0x1237_8086);
  });

  it("latches double words only, and masks reserved bits", () => {
    const { host, rc } = board();
    host.write(0, 4, 0xffff_ffff);
    expect(host.read(0, 4)).toBe(0x80ff_fffc);
    host.write(0, 2, 0);
    host.write(0, 1, 0);
    expect(host.read(0, 4)).toBe(0x80ff_fffc);
    host.write(1, 1, 6);
    expect([rc(), host.read(1, 1), host.read(0, 1), host.read(2, 2)]).toEqual([6, 6, 0xff, 0xffff]);
  });

  it("reads every width, and all ones where nothing is", () => {
    const { host, read, log } = board();
    expect([read(3, 0, 0), read(3, 0, 2, 2), read(3, 0, 1, 1)]).toEqual([0x1042_1af4, 0x1042, 0x1a]);
    expect([read(4, 0, 0), read(3, 1, 0, 2), read(3, 0, 3, 1)]).toEqual([0xffff_ffff, 0xffff, 0x10]);
    expect(read(3, 0, 0, 4, 1)).toBe(0xffff_ffff);
    host.write(0, 4, 3 << 11);
    expect(host.read(4, 4)).toBe(0xffff_ffff);
    host.write(4, 4, 0xffff_ffff);
    host.write(0, 4, 0x8000_1804);
    expect(host.read(4, 2)).toBe(0);
    expect(log.messages).toEqual([]);
    expect(host.read(7, 2)).toBe(0xffff);
    expect(log.messages.length).toBe(1);
  });

  it("says multifunction only where there is more than one", () => {
    const { host, read } = board();
    expect([read(3, 0, 0x0e, 1), read(3, 0, 0x0c)]).toEqual([0, 0]);
    host.add(3, 5, new Card([]));
    expect([read(3, 0, 0x0e, 1), read(3, 0, 0x0c), read(3, 0, 0x0f, 1)]).toEqual([0x80, 0x80_0000, 0]);
  });

  it("refuses a place that is taken", () => {
    const { host, card } = board();
    expect(() => host.add(3, 0, new Card([]))).toThrow(RangeError);
    expect(() => host.add(32, 0, new Card([]))).toThrow(RangeError);
    expect(() => host.add(5, 0, card)).toThrow(/bus already/);
  });
});

describe("configuration space", () => {
  it("keeps what is read-only", () => {
    const { read, write } = board();
    for (let at = 0; at < 256; at += 4) if (at < 0x10 || at >= 0x28) write(3, 0, at, 4, 0xffff_ffff);
    expect(read(3, 0, 0)).toBe(0x1042_1af4);
    expect(read(3, 0, 4)).toBe(0x0210_0547);
    expect(read(3, 0, 8)).toBe(0x0108_0201);
    expect(read(3, 0, 0x2c)).toBe(0x5678_1234);
    expect(read(3, 0, 0x3c)).toBe(0x0000_02ff);
    expect(read(3, 0, 0xfc)).toBe(0);
  });

  it("links the capabilities", () => {
    const { read, write } = board();
    const first = read(3, 0, 0x34, 1);
    expect(read(3, 0, first, 2) & 0xff).toBe(9);
    const second = read(3, 0, first + 1, 1);
    expect([second & 3, read(3, 0, second, 1), read(3, 0, second + 1, 1), read(3, 0, second + 2, 1)]).toEqual([
      0, 5, 0, 7,
    ]);
    write(3, 0, first, 4, 0xffff_ffff);
    expect(read(3, 0, first + 2, 2)).toBe(0xf201);
  });

  it("tells the function what was written", () => {
    const { card, write } = board();
    write(3, 0, 0x42, 1, 5);
    expect(card.changes.at(-1)).toBe(0x42);
  });
});

describe("base address registers", () => {
  it("tell their size and kind", () => {
    const { read, write } = board();
    for (let at = 0x10; at < 0x28; at += 4) write(3, 0, at, 4, 0xffff_ffff);
    expect([0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map((at) => read(3, 0, at))).toEqual([
      0xffff_ffc1, 0xffff_f000, 0, 0, 0xffff_c00c, 0xffff_ffff,
    ]);
  });

  it("appear where they are put while decoding is on", () => {
    const { write, mapped } = board();
    write(3, 0, 0x10, 4, 0xc000);
    write(3, 0, 0x14, 4, 0xd000_0000);
    write(3, 0, 0x20, 4, 0x8000_0000);
    write(3, 0, 0x24, 4, 1);
    expect(mapped).toEqual([]);
    write(3, 0, 4, 2, 1);
    expect(mapped).toEqual(["io c000+40"]);
    write(3, 0, 4, 2, 3);
    expect(mapped).toEqual(["io c000+40", "memory d0000000+1000", "memory 180000000+4000"]);
    write(3, 0, 0x14, 4, 0xe000_0000);
    expect(mapped).toContain("memory e0000000+1000");
    expect(mapped.length).toBe(3);
    write(3, 0, 4, 2, 2);
    expect(mapped).not.toContain("io c000+40");
  });

  it("stay away while software measures with decoding on, and at address 0", () => {
    const { write, mapped } = board();
    write(3, 0, 4, 2, 3);
    expect(mapped).toEqual([]);
    for (const at of [0x10, 0x14]) write(3, 0, at, 4, 0xffff_ffff);
    expect(mapped).toEqual([]);
  });

  it("leave the bus on reset", () => {
    const { card, write, mapped, read } = board();
    write(3, 0, 0x14, 4, 0xd000_0000);
    write(3, 0, 4, 2, 2);
    card.reset();
    expect([mapped.length, read(3, 0, 0x14), read(3, 0, 4, 2)]).toEqual([0, 0, 0]);
  });

  it("must be of a possible size and place", () => {
    for (const bar of [
      [0, { kind: "io", size: 2 }],
      [0, { kind: "memory32", size: 0x1800 }],
      [5, { kind: "memory64", size: 0x1000 }],
    ] as const) {
      expect(() => new Card([[bar[0], { ...bar[1], handler: registers }]])).toThrow(RangeError);
    }
  });
});

describe("interrupts", () => {
  it("go by the swizzle, are shared, and show in the status register", () => {
    const { host, card, pirqs, read } = board();
    const other = new Card([]);
    host.add(7, 0, other);
    card.intx.set(true);
    expect(pirqs.map((pin) => pin.level)).toEqual([false, false, false, true]);
    other.intx.set(true);
    card.intx.set(false);
    expect(pirqs[3].level).toBe(true);
    expect([read(3, 0, 6, 2) & 8, read(7, 0, 6, 2) & 8]).toEqual([0, 8]);
    other.intx.set(false);
    expect(pirqs[3].changes).toEqual([true, false]);
  });

  it("can be disabled by the command register", () => {
    const { card, pirqs, write, read } = board();
    write(3, 0, 4, 2, 0x400);
    card.intx.set(true);
    expect([pirqs[3].level, read(3, 0, 6, 2) & 8]).toEqual([false, 8]);
    write(3, 0, 4, 2, 0);
    expect(pirqs[3].level).toBe(true);
  });
});

describe("chipset", () => {
  const piix = (routes?: number[]) => {
    const gsi = [0, 1, 2, 3].map(() => new FakePin());
    const isa = Array.from({ length: 16 }, () => new FakePin());
    const bridge = new IsaBridgePiix3({ gsi: (n) => gsi[n], isa: (n) => isa[n], ...(routes ? { routes } : {}) });
    return { gsi, isa, bridge };
  };

  it("is what SeaBIOS looks for", () => {
    const bridge = new HostBridge440fx();
    expect([bridge.readConfig(0, 4), bridge.readConfig(8, 4), bridge.readConfig(0x2c, 4)]).toEqual([
      0x1237_8086, 0x0600_0002, 0x1100_1af4,
    ]);
    expect(piix().bridge.readConfig(0, 4)).toBe(0x7000_8086);
    const pm = new AcpiPiix4(() => {});
    expect([pm.readConfig(0, 4), pm.readConfig(0x3c, 2), pm.readConfig(0x5b, 1) & 2]).toEqual([0x7113_8086, 0x0109, 2]);
  });

  it("switches the areas below 1 MiB by PAM", () => {
    let seen = 0;
    const bridge = new HostBridge440fx((segments) => {
      seen = segments.filter(({ readRam, writeRam }) => readRam && writeRam).length;
    });
    bridge.writeConfig(0x59, 1, 0xff);
    expect(bridge.pam()[0]).toEqual({ base: 0xf_0000, size: 0x1_0000, readRam: true, writeRam: true });
    expect(seen).toBe(1);
    bridge.writeConfig(0x5a, 4, 0x3333_3333);
    bridge.writeConfig(0x5e, 2, 0x1213);
    expect(seen).toBe(10);
    expect(bridge.pam()[9]).toEqual({ base: 0xe_0000, size: 0x4000, readRam: true, writeRam: true });
    expect(bridge.pam()[10]).toEqual({ base: 0xe_4000, size: 0x4000, readRam: true, writeRam: false });
    expect(bridge.pam()[11]).toEqual({ base: 0xe_8000, size: 0x4000, readRam: false, writeRam: true });
    bridge.reset();
    expect(seen).toBe(0);
  });

  it("steers PIRQs to ISA interrupts, several to one", () => {
    const { gsi, isa, bridge } = piix([10, 11, 10, 0x80]);
    bridge.pirq(0).set(true);
    expect([gsi[0].level, isa[10].level]).toEqual([true, true]);
    bridge.pirq(2).set(true);
    bridge.pirq(0).set(false);
    expect([gsi[0].level, isa[10].level]).toEqual([false, true]);
    bridge.writeConfig(0x62, 1, 5);
    expect([isa[10].level, isa[5].level]).toEqual([false, true]);
    bridge.writeConfig(0x62, 1, 0x85);
    expect(isa[5].level).toBe(false);
    bridge.pirq(3).set(true);
    expect(isa.some((pin) => pin.level)).toBe(false);
    expect(gsi[3].level).toBe(true);
  });

  it("moves the PM ports", () => {
    const bases: (number | undefined)[] = [];
    const pm = new AcpiPiix4((base) => bases.push(base), 0x600);
    expect([pm.readConfig(0x40, 4), pm.readConfig(0x80, 1), bases]).toEqual([0x601, 1, [0x600]]);
    pm.writeConfig(0x40, 4, 0xb03f);
    pm.writeConfig(0x80, 1, 0);
    expect(pm.readConfig(0x40, 4)).toBe(0xb001);
    expect(bases).toEqual([0x600, 0xb000, undefined]);
    const bare: (number | undefined)[] = [];
    const firmware = new AcpiPiix4((base) => bare.push(base));
    firmware.writeConfig(0x40, 4, 0x600);
    firmware.writeConfig(0x80, 1, 1);
    expect(bare).toEqual([0x600]);
  });
});

describe("saved state", () => {
  const scramble = (random: Random, b: ReturnType<typeof board>) => {
    for (let i = 0; i < 60; i++) {
      if (random.below(6) === 0) b.card.intx.set(random.coin());
      else if (random.below(3) === 0) b.write(3, 0, 4, 2, random.below(8));
      else b.write(3, 0, random.below(64) * 4, 4, random.next());
    }
  };

  it("is restored exactly, with ranges placed and the wire driven", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new Random(seed);
      const a = board();
      scramble(random, a);
      const saved = structuredClone({ card: a.card.exportConfig(), host: a.host.export() });
      const b = board();
      scramble(random, b);
      expect(b.card.exportConfig()).not.toEqual(saved.card);
      b.card.applyConfig(b.card.checkConfig(saved.card));
      b.host.import(saved.host);
      expect({ card: b.card.exportConfig(), host: b.host.export() }).toEqual(saved);
      expect([...b.mapped].sort()).toEqual([...a.mapped].sort());
      expect(b.pirqs.map((pin) => pin.level)).toEqual(a.pirqs.map((pin) => pin.level));
    }
  });

  it("refuses another device's, and nonsense", () => {
    const bridge = new HostBridge440fx();
    const { card, host } = board();
    const good = bridge.export();
    bridge.writeConfig(0x59, 1, 0x30);
    const before = bridge.export();
    expect(before).not.toEqual(good);
    for (const bad of [card.exportConfig(), { ...good, version: 2 }, { ...good, intx: 1 }, { ...good, config: [] }]) {
      expect(() => bridge.import(bad as PciConfigV1)).toThrow(SnapshotError);
      expect(bridge.export()).toEqual(before);
    }
    bridge.import(good);
    expect(bridge.export()).toEqual(good);
    expect(() => host.import({ version: 1, address: -1 })).toThrow(SnapshotError);
  });
});

describe("an expansion ROM", () => {
  class RomCard extends PciFunction {
    constructor(bytes: Uint8Array) {
      super("rom", { vendor: 0x1234, device: 0x1111, classCode: 0x03_0000 });
      this.defineRom(bytes);
    }
  }

  it("is as large as its register says, and is there while both enable bits are set", () => {
    const ranges: { base: number; size: number; handler: IoHandler }[] = [];
    const card = new RomCard(Uint8Array.from({ length: 3000 }, (_, i) => i & 0xff));
    const map: PciSpace["map"] = (_, base, size, { handler }) => {
      const range = { base, size, handler };
      ranges.push(range);
      return () => void ranges.splice(ranges.indexOf(range), 1);
    };
    card.attach({ map }, undefined);
    card.writeConfig(0x30, 4, 0xffff_f800);
    expect(card.readConfig(0x30, 4)).toBe(0xffff_f000);
    card.writeConfig(0x30, 4, 0xfebc_0001);
    expect(ranges).toEqual([]);
    card.writeConfig(4, 2, 2);
    expect(ranges.map(({ base, size }) => [base, size])).toEqual([[0xfebc_0000, 4096]]);
    const [{ handler }] = ranges;
    handler.write(0, 4, 0);
    expect([handler.read(0, 4), handler.read(0xfe, 2), handler.read(2999, 4)]).toEqual([
      0x0302_0100, 0xfffe, 0xffff_ffb7,
    ]);
    card.writeConfig(0x30, 4, 0xfebc_0000);
    expect(ranges).toEqual([]);
  });
});
