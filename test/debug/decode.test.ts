/** Decoders that the page and Node share, against values whose meaning the manuals state. */
import { describe, expect, test } from "vitest";
import type { CpuState } from "../../src/debug/cpuState.ts";
import { bitsText, CR0_BITS, RFLAGS_BITS } from "../../src/debug/decode/bits.ts";
import { apicTable, ioapicTable, pitTable } from "../../src/debug/decode/chips.ts";
import {
  decodeDescriptor,
  decodeGate,
  decodeTss,
  descriptorText,
  gateText,
  rightsText,
  selectorText,
} from "../../src/debug/decode/descriptors.ts";
import { errorText, eventOf, eventText, pageFaultText } from "../../src/debug/decode/exceptions.ts";
import { explainEntry, judge } from "../../src/debug/decode/paging.ts";
import { ExpressionError, evaluate } from "../../src/debug/expression.ts";
import { linesAround, lineText } from "../../src/debug/listing.ts";
import { parseSymbols, SymbolsError } from "../../src/debug/symbols.ts";
import { eventLine, sharesOf, spansOf } from "../../src/debug/timeline.ts";
import type { TraceEvent } from "../../src/debug/trace.ts";
import { walk } from "../../src/debug/walk.ts";
import { assemble } from "../../src/isa/assemble.ts";
import { EXIT } from "../../src/shared/exit.ts";

describe("descriptors", () => {
  test.each([
    [
      0x00af9b000000ffffn,
      true,
      "code, execute and read, accessed; 64-bit, DPL 0, base 0x0, limit 0xffffffff".replace("0xffffffff", "0xffffffff"),
    ],
    [0x00cffb000000ffffn, true, "code, execute and read, accessed; 32-bit, DPL 3, base 0x0, limit 0xffffffff"],
    [
      0x00cf13000000ffffn,
      false,
      "data, read and write, accessed; 32-bit, DPL 0, not present, base 0x0, limit 0xffffffff",
    ],
    [0x0000_8900_1000_0067n, false, "32-bit TSS, available, DPL 0, base 0x1000, limit 0x67"],
    [0n, false, "null"],
  ])("%x", (raw, long, says) => {
    expect(descriptorText(decodeDescriptor(raw), long)).toBe(says);
  });

  test("a 64-bit TSS has its base in both halves", () => {
    const d = decodeDescriptor(0xff00_8bab_cdef_0067n, 0xffff_ffffn);
    expect(d.base).toBe(0xffff_ffff_ffab_cdefn);
    expect(descriptorText(d, true)).toMatch(/^64-bit TSS, busy/);
  });

  test("gates, selectors, rights", () => {
    const gate = decodeGate(0x8123_8e01_0010_4567n, 0xffff_ffffn, true);
    expect(gateText(gate, true)).toBe("64-bit interrupt gate, DPL 0, to 0x10:0xffffffff81234567, IST 1");
    expect(gateText(decodeGate(0x0012_6f00_0008_3456n, 0n, false), false)).toBe(
      "32-bit trap gate, DPL 3, not present, to 0x8:0x123456",
    );
    expect(gateText(decodeGate(0n, 0n, true), true)).toBe("empty: every bit is 0");
    expect(selectorText(0x2b)).toBe("0x2b: GDT entry 5, RPL 3");
    expect(selectorText(0x0f)).toBe("0xf: LDT entry 1, RPL 3");
    expect(selectorText(3)).toBe("0x3: null");
    expect(rightsText(0xa09b, true)).toBe("code, execute and read, accessed, 64-bit, DPL 0");
    expect(rightsText(0x1_0000, true)).toMatch(/^unusable/);
  });

  test("the fields of a TSS end with its limit", () => {
    const bytes = new Uint8Array(0x2c);
    bytes.set([0x00, 0x70], 4);
    bytes.set([0x00, 0x78], 0x24);
    expect(decodeTss(bytes, 64)).toEqual([
      { name: "RSP0", value: 0x7000n },
      { name: "RSP1", value: 0n },
      { name: "RSP2", value: 0n },
      { name: "IST1", value: 0x7800n },
    ]);
    expect(
      decodeTss(bytes, 32)
        .slice(0, 3)
        .map(({ name }) => name),
    ).toEqual(["previous task", "ESP0", "SS0"]);
  });
});

