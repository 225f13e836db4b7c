/**
 * One instruction from bytes to micro-ops. The generated tables (assembly/gen/decode.ts, from the instruction table)
 * say which row an encoding is and how its operands reach the micro-op; this file knows prefixes, ModRM and sizes.
 */
import {
  Vcpu, V_GPR, V_EA, V_RIP_PAGE, V_YMM, V_ST, MODE_CODE32, MODE_CODE64, MODE_FLAT, MODE_PROTECTED, MODE_NOAVX,
  SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, UOP_SIZE,
} from "../gen/layout";
import {
  ROOTS, NODES, SLOTS, LOCKED_FORM, ROWINFO, ROW_BYTES, NODE_PFX, NODE_REG, NODE_MOD, NODE_M64, NODE_VL, NODE_VW, ACT_NONE, ACT_GPR, ACT_RM,
  ACT_OPREG, ACT_IMM, ACT_REL, ACT_MOFFS, ACT_FIXED, ACT_CONST, ACT_NUMBER, ACT_MMX, ACT_MMXRM, ACT_XMM, ACT_XMMRM,
  ACT_FAR, ACT_STI, ACT_MEM, ACT_GPRRM, ACT_NUMBERCONST, ACT_VVVV, ACT_VEXXMM, ACT_IS4, SZ_B, SZ_W, SZ_D, SZ_Q, SZ_V, SZ_Z, SZ_Y, SZ_O, SZ_P, SZ_T, SZ_X,
  SLOT_D, SLOT_S, SLOT_IMM, SLOT_IMM2, SLOT_LEFT, ATTR_D64, ATTR_F64, ATTR_LOCK, ATTR_LOCKED, ATTR_END, ATTR_BR, ATTR_EV, ATTR_PROT, ATTR_FPU,
  ATTR_MMX, ATTR_SSE, ATTR_MODRM, ATTR_MEMW, ATTR_ALIAS, ATTR_ALIGNED, ATTR_LATE, ATTR_AVX, ATTR_OWN, ATTR_VSIBO, ATTR_VSIBX, ATTR_NOMOD, OP_RAISE, OP_EASEG,
} from "../gen/decode";
import { UD, GP, NM } from "../exception";
import { parallel } from "../mem/exclusive";
import { hasFeature } from "../sys/model";
import { SHAPE_LEGACY, SHAPE_XMM, UF_LOCK } from "./uop";

/** What decode found out about the instruction just decoded. */
export let length: u32 = 0;
/** ATTR_* bits; END and BR end the block. */
export let attributes: u32 = 0;
/** The instruction is a branch with a relative target. */
export let relative: bool = false;
/** The instruction is locked, and there are vCPUs that run in parallel. */
export let locked: bool = false;
/** Set when the bytes ran out before the instruction did. */
export let truncated: bool = false;

let at: usize = 0;
let end: usize = 0;
let rex: u32 = 0;
/** Opcode map of a VEX prefix, 0 if there is none; the register in VEX.vvvv (not inverted), VEX.L, .W and .pp. */
let vexMap: u32 = 0;
/** Maps that a CPU reads on for, by the low three bits: 1 to 3, and 5 to 7, in which nothing is. */
@inline function isMap(map: u32): bool { return (map & 3) != 0; }
let vvvv: u32 = 0;
let vexL: u32 = 0;
let vexW: u32 = 0;
let vexPp: u32 = 0;
let mod: u32 = 0;
let reg: u32 = 0;
let rm: u32 = 0;
let baseOff: u32 = 0;
let idxOff: u32 = 0;
/** SIB.index with REX.X, whatever it names (255 without a SIB byte), and SIB.scale. */
let sibIndex: u32 = 0;
let sibScale: u32 = 0;
let scale: u32 = 0;
let disp: i64 = 0;
let ripRelative: bool = false;
let stackDefault: bool = false;

@inline function need(n: usize): bool {
  if (at + n > end) { truncated = true; return false; }
  return true;
}

@inline function gpr(r: u32): u32 { return <u32>V_GPR + (r << 3); }

/** Byte registers: without REX, numbers 4 to 7 are AH, CH, DH, BH. */
@inline function gprSized(r: u32, z: u32, anyRex: bool): u32 {
  return z == 0 && !anyRex && r >= 4 && r < 8 ? gpr(r - 4) + 1 : gpr(r);
}

