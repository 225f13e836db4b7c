/** A text screen as text: what is read aloud, searched by tests, and written by `--screen`. */
import type { VgaMemory } from "../io/vgaMemory.ts";
import { CP437 } from "./cp437.ts";
import type { TextMode } from "./mode.ts";

/** Addresses of the address counter are 16 bits. */
export const plane = (counter: number, shift: number): number => (counter << shift) & 0xffff;

/** A row of characters on the screen. */
export interface TextRow {
  /** Counter of its first character. */
  readonly at: number;
  /** Line of the picture where its first scan line is, or would be; what is shown goes from `from` up to, not with, `to`. */
  readonly top: number;
  readonly from: number;
  readonly to: number;
  /** Dots that it is moved to the left. */
  readonly pan: number;
}

/** What is on the screen from the top: rows, some cut off by its edges and by a split. */
export function textRows({ start, offset, split, height, cellHeight, pan, splitPan, preset }: TextMode): TextRow[] {
  const rows: TextRow[] = [];
  const run = (at: number, first: number, begin: number, end: number, moved: number) => {
    for (let top = first, row = 0; top < end; top += cellHeight, row++) {
      const [from, to] = [Math.max(top, begin), Math.min(top + cellHeight, end)];
      rows.push({ at: at + row * offset, top, from, to, pan: moved });
    }
  };
  run(start, -preset, 0, Math.min(split, height), pan);
  run(0, split, split, height, splitPan);
  return rows;
}

/** Lines without the blanks at their ends, of rows that are whole. The planes must be folded. */
export function screenText(mode: TextMode, memory: VgaMemory): string[] {
  const whole = textRows(mode).filter(({ from, to }) => to - from === mode.cellHeight);
  return whole.map(({ at }) => {
    let line = "";
    for (let x = 0; x < mode.columns; x++) line += CP437[memory.planes[plane(at + x, mode.shift)] & 0xff];
    return line.trimEnd();
  });
}
