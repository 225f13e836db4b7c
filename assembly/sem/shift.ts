/**
 * Shifts, rotates and bit instructions. The conventions of ./alu.ts hold. OF, which the SDM leaves undefined for counts
 * other than 1, is what a count of 1 would have made it, as on Intel's processors; ROL and ROR by an immediate other than
 * 1 leave it.
 */
import { Reg, READ, MODIFY } from "./kinds";
import { F_SHL, F_SHR, F_SAR, NOT_ZERO } from "./flags";

@inline export function shl<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), d = b.sx<T>(b.shl(x, n));
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.flags(F_SHL, d, b.sx<T>(b.shl(x, b.sub(n, b.k(1)))), b.sx<T>(b.xor(x, b.shl(x, b.k(1))))); b.end(); }
  return true;
}

@inline export function shr<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.zx<T>(b.rd<T, D>(u, p)), d = b.sx<T>(b.shr(x, n));
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.flags(F_SHR, d, b.shr(x, b.sub(n, b.k(1))), b.sx<T>(x)); b.end(); }
  return true;
}

@inline export function sar<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), d = b.sx<T>(b.sar(x, n));
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.flags(F_SAR, d, b.sar(x, b.sub(n, b.k(1))), b.k(0)); b.end(); }
  return true;
}

@inline export function rol<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), d = b.rotl<T>(x, n);
  b.wd<T, D>(u, p, d);
  if (b.isImm<N>() && b.when(b.some<N>(n))) { b.setCarry(b.and(d, b.k(1))); b.end(); }
  if (b.when(b.turns<N>(n))) {
    b.setCarryOverflow(b.and(d, b.k(1)), b.xor(b.top<T>(x), b.top<T>(b.shl(x, b.k(1)))));
    b.end();
  }
  return true;
}

@inline export function ror<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), d = b.rotr<T>(x, n);
  b.wd<T, D>(u, p, d);
  if (b.isImm<N>() && b.when(b.some<N>(n))) { b.setCarry(b.top<T>(d)); b.end(); }
  if (b.when(b.turns<N>(n))) {
    b.setCarryOverflow(b.top<T>(d), b.xor(b.top<T>(x), b.and(x, b.k(1))));
    b.end();
  }
  return true;
}

@inline export function rcl<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), carry = b.cf(), d = b.rclResult<T>(x, n, carry);
  b.wd<T, D>(u, p, d);
  // A count of whole turns leaves the flags as they were.
  if (b.when(b.ne(b.ring<T>(n), b.k(0)))) {
    b.setCarryOverflow(b.rclCarry<T>(x, n, carry), b.xor(b.top<T>(x), b.top<T>(b.shl(x, b.k(1)))));
    b.end();
  }
  return true;
}

@inline export function rcr<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), carry = b.cf(), d = b.rcrResult<T>(x, n, carry);
  b.wd<T, D>(u, p, d);
  if (b.when(b.ne(b.ring<T>(n), b.k(0)))) {
    b.setCarryOverflow(b.rcrCarry<T>(x, n, carry), b.xor(b.top<T>(x), carry));
    b.end();
  }
  return true;
}

@inline export function shld<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), y = b.rs<T, Reg>(u, b.src<T, Reg>(u)), d = b.shldResult<T>(x, y, n);
  b.wd<T, D>(u, p, d);
  if (b.when(b.some<N>(n))) { b.flags(F_SHL, d, b.shldResult<T>(x, y, b.sub(n, b.k(1))), b.sx<T>(b.xor(x, b.shl(x, b.k(1))))); b.end(); }
  return true;
}

@inline export function shrd<B, T, D, N>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.count<T, N>(u), x = b.rd<T, D>(u, p), y = b.rs<T, Reg>(u, b.src<T, Reg>(u)), d = b.shrdResult<T>(x, y, n);
  b.wd<T, D>(u, p, d);
  // OF is the change of sign in the first step: the record's third value carries it where SHR keeps its operand's sign.
  if (b.when(b.some<N>(n))) { b.flags(F_SHR, d, b.shrdResult<T>(x, y, b.sub(n, b.k(1))), b.sx<T>(b.xor(x, b.rotr<T>(y, b.k(1))))); b.end(); }
  return true;
}

@inline export function bt<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, READ); if (b.bad<D>(p)) return false;
  b.setCarry(b.and(b.shr(b.rd<T, D>(u, p), b.bitIndex<T, S>(u)), b.k(1)));
  return true;
}

@inline export function bts<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.bitIndex<T, S>(u), x = b.rd<T, D>(u, p);
  b.wd<T, D>(u, p, b.or(x, b.shl(b.k(1), n))); b.setCarry(b.and(b.shr(x, n), b.k(1)));
  return true;
}

@inline export function btr<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.bitIndex<T, S>(u), x = b.rd<T, D>(u, p);
  b.wd<T, D>(u, p, b.and(x, b.xor(b.shl(b.k(1), n), b.k(-1)))); b.setCarry(b.and(b.shr(x, n), b.k(1)));
  return true;
}

@inline export function btc<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const n = b.bitIndex<T, S>(u), x = b.rd<T, D>(u, p);
  b.wd<T, D>(u, p, b.xor(x, b.shl(b.k(1), n))); b.setCarry(b.and(b.shr(x, n), b.k(1)));
  return true;
}

@inline export function bsf<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const x = b.zx<T>(b.rs<T, S>(u, q)), p = b.dst<T, Reg>(u, MODIFY);
  const i = b.ctz(x);
  b.logic(b.select(b.ne(x, b.k(0)), b.or(i, b.k(NOT_ZERO)), b.k(0)));
  if (b.when(b.ne(x, b.k(0)))) { b.wd<T, Reg>(u, p, i); b.end(); }
  return true;
}

@inline export function bsr<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const x = b.zx<T>(b.rs<T, S>(u, q)), p = b.dst<T, Reg>(u, MODIFY);
  const i = b.sub(b.k(63), b.clz(x));
  b.logic(b.select(b.ne(x, b.k(0)), b.or(i, b.k(NOT_ZERO)), b.k(0)));
  if (b.when(b.ne(x, b.k(0)))) { b.wd<T, Reg>(u, p, i); b.end(); }
  return true;
}
