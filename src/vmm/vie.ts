/**
 * Instruction decoding for whoever emulates an access (the seeds' `struct vie`): prefixes, ModRM, SIB, displacement and
 * immediate, and the linear address that the memory operand names. Opcodes come from the instruction table.
 */
import { disassemble } from "../isa/disassemble.ts";
import { VCPU } from "../shared/layout.ts";
import { getSegment, type StructView } from "../vcpu/view.ts";
import { codeWidth } from "./cpuMode.ts";
import { type SegmentName, VM_REG_GUEST, VM_REG_LAST, type VmReg } from "./registers.ts";

/** Bytes of the longest instruction. */
export const VIE_INST_SIZE = 15;

/** The instruction's meaning: last opcode byte, the table's mnemonic, and whether a memory operand is there. */
export interface VieOp {
  readonly opByte: number;
  readonly opType: string;
  readonly opFlags: { readonly memory: boolean; readonly string: boolean };
}

/** `struct vie`: an instruction, taken apart. */
export interface Vie {
  readonly inst: Uint8Array;
  /** Bytes that were there to decode, and those the instruction has. */
  readonly numValid: number;
  readonly numProcessed: number;
  /** Address and operand size in bytes. */
  readonly addrsize: 2 | 4 | 8;
  readonly opsize: 2 | 4 | 8;
  readonly rexW: boolean;
  readonly rexR: boolean;
  readonly rexX: boolean;
  readonly rexB: boolean;
  readonly rexPresent: boolean;
  readonly opsizeOverride: boolean;
  readonly addrsizeOverride: boolean;
  readonly lock: boolean;
  /** F3 or F2, 0 if neither. */
  readonly repeat: number;
  readonly mod: number;
  readonly reg: number;
  readonly rm: number;
  readonly scale: number;
  /** VM_REG_LAST: none. RIP for RIP-relative addressing. */
  readonly baseRegister: VmReg | typeof VM_REG_LAST;
  readonly indexRegister: VmReg | typeof VM_REG_LAST;
  /** The segment of the memory operand, a prefix considered. */
  readonly segmentRegister: SegmentName;
  readonly dispBytes: number;
  readonly immBytes: number;
  readonly displacement: bigint;
  readonly immediate: bigint;
  readonly op: VieOp;
}

/** Registers in the order in which instructions encode them. */
const ENCODED = ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI"] as const;
const gprReg = (n: number): VmReg => (n < 8 ? VM_REG_GUEST[ENCODED[n]] : ((VM_REG_GUEST.R8 + n - 8) as VmReg));
const OVERRIDE: Readonly<Record<number, SegmentName>> = {
  38: "ES",
  46: "CS",
  54: "SS",
  62: "DS",
  100: "FS",
  101: "GS",
};
/** Base and index of 16-bit addressing (SDM vol. 2, table 2-1). */
const BASE16 = ["RBX", "RBX", "RBP", "RBP", "RSI", "RDI", "RBP", "RBX"] as const;
const INDEX16 = ["RSI", "RDI", "RSI", "RDI"] as const;

/** INS, OUTS, MOVS, CMPS, STOS, LODS, SCAS. */
const isString = (map: number, opcode: number): boolean =>
  map === 0 &&
  ((opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf));