/** `registers`: ModRM.mod counts as 3, whatever it is. */
function readModrm(address: u32, registers: bool): bool {
  const m = <u32>load<u8>(at) | (registers ? 0xc0 : 0);
  at++;
  mod = m >> 6;
  reg = ((m >> 3) & 7) | ((rex & 4) << 1);
  rm = m & 7;
  baseOff = 0; idxOff = 0; scale = 0; disp = 0; ripRelative = false; stackDefault = false; sibIndex = 255;
  if (mod == 3) { rm |= (rex & 1) << 3; return true; }
  if (address == 0) return readModrm16();
  let dispSize: u32 = mod == 1 ? 1 : mod == 2 ? 4 : 0;
  if (rm == 4) {
    if (!need(1)) return false;
    const sib: u32 = load<u8>(at);
    at++;
    const index = ((sib >> 3) & 7) | ((rex & 2) << 2), base = (sib & 7) | ((rex & 1) << 3);
    sibIndex = index;
    sibScale = sib >> 6;
    if (index != 4) { idxOff = gpr(index); scale = sibScale; }
    if ((sib & 7) == 5 && mod == 0) dispSize = 4;
    else { baseOff = gpr(base); stackDefault = base == 4 || base == 5; }
  } else if (rm == 5 && mod == 0) {
    dispSize = 4;
    ripRelative = true;
  } else {
    const base = rm | ((rex & 1) << 3);
    baseOff = gpr(base);
    stackDefault = base == 5;
  }
  return readDisp(dispSize);
}

/** Order of the 16-bit forms: BX+SI BX+DI BP+SI BP+DI SI DI BP BX. */
function readModrm16(): bool {
  const bx = gpr(3), bp = gpr(5), si = gpr(6), di = gpr(7);
  let dispSize: u32 = mod;
  switch (rm) {
    case 0: baseOff = bx; idxOff = si; break;
    case 1: baseOff = bx; idxOff = di; break;
    case 2: baseOff = bp; idxOff = si; stackDefault = true; break;
    case 3: baseOff = bp; idxOff = di; stackDefault = true; break;
    case 4: baseOff = si; break;
    case 5: baseOff = di; break;
    case 6:
      if (mod == 0) dispSize = 2;
      else { baseOff = bp; stackDefault = true; }
      break;
    default: baseOff = bx; break;
  }
  return readDisp(dispSize);
}

function readDisp(n: u32): bool {
  if (n == 0) return true;
  if (!need(n)) return false;
  disp = n == 1 ? <i64>load<i8>(at) : n == 2 ? <i64>load<i16>(at) : <i64>load<i32>(at);
  at += n;
  return true;
}

function lookup(mode: u32, prefix: u32, rep: u32): u32 {
  let map = vexMap;
  let opcode: u32 = load<u8>(at);
  at++;
  if (map > 3) {
    lastOpcode = opcode;
    map &= 7;
    lastMap = map <= 3 ? map : map == 7 ? 3 : 2;
    return 0;
  }
  if (!map && opcode == 0x0f) {
    if (!need(1)) return 0;
    opcode = load<u8>(at);
    at++;
    map = 1;
    // 38 to 3F lead to further maps, of which CPUs have two.
    if ((opcode & 0xf8) == 0x38) {
      map = opcode & 2 ? 3 : 2;
      const there = (opcode & 5) == 0;
      if (!need(1)) return 0;
      opcode = load<u8>(at);
      at++;
      if (!there) {
        lastMap = map;
        return 0;
      }
    }
  }
  lastOpcode = opcode;
  lastMap = map;
  let v: u32 = unchecked(ROOTS[((vexMap ? map + 3 : map) << 8) + opcode]);
  while (!(v & 0x8000)) {
    const kind: u32 = unchecked(NODES[v]);
    let child: u32 = 0;
    if (kind == NODE_PFX) child = rep == 0xf3 ? 2 : rep == 0xf2 ? 3 : prefix ? 1 : 0;
    else if (kind == NODE_M64) child = mode & MODE_CODE64 ? 1 : 0;
    else if (kind == NODE_VL) child = vexL;
    else if (kind == NODE_VW) child = vexW;
    else {
      if (!need(1)) return 0;
      const m: u32 = load<u8>(at);
      child = kind == NODE_REG ? (m >> 3) & 7 : kind == NODE_MOD ? u32(m >= 0xc0) : m & 7;
    }
    v = unchecked(NODES[v + 1 + child]);
  }
  return v & 0x7fff;
}
let lastOpcode: u32 = 0;
let lastMap: u32 = 0;

