/**
 * Exception flags, condition codes and control-word fields shared by the x87 and SSE arithmetic.
 *
 * FSW   15 14 13..11 10  9  8  7  6  5  4  3  2  1  0        MXCSR 15  14:13 12:7   6   5..0
 *       B  C3 TOP    C2 C1 C0 ES SF PE UE OE ZE DE IE              FTZ RC    masks DAZ PE UE OE ZE DE IE
 * FCW   11:10 RC, 9:8 PC, 5..0 masks PM UM OM ZM DM IM
 *
 * Protocol: every operation ORs what it found into `fpFlags` and never clears it. The caller clears it, calls, and
 * decides. The six exceptions have the same bits in FSW and MXCSR; x87 operations add C1 (result rounded up in
 * magnitude) and, where the instruction defines them, C0, C2 and C3.
 *
 * Unmasked exceptions (SDM vol. 1, 8.5 and 11.5): when `fpFlags & ~masks` has IE, DE or ZE the returned value has no
 * meaning and must not be stored. For OE and UE see roundPackX (x87) and sse.ts.
 */

export const FP_IE: u32 = 0x01;
export const FP_DE: u32 = 0x02;
export const FP_ZE: u32 = 0x04;
export const FP_OE: u32 = 0x08;
export const FP_UE: u32 = 0x10;
export const FP_PE: u32 = 0x20;
export const FP_C0: u32 = 0x0100;
export const FP_C1: u32 = 0x0200;
export const FP_C2: u32 = 0x0400;
export const FP_C3: u32 = 0x4000;

/** FCW rounding control field and its values. */
export const FCW_RC: u32 = 0x0c00;
export const FCW_RC_DOWN: u32 = 0x0400;
export const FCW_RC_UP: u32 = 0x0800;
export const FCW_RC_ZERO: u32 = 0x0c00;
/** FCW precision control field: 0 = 24 bits, 2 = 53 bits, 3 = 64 bits (1 is reserved and taken as 64). */
export const FCW_PC: u32 = 0x0300;

/** MXCSR fields. */
export const MXCSR_DAZ: u32 = 0x0040;
export const MXCSR_DM: u32 = 0x0100;
export const MXCSR_UM: u32 = 0x0800;
export const MXCSR_RC: u32 = 0x6000;
export const MXCSR_RC_DOWN: u32 = 0x2000;
export const MXCSR_RC_UP: u32 = 0x4000;
export const MXCSR_RC_ZERO: u32 = 0x6000;
export const MXCSR_FTZ: u32 = 0x8000;

/** Exceptions and condition codes found since the caller last cleared it. */
export let fpFlags: u32 = 0;

/** Sign and exponent of the last 80-bit result (bit 15 sign, 14:0 exponent); bits 79:64 of a packed BCD result. */
export let fxSe: u32 = 0;

/** Second 80-bit result: FXTRACT's exponent, FSINCOS's cosine. */
export let fxMant2: u64 = 0;
export let fxSe2: u32 = 0;

/** ORs exceptions or condition codes into `fpFlags`. */
// @ts-ignore: decorator
@inline
export function fpRaise(bits: u32): void {
  fpFlags |= bits;
}
