/**
 * BT, BTS, BTR, BTC of memory with a register index: a bit string that begins at the operand and reaches as far as a
 * signed index does (SDM vol. 1, 3.1.1.9); CMPXCHG8B and CMPXCHG16B.
 */
import { Vcpu, STATUS_SLOW } from "../gen/layout";
import { raise, raiseError, GP, UD } from "../exception";
import { locate, located } from "../decode/address";
import { ea, uFlags, uS, uSize, UF_LOCK, UF_STACK } from "../decode/uop";
import { readPtr, writePtr } from "../mem/access";
import { arithmeticFlags, CF, setArithmeticFlags, ZF } from "../sem/flags";
import { MODIFY } from "../sem/kinds";
import { CPU_CX16, hasFeature } from "./model";
import { getReg } from "./operand";

const TEST: u32 = 0;
const SET: u32 = 1;
const RESET: u32 = 2;
const COMPLEMENT: u32 = 3;

function bitString(c: Vcpu, u: usize, what: u32): bool {
  const z = uSize(u), raw = getReg(c, uS(u), z);
  const index = z == 1 ? <u64><i64><i16>raw : z == 2 ? <u64><i64><i32>raw : raw;
  const size = <u32>1 << z;
  c.stackFault = uFlags(u) & UF_STACK;
  if (!locate(c, u, <u64>(<i64>index >> <i64>(3 + z)) << z, size, what != TEST)) return false;
  const bit = <u32>index & ((8 << z) - 1);
  const p = what == TEST ? readPtr(c, located, size) : writePtr(c, located, size, MODIFY);
  if (!p) return false;
  const at = p + (bit >> 3), mask = <u8>(<u32>1 << (bit & 7));
  const atomically = (uFlags(u) & UF_LOCK) != 0 && !c.slow;
  let old: u8 = load<u8>(at);
  // The byte with the bit is what changes; the others are only touched.
  if (what == SET) { if (atomically) old = atomic.or<u8>(at, mask); else store<u8>(at, old | mask); }
  else if (what == RESET) { if (atomically) old = atomic.and<u8>(at, ~mask); else store<u8>(at, old & ~mask); }
  else if (what == COMPLEMENT) { if (atomically) old = atomic.xor<u8>(at, mask); else store<u8>(at, old ^ mask); }
  setArithmeticFlags(c, (arithmeticFlags(c) & ~CF) | u64((old & mask) != 0));
  return true;
}

export function btMem(c: Vcpu, u: usize): bool { return bitString(c, u, TEST); }
export function btsMem(c: Vcpu, u: usize): bool { return bitString(c, u, SET); }
export function btrMem(c: Vcpu, u: usize): bool { return bitString(c, u, RESET); }
export function btcMem(c: Vcpu, u: usize): bool { return bitString(c, u, COMPLEMENT); }

/** CMPXCHG8B; with REX.W CMPXCHG16B. Memory is written in either case. */
export function cmpxchg8b(c: Vcpu, u: usize): bool {
  if (uSize(u) == 3) return cmpxchg16b(c, u);
  c.stackFault = uFlags(u) & UF_STACK;
  if (!locate(c, u, 0, 8, true)) return false;
  const p = writePtr(c, located, 8, MODIFY);
  if (!p) return false;
  const expected = (c.gprAt(0) & 0xffffffff) | (c.gprAt(2) << 32), desired = (c.gprAt(3) & 0xffffffff) | (c.gprAt(1) << 32);
  let old: u64;
  const atomically = (uFlags(u) & UF_LOCK) != 0 && !c.slow;
  if (atomically && p & 7) {
    c.status = STATUS_SLOW;
    return false;
  }
  if (atomically) old = atomic.cmpxchg<u64>(p, expected, desired);
  else {
    old = load<u64>(p);
    if (old == expected) store<u64>(p, desired);
  }
  if (old != expected) {
    c.set_gpr(0, old & 0xffffffff);
    c.set_gpr(2, old >> 32);
  }
  setZf(c, old == expected);
  return true;
}

function cmpxchg16b(c: Vcpu, u: usize): bool {
  if (!hasFeature(c, CPU_CX16)) return raise(c, UD);
  const at = ea(c, u);
  if (at & 15) return raiseError(c, GP, 0);
  c.stackFault = uFlags(u) & UF_STACK;
  const p = writePtr(c, at, 16, MODIFY);
  if (!p) return false;
  // The host has no atomic operation of 16 bytes: a locked one runs alone, on the careful path.
  if (uFlags(u) & UF_LOCK && !c.slow) {
    c.status = STATUS_SLOW;
    return false;
  }
  const low = load<u64>(p), high = load<u64>(p, 8), equal = low == c.gprAt(0) && high == c.gprAt(2);
  if (equal) {
    store<u64>(p, c.gprAt(3));
    store<u64>(p, c.gprAt(1), 8);
  } else {
    c.set_gpr(0, low);
    c.set_gpr(2, high);
  }
  setZf(c, equal);
  return true;
}

function setZf(c: Vcpu, set: bool): void {
  const flags = arithmeticFlags(c);
  setArithmeticFlags(c, set ? flags | ZF : flags & ~ZF);
}
