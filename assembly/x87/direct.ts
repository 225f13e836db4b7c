/**
 * What compiled regions call for x87 instructions (assembly/jit/x87.ts): on values, with all exceptions masked, so that they
 * always come to an end. Of the vCPU they change the flags and C1 in FSW. A value is a significand and sign/exponent; a
 * result's sign/exponent is left in Vcpu.simd.
 */
import { V_SIMD, Vcpu } from "../gen/layout";
import { FCW_RC, FP_C0, FP_C1, FP_C2, FP_C3, fpFlags, fxSe } from "../fp/flags";
import { fxAdd, fxDiv, fxMul, fxSqrt, fxSub } from "../fp/x80arith";
import { fxToF32, fxToF64, fxToInt } from "../fp/x80conv";
import { fxCompare } from "../fp/x80misc";

/** Bits of x87Compare's be: FUCOM and its kin; FCOMI and its kin, which give EFLAGS. */
export const COMPARE_QUIET: u32 = 0x10000;
export const COMPARE_EFLAGS: u32 = 0x20000;
/** Bit of x87ToInt's `how`, beside the number of bits: FISTTP. */
export const TO_INT_CHOP: u32 = 0x100;

@inline function raised(vcpu: usize, defined: u32, flags: u32): void {
  const c = changetype<Vcpu>(vcpu);
  c.fsw = <u16>((<u32>c.fsw & ~defined) | flags);
}
@inline function ended(vcpu: usize, m: u64): u64 {
  raised(vcpu, FP_C1, fpFlags);
  store<u64>(vcpu, fxSe, V_SIMD);
  return m;
}
@inline function fcw(vcpu: usize): u32 { return changetype<Vcpu>(vcpu).fcw; }

export function x87Add(vcpu: usize, am: u64, ae: u64, bm: u64, be: u64): u64 {
  fpFlags = 0;
  return ended(vcpu, fxAdd(am, <u32>ae, bm, <u32>be, fcw(vcpu)));
}
/** a - b. */
export function x87Sub(vcpu: usize, am: u64, ae: u64, bm: u64, be: u64): u64 {
  fpFlags = 0;
  return ended(vcpu, fxSub(am, <u32>ae, bm, <u32>be, fcw(vcpu)));
}
export function x87Mul(vcpu: usize, am: u64, ae: u64, bm: u64, be: u64): u64 {
  fpFlags = 0;
  return ended(vcpu, fxMul(am, <u32>ae, bm, <u32>be, fcw(vcpu)));
}
/** a / b. */
export function x87Div(vcpu: usize, am: u64, ae: u64, bm: u64, be: u64): u64 {
  fpFlags = 0;
  return ended(vcpu, fxDiv(am, <u32>ae, bm, <u32>be, fcw(vcpu)));
}
export function x87Sqrt(vcpu: usize, m: u64, se: u64): u64 {
  fpFlags = 0;
  return ended(vcpu, fxSqrt(m, <u32>se, fcw(vcpu)));
}

/** Bit pattern of a double or, zero-extended, of a single. */
export function x87ToF64(vcpu: usize, m: u64, se: u64): u64 {
  fpFlags = 0;
  return ended(vcpu, fxToF64(m, <u32>se, fcw(vcpu)));
}
export function x87ToF32(vcpu: usize, m: u64, se: u64): u64 {
  fpFlags = 0;
  return ended(vcpu, fxToF32(m, <u32>se, fcw(vcpu)));
}
/** `how`: 16, 32 or 64 bits, and TO_INT_CHOP. */
export function x87ToInt(vcpu: usize, m: u64, se: u64, how: u64): u64 {
  fpFlags = 0;
  const rc: u32 = <u32>how & TO_INT_CHOP ? FCW_RC : 0;
  return ended(vcpu, fxToInt(m, <u32>se, <i32>how & 0xff, fcw(vcpu) | rc));
}

/** The condition codes in FSW, or with COMPARE_EFLAGS ZF, PF and CF as the result. */
export function x87Compare(vcpu: usize, am: u64, ae: u64, bm: u64, be: u64): u64 {
  fpFlags = 0;
  const how = <u32>be, cc = fxCompare(am, <u32>ae, bm, how & 0xffff, (how & COMPARE_QUIET) != 0);
  if (how & COMPARE_EFLAGS) raised(vcpu, 0, fpFlags);
  else raised(vcpu, FP_C3 | FP_C2 | FP_C1 | FP_C0, fpFlags | cc);
  return cc >> 8;
}
