/**
 * From rows to micro-ops: which specialisations of each meaning exist, and their numbers.
 *
 * A micro-op number is the index of a case in the interpreter's dispatch: inline ones first (the switch), then the
 * ones that are reached by one call_indirect. Each row has eight slots, `operand size * 2 + memory`.
 */

import { SEMANTICS } from "./semantics.ts";
import type { Row } from "./table/grammar.ts";

export type Kind = "Reg" | "Mem" | "Imm" | "Cl";

export interface MicroOp {
  id: number;
  /** Name of the meaning or the handler. */
  meaning: string;
  handler: boolean;
  control: boolean;
  /** Operand size, log2 of bytes. */
  z: number;
  /** Size of operand 1, log2 of bytes (F). */
  f: number;
  kinds: { D?: Kind; S?: Kind; N?: Kind };
  cc: number;
  inline: boolean;
  /** A locked form (assembly/interp/locked.ts) of the micro-op with this number; 0: it is none. */
  lockedOf: number;
}

/** Micro-ops that no row has: block structure. Their numbers come first. */
export const STRUCTURE = [
  "HEAD",
  "STOP",
  "NEXT",
  "NEXTEV",
  "GO",
  "GOEV",
  "RAISE",
  "STRADDLE",
  "REGION",
  "COLD",
] as const;
/** Address micro-ops (assembly/decode/address.ts): leave the operand's linear address in Vcpu.ea. */
export const ADDRESS = ["EASEG"] as const;

const SIZES: Record<string, number[]> = {
  b: [0],
  w: [1],
  d: [2],
  q: [3],
  v: [1, 2, 3],
  z: [1, 2, 3],
  y: [2, 3],
  n: [1, 2, 3],
};
const TYPES = ["u8", "u16", "u32", "u64"];
const FIXED: Record<string, number> = { AL: 0, CL: 0, AX: 1, DX: 1 };

/** Operand sizes (log2) a row can have, decided by its first sized operand. */
export function rowSizes(row: Row): number[] {
  if (row.meaning.startsWith("@") || row.meaning === "#UD") return [0, 1, 2, 3];
  for (const o of row.operands) {
    if (o in FIXED) return [FIXED[o]];
    if (o === "rAX" || o === "eAX") return [1, 2, 3];
    if (/^[A-Z][a-z]$/.test(o) && o[0] !== "J" && o[0] !== "I") {
      const s = SIZES[o[1]];
      if (!s) throw new Error(`no sizes for ${o} in: ${row.text}`);
      return row.attrs.has("d64") && s.length === 3 ? [1, 2, 3] : s;
    }
  }
  return [1, 2, 3];
}

function operandSize(operand: string | undefined, z: number): number {
  if (operand === undefined) return z;
  if (operand[1] === "z") return Math.min(z, 2);
  const s = SIZES[operand[1]];
  return s?.length === 1 ? s[0] : z;
}

/** Operands whose form ModRM.mod decides. */
export const isE = (o: string): boolean => /^[EQWM]/.test(o);

function kindOf(operand: string, mem: boolean): Kind {
  if (operand === "CL") return "Cl";
  if (operand === "1" || operand === "3" || operand[0] === "I") return "Imm";
  if (operand[0] === "M" || operand[0] === "O") return "Mem";
  if (isE(operand)) return mem ? "Mem" : "Reg";
  return "Reg";
}

export interface Specialised {
  ops: MicroOp[];
  /** Row id -> eight micro-op numbers (0 where the form does not exist). */
  slots: Map<number, number[]>;
  /** First number that is not inline. */
  firstCalled: number;
}

export function specialise(rows: readonly Row[]): Specialised {
  const byKey = new Map<string, MicroOp>();
  const wanted = new Map<number, string[]>();
  const lockable = new Set<string>();
  for (const row of rows) {
    const keys = new Array<string>(8).fill("");
    wanted.set(row.id, keys);
    if (row.meaning === "#UD") continue;
    if (row.meaning.startsWith("@")) {
      const meaning = row.meaning.slice(1);
      byKey.set(`@${meaning}`, {
        id: 0,
        meaning,
        handler: true,
        control: false,
        z: 0,
        f: 0,
        kinds: {},
        cc: -1,
        inline: false,
        lockedOf: 0,
      });
      keys.fill(`@${meaning}`);
      continue;
    }
    const sem = SEMANTICS[row.meaning];
    if (!sem) throw new Error(`no such meaning: ${row.text}`);
    for (const z of rowSizes(row)) {
      for (const mem of [false, true]) {
        if (row.mod === "mem" && !mem) continue;
        if (mem && (row.mod === "reg" || !row.operands.some((o) => isE(o) || o[0] === "O"))) continue;
        if (!mem && row.operands.some((o) => o[0] === "O")) continue;
        const kinds: MicroOp["kinds"] = {};
        [...sem.roles].forEach((role, i) => {
          if ((role === "D" || role === "S" || role === "N") && sem.types.includes(role)) {
            kinds[role] = kindOf(row.operands[i], mem);
          }
        });
        const f = sem.types.includes("F") ? operandSize(row.operands[1], z) : 0;
        const sized = sem.types.includes("T");
        const key = [row.meaning, sized ? TYPES[z] : "", f, kinds.D, kinds.S, kinds.N, sem.cc ? row.cc : ""].join();
        const old = byKey.get(key);
        const inline =
          (row.attrs.has("hot") && hotForm(z, kinds)) || (row.attrs.has("hotr") && hotForm(z, kinds) && !mem);
        if (old) old.inline ||= inline;
        else {
          byKey.set(key, {
            id: 0,
            meaning: row.meaning,
            handler: false,
            control: !!sem.control,
            z,
            f,
            kinds,
            cc: sem.cc ? row.cc : -1,
            inline,
            lockedOf: 0,
          });
        }
        if (kinds.D === "Mem" && (row.attrs.has("lock") || row.attrs.has("locked"))) lockable.add(key);
        keys[z * 2 + (mem ? 1 : 0)] = key;
      }
    }
  }
  const all = [...byKey.values()];
  let id = STRUCTURE.length + ADDRESS.length;
  // Control meanings return the next micro-op, so they always stand in the switch.
  for (const op of all) if (op.inline || op.control) op.id = id++;
  const firstCalled = id;
  for (const op of all) if (!op.id) op.id = id++;
  for (const key of lockable) {
    const op = byKey.get(key) as MicroOp;
    all.push({ ...op, id: id++, inline: false, lockedOf: op.id });
  }
  const slots = new Map<number, number[]>();
  for (const [row, keys] of wanted)
    slots.set(
      row,
      keys.map((k) => byKey.get(k)?.id ?? 0),
    );
  return { ops: all.sort((a, b) => a.id - b.id), slots, firstCalled };
}

/** Which forms of a hot row earn a place in the switch: the sizes compilers emit. */
function hotForm(z: number, kinds: MicroOp["kinds"]): boolean {
  if (z === 1) return false;
  return !(kinds.N === "Cl" && kinds.D === "Mem");
}

/** The call of a micro-op's meaning with backend `backend`, as AssemblyScript text. */
export function callText(op: MicroOp, backend: string, receiver: string): string {
  if (op.handler) return `${op.meaning}(c, u)`;
  const sem = SEMANTICS[op.meaning];
  const types = [...sem.types].map((t) => (t === "T" ? TYPES[op.z] : t === "F" ? TYPES[op.f] : op.kinds[t as "D"]));
  return `${op.meaning}<${[backend, ...types].join(", ")}>(${receiver}, u${sem.cc ? `, ${op.cc}` : ""})`;
}
