/**
 * A micro-op: 32 bytes.
 *
 *      0 op u16      4 s u16      8 idx u16     12 disp i32      16 imm i64      24 off u16     28 link u32
 *      2 d  u16      6 base u16  10 scale u8                                     26 rest u16
 *                                11 flags u8
 *
 * d, s: offset in the vCPU page of a register operand (0 if it is memory), or a register number for S, C, D and ST
 * operands. base, idx: offset of a register; 0 is the field `zero`. off: offset in its page of the instruction.
 * rest: instructions of the block not retired if this one does not complete. Branches: d = offset in the page
 * after the instruction, imm = target relative to the page, link = block of the target, disp = block of the fall-through.
 *
 * MMX, SSE and AVX instructions have, in place of link, left u16: the first source (as d, if there is no third register),
 * and shape u16: SHAPE_*. Where the table says `own`, disp has {constant 7:0, segment 15:8} and imm the displacement.
 */
import { Vcpu } from "../gen/layout";

export const UF_SIZE: u32 = 3;
export const UF_STACK: u32 = 0x10;
/** Locked, and there are vCPUs that run in parallel. */
export const UF_LOCK: u32 = 0x20;
export const UF_REP: u32 = 0x40;
export const UF_REPNE: u32 = 0x80;

/** Legacy encoding (MMX too), VEX.128, VEX.256. */
export const SHAPE_LEGACY: u32 = 0;
export const SHAPE_XMM: u32 = 1;
export const SHAPE_YMM: u32 = 2;

@inline export function uD(u: usize): usize { return load<u16>(u, 2); }
@inline export function uS(u: usize): usize { return load<u16>(u, 4); }
@inline export function uFlags(u: usize): u32 { return load<u8>(u, 11); }
/** Operand size, log2 of bytes. */
@inline export function uSize(u: usize): u32 { return load<u8>(u, 11) & 3; }
/** Address size: 0 = 16, 1 = 32, 2 = 64 bits. */
@inline export function uAddr(u: usize): u32 { return (load<u8>(u, 11) >> 2) & 3; }
@inline export function uImm(u: usize): u64 { return load<u64>(u, 16); }
@inline export function uLeft(u: usize): usize { return load<u16>(u, 28); }
@inline export function uShape(u: usize): u32 { return load<u16>(u, 30); }
@inline export function uOff(u: usize): u64 { return load<u16>(u, 24); }
@inline export function uRest(u: usize): u32 { return load<u16>(u, 26); }

/** Linear address of the memory operand. */
@inline export function ea(c: Vcpu, u: usize): u64 {
  const p = changetype<usize>(c);
  return load<u64>(p + load<u16>(u, 6)) + (load<u64>(p + load<u16>(u, 8)) << load<u8>(u, 10)) + <u64><i64>load<i32>(u, 12);
}