describe("exceptions", () => {
  test("an event as the core writes it down", () => {
    expect(eventText(eventOf(0x2_8000_0b0en, 0x1234n))).toBe("#PF(0x2) at 0x1234");
    expect(eventText(eventOf(0x8000_0b0dn, 0n))).toBe("#GP(0)");
    expect(eventText(eventOf(0x8000_0480n, 0n))).toBe("INT 0x80");
    expect(eventText(eventOf(0x8000_0030n, 0n))).toBe("interrupt 0x30");
    expect(eventText(eventOf(0x8000_0202n, 0n))).toBe("NMI");
  });

  test("error codes", () => {
    expect(errorText(13, 0x6b)).toBe(
      "entry 0xd of the IDT, met while an interrupt or an earlier exception was delivered (EXT)",
    );
    expect(errorText(13, 0x2c)).toBe("selector 0x2c: entry 5 of the LDT");
    expect(errorText(13, 0)).toBe("no descriptor");
    expect(errorText(6, 0)).toBeUndefined();
    expect(pageFaultText(0x15)).toBe("user instruction fetch: the page's rights forbid it");
    expect(pageFaultText(0x9)).toBe("supervisor read: an entry has a reserved bit set");
    expect(pageFaultText(0x27)).toBe("user write: the protection key forbids it");
  });

  test("bits by name", () => {
    expect(bitsText(0x3246n, RFLAGS_BITS)).toBe("PF ZF IF IOPL=3");
    expect(bitsText(0x8005_0033n, CR0_BITS)).toBe("PE MP ET NE WP AM PG");
  });
});

describe("paging", () => {
  /** A 4-level world of three entries that map the first 2 MiB. */
  const PAGING = { cr0: 0x8001_0011n, cr3: 0x1000n, cr4: 0x20n, efer: 0xd00n, pdpte: [], rflags: 2n, pkru: 0 };
  const memory = (entries: Record<number, bigint>) => (gpa: number, length: number) => {
    const raw = new Uint8Array(8);
    new DataView(raw.buffer).setBigUint64(0, entries[gpa] ?? 0n, true);
    return raw.slice(0, length);
  };
  const told = (pde: bigint, cr4 = PAGING.cr4) =>
    walk({ ...PAGING, cr4 }, memory({ 4096: 0x2007n, 8192: 0x3007n, 12288: pde }), 0x1234n);
  const cpu = { ...PAGING } as unknown as CpuState;
  const verdict = (pde: bigint, kind: "read" | "write" | "fetch", user: boolean, more: Partial<CpuState> = {}) =>
    judge({ ...cpu, ...more } as CpuState, told(pde), { kind, user });

  test("each right that is missing is told of with the entry that lacks it", () => {
    expect(verdict(0x87n, "write", true)).toMatchObject({ ok: true, step: 2 });
    expect(verdict(0x85n, "write", true)).toMatchObject({ ok: false, error: 7, step: 2, why: "the PDE has R/W clear" });
    expect(verdict(0x85n, "write", false)).toMatchObject({ ok: false, error: 3 });
    expect(verdict(0x85n, "write", false, { cr0: 0x8000_0011n })).toMatchObject({ ok: true });
    expect(verdict(0x83n, "read", true)).toMatchObject({
      ok: false,
      error: 5,
      why: "the PDE has U/S clear: only supervisors may use it",
    });
    expect(verdict((1n << 63n) | 0x87n, "fetch", true)).toMatchObject({ ok: false, error: 0x15 });
    expect(verdict(0x87n, "fetch", false, { cr4: 0x10_0020n })).toMatchObject({
      ok: false,
      error: 0x11,
      why: expect.stringContaining("SMEP"),
    });
    expect(verdict(0x87n, "read", false, { cr4: 0x20_0020n })).toMatchObject({
      ok: false,
      error: 1,
      why: expect.stringContaining("SMAP"),
    });
    expect(verdict(0x86n, "read", true)).toMatchObject({
      ok: false,
      error: 4,
      step: 2,
      why: "the PDE is not present (bit 0, P, is 0)",
    });
    expect(verdict(0x2087n, "read", false)).toMatchObject({
      ok: false,
      error: 9,
      why: "the PDE has reserved bits set: 0x2000",
    });
    expect(verdict((1n << 45n) | 0x87n, "read", false)).toMatchObject({ error: 9 });
    expect(verdict((5n << 59n) | 0x87n, "write", true, { cr4: 0x40_0020n, pkru: 2 << 10 })).toMatchObject({
      error: 0x27,
    });
  });

  test("an entry bit by bit", () => {
    const [, , pde] = told(0x40_0000n | 0x1e7n).steps;
    const bits = explainEntry(pde, "4-level");
    expect(bits.map(({ name }) => name)).toEqual([
      "P",
      "R/W",
      "U/S",
      "PWT",
      "PCD",
      "A",
      "D",
      "PS",
      "G",
      "PAT",
      "address",
      "key",
      "XD",
    ]);
    expect(bits.find(({ name }) => name === "PS")?.says).toBe("maps a page of 2 MiB by itself");
    expect(bits.find(({ name }) => name === "address")).toMatchObject({
      bits: "51:21",
      says: "the page is at 0x400000",
    });
    const [pml4e] = told(0x87n).steps;
    expect(explainEntry(pml4e, "4-level").find(({ name }) => name === "address")).toMatchObject({
      bits: "51:12",
      says: "the next table is at 0x2000",
    });
    expect(explainEntry(told(0x86n).steps[2], "4-level")).toHaveLength(1);
  });
});