/**
 * Reads a VEX prefix of two (C5) or three (C4) bytes, of which two are known to be there (SDM vol. 2, 2.3.5):
 *
 *     C5  R vvvv L pp                C4  R X B mmmmm   W vvvv L pp        R, X, B, vvvv inverted
 */
function readVex(wide: bool): bool {
  let b: u32 = load<u8>(at, 1);
  if (load<u8>(at) == 0xc5) {
    rex = (~b & 0x80) >> 5;
    vexMap = 1;
    vexW = 0;
    at += 2;
  } else {
    rex = (~b & 0xe0) >> 5;
    vexMap = b & 31;
    if (!isMap(vexMap)) {
      at += 2;
      return true;
    }
    if (!need(3)) return false;
    b = load<u8>(at, 2);
    vexW = b >> 7;
    rex |= vexW << 3;
    at += 3;
  }
  vvvv = (~b >> 3) & 15;
  vexL = (b >> 2) & 1;
  vexPp = b & 3;
  // Outside 64-bit mode there are eight registers, of 32 bits.
  if (!wide) rex = 0;
  return true;
}

/** A micro-op that raises `vector` (with error code 0 for #GP). */
function raiseOp(u: usize, off: u32, vector: u32): usize {
  memory.fill(u, 0, UOP_SIZE);
  store<u16>(u, <u16>OP_RAISE);
  store<u64>(u, vector, 16);
  store<u16>(u, <u16>off, 24);
  attributes = ATTR_BR;
  return u + UOP_SIZE;
}

/** #GP(0) for an instruction of more than 15 bytes. */
export function tooLong(u: usize, off: u32): usize {
  length = 15;
  return raiseOp(u, off, GP);
}

@inline function immediate(n: u32): i64 {
  const v = n == 1 ? <i64>load<i8>(at) : n == 2 ? <i64>load<i16>(at) : n == 4 ? <i64>load<i32>(at) : load<i64>(at);
  at += n;
  return v;
}

/**
 * Decodes the instruction at `from` (bytes up to `limit` may be read) that lies at offset `off` of its page, and writes
 * its micro-ops at `u`. Returns the end of the micro-ops, or 0 with `truncated` set.
 */
