/**
 * The backend that computes. An Interp is a pointer to the vCPU's page; V = u64 values, P = host pointers (0 = did not
 * complete), C = u32 conditions. The backend that writes Wasm is assembly/jit/emit.ts.
 */
import {
  Vcpu, AREA_TLB_READ, AREA_TLB_WRITE, V_GPR, MODE_FLAT, MODE_STACK32, MODE_CODE64,
} from "../gen/layout";
import { Reg, Mem, Imm, Cl, READ } from "../sem/kinds";
import {
  F_SUB, F_LOGIC, F_ADD, F_RAW, F_INC, F_DEC, CF, OF, carryFlag, condition, arithmeticFlags,
} from "../sem/flags";
import {
  mulHighU, mulHighS, divide128, remainder128, signedDivideBad, signedQuotient, signedRemainder, shiftDoubleLeft,
  shiftDoubleRight, rotateCarryLeft, rotateCarryRight,
} from "../sem/wide";
import { raise, DE } from "../exception";
import { slowRead, slowWrite } from "../mem/access";
import { tlbEntry } from "../mem/tlb";
import { ea, uFlags, UF_STACK } from "../decode/uop";
import { link, linkNext, jumpRip, checkTarget, checkRip } from "./branch";
import { stackLinear, stackMask } from "../mem/stack";

@inline function sext<TValue>(v: u64): u64 {
  if (sizeof<TValue>() == 1) return <u64><i64><i8>v;
  if (sizeof<TValue>() == 2) return <u64><i64><i16>v;
  if (sizeof<TValue>() == 4) return <u64><i64><i32>v;
  return v;
}
@inline function zext<TValue>(v: u64): u64 {
  if (sizeof<TValue>() == 1) return v & 0xff;
  if (sizeof<TValue>() == 2) return v & 0xffff;
  if (sizeof<TValue>() == 4) return v & 0xffffffff;
  return v;
}
@inline function loadSext<TValue>(p: usize): u64 {
  if (sizeof<TValue>() == 1) return <u64><i64>load<i8>(p);
  if (sizeof<TValue>() == 2) return <u64><i64>load<i16>(p);
  if (sizeof<TValue>() == 4) return <u64><i64>load<i32>(p);
  return load<u64>(p);
}
@inline function storeReg<TValue>(p: usize, v: u64): void {
  if (sizeof<TValue>() == 4) store<u64>(p, v & 0xffffffff);
  else store<TValue>(p, <TValue>v);
}

@unmanaged export class Interp {
  @inline get c(): Vcpu { return changetype<Vcpu>(this); }
  @inline get p(): usize { return changetype<usize>(this); }

