/** From opcode bytes to a row: walks the same tree that the core's decoder gets. */
import { buildDecodeTree, NODE, VEX_MAPS } from "./decodeTree.ts";
import type { Width } from "./operand.ts";
import type { Row } from "./table/grammar.ts";
import { ROWS } from "./table/index.ts";

const LEAF = 0x8000;
const tree = buildDecodeTree(ROWS);
const byId = new Map(ROWS.map((row) => [row.id, row]));
const PREFIXES = ["np", "66", "f3", "f2"] as const;
export type MandatoryPrefix = (typeof PREFIXES)[number];

export interface Opcode {
  /** Opcode map: 0 one byte, 1 0F, 2 0F38, 3 0F3A. */
  map: number;
  /** VEX.L and VEX.W of a VEX encoding. */
  vex?: { readonly l: number; readonly w: number } | undefined;
  /** Last opcode byte. */
  opcode: number;
  /** The prefix that counts: the last of F3 and F2, else 66, else none. */
  prefix: MandatoryPrefix;
  mode: Width;
  /** The byte after the opcode; -1 if there is none. Only looked at where the opcode has a ModRM byte. */
  modrm: number;
}

/** The row of an opcode; undefined if the table has none (undefined opcode) or the ModRM byte is missing. */
export function lookup(op: Opcode): Row | undefined {
  let value = tree.roots[(op.vex ? VEX_MAPS + op.map : op.map) * 256 + op.opcode];
  while (!(value & LEAF)) {
    const kind = tree.nodes[value];
    let child: number;
    if (kind === NODE.PFX) child = PREFIXES.indexOf(op.prefix);
    else if (kind === NODE.M64) child = op.mode === 64 ? 1 : 0;
    else if (kind === NODE.VL) child = op.vex?.l ?? 0;
    else if (kind === NODE.VW) child = op.vex?.w ?? 0;
    else if (op.modrm < 0) return undefined;
    else if (kind === NODE.REG) child = (op.modrm >> 3) & 7;
    else if (kind === NODE.MOD) child = op.modrm >> 6 === 3 ? 1 : 0;
    else child = op.modrm & 7;
    value = tree.nodes[value + 1 + child];
  }
  return byId.get(value & ~LEAF);
}
