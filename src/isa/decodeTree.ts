/**
 * The decoder's tables, made from the rows.
 *
 * An opcode of a map leads to a 16-bit value: bit 15 set = row number in the low bits (0 = undefined opcode),
 * clear = index of a node. A node is its kind and then its children, each such a value:
 *
 *     PFX   np, 66, F3, F2   REG   ModRM.reg 0..7   MOD   memory, register   RM   ModRM.rm 0..7   M64   not 64, 64
 *     VL    VEX.L 0, 1          VW    VEX.W 0, 1
 */
import type { Row } from "./table/grammar.ts";

export const NODE = { PFX: 0, REG: 1, MOD: 2, RM: 3, M64: 4, VL: 5, VW: 6 } as const;
const LEAF = 0x8000;
/** The VEX maps follow the others: VEX 0F (map 1) is number 4. */
export const VEX_MAPS = 3;

export interface DecodeTree {
  /** Seven maps (one byte, 0F, 0F38, 0F3A; VEX 0F, 0F38, 0F3A) of 256 values each. */
  roots: number[];
  nodes: number[];
}

type Split = readonly [
  kind: number,
  children: number,
  belongs: (row: Row, child: number) => boolean,
  applies: (row: Row) => boolean,
];

const PREFIXES = ["np", "66", "f3", "f2"];
const SPLITS: Split[] = [
  [NODE.M64, 2, (r, c) => !r.attrs.has(c ? "i64" : "o64"), (r) => r.attrs.has("i64") || r.attrs.has("o64")],
  [NODE.VL, 2, (r, c) => r.l < 0 || r.l === c, (r) => r.l >= 0],
  [NODE.VW, 2, (r, c) => r.w < 0 || r.w === c, (r) => r.w >= 0],
  [NODE.REG, 8, (r, c) => r.reg < 0 || r.reg === c, (r) => r.reg >= 0],
  [NODE.MOD, 2, (r, c) => r.mod === "" || r.mod === (c ? "reg" : "mem"), (r) => r.mod !== ""],
  [NODE.RM, 8, (r, c) => r.rm < 0 || r.rm === c, (r) => r.rm >= 0],
];

export function buildDecodeTree(rows: readonly Row[]): DecodeTree {
  const byOpcode = new Map<number, Row[]>();
  for (const row of rows) {
    for (let i = 0; i < (row.plusR ? 8 : 1); i++) {
      const key = (row.vex ? VEX_MAPS + row.map : row.map) * 256 + row.opcode + i;
      byOpcode.set(key, [...(byOpcode.get(key) ?? []), row]);
    }
  }
  const nodes: number[] = [];
  const known = new Map<string, number>();
  const add = (kind: number, children: number[]): number => {
    const key = [kind, ...children].join();
    let at = known.get(key);
    if (at === undefined) {
      at = nodes.length;
      known.set(key, at);
      nodes.push(kind, ...children);
    }
    return at;
  };
  const build = (candidates: Row[], prefixDone: boolean, done: number): number => {
    if (!candidates.length) return LEAF;
    for (let i = 0; i < SPLITS.length; i++) {
      const [kind, n, belongs, applies] = SPLITS[i];
      if (done & (1 << i) || !candidates.some(applies)) continue;
      const children = Array.from({ length: n }, (_, c) =>
        build(
          candidates.filter((r) => belongs(r, c)),
          prefixDone,
          done | (1 << i),
        ),
      );
      return add(kind, children);
    }
    if (!prefixDone && candidates.some((r) => r.prefix)) {
      const rest = candidates.filter((r) => !r.prefix);
      return add(
        NODE.PFX,
        PREFIXES.map((p) => {
          const own = candidates.filter((r) => r.prefix === p);
          return build(own.length ? own : rest, true, done);
        }),
      );
    }
    // A more specific row (fixed rm, register or memory form) wins over a general one.
    const best = candidates.sort((a, b) => specificity(b) - specificity(a));
    if (best.length > 1 && specificity(best[0]) === specificity(best[1])) {
      throw new Error(`instruction table: two rows for one encoding:\n  ${best[0].text}\n  ${best[1].text}`);
    }
    return LEAF | (best[0].meaning === "#UD" ? 0 : best[0].id);
  };
  const roots = Array.from({ length: 7 * 256 }, (_, key) => build(byOpcode.get(key) ?? [], false, 0));
  return { roots, nodes };
}

const specificity = (r: Row): number => (r.reg >= 0 ? 1 : 0) + (r.mod ? 1 : 0) + (r.rm >= 0 ? 1 : 0);