describe("symbols", () => {
  const MAP =
    "ffffffff81000000 T _stext\nffffffff81000040 T start_kernel\nffffffff81000100 t helper\n0000000000000000 A fixed\n";

  test("a System.map, with a slide", () => {
    const s = parseSymbols(new TextEncoder().encode(MAP));
    expect(s.count).toBe(3);
    expect(s.text(0xffff_ffff_8100_0044n)).toBe("start_kernel+0x4");
    expect(s.text(0xffff_ffff_8100_0040n)).toBe("start_kernel");
    expect(s.text(0xffff_ffff_80ff_ffffn)).toBeUndefined();
    expect(s.text(0xffff_ffff_8200_0000n)).toBeUndefined();
    s.slide = 0x20_0000n;
    expect(s.find("start_kernel")).toBe(0xffff_ffff_8120_0040n);
    expect(s.text(0xffff_ffff_8120_0100n)).toBe("helper");
  });

  /** An ELF of a class with one function `main` and one symbol of the linker's. */
  function elf(wide: boolean): Uint8Array {
    const bytes = new Uint8Array(0x400);
    const d = new DataView(bytes.buffer);
    const word = (at: number, value: number): void =>
      wide ? d.setBigUint64(at, BigInt(value), true) : d.setUint32(at, value, true);
    bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
    word(wide ? 0x28 : 0x20, 0x100);
    d.setUint16(wide ? 0x3a : 0x2e, wide ? 64 : 40, true);
    d.setUint16(wide ? 0x3c : 0x30, 3, true);
    const section = (i: number, type: number, offset: number, size: number, link: number): void => {
      const at = 0x100 + i * (wide ? 64 : 40);
      d.setUint32(at + 4, type, true);
      word(at + (wide ? 0x18 : 0x10), offset);
      word(at + (wide ? 0x20 : 0x14), size);
      d.setUint32(at + (wide ? 0x28 : 0x18), link, true);
    };
    const entry = wide ? 24 : 16;
    section(1, 2, 0x200, 2 * entry, 2);
    section(2, 3, 0x300, 16, 0);
    bytes.set(new TextEncoder().encode("\0main\0.Lmark\0"), 0x300);
    const symbol = (i: number, name: number, value: number): void => {
      const at = 0x200 + i * entry;
      d.setUint32(at, name, true);
      d.setUint8(at + (wide ? 4 : 12), 0x12);
      d.setUint16(at + (wide ? 6 : 14), 1, true);
      word(at + (wide ? 8 : 4), value);
    };
    symbol(0, 1, 0x1234);
    symbol(1, 6, 0x2000);
    return bytes;
  }

  test.each([true, false])("an ELF's symbol table, 64-bit: %s", (wide) => {
    const s = parseSymbols(elf(wide));
    expect(s.count).toBe(1);
    expect(s.find("main")).toBe(0x1234n);
  });

  test("says what cannot be used", () => {
    expect(() => parseSymbols(new TextEncoder().encode("hello"))).toThrow(SymbolsError);
    expect(() => parseSymbols(elf(true).subarray(0, 0x210))).toThrow(/cut off|no symbols/);
  });
});

