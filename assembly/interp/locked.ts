/**
 * The backend of locked instructions with a memory destination, where several vCPUs run in parallel (Control.parallel):
 * Interp, but that a meaning's read and write of memory are one atomic step. `rd` notes what it has read, `wd` compares
 * and exchanges; when another vCPU was faster, the meaning has had no effect (`lost`), and the caller, generated in
 * assembly/gen/dispatch.ts, executes it again. What the host has no atomic operation for takes the careful path, where
 * the vCPU is alone (assembly/mem/exclusive.ts).
 */
import { Vcpu, STATUS_SLOW } from "../gen/layout";
import { Mem } from "../sem/kinds";
import { Interp } from "./backend";

/** Another vCPU has written between a meaning's read and its write. */
export let lost: bool = false;
let old: u64 = 0;

@inline function bits<TValue>(v: u64): u64 {
  return sizeof<TValue>() == 8 ? v : v & (((<u64>1) << (sizeof<TValue>() * 8)) - 1);
}

/** True if `p` still held `expected` and has `v` now. */
@inline function exchange<TValue>(p: usize, expected: u64, v: u64): bool {
  if (sizeof<TValue>() == 8) return atomic.cmpxchg<u64>(p, expected, v) == expected;
  const want = <u32>bits<TValue>(expected), next = <u32>bits<TValue>(v);
  if (sizeof<TValue>() == 4) return atomic.cmpxchg<u32>(p, want, next) == want;
  if (sizeof<TValue>() == 2) return <u32>atomic.cmpxchg<u16>(p, <u16>want, <u16>next) == want;
  return <u32>atomic.cmpxchg<u8>(p, <u8>want, <u8>next) == want;
}

@unmanaged export class Locked {
  @inline get c(): Vcpu { return changetype<Vcpu>(this); }
  @inline get plain(): Interp { return changetype<Interp>(this); }

  @inline src<T, S>(u: usize): usize { return this.plain.src<T, S>(u); }
  @inline dst<T, D>(u: usize, use: i32): usize {
    const p = this.plain.dst<T, D>(u, use);
    if (idof<D>() != idof<Mem>() || sizeof<T>() == 1 || !(p & (sizeof<T>() - 1)) || this.c.slow) return p;
    this.c.status = STATUS_SLOW;
    return 0;
  }
  @inline bad<D>(p: usize): bool { return this.plain.bad<D>(p); }
  @inline isReg<D>(): bool { return this.plain.isReg<D>(); }
  @inline rd<T, D>(u: usize, p: usize): u64 {
    if (idof<D>() != idof<Mem>()) return this.plain.rd<T, D>(u, p);
    const v = this.plain.ld<T>(p);
    old = v;
    return v;
  }
  @inline rs<T, S>(u: usize, p: usize): u64 { return this.plain.rs<T, S>(u, p); }
  @inline wd<T, D>(u: usize, p: usize, v: u64): void {
    if (idof<D>() != idof<Mem>()) { this.plain.wd<T, D>(u, p, v); return; }
    // Alone: what is written may be staged, and need not be aligned.
    if (this.c.slow) { this.plain.st<T>(p, v); lost = false; return; }
    lost = !exchange<T>(p, old, v);
  }
  @inline ws<T, D>(u: usize, p: usize, v: u64): void { if (!lost) this.plain.ws<T, D>(u, p, v); }
  @inline low<T>(): u64 { return this.plain.low<T>(); }
  @inline setLow<T>(v: u64): void { if (!lost) this.plain.setLow<T>(v); }
  @inline bitIndex<T, S>(u: usize): u64 { return this.plain.bitIndex<T, S>(u); }

  @inline k(v: u64): u64 { return v; }
  @inline sx<T>(v: u64): u64 { return this.plain.sx<T>(v); }
  @inline add(x: u64, y: u64): u64 { return x + y; }
  @inline sub(x: u64, y: u64): u64 { return x - y; }
  @inline and(x: u64, y: u64): u64 { return x & y; }
  @inline or(x: u64, y: u64): u64 { return x | y; }
  @inline xor(x: u64, y: u64): u64 { return x ^ y; }
  @inline shl(x: u64, n: u64): u64 { return x << n; }
  @inline shr(x: u64, n: u64): u64 { return x >> n; }
  @inline eq(x: u64, y: u64): u32 { return this.plain.eq(x, y); }
  @inline ne(x: u64, y: u64): u32 { return this.plain.ne(x, y); }
  @inline select(cond: u32, x: u64, y: u64): u64 { return this.plain.select(cond, x, y); }

  @inline when(cond: u32): bool { return cond != 0; }
  @inline end(): void {}
  @inline cf(): u64 { return this.plain.cf(); }
  @inline flags(op: u32, d: u64, a: u64, b: u64): void { if (!lost) this.plain.flags(op, d, a, b); }
  @inline logic(d: u64): void { if (!lost) this.plain.logic(d); }
  @inline setCarry(v: u64): void { if (!lost) this.plain.setCarry(v); }
}
