import { describe, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { embeddedGuest } from "../../src/machine/embedded/index.ts";
import { assembleEmbedded, embeddedSource } from "../../src/machine/embedded/source.ts";
import { GPR } from "../../src/machine/loader/entry.ts";
import { loadKernel } from "../../src/machine/loader/load.ts";
import { findMultibootHeader } from "../../src/machine/loader/multiboot.ts";
import { MIB, Ram } from "./loader/images.ts";

const { symbols } = assemble(embeddedSource);

function symbol(name: string): number {
  const value = symbols.get(name);
  if (value === undefined) throw new Error(`the embedded guest has no ${name}`);
  return Number(value);
}

/** What `say` or a table prints: text that lies in the image with a zero behind it. */
function texts(image: Uint8Array): string {
  return new TextDecoder("latin1").decode(image);
}

describe("the embedded guest's image", () => {
  it("fits between its load address and its page tables", () => {
    expect(embeddedGuest().length).toBeLessThan(symbol("PML4") - symbol("LOAD"));
    expect(embeddedGuest().length).toBeLessThan(8192);
  });

  it("is what the build assembles from the source", () => {
    expect(embeddedGuest()).toEqual(assembleEmbedded());
  });

  it("is the caller's to keep", () => {
    const image = embeddedGuest();
    const before = image.slice();
    image.fill(0);
    expect(embeddedGuest()).toEqual(before);
  });

  it("has a Multiboot header with the addresses of a flat image and no wish but memory", () => {
    const image = embeddedGuest();
    expect(findMultibootHeader(image)).toEqual({
      offset: 0,
      flags: 0x10002,
      addresses: {
        headerAddr: 0x100000,
        loadAddr: 0x100000,
        loadEndAddr: 0x100000 + image.length,
        bssEndAddr: symbol("BSS_END"),
        entryAddr: symbol("start"),
      },
    });
  });

  it("loads like any Multiboot kernel, with everything up to its stacks cleared", () => {
    const memory = new Ram(2 * MIB);
    const kernel = embeddedGuest();
    const loaded = loadKernel(memory, { kernel, ramSize: 2 * MIB, append: "version=1.2.3" });
    expect(loaded.format).toBe("multiboot");
    expect(loaded.cpu.mode).toBe("protected32");
    expect(Number(loaded.cpu.rip)).toBe(symbol("start"));
    expect(memory.bytes.subarray(0x100000, 0x100000 + kernel.length)).toEqual(kernel);
    const rest = memory.bytes.subarray(0x100000 + kernel.length, symbol("BSS_END"));
    expect(rest.length).toBeGreaterThan(0);
    expect(rest.every((byte) => byte === 0)).toBe(true);
    expect(memory.string(memory.u32(Number(loaded.cpu.gprs[GPR.RBX]) + 16))).toBe("kernel version=1.2.3");
  });

  it("is refused where its memory does not fit", () => {
    const kernel = embeddedGuest();
    expect(() => loadKernel(new Ram(MIB), { kernel, ramSize: MIB })).toThrow(/needs RAM up to/);
  });

  it("keeps page tables, IDT, TSS, variables and stacks apart", () => {
    const places = ["LOAD", "PML4", "PDPT", "PD", "IDT", "TSS", "VARIABLES", "STACK_TOP", "FAULT_STACK_TOP"].map(
      symbol,
    );
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(new Set(places).size).toBe(places.length);
    for (const table of ["PML4", "PDPT", "PD"]) expect(symbol(table) % 4096).toBe(0);
    expect(symbol("PD") + 4 * 4096).toBe(symbol("IDT"));
    expect(symbol("IDT") + symbol("VECTORS") * 16).toBeLessThanOrEqual(symbol("TSS"));
    expect(symbol("line") + symbol("LINE_MAX")).toBeLessThan(symbol("STACK_TOP") - 4096);
  });

  it("lists all its commands", () => {
    const all = texts(embeddedGuest());
    for (const name of ["help", "machine", "ticks", "regs", "divide", "pagefault", "ud", "fault", "halt", "reboot"]) {
      expect(all).toContain(`${name}\0`);
    }
    expect(all).toContain("poweroff\0");
  });
});
