import { describe, expect, it } from "vitest";
import { GPR } from "../../../src/machine/loader/entry.ts";
import { loadKernel } from "../../../src/machine/loader/load.ts";
import { type BzImageOptions, bzImage, elf, lz4Frame, MIB, Ram } from "./images.ts";

const ZERO_PAGE = 0x2000;

function load(
  image: BzImageOptions,
  rest: { ram?: number; initrd?: Uint8Array; append?: string; acpiRsdp?: number; la57?: boolean } = {},
) {
  const { ram = 64 * MIB, ...config } = rest;
  const memory = new Ram(ram);
  return { memory, ...loadKernel(memory, { kernel: bzImage(image), ramSize: ram, ...config }) };
}

describe("bzImage, 64-bit entry", () => {
  it("places the protected-mode part at the preferred address and enters 0x200 into it", () => {
    const { memory, cpu, placed, description } = load({});
    expect(description).toContain("bzImage 6.1.0-test (someone@somewhere) #1 SMP, 64-bit entry");
    expect([...memory.bytes.subarray(0x1000000, 0x1000004)]).toEqual([0, 1, 2, 3]);
    expect(cpu).toMatchObject({
      mode: "long64",
      rip: 0x1000200n,
      rflags: 2n,
      efer: 0x500n,
      cr4: 0x20n,
      cr0: 0x80000011n,
    });
    expect(cpu.gprs[GPR.RSI]).toBe(BigInt(ZERO_PAGE));
    expect(placed).toContainEqual({ what: "kernel 6.1.0-test", gpa: 0x1000000, size: 0x400000 });
    const sorted = [...placed].sort((a, b) => a.gpa - b.gpa);
    expect(placed).toEqual(sorted);
    for (let i = 1; i < placed.length; i++)
      expect(placed[i - 1].gpa + placed[i - 1].size).toBeLessThanOrEqual(placed[i].gpa);
  });

  it("has segments that its GDT would load", () => {
    const { memory, cpu } = load({});
    const gdt = Number(cpu.gdt.base);
    expect(cpu.segments.cs).toEqual({ selector: 0x10, base: 0n, limit: 0xffffffff, ar: 0xa09b });
    expect(cpu.segments.ss).toEqual({ selector: 0x18, base: 0n, limit: 0xffffffff, ar: 0xc093 });
    for (const s of [cpu.segments.cs, cpu.segments.ds]) {
      // Bits 55:52 and 47:40 of the descriptor are bits 15:12 and 7:0 of the access rights.
      const high = memory.u32(gdt + s.selector + 4);
      expect(((high >> 8) & 0xff) | (((high >> 20) & 0xf) << 12)).toBe(s.ar);
      expect(memory.u32(gdt + s.selector) & 0xffff).toBe(0xffff);
    }
    expect(cpu.gdt.limit).toBe(31);
  });

  it("maps the first 4 GiB one to one", () => {
    const { memory, cpu } = load({});
    const next = (table: number, index: number): number => memory.u64(table + index * 8) & ~0xfff;
    for (const address of [0, 0x1234567, 0x7fffffff, 0xffffffff]) {
      const pdpt = next(Number(cpu.cr3), 0);
      const pd = Number(BigInt(memory.u64(pdpt + (address >>> 30) * 8)) & ~0xfffn);
      const entry = memory.u64(pd + ((address >>> 21) & 511) * 8);
      expect(entry & 0x83).toBe(0x83);
      expect(entry - (entry & 0xff)).toBe(Math.floor(address / 0x200000) * 0x200000);
    }
  });

  it("fills in the zero page and nothing of the code behind the header", () => {
    const { memory, e820 } = load({}, { append: "console=ttyS0 quiet ü", acpiRsdp: 0xe0000 });
    expect(memory.u32(ZERO_PAGE + 0x202)).toBe(0x53726448);
    expect(memory.bytes[ZERO_PAGE + 0x210]).toBe(0xff);
    expect(memory.string(memory.u32(ZERO_PAGE + 0x228))).toBe("console=ttyS0 quiet ü");
    expect(memory.u64(ZERO_PAGE + 0x70)).toBe(0xe0000);
    expect(memory.bytes[ZERO_PAGE + 0x1ef]).toBe(0);
    expect(memory.u32(ZERO_PAGE + 0x218)).toBe(0);
    expect(memory.u32(ZERO_PAGE + 0x1e0)).toBe(63 * 1024);
    expect(memory.bytes.subarray(ZERO_PAGE + 0x268, ZERO_PAGE + 0x2d0).every((b) => b === 0)).toBe(true);
    expect(memory.bytes[ZERO_PAGE + 0x1e8]).toBe(e820.length);
    e820.forEach((entry, i) => {
      const at = ZERO_PAGE + 0x2d0 + i * 20;
      expect([memory.u64(at), memory.u64(at + 8), memory.u32(at + 16)]).toEqual([entry.base, entry.length, entry.type]);
    });
  });

  it("puts the initrd on a page at the top of RAM, or below the kernel's limit", () => {
    const initrd = new Uint8Array(5000).fill(7);
    for (const [initrdAddrMax, top] of [
      [0x7fffffff, 64 * MIB],
      [0x2ffffff, 0x3000000],
    ]) {
      const { memory } = load({ initrdAddrMax }, { initrd });
      const at = memory.u32(ZERO_PAGE + 0x218);
      expect(at).toBe(top - 8192);
      expect(memory.u32(ZERO_PAGE + 0x21c)).toBe(5000);
      expect([memory.bytes[at], memory.bytes[at + 4999], memory.bytes[at + 5000]]).toEqual([7, 7, 0xcc]);
    }
  });

  it("loads at 1 MiB what cannot be relocated, and keeps the way to its preferred address free", () => {
    const { cpu, placed } = load({ relocatable: false });
    expect(cpu.rip).toBe(0x100200n);
    expect(placed).toContainEqual({ what: "kernel 6.1.0-test", gpa: 0x100000, size: 0x1300000 });
  });
});

