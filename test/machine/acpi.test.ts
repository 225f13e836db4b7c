import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type AcpiConfig, acpiTables } from "../../src/machine/acpi.ts";
import * as aml from "../../src/machine/aml.ts";
import type { GuestBytes } from "../../src/machine/tableWriter.ts";

const CONFIG: AcpiConfig = {
  apicIds: [0, 1, 2, 3],
  comPorts: 2,
  pmTimerBits: 32,
  hpetTimers: 3,
  i8042: true,
  vga: false,
};

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const signature = (bytes: Uint8Array) => String.fromCharCode(...bytes.subarray(0, 4));
const find = (tables: GuestBytes[], name: string) => tables.find(({ bytes }) => signature(bytes) === name)!;

describe("tables", () => {
  it("hang together from the RSDP on, with right lengths and checksums", () => {
    const tables = acpiTables(CONFIG);
    const at = (gpa: number) => tables.find((table) => table.gpa === gpa)!.bytes;
    const [{ gpa, bytes: rsdp }] = tables;
    expect([gpa % 16, new TextDecoder().decode(rsdp.subarray(0, 8))]).toEqual([0, "RSD PTR "]);
    expect([sum(rsdp.subarray(0, 20)), sum(rsdp), rsdp.length]).toEqual([0, 0, 36]);
    const rsdt = at(view(rsdp).getUint32(16, true));
    const xsdt = at(Number(view(rsdp).getBigUint64(24, true)));
    const names: string[] = [];
    for (let i = 0; 36 + 4 * i < rsdt.length; i++) {
      const table = view(rsdt).getUint32(36 + 4 * i, true);
      expect(view(xsdt).getBigUint64(36 + 8 * i, true)).toBe(BigInt(table));
      names.push(signature(at(table)));
    }
    expect(names).toEqual(["FACP", "APIC", "HPET"]);
    for (const { bytes } of tables.slice(1)) {
      expect(view(bytes).getUint32(4, true), signature(bytes)).toBe(bytes.length);
      if (signature(bytes) !== "FACS") expect(sum(bytes), signature(bytes)).toBe(0);
    }
    const fadt = find(tables, "FACP").bytes;
    expect(fadt.length).toBe(276);
    expect(signature(at(view(fadt).getUint32(36, true)))).toBe("FACS");
    expect(signature(at(view(fadt).getUint32(40, true)))).toBe("DSDT");
    expect(view(fadt).getUint32(36, true) % 64).toBe(0);
  });

  it("do not overlap and stay inside their area, also for 16 processors", () => {
    const tables = acpiTables({ ...CONFIG, apicIds: [...Array(16).keys()] }).sort((a, b) => a.gpa - b.gpa);
    for (let i = 1; i < tables.length; i++) {
      expect(tables[i - 1].gpa + tables[i - 1].bytes.length).toBeLessThanOrEqual(tables[i].gpa);
    }
    const last = tables.at(-1)!;
    expect(last.gpa + last.bytes.length).toBeLessThanOrEqual(0xf_0000);
  });

  it("say in the FADT where the ports are", () => {
    const fadt = view(find(acpiTables(CONFIG), "FACP").bytes);
    expect([56, 64, 76, 80].map((at) => fadt.getUint32(at, true))).toEqual([0x600, 0x604, 0x608, 0x60c]);
    expect([fadt.getUint16(46, true), fadt.getUint32(48, true)]).toEqual([9, 0xb2]);
    expect([fadt.getUint8(116), Number(fadt.getBigUint64(120, true)), fadt.getUint8(128)]).toEqual([1, 0xcf9, 6]);
    const flags = (config: AcpiConfig) => view(find(acpiTables(config), "FACP").bytes).getUint32(112, true);
    expect(flags(CONFIG) & 0x500).toBe(0x500);
    expect(flags({ ...CONFIG, pmTimerBits: 24 }) & 0x500).toBe(0x400);
  });

  it("list processors in the MADT, with x2APIC entries where ids need them", () => {
    const entries = (apicIds: number[]) => {
      const { bytes } = find(acpiTables({ ...CONFIG, apicIds }), "APIC");
      const out: number[][] = [];
      for (let at = 44; at < bytes.length; at += bytes[at + 1]) out.push([...bytes.subarray(at, at + bytes[at + 1])]);
      return out;
    };
    const list = entries([0, 1, 300]);
    expect(list.filter(([type]) => type === 0)).toEqual([
      [0, 8, 0, 0, 1, 0, 0, 0],
      [0, 8, 1, 1, 1, 0, 0, 0],
    ]);
    expect(list.filter(([type]) => type === 9)).toEqual([[9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]]);
    expect(list.filter(([type]) => type === 2)).toEqual([
      [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
      [2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0],
    ]);
    expect(list.filter(([type]) => type === 4)).toEqual([[4, 6, 255, 0, 0, 1]]);
    expect(list.find(([type]) => type === 1)).toEqual([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
  });

  it("refuses a machine without processors", () => {
    expect(() => acpiTables({ ...CONFIG, apicIds: [] })).toThrow(RangeError);
  });
});

describe("aml", () => {
  it("encodes lengths, names, integers and ids", () => {
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
    expect(hex(aml.path("\\_SB.PCI0.ISA"))).toBe(`5c2f03${Buffer.from("_SB_PCI0ISA_").toString("hex")}`);
    expect(hex(aml.path("^A.B"))).toBe(`5e2e${Buffer.from("A___B___").toString("hex")}`);
    expect([0, 1, 2, 0x1234, 0x12345678].map((n) => hex(aml.int(n)))).toEqual([
      "00",
      "01",
      "0a02",
      "0b3412",
      "0c78563412",
    ]);
    expect(hex(aml.int(1n << 32n))).toBe("0e0000000001000000");
    expect(hex(aml.eisaId("PNP0501"))).toBe("0c41d00501");
    const length = (n: number) => hex(aml.scope("A", new Uint8Array(n)).subarray(1, 4));
    expect(length(58).slice(0, 2)).toBe("3f");
    expect(length(59).slice(0, 4)).toBe("4104");
    expect(length(4089).slice(0, 4)).toBe("4fff");
    expect(length(4090)).toBe("810001");
    for (const bad of ["lower", "TOOLONG", "1AB"]) expect(() => aml.path(bad)).toThrow(RangeError);
    expect(() => aml.eisaId("PNP05")).toThrow(RangeError);
  });
});

const iasl = spawnSync("iasl", ["-v"]).status === 0;
if (!iasl) console.warn("\n*** iasl (Debian: acpica-tools) is not there: the ACPI tables were NOT disassembled ***\n");

describe.skipIf(!iasl)("iasl", () => {
  const folder = mkdtempSync(join(tmpdir(), "tabhyve-acpi-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  const disassemble = (name: string, config: AcpiConfig = CONFIG) => {
    writeFileSync(join(folder, `${name}.aml`), find(acpiTables(config), name).bytes);
    const log = execFileSync("iasl", ["-d", `${name}.aml`], { cwd: folder, stdio: "pipe" }).toString();
    return { log, source: readFileSync(join(folder, `${name}.dsl`), "utf8") };
  };

  it("reads every table without complaint", () => {
    for (const name of ["DSDT", "FACP", "APIC", "HPET", "FACS"]) {
      const { log, source } = disassemble(name);
      expect(`${log}${source}`, name).not.toMatch(/error|warning|invalid|unknown|incorrect|terminates/i);
    }
  });

  it("compiles the disassembled DSDT to the same bytes", () => {
    const full = { ...CONFIG, apicIds: [0, 1, 300], pci64: { base: 0x1_8000_0000, end: 0x1_ffff_ffff } };
    const { source } = disassemble("DSDT", full);
    for (const said of ["Processor (C001, 0x01", '"ACPI0007"', "_PRT", "COM2", "QWordMemory", "PNP0103"]) {
      expect(source).toContain(said);
    }
    // -oa: no optimisations, which would shorten names. A table it cannot compile makes iasl fail.
    const log = execFileSync("iasl", ["-oa", "-p", "again", "DSDT.dsl"], { cwd: folder, stdio: "pipe" }).toString();
    expect(log).toMatch(/ 0 Errors/);
    const again = readFileSync(join(folder, "again.aml"));
    const ours = find(acpiTables(full), "DSDT").bytes;
    expect(again.subarray(36).equals(Buffer.from(ours.subarray(36)))).toBe(true);
  });
});