export function decode(c: Vcpu, from: usize, limit: usize, off: u32, u: usize): usize {
  const mode = c.mode;
  at = from;
  end = limit;
  truncated = false;
  attributes = 0;
  relative = false;
  locked = false;
  rex = 0;
  const wide = (mode & MODE_CODE64) != 0;
  let o16 = false, a67 = false, lock = false, anyRex = false;
  let rep: u32 = 0, segOverride: i32 = -1;
  // Prefixes. A REX prefix counts only right before the opcode.
  while (true) {
    if (!need(1)) return 0;
    if (at - from >= 15) return tooLong(u, off);
    const b: u32 = load<u8>(at);
    if (wide && (b & 0xf0) == 0x40) {
      rex = b; anyRex = true; at++;
      if (!need(1)) return 0;
      const n: u32 = load<u8>(at);
      // A prefix after REX makes the REX void.
      if ((n & 0xf0) == 0x40 || n == 0x66 || n == 0x67 || n == 0xf0 || n == 0xf2 || n == 0xf3 || n == 0x2e || n == 0x36 || n == 0x3e || n == 0x26 || n == 0x64 || n == 0x65) {
        rex = 0; anyRex = false;
        continue;
      }
      break;
    }
    if (b == 0x66) o16 = true;
    else if (b == 0x67) a67 = true;
    else if (b == 0xf0) lock = true;
    else if (b == 0xf2 || b == 0xf3) rep = b;
    else if (b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e) { if (!wide) segOverride = <i32>((b >> 3) & 3); }
    else if (b == 0x64 || b == 0x65) segOverride = b == 0x64 ? SEG_FS : SEG_GS;
    else break;
    at++;
  }
  // Outside 64-bit mode C4 and C5 with memory are LES and LDS; in real and virtual-8086 mode they always are.
  vexMap = 0;
  let bad = false;
  if ((load<u8>(at) & 0xfe) == 0xc4 && mode & MODE_PROTECTED) {
    if (!need(2)) return 0;
    if (wide || load<u8>(at, 1) >= 0xc0) {
      bad = o16 || rep != 0 || lock || anyRex;
      if (!readVex(wide)) return 0;
      if (!isMap(vexMap)) {
        length = <u32>(at - from);
        return length > 15 ? tooLong(u, off) : raiseOp(u, off, UD);
      }
      if (!need(1)) return 0;
      o16 = vexPp == 1;
      rep = vexPp == 2 ? 0xf3 : vexPp == 3 ? 0xf2 : 0;
    }
  }
  const opcodeAt = at;
  let row = lookup(mode, u32(o16), rep);
  if (truncated) return 0;
  let info = changetype<usize>(ROWINFO) + <usize>row * ROW_BYTES;
  const feature: u32 = load<u8>(info, 2);
  const lacking = feature != 0 && !hasFeature(c, feature - 1);
  if (lacking && load<u32>(info, 4) & ATTR_ALIAS) {
    at = opcodeAt;
    row = lookup(mode, 0, 0);
    info = changetype<usize>(ROWINFO) + <usize>row * ROW_BYTES;
  }
  const attr = load<u32>(info, 4);
  const address: u32 = wide ? (a67 ? 1 : 2) : ((mode & MODE_CODE32) != 0) != a67 ? 1 : 0;
  const form: u32 = row == 0 ? undefinedForm() : 0;
  const hasModrm = (attr & ATTR_MODRM) != 0 || (form & FORM_MODRM) != 0;
  if (hasModrm) {
    if (!need(1)) return 0;
    if (!readModrm(address, (attr & ATTR_NOMOD) != 0)) return 0;
  } else { mod = 3; baseOff = 0; idxOff = 0; scale = 0; disp = 0; ripRelative = false; stackDefault = false; reg = 0; rm = 0; }
  // Operand size.
  let osize: u32 = wide ? (rex & 8 ? 3 : o16 ? 1 : 2) : ((mode & MODE_CODE32) != 0) != o16 ? 2 : 1;
  if (wide && attr & ATTR_F64) osize = 3;
  else if (wide && attr & ATTR_D64 && osize == 2) osize = 3;
  const sizing: u32 = load<u8>(info, 1);
  const z: u32 = sizing <= SZ_Q ? sizing : sizing == SZ_Y ? (rex & 8 ? 3 : 2) : osize;
  bad = bad || row == 0 || (lacking && load<u8>(info, 2) != 0);

  // Operands.
  let d: u32 = 0, s: u32 = 0, left: u32 = 0, imm: i64 = 0, imm2: i64 = 0, memSize: u32 = 0;
  let shape: u32 = vexMap ? SHAPE_XMM : SHAPE_LEGACY;
  const stringSegment: u32 = segOverride >= 0 ? segOverride : SEG_DS;
  let inMemory = false, haveRel = false, needsVvvv = false;
  const n: u32 = load<u8>(info);
  for (let i: u32 = 0; i < n; i++) {
    const o = info + 8 + (i << 2);
    const action: u32 = load<u8>(o), size: u32 = load<u8>(o, 2), slot: u32 = load<u8>(o, 3);
    const oz: u32 = size <= SZ_Q ? size : size == SZ_Z ? min<u32>(osize, 2) : size == SZ_Y ? (rex & 8 ? 3 : 2) : osize;
    let value: u32 = 0;
    if (size == SZ_X) shape = SHAPE_XMM + vexL;
    switch (action) {
      case ACT_GPR: value = gprSized(reg, oz, anyRex); break;
      case ACT_VVVV:
        value = gpr(wide ? vvvv : vvvv & 7);
        needsVvvv = true;
        if (slot == SLOT_IMM) imm = value;
        break;
      case ACT_RM:
        if (mod == 3) value = gprSized(rm, oz, anyRex);
        else { inMemory = true; memSize = 1 << oz; }
        break;
      case ACT_MEM: inMemory = true; memSize = size <= SZ_Y ? 1 << oz : size == SZ_O ? 16 : size == SZ_X ? 16 << vexL : size == SZ_P ? 2 + (1 << osize) : size == SZ_T ? 8 : 1; bad = bad || mod == 3; break;
      case ACT_GPRRM: value = gprSized((rm & 7) | ((rex & 1) << 3), oz, anyRex); break;
      case ACT_OPREG: value = gprSized((lastOpcode & 7) | ((rex & 1) << 3), oz, anyRex); break;
      case ACT_FIXED: value = gprSized(load<u8>(o, 1), 3, true); break;
      case ACT_NUMBER: value = reg; break;
      case ACT_NUMBERCONST: value = load<u8>(o, 1); break;
      case ACT_STI: value = rm & 7; break;
      case ACT_MMX: value = <u32>V_ST + ((reg & 7) << 4); break;
      case ACT_MMXRM:
        if (mod == 3) value = <u32>V_ST + ((rm & 7) << 4);
        else { inMemory = true; memSize = size <= SZ_Q ? 1 << oz : 8; }
        break;
      case ACT_XMM: value = <u32>V_YMM + (reg << 5); break;
      case ACT_XMMRM:
        if (mod == 3) value = <u32>V_YMM + (rm << 5);
        else { inMemory = true; memSize = size <= SZ_Q ? 1 << oz : size == SZ_X ? 16 << vexL : 16; }
        break;
      case ACT_VEXXMM:
        value = <u32>V_YMM + ((wide ? vvvv : vvvv & 7) << 5);
        needsVvvv = true;
        break;
      case ACT_IS4:
        if (!need(1)) return 0;
        value = load<u8>(at);
        at++;
        imm = V_YMM + ((wide ? value >> 4 : (value >> 4) & 7) << 5);
        break;
      case ACT_IMM: {
        const bytes: u32 = size == SZ_V && osize == 3 ? 8 : 1 << min<u32>(oz, size == SZ_V ? 3 : 2);
        if (!need(bytes)) return 0;
        let v = immediate(bytes);
        if (size == SZ_W) v &= 0xffff;
        if (slot == SLOT_IMM2) imm2 = v;
        else imm = v;
        break;
      }
      case ACT_CONST: imm = load<u8>(o, 1); break;
      case ACT_REL: {
        const bytes: u32 = size == SZ_B ? 1 : osize == 1 ? 2 : 4;
        if (!need(bytes)) return 0;
        imm = immediate(bytes);
        haveRel = true;
        break;
      }
      case ACT_FAR: {
        const bytes: u32 = 1 << osize;
        if (!need(bytes + 2)) return 0;
        imm = bytes == 2 ? <i64>load<u16>(at) : <i64>load<u32>(at);
        imm2 = load<u16>(at + bytes);
        at += bytes + 2;
        break;
      }
      case ACT_MOFFS: {
        const bytes: u32 = 2 << address;
        if (!need(bytes)) return 0;
        disp = bytes == 2 ? <i64>load<u16>(at) : bytes == 4 ? <i64>load<u32>(at) : load<i64>(at);
        at += bytes;
        inMemory = true;
        memSize = 1 << oz;
        break;
      }
      // String operands: the segment of the one at rSI.
      case ACT_NONE: value = stringSegment; break;
      default: break;
    }
    if (action != ACT_IMM && action != ACT_REL && action != ACT_FAR && action != ACT_CONST) {
      if (slot == SLOT_D) d = value;
      else if (slot == SLOT_S) s = value;
      else if (slot == SLOT_LEFT) left = value;
    }
  }
  if (form & (FORM_IMM8 | FORM_IMMZ | FORM_SELECTOR)) {
    // What VEX.pp stands for does not count here.
    const short = vexMap ? !wide && !(mode & MODE_CODE32) : osize == 1;
    const bytes: u32 = (form & FORM_IMM8 ? 1 : 0) + (form & FORM_IMMZ ? (short ? 2 : 4) : 0) + (form & FORM_SELECTOR ? 2 : 0);
    if (!need(bytes)) return 0;
    at += bytes;
  }
  // A VEX.vvvv that names no operand must be 1111 (inverted: 0).
  if (vexMap && !needsVvvv && vvvv) bad = true;
  if (attr & (ATTR_VSIBO | ATTR_VSIBX)) {
    // There must be a SIB byte, and the destination, the mask and the index must be three registers.
    const index = <u32>V_YMM + (sibIndex << 5);
    if (address == 0 || sibIndex == 255 || d == left || d == index || left == index) bad = true;
    idxOff = index;
    scale = sibScale;
    if (attr & ATTR_VSIBX) shape = SHAPE_XMM + vexL;
  }
  const len = <u32>(at - from);
  length = len;
  if (len > 15) return raiseOp(u, off, GP);
  if (bad) return raiseOp(u, off, UD);
  if (lock && (!(attr & ATTR_LOCK) || !inMemory)) return raiseOp(u, off, UD);
  if (attr & ATTR_PROT && !(mode & MODE_PROTECTED)) return raiseOp(u, off, UD);
  if (attr & (ATTR_FPU | ATTR_MMX | ATTR_SSE | ATTR_AVX)) {
    const vector = unavailable(c, attr);
    if (vector) return raiseOp(u, off, vector);
  }
  attributes = attr;

  // Addressing.
  locked = inMemory && (lock || (attr & ATTR_LOCKED) != 0) && parallel();
  let segment: u32 = 0;
  let flags: u32 = (z & 3) | (address << 2) | (locked ? UF_LOCK : 0) | (rep == 0xf3 ? 0x40 : rep == 0xf2 ? 0x80 : 0);
  if (inMemory) {
    if (ripRelative) {
      if (wide) { baseOff = <u32>V_RIP_PAGE; disp += <i64>off + len; }
    }
    const seg: u32 = segOverride >= 0 ? segOverride : stackDefault ? SEG_SS : SEG_DS;
    segment = seg;
    if (stackDefault && segOverride < 0) flags |= 0x10;
    const own: u32 = wide ? 2 : 1;
    const flat = wide ? seg < SEG_FS : (mode & MODE_FLAT) != 0 && seg != SEG_CS && seg < SEG_FS;
    // LEA wants the offset: no segment, but truncation to the address size.
    // The NOPs and prefetches with an operand do not touch it either, nor do UD0 and UD1.
    const isLea = lastMap == 0 ? lastOpcode == 0x8d
      : lastMap == 1 && ((lastOpcode & 0xf8) == 0x18 || lastOpcode == 0x0d || lastOpcode == 0xb9 || lastOpcode == 0xff);
    const fits = disp == <i64><i32>disp;
    if (!(attr & ATTR_OWN) && (address != own || (!isLea && !flat) || !fits)) {
      let partial: i64 = 0;
      memory.fill(u, 0, UOP_SIZE);
      store<u16>(u, <u16>OP_EASEG);
      store<u16>(u, isLea ? 0xff : <u16>seg, 4);
      store<u16>(u, <u16>baseOff, 6);
      store<u16>(u, <u16>idxOff, 8);
      store<u8>(u, <u8>scale, 10);
      store<u8>(u, <u8>flags, 11);
      if (fits) store<i32>(u, <i32>disp, 12);
      else {
        // A displacement of more than 32 bits (MOV moffs, or RIP-relative at the edge): two address micro-ops.
        store<i32>(u, 0, 12);
        partial = disp;
      }
      const how = (attr & ATTR_LATE ? 0 : memSize) | (attr & ATTR_MEMW ? 0x10000 : 0) | (attr & ATTR_ALIGNED ? 0x20000 : 0) | (address << 24);
      store<u32>(u, how, 16);
      if (partial) {
        store<u16>(u, 0xfe, 4);
        store<i64>(u, partial, 16);
        store<u16>(u, <u16>off, 24);
        u += UOP_SIZE;
        memory.copy(u, u - UOP_SIZE, UOP_SIZE);
        store<u16>(u, isLea ? 0xff : <u16>seg, 4);
        store<u16>(u, <u16>V_EA, 6);
        store<u16>(u, 0, 8);
        store<u64>(u, how, 16);
      }
      store<u16>(u, <u16>off, 24);
      u += UOP_SIZE;
      baseOff = <u32>V_EA; idxOff = 0; scale = 0; disp = 0;
    }
  }
  memory.fill(u, 0, UOP_SIZE);
  let op = unchecked(SLOTS[(row << 3) + (z << 1) + u32(inMemory)]);
  if (locked && <i32>op < LOCKED_FORM.length && unchecked(LOCKED_FORM[op])) op = unchecked(LOCKED_FORM[op]);
  store<u16>(u, op);
  store<u16>(u, <u16>d, 2);
  store<u16>(u, <u16>s, 4);
  store<u16>(u, <u16>baseOff, 6);
  store<u16>(u, <u16>idxOff, 8);
  // Without a memory operand the field names the segment override, for meanings with an implied operand (0 = none).
  store<u8>(u, inMemory ? <u8>scale : <u8>(segOverride + 1), 10);
  store<u8>(u, <u8>flags, 11);
  store<i32>(u, inMemory ? <i32>disp : <i32>imm2, 12);
  store<i64>(u, imm, 16);
  if (attr & ATTR_OWN) {
    store<i32>(u, <i32>imm | <i32>(segment << 8), 12);
    store<i64>(u, disp, 16);
  }
  store<u16>(u, <u16>off, 24);
  if (attr & (ATTR_MMX | ATTR_SSE | ATTR_AVX)) {
    store<u16>(u, <u16>(left ? left : d), 28);
    store<u16>(u, <u16>shape, 30);
  }
  if (attr & ATTR_BR) store<u16>(u, <u16>(off + len), 2);
  relative = haveRel;
  if (haveRel) store<i64>(u, <i64>(off + len) + imm, 16);
  return u + UOP_SIZE;
}