test("expressions", () => {
  const cpu = {
    gpr: Array.from({ length: 16 }, (_, i) => BigInt(i) * 0x100n),
    rip: 0x5000n,
    cr3: 0x9000n,
    idt: { base: 0xc000n, limit: 0 },
    segments: { FS: { base: 0x7000n } },
  } as unknown as CpuState;
  const symbols = parseSymbols(new TextEncoder().encode("0000000000001000 T main\n"));
  const at = (text: string): bigint => evaluate(text, cpu, symbols);
  expect(at("1f")).toBe(0x1fn);
  expect(at("0x10 + rsp-8")).toBe(0x10n + 0x400n - 8n);
  expect(at("main+4")).toBe(0x1004n);
  expect(at("idt")).toBe(0xc000n);
  expect(at("fs.base")).toBe(0x7000n);
  expect(at("$rip")).toBe(0x5000n);
  expect(at("eax-1")).toBe(0xffff_ffff_ffff_ffffn);
  expect(() => at("nothing_such")).toThrow(ExpressionError);
  expect(() => at("")).toThrow(/a number in hexadecimal/);
});

test("a listing finds the instructions ahead of one, and names", () => {
  const { bytes, symbols } = assemble(
    "bits 64\norg 0x1000\nstart: mov rax,0x123456789abcdef0\n call far_away\nhere: nop\n xor eax,eax\nfar_away: ret\n",
  );
  const read = (at: bigint, length: number): Uint8Array => {
    const from = Number(at) - 0x1000;
    return from < 0 ? new Uint8Array() : bytes.slice(from, from + length);
  };
  const here = BigInt(symbols.get("here")!);
  const map = [...symbols]
    .map(([name, value]) => `${BigInt(value).toString(16).padStart(16, "0")} T ${name}\n`)
    .join("");
  const lines = linesAround(
    read,
    here,
    64,
    4,
    3,
    parseSymbols(new TextEncoder().encode(map.replace(/^.*here\n/m, ""))),
  );
  expect(lines.map(({ text }) => text.split(" ")[0])).toEqual(["mov", "call", "nop", "xor", "ret"]);
  expect(lines[1].refers ?? lines[1].text).toMatch(/far_away|0x/);
  expect(lineText(lines[0])).toMatch(/^00001000 {2}48 b8 f0 de bc 9a 78 56 34 12 {2,}mov rax,.* ; start/);
});

