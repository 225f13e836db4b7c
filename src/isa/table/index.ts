/** The instruction table: every row, in one list. */
import { parseRows, type Row } from "./grammar.ts";
import { INTEGER } from "./integer.ts";

export const ROWS: readonly Row[] = [INTEGER].reduce<Row[]>((all, text) => all.concat(parseRows(text, all.length + 1)), []);