  // Operands
  @inline ea(u: usize): u64 { return ea(this.c, u); }
  @inline readAt<T>(u: usize, linear: u64): usize {
    const e = tlbEntry(this.p + AREA_TLB_READ, linear);
    if (load<u64>(e) == (((linear + (sizeof<T>() - 1)) & ~0xfff) | this.c.ctx)) return <usize><u32>(<u32>linear + load<u32>(e, 8));
    this.c.stackFault = uFlags(u) & UF_STACK;
    return slowRead(this.c, linear, sizeof<T>());
  }
  @inline writeAt<T>(u: usize, linear: u64, use: i32): usize {
    const e = tlbEntry(this.p + AREA_TLB_WRITE, linear);
    if (load<u64>(e) == (((linear + (sizeof<T>() - 1)) & ~0xfff) | this.c.ctx)) return <usize><u32>(<u32>linear + load<u32>(e, 8));
    this.c.stackFault = uFlags(u) & UF_STACK;
    return slowWrite(this.c, linear, sizeof<T>(), use);
  }
  @inline dst<T, D>(u: usize, use: i32): usize {
    if (idof<D>() == idof<Reg>()) return this.p + load<u16>(u, 2);
    if (use == READ) return this.readAt<T>(u, this.ea(u));
    return this.writeAt<T>(u, this.ea(u), use);
  }
  @inline src<T, S>(u: usize): usize {
    if (idof<S>() == idof<Reg>()) return this.p + load<u16>(u, 4);
    if (idof<S>() == idof<Imm>()) return u;
    return this.readAt<T>(u, this.ea(u));
  }
  /** A register or an immediate is always there. */
  @inline bad<D>(p: usize): bool { return idof<D>() == idof<Mem>() ? p == 0 : false; }
  @inline fail(p: usize): bool { return p == 0; }
  @inline isReg<D>(): bool { return idof<D>() == idof<Reg>(); }
  @inline distinct(u: usize): u32 { return u32(load<u16>(u, 2) != load<u16>(u, 4)); }
  @inline rd<T, D>(u: usize, p: usize): u64 { return loadSext<T>(p); }
  @inline rs<T, S>(u: usize, p: usize): u64 {
    if (idof<S>() == idof<Imm>()) return load<u64>(u, 16);
    return loadSext<T>(p);
  }
  @inline wd<T, D>(u: usize, p: usize, v: u64): void {
    if (idof<D>() == idof<Reg>()) storeReg<T>(p, v);
    else store<T>(p, <T>v);
  }
  @inline ws<T, D>(u: usize, p: usize, v: u64): void { storeReg<T>(p, v); }
  @inline ld<T>(p: usize): u64 { return loadSext<T>(p); }
  @inline st<T>(p: usize, v: u64): void { store<T>(p, <T>v); }
  @inline imm(u: usize): u64 { return load<u64>(u, 16); }
  @inline imm64(u: usize): u64 { return load<u64>(u, 16); }
  @inline k(v: u64): u64 { return v; }

  // The accumulator pair: AX / DX:AX / EDX:EAX / RDX:RAX
  @inline low<T>(): u64 { return loadSext<T>(this.p + V_GPR); }
  @inline high<T>(): u64 {
    if (sizeof<T>() == 1) return <u64><i64>load<i8>(this.p + V_GPR + 1);
    return loadSext<T>(this.p + V_GPR + 16);
  }
  @inline setLow<T>(v: u64): void { storeReg<T>(this.p + V_GPR, v); }
  @inline setHigh<T>(v: u64): void { storeReg<T>(this.p + V_GPR + 16, v); }
  @inline pair<T>(lo: u64, hi: u64): void {
    storeReg<T>(this.p + V_GPR, lo);
    storeReg<T>(sizeof<T>() == 1 ? this.p + V_GPR + 1 : this.p + V_GPR + 16, hi);
  }
  /** Sign-extends the lower half of a value of type T (CBW, CWDE, CDQE). */
  @inline sxHalf<T>(v: u64): u64 {
    if (sizeof<T>() == 2) return <u64><i64><i8>v;
    if (sizeof<T>() == 4) return <u64><i64><i16>v;
    return <u64><i64><i32>v;
  }

  // Values
  @inline sx<T>(v: u64): u64 { return sext<T>(v); }
  @inline zx<T>(v: u64): u64 { return zext<T>(v); }
  @inline add(x: u64, y: u64): u64 { return x + y; }
  @inline sub(x: u64, y: u64): u64 { return x - y; }
  @inline and(x: u64, y: u64): u64 { return x & y; }
  @inline or(x: u64, y: u64): u64 { return x | y; }
  @inline xor(x: u64, y: u64): u64 { return x ^ y; }
  @inline shl(x: u64, n: u64): u64 { return x << n; }
  @inline shr(x: u64, n: u64): u64 { return x >> n; }
  @inline sar(x: u64, n: u64): u64 { return <u64>(<i64>x >> n); }
  @inline mul(x: u64, y: u64): u64 { return x * y; }
  @inline ctz(x: u64): u64 { return ctz<u64>(x); }
  @inline clz(x: u64): u64 { return clz<u64>(x); }
  @inline ne(x: u64, y: u64): u32 { return u32(x != y); }
  @inline eq(x: u64, y: u64): u32 { return u32(x == y); }
  @inline leu(x: u64, y: u64): u32 { return u32(x <= y); }
  @inline bit(v: u32): u64 { return <u64>v; }
  @inline select(cond: u32, x: u64, y: u64): u64 { return select<u64>(x, y, cond != 0); }
  @inline top<T>(v: u64): u64 { return (v >> (sizeof<T>() * 8 - 1)) & 1; }
  @inline swapped<T>(v: u64): u64 {
    if (sizeof<T>() == 8) return bswap<u64>(v);
    if (sizeof<T>() == 4) return <u64>bswap<u32>(<u32>v);
    return 0; // BSWAP r16 is undefined; Intel CPUs write zero
  }