describe("a timeline", () => {
  const event = (kind: TraceEvent["kind"], ns: number, more: Partial<TraceEvent> = {}): TraceEvent => ({
    ...{ number: 0, vcpu: 0, ns, kind, rip: 0n, value: 0n, code: 0, size: 1, write: false, where: 0 },
    ...more,
  });

  test("has the time of each state", () => {
    const events = [
      event("EXCEPTION", 0),
      event("EXIT", 100),
      event("ANSWER", 150),
      event("HALT", 200),
      event("WAKE", 600),
    ];
    const spans = spansOf(events, 1000);
    expect(spans.map(({ kind, from, to }) => [kind, from, to])).toEqual([
      ["running", 0, 100],
      ["exit", 100, 150],
      ["running", 150, 200],
      ["halted", 200, 600],
      ["running", 600, 1000],
    ]);
    expect(sharesOf(spans)).toEqual({ running: 0.55, halted: 0.4, exit: 0.05 });
    expect(spansOf([], 1000)).toEqual([]);
    // After a triple fault there is nothing any more.
    const last = spansOf([event("EXCEPTION", 0), event("SHUTDOWN", 10)], 1000);
    expect(last).toMatchObject([{ kind: "running", from: 0, to: 10 }]);
  });

  test("says each event in a line", () => {
    expect(eventLine(event("INTERRUPT", 0, { where: 0x30 }))).toBe("interrupt 0x30");
    expect(eventLine(event("EXCEPTION", 0, { where: 14, value: (2n << 32n) | 1n }))).toBe(
      "#PF(0x2): supervisor write: an entry is not present",
    );
    expect(eventLine(event("QUICK", 0, { where: 0x3f8, write: true, value: 0x41n }))).toBe(
      "write port 0x3f8 (COM1), 1 byte: 0x41",
    );
    const mmio = { where: 0xfed0_00f0, code: EXIT.INST_EMUL, size: 4, value: 0x1_0000_0010n };
    expect(eventLine(event("ANSWER", 0, mmio))).toBe("read 0xfed000f0 (HPET), 4 bytes: 0x00000010");
    expect(eventLine(event("EXIT", 0, mmio))).toBe("read 0xfed000f0 (HPET), 4 bytes");
    expect(eventLine(event("EXIT", 0, { code: EXIT.INTA }))).toBe("exit INTA");
  });
});

describe("chips", () => {
  test("a local APIC's registers", () => {
    const words: Record<number, number> = { 32: 0, 240: 0x1ff, 544: 1 << 16, 800: 0x2_0030, 848: 0x700, 992: 0xb };
    const { rows } = apicTable({ id: 0, register: (at) => words[at] ?? 0, apicBase: 0xfee0_0900n, timerDue: 1500 });
    const says = (name: string): string | undefined => rows.find((row) => row.name === name)?.says;
    expect(rows[0]).toMatchObject({ value: "xAPIC", says: "IA32_APIC_BASE 0xfee00900, boot processor" });
    expect(says("SVR")).toBe("enabled by software, spurious vector 0xff");
    expect(says("IRR")).toBe("requested: 0x50");
    expect(says("LVT timer")).toBe("periodic, vector 0x30; due in 1.5 µs");
    expect(says("LVT LINT0")).toBe("extint, vector 0x00, edge");
    expect(says("initial count")).toBe("divided by 1: 0 ticks");
  });

  test("an I/O APIC's entries and the PIT's counters", () => {
    const low = new Array(24).fill(0x1_0000);
    const high = new Array(24).fill(0);
    low[4] = 0xa034;
    high[4] = 0x0100_0000;
    const { rows } = ioapicTable({ version: 1, id: 0, select: 0, low, high, lines: 1 << 4 });
    expect(rows[4].says).toBe("fixed, vector 0x34 to APIC 0x01, level, active low; asserted");
    expect(rows[5].says).toBe("masked");
    const counter = {
      mode: 2,
      bcd: false,
      access: 3,
      gate: true,
      count: 11932,
      lowByte: -1,
      readHigh: false,
      latch: -1,
      status: -1,
    };
    const rest = {
      nullCount: false,
      running: true,
      held: 0,
      loaded: 11932,
      start: 0,
      startHigh: false,
      stopped: false,
      elapsed: 0,
      pending: -1,
      pendingHigh: false,
    };
    const pit = pitTable({
      version: 1,
      oscillator: 0n,
      counters: [{ ...counter, ...rest }],
      port61: 3,
      rise: -1,
      irq: false,
    });
    expect(pit.rows[0].says).toBe("IRQ 0: mode 2, rate generator, 100.0 Hz; counts");
  });
});
