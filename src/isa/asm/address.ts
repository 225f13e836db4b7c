/** Memory operands to ModRM, SIB and displacement (SDM vol. 2, 2.1.5 and 2.2.1). */
import type { Width } from "../operand.ts";
import type { Register } from "../registers.ts";
import { Mistake } from "./error.ts";
import type { Value } from "./expression.ts";
import type { MemoryOperand } from "./operand.ts";

export interface Address {
  asize: Width;
  segment: Register | undefined;
  mod: number;
  /** ModRM.rm and SIB fields; bit 3 goes to REX. */
  rm: number;
  sib: { scale: number; index: number; base: number } | undefined;
  disp: bigint;
  dispBits: 0 | 8 | 16 | 32;
  /** The displacement counts from the end of the instruction; `disp` is the target. */
  relative: boolean;
  /** No register takes part: also possible as a moffs. */
  direct: boolean;
  /** Its 64 bits were asked for: only possible as a moffs. */
  wide: boolean;
  /** Width of a vector register that is the index, else 0. */
  vectorIndex: 0 | 128 | 256;
}

const RM16: Readonly<Record<string, number>> = {
  "bx+si": 0,
  "bx+di": 1,
  "bp+si": 2,
  "bp+di": 3,
  si: 4,
  di: 5,
  bp: 6,
  bx: 7,
};

/** Lays out `op` whose bracket has the value `v`. `prefix`: address size by an explicit prefix. */
export function layOut(
  op: MemoryOperand,
  v: Value,
  mode: Width,
  defaultRel: boolean,
  prefix: Width | undefined,
): Address {
  const index = v.regs.find(([r]) => r.cls === "xmm" || r.cls === "ymm");
  if (index) return layOutVector(op, v, index, mode);
  for (const [r] of v.regs) {
    if (r.cls !== "gpr" || r.bits === 8) throw new Mistake(`${r.name} cannot be part of an address`);
    if (r.bits !== v.regs[0][0].bits) throw new Mistake("registers of different sizes in one address");
  }
  const wordSize = !v.regs.length && op.width >= 16 ? (op.width as Width) : undefined;
  const asize = (v.regs[0]?.[0].bits as Width | undefined) ?? op.asize ?? wordSize ?? prefix ?? mode;
  if ((asize === 16 && mode === 64) || (asize === 64 && mode !== 64)) {
    throw new Mistake(`a ${asize}-bit address is not possible in ${mode}-bit mode`);
  }
  const far = op.segment?.name === "fs" || op.segment?.name === "gs";
  // A plain number is an address that does not move along, whatever is written.
  const moves = v.rel !== 0 || v.unknown;
  const relative = moves && (op.relative ?? (defaultRel && mode === 64 && !v.regs.length && !far && op.width !== 64));
  const common = {
    asize,
    segment: op.segment,
    relative: false,
    direct: false,
    wide: false,
    vectorIndex: 0 as const,
    sib: undefined,
  };
  if (v.regs.length === 0) {
    if (relative) {
      if (mode !== 64) throw new Mistake("RIP-relative addresses exist only in 64-bit mode");
      return { ...common, mod: 0, rm: 5, disp: v.n, dispBits: 32, relative: true };
    }
    const direct = { ...common, mod: 0, disp: v.n, direct: true, wide: mode === 64 && op.width === 64 };
    if (asize === 16) return { ...direct, rm: 6, dispBits: 16 };
    if (mode !== 64) return { ...direct, rm: 5, dispBits: 32 };
    return { ...direct, rm: 4, sib: { scale: 0, index: 4, base: 5 }, dispBits: 32 };
  }
  if (op.relative) throw new Mistake("a RIP-relative address has no registers");
  return asize === 16 ? layOut16(op, v, common) : layOut32(op, v, common);
}

