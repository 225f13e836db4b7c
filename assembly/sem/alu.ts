/**
 * Arithmetic and logic. Each meaning stands once, for every engine: `b` is the backend, and nothing but `b.*` touches
 * a guest value (architecture: "one meaning, two engines"). Values are sign-extended to 64 bits. The destination is
 * checked and written before flags, so that a fault leaves nothing changed.
 */
import { Reg, READ, MODIFY } from "./kinds";
import { F_ADD, F_SUB, F_ADC, F_SBB, F_INC, F_DEC, F_MUL, NOT_ZERO } from "./flags";

@inline export function add<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const x = b.rd<T, D>(u, p), y = b.rs<T, S>(u, q), d = b.sx<T>(b.add(x, y));
  b.wd<T, D>(u, p, d); b.flags(F_ADD, d, x, y);
  return true;
}

@inline export function sub<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const x = b.rd<T, D>(u, p), y = b.rs<T, S>(u, q), d = b.sx<T>(b.sub(x, y));
  b.wd<T, D>(u, p, d); b.flags(F_SUB, d, x, y);
  return true;
}

@inline export function adc<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const carry = b.cf(), x = b.rd<T, D>(u, p), y = b.rs<T, S>(u, q), d = b.sx<T>(b.add(b.add(x, y), carry));
  b.wd<T, D>(u, p, d); b.flags(F_ADC, d, x, y);
  return true;
}

@inline export function sbb<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const carry = b.cf(), x = b.rd<T, D>(u, p), y = b.rs<T, S>(u, q), d = b.sx<T>(b.sub(b.sub(x, y), carry));
  b.wd<T, D>(u, p, d); b.flags(F_SBB, d, x, y);
  return true;
}

@inline export function and<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const d = b.and(b.rd<T, D>(u, p), b.rs<T, S>(u, q));
  b.wd<T, D>(u, p, d); b.logic(d);
  return true;
}

@inline export function or<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const d = b.or(b.rd<T, D>(u, p), b.rs<T, S>(u, q));
  b.wd<T, D>(u, p, d); b.logic(d);
  return true;
}

@inline export function xor<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const d = b.xor(b.rd<T, D>(u, p), b.rs<T, S>(u, q));
  b.wd<T, D>(u, p, d); b.logic(d);
  return true;
}

@inline export function cmp<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, READ); if (b.bad<D>(p)) return false;
  const x = b.rd<T, D>(u, p), y = b.rs<T, S>(u, q);
  b.flags(F_SUB, b.sx<T>(b.sub(x, y)), x, y);
  return true;
}

@inline export function test<B, T, D, S>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, READ); if (b.bad<D>(p)) return false;
  b.logic(b.and(b.rd<T, D>(u, p), b.rs<T, S>(u, b.src<T, S>(u))));
  return true;
}

@inline export function inc<B, T, D>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const carry = b.cf(), x = b.rd<T, D>(u, p), d = b.sx<T>(b.add(x, b.k(1)));
  b.wd<T, D>(u, p, d); b.flags(F_INC, d, x, carry);
  return true;
}

@inline export function dec<B, T, D>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const carry = b.cf(), x = b.rd<T, D>(u, p), d = b.sx<T>(b.sub(x, b.k(1)));
  b.wd<T, D>(u, p, d); b.flags(F_DEC, d, x, carry);
  return true;
}

@inline export function neg<B, T, D>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const zero = b.k(0), y = b.rd<T, D>(u, p), d = b.sx<T>(b.sub(zero, y));
  b.wd<T, D>(u, p, d); b.flags(F_SUB, d, zero, y);
  return true;
}

@inline export function not<B, T, D>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  b.wd<T, D>(u, p, b.xor(b.rd<T, D>(u, p), b.k(-1)));
  return true;
}

@inline export function mul<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const x = b.zx<T>(b.low<T>()), y = b.zx<T>(b.rs<T, S>(u, q)), lo = b.mul(x, y), hi = b.mulhu<T>(x, y);
  b.pair<T>(lo, hi); b.flags(F_MUL, b.or(b.sx<T>(lo), b.k(NOT_ZERO)), b.bit(b.ne(b.zx<T>(hi), b.k(0))), b.k(0));
  return true;
}

@inline export function imul<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const x = b.low<T>(), y = b.rs<T, S>(u, q), lo = b.mul(x, y), hi = b.mulhs<T>(x, y);
  b.pair<T>(lo, hi); b.flags(F_MUL, b.or(b.sx<T>(lo), b.k(NOT_ZERO)), b.overflows<T>(x, y, b.sx<T>(lo)), b.k(0));
  return true;
}

@inline export function imul2<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, Reg>(u, MODIFY), x = b.rd<T, Reg>(u, p), y = b.rs<T, S>(u, q), d = b.sx<T>(b.mul(x, y));
  b.wd<T, Reg>(u, p, d); b.flags(F_MUL, b.or(d, b.k(NOT_ZERO)), b.overflows<T>(x, y, d), b.k(0));
  return true;
}

@inline export function imul3<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const x = b.rs<T, S>(u, q), y = b.imm(u), d = b.sx<T>(b.mul(x, y));
  b.wd<T, Reg>(u, b.dst<T, Reg>(u, MODIFY), d); b.flags(F_MUL, b.or(d, b.k(NOT_ZERO)), b.overflows<T>(x, y, d), b.k(0));
  return true;
}

@inline export function div<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const y = b.zx<T>(b.rs<T, S>(u, q)), hi = b.zx<T>(b.high<T>()), lo = b.zx<T>(b.low<T>());
  // A zero divisor and a quotient that does not fit are one condition: high half >= divisor.
  if (b.divideError(b.leu(y, hi))) return false;
  b.pair<T>(b.divQuotient<T>(hi, lo, y), b.divRemainder<T>(hi, lo, y));
  return true;
}

@inline export function idiv<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const y = b.rs<T, S>(u, q), hi = b.high<T>(), lo = b.zx<T>(b.low<T>());
  if (b.divideError(b.idivBad<T>(hi, lo, y))) return false;
  b.pair<T>(b.idivQuotient<T>(hi, lo, y), b.idivRemainder<T>(hi, lo, y));
  return true;
}
