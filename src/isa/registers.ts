/** Names of the registers that an operand can be. */

export type RegisterClass = "gpr" | "seg" | "cr" | "dr" | "mmx" | "xmm" | "ymm" | "st";

export interface Register {
  readonly name: string;
  readonly cls: RegisterClass;
  /** Number in the encoding. AH, CH, DH, BH are 4..7, as without REX. */
  readonly num: number;
  /** Width in bits. */
  readonly bits: number;
  /** SPL, BPL, SIL, DIL: exist only with a REX prefix. */
  readonly needsRex: boolean;
  /** AH, CH, DH, BH: exist only without one. */
  readonly noRex: boolean;
}

const LEGACY = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
const LOW8 = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"];
const HIGH8 = ["ah", "ch", "dh", "bh"];
export const SEGMENT_NAMES: readonly string[] = ["es", "cs", "ss", "ds", "fs", "gs"];

const byName = new Map<string, Register>();
const add = (name: string, cls: RegisterClass, num: number, bits: number, needsRex = false, noRex = false): void => {
  byName.set(name, { name, cls, num, bits, needsRex, noRex });
};

for (let i = 0; i < 16; i++) {
  const old = i < 8;
  add(old ? LOW8[i] : `r${i}b`, "gpr", i, 8, i >= 4 && old);
  add(old ? LEGACY[i] : `r${i}w`, "gpr", i, 16);
  add(old ? `e${LEGACY[i]}` : `r${i}d`, "gpr", i, 32);
  add(old ? `r${LEGACY[i]}` : `r${i}`, "gpr", i, 64);
  add(`cr${i}`, "cr", i, 64);
  add(`dr${i}`, "dr", i, 64);
  add(`xmm${i}`, "xmm", i, 128);
  add(`ymm${i}`, "ymm", i, 256);
  if (old) {
    add(`mm${i}`, "mmx", i, 64);
    add(`st${i}`, "st", i, 80);
  }
}
for (const [i, name] of HIGH8.entries()) add(name, "gpr", i + 4, 8, false, true);
for (const [i, name] of SEGMENT_NAMES.entries()) add(name, "seg", i, 16);

/** The register of that (lower-case) name. */
export const registerNamed = (name: string): Register | undefined => byName.get(name);

/** Name of vector register `num` of an operand with `bits` bits: what is shorter than a YMM register lies in an XMM one. */
export const vectorName = (num: number, bits: number): string => `${bits === 256 ? "ymm" : "xmm"}${num}`;

/** Name of general-purpose register `num`; `rex`: the instruction has a REX prefix, so 4..7 of 8 bits are SPL.. */
export function gprName(num: number, bits: number, rex: boolean): string {
  if (bits === 8) return num < 8 && !rex ? [...LOW8.slice(0, 4), ...HIGH8][num] : num < 8 ? LOW8[num] : `r${num}b`;
  if (num >= 8) return bits === 64 ? `r${num}` : `r${num}${bits === 32 ? "d" : "w"}`;
  return (bits === 64 ? "r" : bits === 32 ? "e" : "") + LEGACY[num];
}