  // Shifts
  @inline count<T, N>(u: usize): u64 {
    const n: u64 = idof<N>() == idof<Imm>() ? load<u64>(u, 16) : load<u64>(this.p, V_GPR + 8);
    return n & (sizeof<T>() == 8 ? 63 : 31);
  }
  @inline some<N>(n: u64): u32 { return u32(n != 0); }
  @inline isImm<N>(): bool { return idof<N>() == idof<Imm>(); }
  /** A rotation by n sets OF. */
  @inline turns<N>(n: u64): u32 { return this.isImm<N>() ? u32(n == 1) : u32(n != 0); }
  @inline rotl<T>(x: u64, n: u64): u64 {
    if (sizeof<T>() == 8) return rotl<u64>(x, n);
    if (sizeof<T>() == 4) return <u64><i64><i32>rotl<u32>(<u32>x, <u32>n);
    if (sizeof<T>() == 2) return <u64><i64><i16>rotl<u16>(<u16>x, <u16>(n & 15));
    return <u64><i64><i8>rotl<u8>(<u8>x, <u8>(n & 7));
  }
  @inline rotr<T>(x: u64, n: u64): u64 {
    if (sizeof<T>() == 8) return rotr<u64>(x, n);
    if (sizeof<T>() == 4) return <u64><i64><i32>rotr<u32>(<u32>x, <u32>n);
    if (sizeof<T>() == 2) return <u64><i64><i16>rotr<u16>(<u16>x, <u16>(n & 15));
    return <u64><i64><i8>rotr<u8>(<u8>x, <u8>(n & 7));
  }
  @inline ring<T>(n: u64): u64 { return sizeof<T>() >= 4 ? n : n % (sizeof<T>() * 8 + 1); }
  @inline rclResult<T>(x: u64, n: u64, carry: u64): u64 { return sext<T>(rotateCarryLeft(x, this.ring<T>(n), carry, sizeof<T>() * 8)); }
  @inline rcrResult<T>(x: u64, n: u64, carry: u64): u64 { return sext<T>(rotateCarryRight(x, this.ring<T>(n), carry, sizeof<T>() * 8)); }
  @inline rclCarry<T>(x: u64, n: u64, carry: u64): u64 {
    const m = this.ring<T>(n);
    return m ? (x >> (sizeof<T>() * 8 - m)) & 1 : carry;
  }
  @inline rcrCarry<T>(x: u64, n: u64, carry: u64): u64 {
    const m = this.ring<T>(n);
    return m ? (x >> (m - 1)) & 1 : carry;
  }
  @inline shldResult<T>(x: u64, y: u64, n: u64): u64 { return sext<T>(shiftDoubleLeft(x, y, n, sizeof<T>() * 8)); }
  @inline shrdResult<T>(x: u64, y: u64, n: u64): u64 { return sext<T>(shiftDoubleRight(x, y, n, sizeof<T>() * 8)); }
  @inline bitIndex<T, S>(u: usize): u64 {
    const n: u64 = idof<S>() == idof<Imm>() ? load<u64>(u, 16) : load<u64>(this.p + load<u16>(u, 4));
    return n & (sizeof<T>() * 8 - 1);
  }