/** Decodes the first instruction of `bytes`; undefined: it is none, or it is longer than the bytes that are there. */
export function vieDecode(bytes: Uint8Array, mode: 16 | 32 | 64): Vie | undefined {
  const inst = bytes.slice(0, VIE_INST_SIZE);
  const whole = disassemble(inst, 0, { mode, ip: 0n });
  if (!whole.row) return undefined;
  let at = 0;
  let rex = 0;
  let opsizeOverride = false;
  let addrsizeOverride = false;
  let lock = false;
  let repeat = 0;
  let segment: SegmentName | undefined;
  for (; ; at++) {
    const b = inst[at];
    if (b in OVERRIDE) segment = mode !== 64 || b >= 0x64 ? OVERRIDE[b] : segment;
    else if (b === 0x66) opsizeOverride = true;
    else if (b === 0x67) addrsizeOverride = true;
    else if (b === 0xf0) lock = true;
    else if (b === 0xf2 || b === 0xf3) repeat = b;
    else if (mode === 64 && (b & 0xf0) === 0x40) {
      rex = b;
      continue;
    } else break;
    rex = 0;
  }
  // The opcode: VEX's three or two bytes, an escape, or nothing stand before it.
  const row = whole.row;
  if (row.vex) at += inst[at] === 0xc5 ? 2 : 3;
  else at += row.map === 0 ? 0 : row.map === 1 ? 1 : 2;
  const opByte = inst[at++];
  const addrsize = mode === 64 ? (addrsizeOverride ? 4 : 8) : (mode === 32) !== addrsizeOverride ? 4 : 2;
  const wide = (rex & 8) !== 0 || row.attrs.has("f64");
  const opsize = wide && mode === 64 ? 8 : (mode === 16) !== (opsizeOverride && row.prefix !== "66") ? 2 : 4;
  const string = isString(row.map, row.opcode);
  let [mod, reg, rm, scale, dispBytes] = [0, 0, 0, 1, 0];
  let base: Vie["baseRegister"] = VM_REG_LAST;
  let index: Vie["indexRegister"] = VM_REG_LAST;
  let memory = string;
  if (row.modrm) {
    const m = inst[at++];
    mod = m >> 6;
    reg = ((m >> 3) & 7) | ((rex & 4) << 1);
    rm = (m & 7) | ((rex & 1) << 3);
    if (mod !== 3 && !row.operands.some((o) => o[0] === "C" || o[0] === "D")) {
      memory = true;
      if (addrsize === 2) {
        const bare = mod === 0 && (m & 7) === 6;
        dispBytes = bare || mod === 2 ? 2 : mod;
        if (!bare) base = VM_REG_GUEST[BASE16[m & 7]];
        if ((m & 7) < 4) index = VM_REG_GUEST[INDEX16[m & 7]];
      } else {
        dispBytes = mod === 1 ? 1 : mod === 2 ? 4 : 0;
        if ((m & 7) === 4) {
          const sib = inst[at++];
          const i = ((sib >> 3) & 7) | ((rex & 2) << 2);
          scale = 1 << (sib >> 6);
          if (i !== 4) index = gprReg(i);
          if ((sib & 7) === 5 && mod === 0) dispBytes = 4;
          else base = gprReg((sib & 7) | ((rex & 1) << 3));
        } else if (mod === 0 && (m & 7) === 5) {
          dispBytes = 4;
          if (mode === 64) base = VM_REG_GUEST.RIP;
        } else base = gprReg(rm);
      }
    }
  } else if (row.operands.some((o) => o[0] === "O")) {
    memory = true;
    dispBytes = addrsize;
  }
  const number = (from: number, size: number): bigint => {
    let v = 0n;
    for (let i = size - 1; i >= 0; i--) v = (v << 8n) | BigInt(inst[from + i]);
    return v;
  };
  const displacement =
    dispBytes === 8 || !row.modrm ? number(at, dispBytes) : BigInt.asIntN(8 * dispBytes, number(at, dispBytes));
  at += dispBytes;
  const immBytes = whole.length - at;
  const stack = base === VM_REG_GUEST.RSP || base === VM_REG_GUEST.RBP;
  return {
    inst: inst.slice(0, whole.length),
    numValid: inst.length,
    numProcessed: whole.length,
    addrsize,
    opsize,
    rexW: (rex & 8) !== 0,
    rexR: (rex & 4) !== 0,
    rexX: (rex & 2) !== 0,
    rexB: (rex & 1) !== 0,
    rexPresent: rex !== 0,
    opsizeOverride,
    addrsizeOverride,
    lock,
    repeat,
    mod,
    reg,
    rm,
    scale,
    baseRegister: base,
    indexRegister: index,
    segmentRegister: segment ?? (stack ? "SS" : "DS"),
    dispBytes,
    immBytes,
    displacement,
    immediate: immBytes > 0 ? BigInt.asIntN(8 * immBytes, number(at, immBytes)) : 0n,
    op: { opByte, opType: row.mnemonic, opFlags: { memory, string } },
  };
}

/** A general register, RIP or nothing, before the instruction. */
export type RegisterValue = (reg: VmReg | typeof VM_REG_LAST) => bigint;

/**
 * Linear addresses that the instruction's memory operands name: one, or two for a string instruction (rSI, then rDI).
 * Implicit accesses (the stack, descriptor tables) are not among them.
 */
export function vieAddresses(view: StructView, vie: Vie, value: RegisterValue): bigint[] {
  const long = codeWidth(view) === 64;
  const linear = (segment: SegmentName, offset: bigint): bigint => {
    const at = BigInt.asUintN(8 * vie.addrsize, offset);
    if (long) {
      const base = segment === "FS" || segment === "GS" ? getSegment(view, segment).base : 0n;
      return BigInt.asUintN(64, base + at);
    }
    return BigInt.asUintN(32, getSegment(view, segment).base + at);
  };
  if (vie.op.opFlags.string) {
    return [linear(vie.segmentRegister, value(VM_REG_GUEST.RSI)), linear("ES", value(VM_REG_GUEST.RDI))];
  }
  if (!vie.op.opFlags.memory) return [];
  const next = vie.baseRegister === VM_REG_GUEST.RIP ? BigInt(vie.numProcessed) : 0n;
  const offset = value(vie.baseRegister) + next + value(vie.indexRegister) * BigInt(vie.scale) + vie.displacement;
  return [linear(vie.segmentRegister, offset)];
}

/** Registers as the core found them before the instruction that has left with an exit (Vcpu.undo). */
export function valueBefore(view: StructView): RegisterValue {
  const at = (offset: number): bigint => view.get64(VCPU.undo, (offset - VCPU.rip.offset) / 8);
  const order = new Map<number, number>(Array.from({ length: 16 }, (_, n) => [gprReg(n), n]));
  return (reg) => {
    if (reg === VM_REG_LAST) return 0n;
    if (reg === VM_REG_GUEST.RIP) return at(VCPU.rip.offset);
    return at(VCPU.gpr.offset + 8 * (order.get(reg) ?? 0));
  };
}
