/**
 * The embedded guest: a few KB of x86-64 code that report on the machine and take commands on the serial line. It is
 * what boots when no kernel is given. Its source is the .asm files here, entry.asm first; they are joined and
 * assembled by the project's own assembler when the image is first asked for.
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

let image: Uint8Array | undefined;

/**
 * The guest as a Multiboot 1 image (flat, loaded at 1 MiB) for `loadKernel`; a new array at each call. It needs
 * 2 MiB of RAM. A word `version=…` on its command line goes into its banner.
 */
export function embeddedGuest(): Uint8Array {
  image ??= assemble(embeddedSource, { name: "embedded.asm" }).bytes;
  return image.slice();
}
