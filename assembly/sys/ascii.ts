/** Decimal adjustments (SDM vol. 2) and SALC. Flags that the manual leaves undefined are as Intel CPUs leave them. */
import { Vcpu, V_GPR } from "../gen/layout";
import { DE, raise } from "../exception";
import { uImm } from "../decode/uop";
import { AF, arithmeticFlags, carryFlag, CF, F_ADD, PF, setArithmeticFlags, SF, ZF } from "../sem/flags";

@inline function al(c: Vcpu): u32 { return load<u8>(changetype<usize>(c), V_GPR); }
@inline function ah(c: Vcpu): u32 { return load<u8>(changetype<usize>(c), V_GPR + 1); }
@inline function setAx(c: Vcpu, high: u32, low: u32): void {
  store<u8>(changetype<usize>(c), <u8>low, V_GPR);
  store<u8>(changetype<usize>(c), <u8>high, V_GPR + 1);
}

/** SF, ZF and PF of a byte. */
function szp(v: u32): u64 {
  return (v & 0x80 ? SF : 0) | (v & 0xff ? 0 : ZF) | (popcnt<u32>(v & 0xff) & 1 ? 0 : PF);
}

export function daa(c: Vcpu, u: usize): bool {
  const old = al(c), flags = arithmeticFlags(c);
  let v = old, out: u64 = 0;
  if ((old & 15) > 9 || flags & AF) { v += 6; out |= AF; }
  if (old > 0x99 || flags & CF) { v += 0x60; out |= CF; }
  setAx(c, ah(c), v);
  setArithmeticFlags(c, out | szp(v));
  return true;
}

export function das(c: Vcpu, u: usize): bool {
  const old = al(c), flags = arithmeticFlags(c);
  let v = old, out: u64 = 0;
  if ((old & 15) > 9 || flags & AF) {
    out |= AF | (old < 6 ? CF : 0);
    v -= 6;
  }
  if (old > 0x99 || flags & CF) { v -= 0x60; out |= CF; }
  setAx(c, ah(c), v);
  setArithmeticFlags(c, out | szp(v));
  return true;
}

export function aaa(c: Vcpu, u: usize): bool {
  const flags = arithmeticFlags(c), carry = (al(c) & 15) > 9 || (flags & AF) != 0;
  if (carry) store<u16>(changetype<usize>(c), <u16>(load<u16>(changetype<usize>(c), V_GPR) + 0x106), V_GPR);
  const v = al(c) & 15;
  setAx(c, ah(c), v);
  setArithmeticFlags(c, (carry ? AF | CF : 0) | szp(v));
  return true;
}

export function aas(c: Vcpu, u: usize): bool {
  const flags = arithmeticFlags(c), borrow = (al(c) & 15) > 9 || (flags & AF) != 0;
  if (borrow) {
    store<u16>(changetype<usize>(c), <u16>(load<u16>(changetype<usize>(c), V_GPR) - 6), V_GPR);
    setAx(c, ah(c) - 1, al(c));
  }
  const v = al(c) & 15;
  setAx(c, ah(c), v);
  setArithmeticFlags(c, (borrow ? AF | CF : 0) | szp(v));
  return true;
}

export function aam(c: Vcpu, u: usize): bool {
  const base = <u32>uImm(u) & 0xff;
  if (!base) return raise(c, DE);
  const v = al(c);
  setAx(c, v / base, v % base);
  setArithmeticFlags(c, szp(v % base));
  return true;
}

export function aad(c: Vcpu, u: usize): bool {
  const a = al(c), b = ah(c) * (<u32>uImm(u) & 0xff), v = (a + b) & 0xff;
  setAx(c, 0, v);
  // OF, AF and CF, undefined by the SDM, are those of the addition.
  c.ccOp = F_ADD;
  c.ccD = <u64><i64><i8>v;
  c.ccA = <u64><i64><i8>a;
  c.ccB = <u64><i64><i8>b;
  return true;
}

/** SALC: AL = all ones if CF, else 0. Undocumented; every Intel CPU has it. */
export function salc(c: Vcpu, u: usize): bool {
  setAx(c, ah(c), carryFlag(c) ? 0xff : 0);
  return true;
}