  // Multiplication and division
  @inline mulhu<T>(x: u64, y: u64): u64 {
    if (sizeof<T>() == 8) return mulHighU(x, y);
    return (x * y) >> (sizeof<T>() * 8);
  }
  @inline mulhs<T>(x: u64, y: u64): u64 {
    if (sizeof<T>() == 8) return mulHighS(x, y);
    return <u64>(<i64>(x * y) >> (sizeof<T>() * 8));
  }
  @inline overflows<T>(x: u64, y: u64, d: u64): u64 {
    if (sizeof<T>() == 8) return u64(mulHighS(x, y) != <u64>(<i64>d >> 63));
    return u64(d != x * y);
  }
  @inline divideError(cond: u32): bool {
    if (cond) { raise(this.c, DE); return true; }
    return false;
  }
  @inline divQuotient<T>(hi: u64, lo: u64, y: u64): u64 {
    if (sizeof<T>() == 8) return divide128(hi, lo, y);
    return ((hi << (sizeof<T>() * 8)) | lo) / y;
  }
  @inline divRemainder<T>(hi: u64, lo: u64, y: u64): u64 {
    if (sizeof<T>() == 8) return remainder128(hi, lo, y);
    return ((hi << (sizeof<T>() * 8)) | lo) % y;
  }
  @inline idivBad<T>(hi: u64, lo: u64, y: u64): u32 {
    if (sizeof<T>() == 8) return signedDivideBad(hi, lo, y);
    if (y == 0) return 1;
    const n = <i64>((hi << (sizeof<T>() * 8)) | lo);
    // The most negative dividend over -1 would trap in the host.
    if (y == ~0) return u32(<u64>(0 - n) != sext<T>(<u64>(0 - n)));
    const q = <u64>(n / <i64>y);
    return u32(q != sext<T>(q));
  }
  @inline idivQuotient<T>(hi: u64, lo: u64, y: u64): u64 {
    if (sizeof<T>() == 8) return signedQuotient(hi, lo, y);
    const n = <i64>((hi << (sizeof<T>() * 8)) | lo);
    return y == ~0 ? <u64>(0 - n) : <u64>(n / <i64>y);
  }
  @inline idivRemainder<T>(hi: u64, lo: u64, y: u64): u64 {
    if (sizeof<T>() == 8) return signedRemainder(hi, lo, y);
    const n = <i64>((hi << (sizeof<T>() * 8)) | lo);
    return y == ~0 ? 0 : <u64>(n % <i64>y);
  }

  // Flags
  @inline when(cond: u32): bool { return cond != 0; }
  @inline end(): void {}
  @inline flags(op: u32, d: u64, a: u64, b: u64): void {
    const c = this.c;
    c.ccOp = op; c.ccD = d; c.ccA = a; c.ccB = b;
  }
  @inline logic(d: u64): void { this.c.ccOp = F_LOGIC; this.c.ccD = d; }
  @inline cf(): u64 {
    const c = this.c;
    if (c.ccOp == F_SUB) return u64(c.ccA < c.ccB);
    return carryFlag(c);
  }
  @inline setCarry(v: u64): void { setCarryCold(this.c, v); }
  @inline setCarryOverflow(carry: u64, overflow: u64): void { setCarryOverflowCold(this.c, carry, overflow); }
  @inline cond(cc: i32): u32 {
    const c = this.c, op = c.ccOp;
    if (op == F_SUB) {
      switch (cc) {
        case 2: return u32(c.ccA < c.ccB);
        case 3: return u32(c.ccA >= c.ccB);
        case 4: return u32(c.ccD == 0);
        case 5: return u32(c.ccD != 0);
        case 6: return u32(c.ccA <= c.ccB);
        case 7: return u32(c.ccA > c.ccB);
        case 8: return u32(<i64>c.ccD < 0);
        case 9: return u32(<i64>c.ccD >= 0);
        case 12: return u32(<i64>c.ccA < <i64>c.ccB);
        case 13: return u32(<i64>c.ccA >= <i64>c.ccB);
        case 14: return u32(<i64>c.ccA <= <i64>c.ccB);
        case 15: return u32(<i64>c.ccA > <i64>c.ccB);
        default: return condition(c, cc);
      }
    }
    if ((cc & 14) == 4 && op != F_RAW) return u32((c.ccD == 0) != ((cc & 1) != 0));
    return condition(c, cc);
  }

