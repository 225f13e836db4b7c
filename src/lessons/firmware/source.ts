/**
 * The lessons' firmware, assembled by the project's own assembler. Builds and tests only (scripts/assembled-images.mjs); what
 * runs takes the image from index.ts.
 */
import { assemble } from "../../isa/assemble.ts";
import chips from "./chips.asm?raw";
import disk from "./disk.asm?raw";
import firmware from "./firmware.asm?raw";
import font from "./font.asm?raw";
import system from "./system.asm?raw";
import vga from "./vga.asm?raw";
import video from "./video.asm?raw";

/** What firmware.asm includes. */
const PARTS: Readonly<Record<string, string>> = {
  "chips.asm": chips,
  "disk.asm": disk,
  "font.asm": font,
  "system.asm": system,
  "vga.asm": vga,
  "video.asm": video,
};

export function assembleFirmware(): Uint8Array {
  const encoder = new TextEncoder();
  const read = (name: string): Uint8Array | undefined => {
    const text = PARTS[name];
    return text === undefined ? undefined : encoder.encode(text);
  };
  return assemble(firmware, { name: "firmware.asm", read }).bytes;
}
