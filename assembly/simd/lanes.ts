/**
 * Frames for operations on lanes of 128 bits: they fetch operands, apply an operation to each half of a vector and store
 * the result, in every encoding (see operand.ts). An operation is a class without fields: `of` computes one lane.
 */
import { Vcpu } from "../gen/layout";
import { uImm } from "../decode/uop";
import {
  dst, isMmx, isVex, isWide, joined, left, leftAt, packedSrc, putMmx, putPacked, putXmm, putYmm, right, scratch, src, upper,
} from "./operand";

@inline export function imm8(u: usize): u32 { return <u32>uImm(u) & 0xff; }

/** `of(a, b)`, also for MMX registers, whose 8 bytes do not depend on what is above them. */
export function packed<TPacked>(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const op = changetype<TPacked>(0), low = op.of(left(c, u), right(s));
  if (isWide(u)) return putYmm(c, u, low, op.of(upper(leftAt(c, u)), upper(s)));
  return putPacked(c, u, low);
}

/** As `packed`, for operations on neighbours: the 8 bytes of both MMX sources are side by side in a. */
export function paired<TPaired>(c: Vcpu, u: usize): bool {
  const s = packedSrc(c, u);
  if (!s) return false;
  const op = changetype<TPaired>(0), low = op.of(isMmx(u) ? joined(c, u, s) : left(c, u), right(s));
  if (isWide(u)) return putYmm(c, u, low, op.of(upper(leftAt(c, u)), upper(s)));
  return putPacked(c, u, low);
}

/** `of(a, b)` without MMX. */
export function lanes<TLanes>(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const op = changetype<TLanes>(0), low = op.of(left(c, u), right(s));
  if (isWide(u)) return putYmm(c, u, low, op.of(upper(leftAt(c, u)), upper(s)));
  return putXmm(c, u, low);
}

/** `of(a, b, imm)` on pointers to lanes; `next(imm)` is the immediate of the upper lane. */
export function chosen<TChosen>(c: Vcpu, u: usize): bool {
  const s = src(c, u);
  if (!s) return false;
  const op = changetype<TChosen>(0), a = leftAt(c, u), imm = imm8(u), low = op.of(a, s, imm);
  if (isWide(u)) return putYmm(c, u, low, op.of(a + 16, s + 16, op.next(imm)));
  return putXmm(c, u, low);
}
