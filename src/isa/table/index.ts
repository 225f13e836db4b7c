/** The instruction table: every row, in one list. */
import { parseRows, type Row } from "./grammar.ts";
import { INTEGER } from "./integer.ts";
import { SIMD } from "./simd.ts";
import { SYSTEM } from "./system.ts";

export const ROWS: readonly Row[] = [INTEGER, SYSTEM, SIMD].reduce<Row[]>((all, text) => all.concat(parseRows(text, all.length + 1)), []);
