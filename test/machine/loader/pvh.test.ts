import { describe, expect, it } from "vitest";
import { GPR } from "../../../src/machine/loader/entry.ts";
import { loadKernel } from "../../../src/machine/loader/load.ts";
import { type ElfOptions, elf, MIB, Ram } from "./images.ts";

function load(image: ElfOptions, rest: { ram?: number; initrd?: Uint8Array; append?: string; acpiRsdp?: number } = {}) {
  const { ram = 64 * MIB, ...config } = rest;
  const memory = new Ram(ram);
  return { memory, ...loadKernel(memory, { kernel: elf(image), ramSize: ram, ...config }) };
}

describe.each([32, 64] as const)("PVH, %i-bit ELF", (bits) => {
  it("places segments by physical address, zeroes what the file lacks, and enters at the note's address", () => {
    const { memory, cpu } = load({ bits, pvh: 0x200010, paddr: 0x200000, vaddr: 0xc0200000n, memorySize: 0x12345 });
    expect([...memory.bytes.subarray(0x200000, 0x200003)]).toEqual([0, 1, 2]);
    expect(memory.bytes[0x2000ff]).toBe(255);
    expect(memory.bytes.subarray(0x200100, 0x212345).every((b) => b === 0)).toBe(true);
    expect(memory.bytes[0x212345]).toBe(0xcc);
    expect(cpu).toMatchObject({
      mode: "protected32",
      rip: 0x200010n,
      cr0: 0x11n,
      cr3: 0n,
      cr4: 0n,
      rflags: 2n,
      efer: 0n,
    });
    expect(cpu.segments.cs.ar).toBe(0xc09b);
    expect(cpu.segments.tr).toEqual({ selector: 0, base: 0n, limit: 0x67, ar: 0x8b });
  });

  it("hands over hvm_start_info: command line, RSDP, module, memory map", () => {
    const initrd = new Uint8Array(100).fill(9);
    const { memory, cpu, e820 } = load({ bits, pvh: 0x100010 }, { initrd, append: "a=1 b", acpiRsdp: 0xf2400 });
    const info = Number(cpu.gprs[GPR.RBX]);
    expect([memory.u32(info), memory.u32(info + 4), memory.u32(info + 12)]).toEqual([0x336ec578, 1, 1]);
    const module = memory.u64(info + 16);
    expect([memory.u64(module), memory.u64(module + 8)]).toEqual([64 * MIB - 4096, 100]);
    expect(memory.bytes[64 * MIB - 4096]).toBe(9);
    expect(memory.string(memory.u64(info + 24))).toBe("a=1 b");
    expect(memory.u64(info + 32)).toBe(0xf2400);
    expect(memory.u32(info + 48)).toBe(e820.length);
    const map = e820.map((_, i) => {
      const at = memory.u64(info + 40) + i * 24;
      return { base: memory.u64(at), length: memory.u64(at + 8), type: memory.u32(at + 16) };
    });
    expect(map).toEqual(e820);
  });
});

describe("PVH", () => {
  it("has neither module list nor RSDP where there are none", () => {
    const { memory, cpu } = load({ bits: 64, pvh: 0x100010 });
    const info = Number(cpu.gprs[GPR.RBX]);
    expect([memory.u32(info + 12), memory.u64(info + 16), memory.u64(info + 32)]).toEqual([0, 0, 0]);
  });

  it("keeps its tables off a kernel that lies low", () => {
    const { placed } = load({ bits: 32, pvh: 0x1010, paddr: 0x1000, memorySize: 0x8000 });
    for (const p of placed.filter((q) => q.what !== "kernel")) expect(p.gpa).toBeGreaterThanOrEqual(0x9000);
  });

  it("refuses what does not fit", () => {
    expect(() => load({ bits: 64, pvh: 0x1000000, paddr: 0x1000000 }, { ram: 8 * MIB })).toThrow(
      /^kernel needs RAM up to 16\.0 MiB \(256 bytes at 0x1000000\); the machine has 8 MiB$/,
    );
    expect(() => load({ bits: 64, pvh: 0xa0010, paddr: 0xa0000 })).toThrow(/not RAM in a PC's memory map/);
    expect(() => load({ bits: 64, pvh: 0x100010 }, { initrd: new Uint8Array(64 * MIB) })).toThrow(
      /^initrd of 64 MiB does not fit/,
    );
    expect(() => load({ bits: 64, pvh: 0x300000 })).toThrow(/entry point 0x300000 lies in none of its segments/);
  });
});
