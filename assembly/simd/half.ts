/** F16C: VCVTPH2PS and VCVTPS2PH. Alignment is not checked, as recorded on a real CPU. */
import { Vcpu } from "../gen/layout";
import { locate, located } from "../decode/address";
import { ea, uD, uFlags, uS, UF_STACK } from "../decode/uop";
import { f16ToF32, f32ToF16 } from "../fp/half";
import { copyIn, copyOut } from "../mem/access";
import { begin, settle } from "./exceptions";
import { imm8 } from "./lanes";
import { putVector, putXmm, reg, right, scratch, vectorBytes } from "./operand";

export function vcvtph2ps(c: Vcpu, u: usize): bool {
  const size = vectorBytes(u), out = scratch(c);
  let s = reg(c, u);
  if (!uS(u)) {
    s = out + 32;
    c.stackFault = uFlags(u) & UF_STACK;
    if (!copyIn(c, ea(c, u), size >> 1, s)) return false;
  }
  begin();
  for (let i: usize = 0; i < size; i += 4) store<u32>(out + i, f16ToF32(load<u16>(s + (i >> 1))));
  return settle(c) ? putVector(c, u, out) : false;
}

/** imm8: 2 round as MXCSR.RC says, else 1:0 is the rounding mode. */
export function vcvtps2ph(c: Vcpu, u: usize): bool {
  const size = vectorBytes(u), s = reg(c, u), out = scratch(c), imm = imm8(u);
  const rc = imm & 4 ? (c.mxcsr >> 13) & 3 : imm & 3;
  begin();
  v128.store(out, i64x2.splat(0));
  for (let i: usize = 0; i < size; i += 4) store<u16>(out + (i >> 1), <u16>f32ToF16(load<u32>(s + i), rc, c.mxcsr));
  if (!settle(c)) return false;
  if (uD(u)) return putXmm(c, u, right(out));
  // The conversion's flags are in MXCSR by now, also when a segment limit or a page stops the store.
  if (!locate(c, u, 0, size >> 1, true)) return false;
  c.stackFault = uFlags(u) & UF_STACK;
  return copyOut(c, located, size >> 1, out);
}
