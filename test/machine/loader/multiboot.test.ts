import { describe, expect, it } from "vitest";
import { GPR } from "../../../src/machine/loader/entry.ts";
import { loadKernel } from "../../../src/machine/loader/load.ts";
import { elf, MIB, multibootHeader, Ram } from "./images.ts";

type Rest = { ram?: number; initrd?: Uint8Array; append?: string; kernelName?: string };

function load(kernel: Uint8Array, rest: Rest = {}) {
  const { ram = 64 * MIB, ...config } = rest;
  const memory = new Ram(ram);
  return { memory, ...loadKernel(memory, { kernel, ramSize: ram, ...config }) };
}

/** 0x40 bytes of junk, the header, then bytes that count up; header_addr is 0x100040. */
function flat(loadAddr: number, loadEnd: number, bssEnd: number, entry: number, flags = 0x10000): Uint8Array {
  const file = new Uint8Array(0x200).map((_, i) => i);
  file.set(multibootHeader(flags, [0x100040, loadAddr, loadEnd, bssEnd, entry]), 0x40);
  return file;
}

describe("Multiboot entry", () => {
  it("is 32-bit protected mode with the magic in EAX and the information in EBX (3.2)", () => {
    const { cpu } = load(elf({ bits: 32, text: multibootHeader(3), entry: 0x10001cn }));
    expect(cpu).toMatchObject({ mode: "protected32", rip: 0x10001cn, cr0: 0x11n, rflags: 2n });
    expect(cpu.gprs[GPR.RAX]).toBe(0x2badb002n);
    expect(cpu.segments.cs).toEqual({ selector: 0x10, base: 0n, limit: 0xffffffff, ar: 0xc09b });
    for (const s of ["ds", "es", "fs", "gs", "ss"] as const) expect(cpu.segments[s].ar).toBe(0xc093);
  });

  it("passes memory sizes and map, command line, module and loader name", () => {
    const { memory, cpu, e820 } = load(elf({ bits: 32, text: multibootHeader(2), memorySize: 0x2800 }), {
      append: "smp 2",
      kernelName: "apic.flat",
      initrd: new TextEncoder().encode("NR_CPUS=2\n"),
    });
    const info = Number(cpu.gprs[GPR.RBX]);
    expect(memory.u32(info)).toBe(0x24d);
    expect([memory.u32(info + 4), memory.u32(info + 8)]).toEqual([640, 63 * 1024]);
    expect(memory.string(memory.u32(info + 16))).toBe("apic.flat smp 2");
    expect(memory.string(memory.u32(info + 64))).toBe("tabhyve");
    expect(memory.u32(info + 20)).toBe(1);
    const module = memory.u32(info + 24);
    const start = memory.u32(module);
    expect(start).toBe(0x103000);
    expect(memory.u32(module + 4)).toBe(start + 10);
    expect(memory.string(memory.u32(module + 8))).toBe("initrd");
    expect(new TextDecoder().decode(memory.bytes.subarray(start, start + 10))).toBe("NR_CPUS=2\n");
    const map = [];
    const end = memory.u32(info + 48) + memory.u32(info + 44);
    for (let at = memory.u32(info + 48); at < end; at += memory.u32(at) + 4) {
      map.push({ base: memory.u64(at + 4), length: memory.u64(at + 12), type: memory.u32(at + 20) });
    }
    expect(map).toEqual(e820);
  });

  it("translates a virtual entry point through its segment", () => {
    const image = { bits: 64, text: multibootHeader(0), paddr: 0x200000, vaddr: 0xffffffff80000000n } as const;
    expect(load(elf({ ...image, entry: 0xffffffff80000010n })).cpu.rip).toBe(0x200010n);
    expect(load(elf({ ...image, entry: 0x200010n })).cpu.rip).toBe(0x200010n);
    expect(() => load(elf({ ...image, entry: 0x900000n }))).toThrow(/entry point 0x900000 lies in none/);
  });

  it("warns of a video mode it does not set", () => {
    expect(load(elf({ bits: 32, text: multibootHeader(4) })).warnings).toHaveLength(1);
    expect(load(elf({ bits: 32, text: multibootHeader(3) })).warnings).toEqual([]);
  });
});

describe("Multiboot a.out kludge", () => {
  it("loads from load_addr to load_end_addr and clears up to bss_end_addr", () => {
    const { memory, cpu, placed } = load(flat(0x100020, 0x100120, 0x100200, 0x100080));
    expect(cpu.rip).toBe(0x100080n);
    expect(placed).toContainEqual({ what: "kernel", gpa: 0x100020, size: 0x1e0 });
    expect([memory.bytes[0x10001f], memory.bytes[0x100020], memory.bytes[0x10011f]]).toEqual([0xcc, 0x20, 0x1f]);
    expect(memory.bytes.subarray(0x100120, 0x100200).every((b) => b === 0)).toBe(true);
    expect(memory.bytes[0x100200]).toBe(0xcc);
  });

  it("loads the whole file where load_end_addr is 0, with no bss where that is 0", () => {
    const { placed } = load(flat(0x100000, 0, 0, 0x100080));
    expect(placed).toContainEqual({ what: "kernel", gpa: 0x100000, size: 0x200 });
  });

  it("goes before the program headers of an ELF", () => {
    const header = multibootHeader(0x10000, [0x300000, 0x300000, 0x300020, 0, 0x300000]);
    expect(load(elf({ bits: 32, text: header, entry: 0x100010n })).cpu.rip).toBe(0x300000n);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["header_addr below load_addr", flat(0x100100, 0, 0, 0x100180), /addresses make no sense/],
    ["load_addr before the file", flat(0xf0000, 0, 0, 0x100080), /addresses make no sense/],
    [
      "load_end_addr beyond the file",
      flat(0x100000, 0x100400, 0, 0x100080),
      /cut short: it should have 1024 bytes but has 512/,
    ],
    ["an entry point outside", flat(0x100000, 0, 0, 0x200000), /entry point 0x200000 lies outside/],
    ["unknown demands", flat(0x100000, 0, 0, 0x100080, 0x10010), /demands features 0x10/],
  ])("refuses %s", (_, file, message) => {
    expect(() => load(file)).toThrow(message);
  });

  it("refuses what RAM cannot hold", () => {
    expect(() => load(flat(0x100000, 0, 0x900000, 0x100080), { ram: 4 * MIB })).toThrow(/the machine has 4 MiB$/);
    const initrd = new Uint8Array(5 * MIB);
    expect(() => load(flat(0x100000, 0, 0, 0x100080), { ram: 4 * MIB, initrd })).toThrow(
      /^initrd of 5 MiB does not fit/,
    );
  });
});