/** What follows an undefined opcode. */
const FORM_MODRM: u32 = 1;
const FORM_IMM8: u32 = 2;
const FORM_IMMZ: u32 = 4;
const FORM_SELECTOR: u32 = 8;

/**
 * FORM_* bits of an opcode that is undefined. CPUs fetch all of an instruction before they refuse it, so at the end of
 * a page the page fault comes first. With a VEX prefix an opcode of map 1 is as long as it is without.
 */
function undefinedForm(): u32 {
  const op = lastOpcode;
  if (lastMap == 3) return FORM_MODRM | FORM_IMM8;
  if (lastMap == 2) return FORM_MODRM;
  if (lastMap == 1) {
    switch (op >> 3) {
      case 0: return op >= 4 ? 0 : FORM_MODRM;
      case 1: return op == 0x0d ? FORM_MODRM : 0;
      case 4: return op >= 0x24 ? 0 : FORM_MODRM;
      case 6: case 7: case 25: return 0;
      case 14: return op == 0x77 ? 0 : op <= 0x73 ? FORM_MODRM | FORM_IMM8 : FORM_MODRM;
      case 16: case 17: return FORM_IMMZ;
      case 20: case 21: return (op & 7) <= 2 ? 0 : (op & 7) == 4 ? FORM_MODRM | FORM_IMM8 : FORM_MODRM;
      case 23: return op == 0xba ? FORM_MODRM | FORM_IMM8 : FORM_MODRM;
      case 24: return op == 0xc2 || (op >= 0xc4 && op <= 0xc6) ? FORM_MODRM | FORM_IMM8 : FORM_MODRM;
      default: return FORM_MODRM;
    }
  }
  switch (op) {
    case 0x9a: case 0xea: return FORM_IMMZ | FORM_SELECTOR;
    case 0xd4: case 0xd5: return FORM_IMM8;
    case 0x82: case 0xc6: return FORM_MODRM | FORM_IMM8;
    case 0xc7: return FORM_MODRM | FORM_IMMZ;
    case 0x62: case 0xc4: case 0xc5: return FORM_MODRM;
    default: return (op >= 0x8c && op <= 0x8f) || (op >= 0xd8 && op <= 0xdf) || op >= 0xfe ? FORM_MODRM : 0;
  }
}

/** #UD or #NM for an FPU, MMX, SSE or AVX instruction that CR0, CR4 and XCR0 do not allow now; 0 = allowed. */
function unavailable(c: Vcpu, attr: u32): u32 {
  const EM: u64 = 4, TSBIT: u64 = 8, OSFXSR: u64 = 0x200;
  if (attr & ATTR_SSE && ((c.cr0 & EM) || !(c.cr4 & OSFXSR))) return UD;
  if (attr & ATTR_AVX && c.mode & MODE_NOAVX) return UD;
  if (attr & ATTR_MMX && (c.cr0 & EM)) return UD;
  if (attr & ATTR_FPU && (c.cr0 & EM)) return NM;
  return c.cr0 & TSBIT ? NM : 0;
}
