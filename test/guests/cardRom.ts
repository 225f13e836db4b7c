/** The ROM of data/pc.asm. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assemble } from "../../src/isa/assemble.ts";

const FIRMWARE = join(import.meta.dirname, "../../src/lessons/firmware");

export function cardRom(): Uint8Array {
  const source = readFileSync(join(import.meta.dirname, "data/pc.asm"), "utf8");
  return assemble(source, { name: "pc.asm", read: (name) => readFileSync(join(FIRMWARE, name)) }).bytes;
}
