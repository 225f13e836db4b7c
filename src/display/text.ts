/** A text screen as text: what is read aloud, searched by tests, and written by `--screen`. */
import type { VgaMemory } from "../io/vgaMemory.ts";
import { CP437 } from "./cp437.ts";
import type { TextMode } from "./mode.ts";

/** Addresses of the address counter are 16 bits. */
export const plane = (counter: number, shift: number): number => (counter << shift) & 0xffff;

/** Counter at the start of a row of characters. */
export function rowStart(mode: TextMode, row: number): number {
  // A split screen starts at a scan line; only whole rows of it are looked for.
  const splitRow = Math.ceil(mode.split / mode.cellHeight);
  return row >= splitRow ? (row - splitRow) * mode.offset : mode.start + row * mode.offset;
}

/** Lines without the blanks at their ends. The planes must be folded. */
export function screenText(mode: TextMode, memory: VgaMemory): string[] {
  return Array.from({ length: mode.rows }, (_, row) => {
    const at = rowStart(mode, row);
    let line = "";
    for (let x = 0; x < mode.columns; x++) line += CP437[memory.planes[plane(at + x, mode.shift)] & 0xff];
    return line.trimEnd();
  });
}
