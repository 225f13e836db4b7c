/** The instruction table: every row, in one list. */
import { BITS } from "./bits.ts";
import { parseRows, type Row } from "./grammar.ts";
import { INTEGER } from "./integer.ts";
import { SIMD } from "./simd.ts";
import { SYSTEM } from "./system.ts";
import { VEX } from "./vex.ts";
import { X87 } from "./x87.ts";

export const ROWS: readonly Row[] = [INTEGER, SYSTEM, SIMD, X87, BITS, VEX].reduce<Row[]>(
  (all, text) => all.concat(parseRows(text, all.length + 1)),
  [],
);
