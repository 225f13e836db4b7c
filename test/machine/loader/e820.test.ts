import { describe, expect, it } from "vitest";
import {
  E820_RAM,
  E820_RESERVED,
  e820Map,
  FOUR_GIB,
  isRam,
  lowRamTop,
  PCI_HOLE_BASE,
  ramTotal,
} from "../../../src/machine/loader/e820.ts";
import { LoaderError } from "../../../src/machine/loader/types.ts";
import { MIB } from "./images.ts";

const GIB = 2 ** 30;

describe("e820Map", () => {
  it("gives conventional memory, the EBDA, the BIOS area and RAM from 1 MiB", () => {
    expect(e820Map(256 * MIB)).toEqual([
      { base: 0, length: 0x9fc00, type: E820_RAM },
      { base: 0x9fc00, length: 0x400, type: E820_RESERVED },
      { base: 0xe0000, length: 0x20000, type: E820_RESERVED },
      { base: MIB, length: 255 * MIB, type: E820_RAM },
    ]);
  });

  it("puts what the PCI hole displaces above 4 GiB and loses nothing", () => {
    const map = e820Map(5 * GIB);
    expect(map.at(-2)).toEqual({ base: MIB, length: PCI_HOLE_BASE - MIB, type: E820_RAM });
    expect(map.at(-1)).toEqual({ base: FOUR_GIB, length: 2 * GIB, type: E820_RAM });
    expect(ramTotal(map)).toBe(5 * GIB - (MIB - 0x9fc00));
    expect(e820Map(3 * GIB).at(-1)).toEqual({ base: MIB, length: 3 * GIB - MIB, type: E820_RAM });
  });

  it("has no RAM above 1 MiB on a machine of 1 MiB", () => {
    expect(e820Map(MIB).filter((e) => e.base >= MIB)).toEqual([]);
    expect(lowRamTop(e820Map(MIB))).toBe(MIB);
  });

  it("refuses sizes that no PC has", () => {
    expect(() => e820Map(1000)).toThrow(new LoaderError("RAM of 1000 bytes; need a multiple of 4096"));
    expect(() => e820Map(512 * 1024)).toThrow(new LoaderError("RAM of 512 KiB; a PC has at least 640 KiB"));
  });

  it("sorts extra entries in and refuses overlaps", () => {
    const extra = { base: 0xe000_0000, length: 256 * MIB, type: E820_RESERVED };
    expect(e820Map(256 * MIB, [extra]).at(-1)).toEqual(extra);
    expect(() => e820Map(256 * MIB, [{ ...extra, base: 128 * MIB }])).toThrow(/overlap/);
  });

  it("knows what is RAM throughout", () => {
    const map = e820Map(64 * MIB);
    expect(isRam(map, 0x1000, 0x1000)).toBe(true);
    expect(isRam(map, 0x9f000, 0x1000)).toBe(false);
    expect(isRam(map, 0xb8000, 1)).toBe(false);
    expect(isRam(map, MIB, 63 * MIB)).toBe(true);
    expect(isRam(map, MIB, 63 * MIB + 1)).toBe(false);
  });
});