describe("bzImage, 32-bit entry", () => {
  it("is used for kernels without a 64-bit one", () => {
    const { cpu } = load({ xloadflags: 0 });
    expect(cpu).toMatchObject({ mode: "protected32", rip: 0x1000000n, cr0: 0x11n, cr3: 0n, cr4: 0n, efer: 0n });
    expect(cpu.segments.cs).toEqual({ selector: 0x10, base: 0n, limit: 0xffffffff, ar: 0xc09b });
    expect(cpu.gprs[GPR.RSI]).toBe(BigInt(ZERO_PAGE));
    for (const r of [GPR.RBP, GPR.RDI, GPR.RBX]) expect(cpu.gprs[r]).toBe(0n);
  });

  it("does not read header fields that an old protocol lacks", () => {
    const { cpu, placed } = load({ version: 0x205, relocatable: false, prefAddress: 0x4000000n, initSize: 0x40000000 });
    expect(cpu).toMatchObject({ mode: "protected32", rip: 0x100000n });
    expect(placed).toContainEqual({ what: "kernel 6.1.0-test", gpa: 0x100000, size: 0x1000 });
    expect(() => load({ version: 0x205, relocatable: false }, { append: "x".repeat(256) })).toThrow(/at most 255/);
  });
});

describe("bzImage with a kernel that can be unpacked here", () => {
  const text = new Uint8Array(600).map((_, i) => i * 7);
  const kernel = (bits: 32 | 64, paddr = 0x1000000): Uint8Array =>
    elf({ bits, text, paddr, entry: BigInt(paddr + 0x70) });

  it.each([
    [64, 0x7f, "long64"],
    [32, 0, "protected32"],
  ] as const)("places its segments and enters it: %i-bit", (bits, xloadflags, mode) => {
    const { memory, cpu, placed, description } = load({ xloadflags, payload: lz4Frame(kernel(bits)) });
    expect(description).toContain(`${bits}-bit entry, unpacked (`);
    expect(cpu).toMatchObject({ mode, rip: 0x1000070n });
    expect(cpu.gprs[GPR.RSI]).toBe(BigInt(ZERO_PAGE));
    expect(memory.bytes.subarray(0x1000000, 0x1000000 + text.length)).toEqual(text);
    // What the decompressor would have had is kept free for it all the same.
    expect(placed).toContainEqual({ what: "kernel 6.1.0-test", gpa: 0x1000000, size: 0x400000 });
  });

  it.each<[string, Uint8Array, boolean]>([
    ["five-level paging is the decompressor's to turn on", lz4Frame(kernel(64)), true],
    ["no ELF", lz4Frame(text), false],
    ["an ELF cut short", lz4Frame(kernel(64).subarray(0, 0x210)), false],
    ["a damaged frame", Uint8Array.of(2, 0x21, 0x4c, 0x18, 200, 0, 0, 0, 1, 2, 3), false],
    ["a segment outside the kernel's own memory", lz4Frame(kernel(64, 0x1400000)), false],
    ["another packer", Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), false],
  ])("leaves it to the guest: %s", (_, payload, la57) => {
    const { memory, cpu, description } = load({ payload }, { la57 });
    expect(description).not.toContain("unpacked");
    expect(cpu.rip).toBe(0x1000200n);
    expect([...memory.bytes.subarray(0x1000000, 0x1000004)]).toEqual([0, 1, 2, 3]);
  });
});

describe("bzImage refused", () => {
  it.each<[string, () => unknown, RegExp]>([
    [
      "too little RAM",
      () => load({}, { ram: MIB }),
      /^kernel 6\.1\.0-test needs RAM up to 20 MiB \(4 MiB at 0x1000000\); the machine has 1 MiB$/,
    ],
    [
      "an initrd larger than RAM",
      () => load({}, { initrd: new Uint8Array(80 * MIB) }),
      /^initrd of 80 MiB does not fit: 44 MiB are free above the kernel in 64 MiB of RAM/,
    ],
    ["a long command line", () => load({ cmdlineSize: 20 }, { append: "x".repeat(21) }), /has 21 bytes; .* at most 20/],
    ["an old protocol", () => load({ version: 0x204 }), /protocol 2\.04; need 2\.05/],
    ["a zImage", () => load({ loadflags: 0 }), /zImage/],
  ])("%s", (_, what, message) => {
    expect(what).toThrow(message);
  });

  it("wherever the file is cut short", () => {
    const file = bzImage();
    for (const size of [600, 1024, 2000, file.length - 16]) {
      const attempt = () => loadKernel(new Ram(64 * MIB), { kernel: file.subarray(0, size), ramSize: 64 * MIB });
      expect(attempt).toThrow(`kernel is a bzImage cut short: it should have ${file.length} bytes but has ${size}`);
    }
  });

  it("where the payload claims more than the file has", () => {
    const file = bzImage();
    new DataView(file.buffer).setUint32(0x24c, 0x2000, true);
    expect(() => loadKernel(new Ram(64 * MIB), { kernel: file, ramSize: 64 * MIB })).toThrow(/cut short/);
  });
});
