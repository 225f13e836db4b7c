/** Data movement and the stack. The conventions of ./alu.ts hold. */
import { Reg, READ, WRITE, MODIFY } from "./kinds";
import { F_ADD, F_SUB } from "./flags";

@inline export function mov<B, T, D, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, D>(u, WRITE); if (b.bad<D>(p)) return false;
  b.wd<T, D>(u, p, b.rs<T, S>(u, q));
  return true;
}

@inline export function movi<B, T>(b: B, u: usize): bool {
  b.wd<T, Reg>(u, b.dst<T, Reg>(u, WRITE), b.imm64(u));
  return true;
}

@inline export function movzx<B, T, F, S>(b: B, u: usize): bool {
  const q = b.src<F, S>(u); if (b.bad<S>(q)) return false;
  b.wd<T, Reg>(u, b.dst<T, Reg>(u, WRITE), b.zx<F>(b.rs<F, S>(u, q)));
  return true;
}

@inline export function movsx<B, T, F, S>(b: B, u: usize): bool {
  const q = b.src<F, S>(u); if (b.bad<S>(q)) return false;
  b.wd<T, Reg>(u, b.dst<T, Reg>(u, WRITE), b.rs<F, S>(u, q));
  return true;
}

@inline export function lea<B, T>(b: B, u: usize): bool {
  b.wd<T, Reg>(u, b.dst<T, Reg>(u, WRITE), b.ea(u));
  return true;
}

@inline export function xchg<B, T, D>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const q = b.src<T, Reg>(u), x = b.rd<T, D>(u, p), y = b.rs<T, Reg>(u, q);
  b.wd<T, D>(u, p, y); b.ws<T, Reg>(u, q, x);
  return true;
}

@inline export function xchg90<B, T>(b: B, u: usize): bool {
  const p = b.dst<T, Reg>(u, MODIFY), q = b.src<T, Reg>(u), x = b.rd<T, Reg>(u, p), y = b.rs<T, Reg>(u, q);
  // XCHG EAX,EAX is a NOP: it does not clear the upper half.
  if (b.when(b.distinct(u))) { b.wd<T, Reg>(u, p, y); b.ws<T, Reg>(u, q, x); b.end(); }
  return true;
}

@inline export function bswap<B, T>(b: B, u: usize): bool {
  const p = b.dst<T, Reg>(u, MODIFY);
  b.wd<T, Reg>(u, p, b.swapped<T>(b.rd<T, Reg>(u, p)));
  return true;
}

@inline export function cmov<B, T, S>(b: B, u: usize, cc: i32): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const p = b.dst<T, Reg>(u, MODIFY);
  b.wd<T, Reg>(u, p, b.select(b.cond(cc), b.rs<T, S>(u, q), b.rd<T, Reg>(u, p)));
  return true;
}

@inline export function setcc<B, D>(b: B, u: usize, cc: i32): bool {
  const p = b.dst<u8, D>(u, WRITE); if (b.bad<D>(p)) return false;
  b.wd<u8, D>(u, p, b.bit(b.cond(cc)));
  return true;
}

@inline export function cbw<B, T>(b: B, u: usize): bool {
  b.setLow<T>(b.sxHalf<T>(b.low<T>()));
  return true;
}

@inline export function cwd<B, T>(b: B, u: usize): bool {
  b.setHigh<T>(b.sar(b.low<T>(), b.k(63)));
  return true;
}

@inline export function cmpxchg<B, T, D>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const a = b.low<T>(), x = b.rd<T, D>(u, p), y = b.rs<T, Reg>(u, b.src<T, Reg>(u));
  const d = b.sx<T>(b.sub(a, x)), equal = b.eq(a, x);
  // A comparison that fails writes memory back as it was, but leaves a register alone: its upper half stays, too.
  if (!b.isReg<D>()) b.wd<T, D>(u, p, b.select(equal, y, x));
  else if (b.when(equal)) { b.wd<T, D>(u, p, y); b.end(); }
  // Only a failed comparison writes the accumulator (and so clears the upper half of RAX for 32 bits).
  if (b.when(b.ne(a, x))) { b.setLow<T>(x); b.end(); }
  b.flags(F_SUB, d, a, x);
  return true;
}

@inline export function xadd<B, T, D>(b: B, u: usize): bool {
  const p = b.dst<T, D>(u, MODIFY); if (b.bad<D>(p)) return false;
  const q = b.src<T, Reg>(u), x = b.rd<T, D>(u, p), y = b.rs<T, Reg>(u, q), d = b.sx<T>(b.add(x, y));
  // The source first: for XADD r,r with one register the sum stays.
  if (b.isReg<D>()) { b.ws<T, Reg>(u, q, x); b.wd<T, D>(u, p, d); } else { b.wd<T, D>(u, p, d); b.ws<T, Reg>(u, q, x); }
  b.flags(F_ADD, d, x, y);
  return true;
}

@inline export function push<B, T, S>(b: B, u: usize): bool {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return false;
  const v = b.rs<T, S>(u, q), sp = b.spPush<T>(), p = b.stackPtr<T>(sp, WRITE); if (b.fail(p)) return false;
  b.st<T>(p, v); b.setSp<T>(sp);
  return true;
}

@inline export function pop<B, T>(b: B, u: usize): bool {
  const sp = b.sp<T>(), p = b.stackPtr<T>(sp, READ); if (b.fail(p)) return false;
  const v = b.ld<T>(p);
  b.setSp<T>(b.spPop<T>()); b.wd<T, Reg>(u, b.dst<T, Reg>(u, WRITE), v);
  return true;
}

@inline export function clc<B>(b: B, u: usize): bool { b.setCarry(b.k(0)); return true; }
@inline export function stc<B>(b: B, u: usize): bool { b.setCarry(b.k(1)); return true; }
@inline export function cmc<B>(b: B, u: usize): bool { b.setCarry(b.xor(b.cf(), b.k(1))); return true; }
@inline export function nop<B>(b: B, u: usize): bool { return true; }
