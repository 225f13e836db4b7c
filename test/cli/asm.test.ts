/** `tabhyve asm`: files in, files out, and mistakes in one line. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { asm } from "../../src/cli/asm.ts";
import { UsageError } from "../../src/cli/options.ts";

const folder = mkdtempSync(join(tmpdir(), "asm-"));
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
const source = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};

it("writes a boot sector and its symbols by address", () => {
  const file = source(
    "boot.asm",
    "org 0x7c00\nstart: cli\n.halt: hlt\n  jmp .halt\nCOM1 equ 0x3f8\ntimes 510-($-$$) db 0\ndw 0xaa55\n",
  );
  expect(asm(file, { output: at("boot.bin"), symbols: at("boot.map") })).toBe(512);
  const bytes = readFileSync(at("boot.bin"));
  expect(bytes.subarray(0, 4).toString("hex")).toBe("faf4ebfd");
  expect(bytes.subarray(510).toString("hex")).toBe("55aa");
  expect(readFileSync(at("boot.map"), "utf8")).toBe(
    "00000000000003f8 t COM1\n0000000000007c00 t start\n0000000000007c01 t start.halt\n",
  );
});

it("names file, line and mistake, and leaves no output behind", () => {
  const file = source("wrong.asm", "nop\nmov al, 0x1234\n");
  expect(() => asm(file, { output: at("wrong.bin") })).toThrow(
    new UsageError(`${file}:2:1: 4660 does not fit in 8 bits`),
  );
  expect(existsSync(at("wrong.bin"))).toBe(false);
});

it("finds included files beside the source", () => {
  source("part.inc", "db 1\n");
  const file = source("whole.asm", '%include "part.inc"\nincbin "part.inc", 0, 2\n');
  expect(asm(file, { output: at("whole.bin") })).toBe(3);
  expect(readFileSync(at("whole.bin")).toString("latin1")).toBe("\x01db");
});

it("says which file cannot be used", () => {
  expect(() => asm(at("none.asm"), {})).toThrow(/none\.asm: no such file/);
  const file = source("good.asm", "nop\n");
  expect(() => asm(file, { output: at("no/such/folder") })).toThrow(/^--output .*folder: no such file/);
  expect(() => asm(file, { output: file.slice(0, -4), symbols: folder })).toThrow(/^--symbols .*: is a directory/);
});
