/** Operands of handlers: general registers by their place in the vCPU page, and memory operands. Sizes are log2 of bytes. */
import { Vcpu, V_GPR } from "../gen/layout";
import { ea, uFlags, uOff, UF_STACK } from "../decode/uop";
import { rdz, value, wrz } from "../mem/access";
import { locate, located } from "../decode/address";
import { ripMask } from "../decode/block";

/** Zero-extended register at offset `at` of the page. */
export function getReg(c: Vcpu, at: usize, z: u32): u64 {
  const p = changetype<usize>(c) + at;
  return z == 0 ? <u64>load<u8>(p) : z == 1 ? <u64>load<u16>(p) : z == 2 ? <u64>load<u32>(p) : load<u64>(p);
}

/** Writes a register as an instruction of that operand size does: 32 bits clear the upper half. */
export function putReg(c: Vcpu, at: usize, z: u32, v: u64): void {
  const p = changetype<usize>(c) + at;
  if (z == 0) store<u8>(p, <u8>v);
  else if (z == 1) store<u16>(p, <u16>v);
  else store<u64>(p, z == 2 ? v & 0xffffffff : v);
}

/** The same by number of the register, 0 = RAX. */
@inline export function getGpr(c: Vcpu, n: usize, z: u32): u64 { return getReg(c, V_GPR + (n << 3), z); }
@inline export function putGpr(c: Vcpu, n: usize, z: u32, v: u64): void { putReg(c, V_GPR + (n << 3), z, v); }

/** Value of the last successful readOperand or readPiece. */
export let operand: u64 = 0;

/** Reads an E operand whose register offset is `at`, or memory if that is 0. */
export function readOperand(c: Vcpu, u: usize, at: usize, z: u32): bool {
  if (at) {
    operand = getReg(c, at, z);
    return true;
  }
  c.stackFault = uFlags(u) & UF_STACK;
  if (!rdz(c, ea(c, u), z)) return false;
  operand = value;
  return true;
}

/**
 * Reads the memory operand, `plus` bytes further on, where the decoder leaves limits to the meaning (ATTR_LATE), because
 * other checks come first or the operand has several pieces: each is within the segment or not, and offsets wrap around.
 */
export function readPiece(c: Vcpu, u: usize, plus: u64, z: u32): bool {
  c.stackFault = uFlags(u) & UF_STACK;
  if (!locate(c, u, plus, <u32>1 << z, false) || !rdz(c, located, z)) return false;
  operand = value;
  return true;
}

export function readOperandPiece(c: Vcpu, u: usize, at: usize, z: u32): bool {
  return at ? readOperand(c, u, at, z) : readPiece(c, u, 0, z);
}

export function writePiece(c: Vcpu, u: usize, plus: u64, z: u32, v: u64): bool {
  c.stackFault = uFlags(u) & UF_STACK;
  return locate(c, u, plus, <u32>1 << z, true) && wrz(c, located, z, v);
}

/** Writes an E operand. */
export function writeOperand(c: Vcpu, u: usize, at: usize, z: u32, v: u64): bool {
  if (at) {
    putReg(c, at, z, v);
    return true;
  }
  return writeMem(c, u, z, v);
}

export function writeMem(c: Vcpu, u: usize, z: u32, v: u64): bool {
  c.stackFault = uFlags(u) & UF_STACK;
  return wrz(c, ea(c, u), z, v);
}

/** RIP of the instruction itself. */
@inline export function thisRip(c: Vcpu, u: usize): u64 { return (c.ripPage + uOff(u)) & ripMask(c); }
