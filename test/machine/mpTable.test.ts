import { describe, expect, it } from "vitest";
import { mpTables } from "../../src/machine/mpTable.ts";

const CONFIG = { apicIds: [0, 1], cpuSignature: 0x506e3, cpuFeatures: 0x0789_fbff };
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const SIZES = [20, 8, 8, 8, 8];

function parse(config = CONFIG) {
  const [pointer, table] = mpTables(config);
  const view = new DataView(table.bytes.buffer);
  const entries: number[][] = [];
  let at = 44;
  for (let i = 0; i < view.getUint16(34, true); i++) {
    const size = SIZES[table.bytes[at]];
    entries.push([...table.bytes.subarray(at, at + size)]);
    at += size;
  }
  return { pointer, table, view, entries, end: at };
}

describe("mpTables", () => {
  it("has a floating pointer where guests look, and right checksums and lengths", () => {
    const { pointer, table, view, end } = parse();
    expect(pointer.gpa).toBe(0xf_0000);
    expect(String.fromCharCode(...pointer.bytes.subarray(0, 4))).toBe("_MP_");
    expect(new DataView(pointer.bytes.buffer).getUint32(4, true)).toBe(table.gpa);
    expect([sum(pointer.bytes), pointer.bytes.length, pointer.bytes[9]]).toEqual([0, 16, 4]);
    expect(String.fromCharCode(...table.bytes.subarray(0, 4))).toBe("PCMP");
    expect([sum(table.bytes), view.getUint16(4, true), end]).toEqual([0, table.bytes.length, table.bytes.length]);
    expect(view.getUint32(36, true)).toBe(0xfee0_0000);
  });

  it("lists processors, the boot one first, without those that do not fit", () => {
    const cpus = parse({ ...CONFIG, apicIds: [0, 1, 300] }).entries.filter(([type]) => type === 0);
    expect(cpus.map((entry) => entry.slice(1, 4))).toEqual([
      [0, 0x14, 3],
      [1, 0x14, 1],
    ]);
    expect(cpus[0].slice(4, 12)).toEqual([0xe3, 0x06, 0x05, 0, 0xff, 0xfb, 0x89, 0x07]);
  });

  it("has entries in ascending order of type", () => {
    const types = parse().entries.map(([type]) => type);
    expect(types).toEqual([...types].sort((a, b) => a - b));
  });

  it("routes the timer to input 2, the SCI as level, PCI pins to 16–19 and NMI to LINT1", () => {
    const { entries } = parse();
    const isa = entries.filter(([type, , , , bus]) => type === 3 && bus === 1);
    const route = (irq: number) => isa.find((entry) => entry[5] === irq);
    expect(route(0)).toEqual([3, 0, 0, 0, 1, 0, 0, 2]);
    expect(route(2)).toBeUndefined();
    expect(route(4)).toEqual([3, 0, 0, 0, 1, 4, 0, 4]);
    expect(route(9)).toEqual([3, 0, 0x0f, 0, 1, 9, 0, 9]);
    const pci = (slot: number, pin: number) =>
      entries.find((entry) => entry[0] === 3 && entry[4] === 0 && entry[5] === ((slot << 2) | pin))!;
    expect(pci(1, 0)[7]).toBe(9);
    expect([0, 1, 2, 3].map((pin) => pci(3, pin)[7])).toEqual([18, 19, 16, 17]);
    expect(entries.filter(([type]) => type === 4)).toEqual([
      [4, 3, 0, 0, 1, 0, 0, 0],
      [4, 1, 0, 0, 1, 0, 0xff, 1],
    ]);
  });
});
