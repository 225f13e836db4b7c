/**
 * TZCNT, LZCNT, MOVBE, BMI1, BMI2, ADX and RDRAND (SDM vol. 2). Sizes are log2 of bytes. The operand in VEX.vvvv, where
 * it is not the destination, is named by the immediate.
 */
import { Vcpu, V_GPR } from "../gen/layout";
import { uD, uImm, uS, uSize } from "../decode/uop";
import { arithmeticFlags, CF, OF, setArithmeticFlags, SF, ZF } from "../sem/flags";
import { mulHighU } from "../sem/wide";
import { random } from "../time";
import { getReg, operand, putReg, readOperand, writeOperand } from "./operand";

/** The register in VEX.vvvv. */
@inline function vvvv(c: Vcpu, u: usize, z: u32): u64 { return getReg(c, <usize>uImm(u), z); }
@inline function widthOf(z: u32): u64 { return <u64>8 << z; }

/** A result with SF and ZF from it, CF as given, OF clear; AF and PF, which are undefined, clear. */
function done(c: Vcpu, u: usize, z: u32, v: u64, carry: bool): bool {
  putReg(c, uD(u), z, v);
  setArithmeticFlags(c, (v ? 0 : ZF) | (((v >> (widthOf(z) - 1)) & 1) ? SF : 0) | (carry ? CF : 0));
  return true;
}

/** A count of zeros: ZF for a count of 0, CF for a source of 0. */
function counted(c: Vcpu, u: usize, z: u32, n: u64, zero: bool): bool {
  putReg(c, uD(u), z, n);
  setArithmeticFlags(c, (n ? 0 : ZF) | (zero ? CF : 0));
  return true;
}

export function tzcnt(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  return counted(c, u, z, operand ? ctz<u64>(operand) : widthOf(z), operand == 0);
}

export function lzcnt(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  return counted(c, u, z, clz<u64>(operand) - (64 - widthOf(z)), operand == 0);
}

@inline function reversed(v: u64, z: u32): u64 { return bswap<u64>(v) >> (64 - widthOf(z)); }

export function movbe(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, 0, z)) return false;
  putReg(c, uD(u), z, reversed(operand, z));
  return true;
}

export function movbeStore(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  return writeOperand(c, u, 0, z, reversed(getReg(c, uS(u), z), z));
}

// BMI1

export function andn(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  return done(c, u, z, ~vvvv(c, u, z) & operand, false);
}

export function blsr(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  return done(c, u, z, (operand - 1) & operand, operand == 0);
}

export function blsmsk(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  return done(c, u, z, (operand - 1) ^ operand, operand == 0);
}

export function blsi(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  return done(c, u, z, (0 - operand) & operand, operand != 0);
}

/** Bits from `start` on, as many as `length`; the two are bytes of one register. */
export function bextr(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  const control = vvvv(c, u, z), start = control & 255, length = (control >> 8) & 255;
  let v = start < 64 ? operand >> start : 0;
  if (length < 64) v &= (<u64>1 << length) - 1;
  putReg(c, uD(u), z, v);
  setArithmeticFlags(c, v ? 0 : ZF);
  return true;
}

// BMI2

export function bzhi(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  const n = vvvv(c, u, z) & 255, beyond = n >= widthOf(z);
  return done(c, u, z, beyond ? operand : operand & ((<u64>1 << n) - 1), beyond);
}

/** Low bits of the first source to the places of the mask's ones. */
export function pdep(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  let source = vvvv(c, u, z), v: u64 = 0;
  for (let mask = operand; mask; mask &= mask - 1) {
    if (source & 1) v |= mask & (0 - mask);
    source >>= 1;
  }
  putReg(c, uD(u), z, v);
  return true;
}

/** The bits at the mask's ones, gathered at the low end. */
export function pext(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  const source = vvvv(c, u, z);
  let v: u64 = 0, bit: u64 = 1;
  for (let mask = operand; mask; mask &= mask - 1) {
    if (source & mask & (0 - mask)) v |= bit;
    bit <<= 1;
  }
  putReg(c, uD(u), z, v);
  return true;
}

/** RDX times the source: low half to VEX.vvvv, then high half to the first operand, which wins if they are one. */
export function mulx(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  const x = getReg(c, V_GPR + 16, z), low = x * operand;
  putReg(c, <usize>uImm(u), z, low);
  putReg(c, uD(u), z, z == 3 ? mulHighU(x, operand) : low >> 32);
  return true;
}

export function shlx(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  putReg(c, uD(u), z, operand << (vvvv(c, u, z) & (widthOf(z) - 1)));
  return true;
}

export function shrx(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  putReg(c, uD(u), z, operand >> (vvvv(c, u, z) & (widthOf(z) - 1)));
  return true;
}

export function sarx(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  const v = z == 3 ? <i64>operand : <i64><i32>operand;
  putReg(c, uD(u), z, <u64>(v >> <i64>(vvvv(c, u, z) & (widthOf(z) - 1))));
  return true;
}

export function rorx(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  putReg(c, uD(u), z, z == 3 ? rotr<u64>(operand, uImm(u)) : <u64>rotr<u32>(<u32>operand, <u32>uImm(u)));
  return true;
}

// ADX

/** Adds with the carry in the flag `flag`, the only one that changes. */
@inline function addThrough(c: Vcpu, u: usize, flag: u64): bool {
  const z = uSize(u);
  if (!readOperand(c, u, uS(u), z)) return false;
  const flags = arithmeticFlags(c), x = getReg(c, uD(u), z), sum = x + operand, v = sum + u64((flags & flag) != 0);
  const carry = z == 3 ? sum < x || v < sum : v >> 32 != 0;
  putReg(c, uD(u), z, v);
  setArithmeticFlags(c, carry ? flags | flag : flags & ~flag);
  return true;
}
export function adcx(c: Vcpu, u: usize): bool { return addThrough(c, u, CF); }
export function adox(c: Vcpu, u: usize): bool { return addThrough(c, u, OF); }

/** RDRAND and RDSEED: there is always a number, so CF is set and the other flags are clear. */
export function rdrand(c: Vcpu, u: usize): bool {
  putReg(c, uD(u), uSize(u), random());
  setArithmeticFlags(c, CF);
  return true;
}
