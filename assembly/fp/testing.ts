/** Test-only entry: everything the library offers, and access to its globals. */

import { fpFlags, fxMant2, fxSe, fxSe2 } from "./flags";

export * from "./x80arith";
export * from "./x80misc";
export * from "./x80conv";
export * from "./x80mem";
export * from "./x80exp";
export * from "./x80trig";
export * from "./sse";
export * from "./ssecmp";
export * from "./ssecvt";
export * from "./fast";
export * from "./fma";
export * from "./fastfma";

export function clearFlags(): void {
  fpFlags = 0;
}
export function getFlags(): u32 {
  return fpFlags;
}
export function getSe(): u32 {
  return fxSe;
}
export function getMant2(): u64 {
  return fxMant2;
}
export function getSe2(): u32 {
  return fxSe2;
}
