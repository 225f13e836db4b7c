import { expect, it } from "vitest";
import { BIOS_LAPIC_WRITES, BIOS_PORT_WRITES, placeBiosData } from "../../../src/machine/loader/bios.ts";
import { MIB, Ram } from "./images.ts";

const ram = new Ram(MIB);
placeBiosData(ram, [0x3f8, 0x2f8]);
const u16 = (gpa: number): number => ram.view.getUint16(gpa, true);
/** The code that a real-mode interrupt runs, up to its IRET. */
const handler = (vector: number): number[] => {
  const at = u16(vector * 4 + 2) * 16 + u16(vector * 4);
  return [...ram.bytes.subarray(at, ram.bytes.indexOf(0xcf, at) + 1)];
};

it("answers software interrupts with an IRET and IRQs with the EOIs they need", () => {
  for (const vector of [0, 0x10, 0x13, 0xff]) expect(handler(vector)).toEqual([0xcf]);
  for (const vector of [0x08, 0x0f]) expect(handler(vector)).toEqual([0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf]);
  for (const vector of [0x70, 0x77])
    expect(handler(vector)).toEqual([0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf]);
});

it("fills in the BIOS data area and the EBDA", () => {
  expect([u16(0x400), u16(0x402), u16(0x404), u16(0x40e), u16(0x410), u16(0x413)]).toEqual([
    0x3f8, 0x2f8, 0, 0x9fc0, 0x402, 639,
  ]);
  expect(ram.bytes[0x9fc00]).toBe(1);
});

it("programs each 8259 with ICW1 to ICW4 and then its mask", () => {
  const writes = (port: number): number[] => BIOS_PORT_WRITES.filter(([p]) => p === port).map(([, value]) => value);
  expect([writes(0x20), writes(0x21)]).toEqual([[0x11], [0x08, 4, 1, 0xf8]]);
  expect([writes(0xa0), writes(0xa1)]).toEqual([[0x11], [0x70, 2, 1, 0xff]]);
});

it("unmasks LINT0 as ExtINT in an enabled local APIC", () => {
  const value = (offset: number): number => BIOS_LAPIC_WRITES.find(([o]) => o === offset)?.[1] ?? 0;
  expect(value(0xf0) & 0x100).toBe(0x100);
  expect(value(0x350) & 0x10700).toBe(0x700);
  expect(value(0x360) & 0x10700).toBe(0x400);
});
