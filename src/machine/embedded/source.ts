/**
 * The embedded guest's source: the .asm files here, joined, and assembled by the project's own assembler. Builds and
 * tests only (scripts/assembled-images.mjs); what runs takes the image from index.ts.
 */

import { assemble } from "../../isa/assemble.ts";
import acpi from "./acpi.asm?raw";
import commands from "./commands.asm?raw";
import console from "./console.asm?raw";
import entry from "./entry.asm?raw";
import format from "./format.asm?raw";
import interrupts from "./interrupts.asm?raw";
import report from "./report.asm?raw";
import timers from "./timers.asm?raw";

/** The parts in the order in which they lie in memory: entry.asm has the Multiboot header, commands.asm the end. */
const PARTS = [entry, interrupts, console, format, acpi, report, timers, commands];

/** The whole source, in NASM's syntax. */
export const embeddedSource: string = PARTS.join("\n");

export function assembleEmbedded(): Uint8Array {
  return assemble(embeddedSource, { name: "embedded.asm" }).bytes;
}
