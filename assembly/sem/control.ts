/**
 * Control transfer within a segment. A meaning returns the micro-op that runs next, 0 = back to the outer loop. Intel
 * CPUs fault at the branch if the target is bad; CALL has written the return address by then, but SP is as it was.
 */
import { READ, WRITE } from "./kinds";

@inline export function jmp<B>(b: B, u: usize): usize {
  return b.jump(u);
}

@inline export function jcc<B>(b: B, u: usize, cc: i32): usize {
  return b.branch(u, b.cond(cc));
}

@inline export function call<B, T>(b: B, u: usize): usize {
  const sp = b.spPush<T>(), p = b.stackPtr<T>(sp, WRITE); if (b.fail(p)) return 0;
  b.st<T>(p, b.returnAddress(u));
  if (b.badTarget(u)) return 0;
  b.setSp<T>(sp);
  return b.jump(u);
}

@inline export function jmpE<B, T, S>(b: B, u: usize): usize {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return 0;
  const target = b.zx<T>(b.rs<T, S>(u, q));
  if (b.badRip(target)) return 0;
  return b.jumpTo(u, target);
}

@inline export function callE<B, T, S>(b: B, u: usize): usize {
  const q = b.src<T, S>(u); if (b.bad<S>(q)) return 0;
  const target = b.zx<T>(b.rs<T, S>(u, q));
  const sp = b.spPush<T>(), p = b.stackPtr<T>(sp, WRITE); if (b.fail(p)) return 0;
  b.st<T>(p, b.returnAddress(u));
  if (b.badRip(target)) return 0;
  b.setSp<T>(sp);
  return b.jumpTo(u, target);
}

@inline export function ret<B, T>(b: B, u: usize): usize {
  const sp = b.sp<T>(), p = b.stackPtr<T>(sp, READ); if (b.fail(p)) return 0;
  const target = b.zx<T>(b.ld<T>(p));
  if (b.badRip(target)) return 0;
  b.setSp<T>(b.add(b.spPop<T>(), b.imm(u)));
  return b.jumpTo(u, target);
}