  // The stack. Operands of 8 bytes exist only in 64-bit mode, where SS has no base and no limit.
  @inline sp<T>(): u64 {
    if (sizeof<T>() == 8) return load<u64>(this.p, V_GPR + 32);
    return load<u64>(this.p, V_GPR + 32) & stackMask(this.c);
  }
  @inline spPush<T>(): u64 {
    if (sizeof<T>() == 8) return load<u64>(this.p, V_GPR + 32) - 8;
    return (load<u64>(this.p, V_GPR + 32) - sizeof<T>()) & stackMask(this.c);
  }
  @inline spPop<T>(): u64 {
    if (sizeof<T>() == 8) return load<u64>(this.p, V_GPR + 32) + 8;
    return (load<u64>(this.p, V_GPR + 32) + sizeof<T>()) & stackMask(this.c);
  }
  @inline setSp<T>(v: u64): void {
    if (sizeof<T>() == 8) { store<u64>(this.p, v, V_GPR + 32); return; }
    const mask = stackMask(this.c);
    store<u64>(this.p, (load<u64>(this.p, V_GPR + 32) & ~mask) | (v & mask), V_GPR + 32);
  }
  @inline stackPtr<T>(sp: u64, use: i32): usize {
    if (sizeof<T>() == 8) return this.stackAt<T>(sp, use);
    if ((this.c.mode & (MODE_FLAT | MODE_STACK32 | MODE_CODE64)) == (MODE_FLAT | MODE_STACK32)) return this.stackAt<T>(sp, use);
    const linear = stackLinear(this.c, sp, sizeof<T>(), use);
    if (linear == ~0 && !(this.c.mode & MODE_CODE64)) return 0;
    return this.stackAt<T>(linear, use);
  }
  @inline stackAt<T>(linear: u64, use: i32): usize {
    const e = tlbEntry(this.p + (use == READ ? AREA_TLB_READ : AREA_TLB_WRITE), linear);
    if (load<u64>(e) == (((linear + (sizeof<T>() - 1)) & ~0xfff) | this.c.ctx)) return <usize><u32>(<u32>linear + load<u32>(e, 8));
    this.c.stackFault = 1;
    return use == READ ? slowRead(this.c, linear, sizeof<T>()) : slowWrite(this.c, linear, sizeof<T>(), use);
  }

  // Branches
  @inline jump(u: usize): usize {
    const l = load<u32>(u, 28);
    return l ? <usize>l : link(this.c, u);
  }
  @inline branch(u: usize, cond: u32): usize {
    if (cond) {
      const l = load<u32>(u, 28);
      return l ? <usize>l : link(this.c, u);
    }
    const n = load<u32>(u, 12);
    return n ? <usize>n : linkNext(this.c, u);
  }
  @inline badTarget(u: usize): bool { return load<u32>(u, 28) ? false : !checkTarget(this.c, u); }
  @inline badRip(rip: u64): bool { return !checkRip(this.c, rip); }
  @inline returnAddress(u: usize): u64 { return this.c.ripPage + <u64>load<u16>(u, 2); }
  @inline jumpTo(u: usize, rip: u64): usize { return jumpRip(this.c, rip); }
}

function setCarryCold(c: Vcpu, v: u64): void {
  const f = arithmeticFlags(c);
  c.ccOp = F_RAW;
  c.ccA = (f & ~CF) | v;
}

function setCarryOverflowCold(c: Vcpu, carry: u64, overflow: u64): void {
  const f = arithmeticFlags(c);
  c.ccOp = F_RAW;
  c.ccA = (f & ~(CF | OF)) | carry | (overflow << 11);
}