/** A base, a vector register as index (SDM vol. 2, 2.3.12) and a displacement. */
function layOutVector(op: MemoryOperand, v: Value, [index, scale]: readonly [Register, bigint], mode: Width): Address {
  const rest = v.regs.filter(([r]) => r !== index);
  const log2 = [1n, 2n, 4n, 8n].indexOf(scale);
  if (log2 < 0 || rest.length > 1) throw new Mistake("an address has a base and a vector register times 1, 2, 4 or 8");
  const base = rest[0]?.[0];
  const asize = (base?.bits as Width | undefined) ?? mode;
  if (base && (base.cls !== "gpr" || base.bits < 32 || rest[0][1] !== 1n || (base.bits === 64) !== (asize === 64)))
    throw new Mistake(`${base.name} cannot be the base of this address`);
  if (asize === 16 || (asize === 64 && mode !== 64))
    throw new Mistake("a vector register needs a 32-bit or 64-bit address");
  const common = {
    ...{ asize, segment: op.segment, relative: false, direct: false, wide: false, rm: 4 },
    vectorIndex: index.bits as 128 | 256,
    sib: { scale: log2, index: index.num, base: base?.num ?? 5 },
  };
  if (!base) return { ...common, mod: 0, disp: v.n, dispBits: 32 };
  return { ...common, ...displacement(op, { ...v, regs: rest }, 32, (base.num & 7) === 5) };
}

type Common = Pick<Address, "asize" | "segment" | "relative" | "direct" | "wide" | "vectorIndex" | "sib">;

/** The shortest displacement; values that move with the origin get a full one, as in NASM. */
function displacement(
  op: MemoryOperand,
  v: Value,
  full: 16 | 32,
  needed: boolean,
): { mod: number; disp: bigint; dispBits: Address["dispBits"] } {
  const n = full === 32 && v.regs[0][0].bits === 32 ? BigInt.asIntN(32, v.n) : v.n;
  const short = op.width === 8 || (op.width === 0 && v.rel === 0 && n >= -128n && n <= 127n);
  if (op.width === 0 && v.rel === 0 && n === 0n && !needed) return { mod: 0, disp: 0n, dispBits: 0 };
  if (!short) return { mod: 2, disp: v.n, dispBits: full };
  if (n < -128n || n > 127n) throw new Mistake(`displacement ${n} does not fit in a byte`);
  return { mod: 1, disp: n, dispBits: 8 };
}

function layOut16(op: MemoryOperand, v: Value, common: Common): Address {
  const names = v.regs.map(([r]) => r.name);
  const order = ["bx", "bp", "si", "di"];
  const key = names.sort((a, b) => order.indexOf(a) - order.indexOf(b)).join("+");
  const rm = v.regs.every(([, scale]) => scale === 1n) ? RM16[key] : undefined;
  if (rm === undefined) throw new Mistake("not a 16-bit address: [bx|bp] + [si|di] + displacement");
  return { ...common, rm, ...displacement(op, v, 16, key === "bp") };
}

function layOut32(op: MemoryOperand, v: Value, common: Common): Address {
  // Sum up equal registers, then give each a role.
  const sums = new Map<Register, bigint>();
  for (const [r, s] of v.regs) sums.set(r, (sums.get(r) ?? 0n) + s);
  const parts = [...sums].filter(([, s]) => s !== 0n);
  if (parts.length > 2) throw new Mistake("an address has at most two registers");
  let base: Register | undefined;
  let index: Register | undefined;
  let scale = 1n;
  if (parts.length === 2) {
    const at = parts[0][1] === 1n ? 0 : 1;
    if (parts[at][1] !== 1n) throw new Mistake("only one register of an address can be scaled");
    base = parts[at][0];
    [index, scale] = parts[1 - at];
    if (index.num === 4 && scale === 1n) [base, index] = [index, base];
  } else if (parts.length === 1) {
    const [r, s] = parts[0];
    if (s === 1n && !op.nosplit) base = r;
    else if ((s === 2n && !op.nosplit) || s === 3n || s === 5n || s === 9n) {
      base = index = r;
      scale = s - 1n;
    } else {
      index = r;
      scale = s;
    }
  }
  const log = [1n, 2n, 4n, 8n].indexOf(scale);
  if (log < 0) throw new Mistake(`scale ${scale} is not 1, 2, 4 or 8`);
  if (index?.num === 4) throw new Mistake(`${index.name} cannot be an index`);
  if (!base) {
    return {
      ...common,
      mod: 0,
      rm: 4,
      sib: { scale: log, index: index ? index.num : 4, base: 5 },
      disp: v.n,
      dispBits: 32,
    };
  }
  const disp = displacement(op, v, 32, (base.num & 7) === 5);
  if (!index && (base.num & 7) !== 4) return { ...common, rm: base.num, ...disp };
  return { ...common, rm: 4, sib: { scale: log, index: index ? index.num : 4, base: base.num }, ...disp };
}
