/** State management: FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, EMMS, VZEROUPPER, VZEROALL, CLFLUSH and the fences. */
import { Vcpu, V_YMM } from "../gen/layout";
import { raiseError, GP } from "../exception";
import { drainStores } from "../mem/fence";
import {
  loadX87, loadXmm, MXCSR_MASK, mxcsrValid, newMxcsr, openImage, readMxcsr, storeMxcsr, storeX87, storeXmm, xmmCount,
} from "./area";
import { enterMmx, mmxReady, readMem, writeMem } from "./operand";

export function ldmxcsr(c: Vcpu, u: usize): bool {
  const p = readMem(c, u, 4);
  if (!p) return false;
  const v = load<u32>(p);
  if (v & ~MXCSR_MASK) return raiseError(c, GP, 0);
  c.mxcsr = v;
  return true;
}

export function stmxcsr(c: Vcpu, u: usize): bool {
  const p = writeMem(c, u, 4);
  if (p) store<u32>(p, c.mxcsr);
  return p != 0;
}

/** Empties every x87 register; TOP becomes 0 as with any MMX instruction. */
export function emms(c: Vcpu, u: usize): bool {
  if (!mmxReady(c)) return false;
  enterMmx(c);
  c.ftw = 0;
  return true;
}

/** The upper halves of all YMM registers that the mode has, or all of them. */
export function vzeroupper(c: Vcpu, u: usize): bool {
  const page = changetype<usize>(c), count = xmmCount(c);
  for (let i: usize = 0; i < count; i++) v128.store(page + V_YMM + (i << 5), i64x2.splat(0), 16);
  return true;
}
export function vzeroall(c: Vcpu, u: usize): bool {
  memory.fill(changetype<usize>(c) + V_YMM, 0, xmmCount(c) << 5);
  return true;
}

/** A line is flushed with the rights of a byte read; nothing is cached here. */
export function clflush(c: Vcpu, u: usize): bool { return readMem(c, u, 1) != 0; }

/** LFENCE and SFENCE order what is ordered already; MFENCE also keeps stores before later loads, as any atomic does. */
export function fence(c: Vcpu, u: usize): bool { return true; }
export function mfence(c: Vcpu, u: usize): bool {
  drainStores(c);
  return true;
}

export function fxsave(c: Vcpu, u: usize): bool {
  if (!openImage(c, u, true)) return false;
  return storeX87(c, u) && storeMxcsr(c) && storeXmm(c);
}

/** On the careful path an execution may stop half-way to wait for a device; the next one loads every register again. */
export function fxrstor(c: Vcpu, u: usize): bool {
  if (!openImage(c, u, false)) return false;
  if (!readMxcsr(c)) return false;
  if (!mxcsrValid()) return raiseError(c, GP, 0);
  c.mxcsr = newMxcsr;
  return loadX87(c, u) && loadXmm(c);
}
