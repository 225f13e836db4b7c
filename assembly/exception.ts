/**
 * Recording exceptions and exits. Nothing here changes architectural state: the outer loop delivers what was
 * recorded (assembly/sys/deliver.ts) after the micro-op has come back with "did not complete".
 */
import { Vcpu, STATUS_FAULT } from "./gen/layout";

export const DE: u32 = 0;
export const DB: u32 = 1;
export const NMI: u32 = 2;
export const BP: u32 = 3;
export const OF: u32 = 4;
export const BR: u32 = 5;
export const UD: u32 = 6;
export const NM: u32 = 7;
export const DF: u32 = 8;
export const TS: u32 = 10;
export const NP: u32 = 11;
export const SS: u32 = 12;
export const GP: u32 = 13;
export const PF: u32 = 14;
export const MF: u32 = 16;
export const AC: u32 = 17;
export const XM: u32 = 19;

/** What is being delivered (Vcpu.excKind). */
export const KIND_EXCEPTION: u32 = 0;
export const KIND_SOFTWARE: u32 = 1;
export const KIND_EXTERNAL: u32 = 2;

/** Records an exception without error code. Returns false, so that a handler can `return raise(c, UD)`. */
export function raise(c: Vcpu, vector: u32): bool {
  c.excVector = vector;
  c.excHasError = 0;
  c.excError = 0;
  c.excKind = KIND_EXCEPTION;
  c.status = STATUS_FAULT;
  return false;
}

/** Records an exception with an error code (SDM vol. 3, 6.13). */
export function raiseError(c: Vcpu, vector: u32, error: u32): bool {
  raise(c, vector);
  c.excHasError = 1;
  c.excError = error;
  return false;
}

/** #PF: error code bits P 1, W/R 2, U/S 4, RSVD 8, I/D 16, PK 32 (SDM vol. 3, 4.7). CR2 is set on delivery. */
export function raisePageFault(c: Vcpu, linear: u64, error: u32): bool {
  raiseError(c, PF, error);
  c.excCr2 = linear;
  return false;
}
