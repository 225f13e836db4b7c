/** Control and debug registers, descriptor-table registers, and the rest of the system instructions (SDM vol. 3, 2.5 and 2.8). */
import {
  Vcpu, CAP_HALT_EXIT, CAP_PAUSE_EXIT, CAP_RESTRICTED, CAP_WBINVD_EXIT, EXIT_HLT, EXIT_PAUSE, EXIT_VMX, MODE_CODE64, MODE_LONG, RUN_STATE_HALTED, SEG_CS,
} from "../gen/layout";
import { GP, raise, raiseError, UD } from "../exception";
import { apicReadTpr, apicWriteTpr } from "../apic";
import { locate, located } from "../decode/address";
import { ea, uD, uFlags, uS, uSize, UF_STACK } from "../decode/uop";
import { readPtr } from "../mem/access";
import { drainStores } from "../mem/fence";
import { hostRead } from "../mem/phys";
import { canonicalBase } from "../mem/linear";
import { deviceRead, deviceValue } from "../mem/stage";
import { AR_L, segAr } from "../mem/segment";
import { vcpuCount } from "../mem/pageword";
import { flushAll, flushNonGlobal, flushPage, flushPcid, selectContext, updateWindow } from "../mem/tlb";
import {
  CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_PCIDE, CR4_PGE, CR4_PKE, CR4_PSE, CR4_SMAP, CR4_SMEP, EFER_NXE, MAXPHYADDR,
} from "../mem/walk";
import { DR6_BD, raiseDebug, rearm } from "./debug";
import { CPU_FSGSBASE, CPU_LA57, CPU_PCID, CPU_PKU, CPU_SMAP, CPU_SMEP, CPU_UMIP, CPU_XSAVE, CPU_VME, hasFeature } from "./model";
import { AC, CR4_OSXSAVE, CR0_EM, CR0_ET, CR0_MP, CR0_PE, CR0_TS, CR4_PVI, CR4_VME, EFER_LMA, EFER_LME, updateMode } from "./mode";
import { getReg, operand, putReg, readOperandPiece, readPiece, writeMem, writePiece } from "./operand";
import { umipAllows } from "./segment";

const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR0_DEFINED: u64 = 0xe005003f;
/** TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT. */
const CR4_ALWAYS: u64 = 0x7fc;
/** In the source of MOV to CR3 while CR4.PCIDE is set: keep what is translated. */
const CR3_KEEP: u64 = 1 << 63;
const CR4_DE: u64 = 1 << 3;

/** CR4 bits that this CPU model has; the others are reserved. */
function cr4Allowed(c: Vcpu): u64 {
  let bits = CR4_ALWAYS;
  if (hasFeature(c, CPU_VME)) bits |= CR4_VME | CR4_PVI;
  if (hasFeature(c, CPU_UMIP)) bits |= 1 << 11;
  if (hasFeature(c, CPU_FSGSBASE)) bits |= 1 << 16;
  if (hasFeature(c, CPU_XSAVE)) bits |= CR4_OSXSAVE;
  if (hasFeature(c, CPU_LA57)) bits |= CR4_LA57;
  if (hasFeature(c, CPU_PKU)) bits |= CR4_PKE;
  if (hasFeature(c, CPU_PCID)) bits |= CR4_PCIDE;
  if (hasFeature(c, CPU_SMEP)) bits |= CR4_SMEP;
  if (hasFeature(c, CPU_SMAP)) bits |= CR4_SMAP;
  return bits;
}

/** Reads the four PDPTEs of PAE paging into their registers (SDM vol. 3, 4.4.1); #GP if one has reserved bits set. */
function loadPdptes(c: Vcpu, cr3: u64): bool {
  const reserved: u64 = ~((<u64>1 << MAXPHYADDR) - 1) | 0x1e6;
  const at = hostRead(cr3 & 0xffffffe0);
  for (let i: usize = 0; i < 4; i++) {
    const e: u64 = at ? load<u64>(at + (i << 3)) : 0;
    if ((e & 1) && (e & reserved)) return raiseError(c, GP, 0);
  }
  for (let i: usize = 0; i < 4; i++) c.set_pdpte(i, at ? load<u64>(at + (i << 3)) : 0);
  return true;
}

export function writeCr0(c: Vcpu, v: u64): bool {
  if (v >> 32) return raiseError(c, GP, 0);
  const old = c.cr0, next = (v & CR0_DEFINED) | CR0_ET, changed = old ^ next;
  if ((next & CR0_PG) && !(next & CR0_PE)) return raiseError(c, GP, 0);
  if ((next & CR0_NW) && !(next & CR0_CD)) return raiseError(c, GP, 0);
  if ((c.caps & CAP_RESTRICTED) && (next & (CR0_PE | CR0_PG)) != (CR0_PE | CR0_PG)) return raiseError(c, GP, 0);
  const long = (c.efer & EFER_LME) != 0;
  if (changed & CR0_PG) {
    if (next & CR0_PG) {
      if (long && (!(c.cr4 & CR4_PAE) || segAr(c, SEG_CS) & AR_L)) return raiseError(c, GP, 0);
    } else if (c.mode & MODE_CODE64 || c.cr4 & CR4_PCIDE) return raiseError(c, GP, 0);
  }
  if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && (next & CR0_PG) && (c.cr4 & CR4_PAE) && !long && !loadPdptes(c, c.cr3)) return false;
  c.cr0 = next;
  if (changed & CR0_PG) {
    if ((next & CR0_PG) && long) c.efer |= EFER_LMA;
    else c.efer &= ~EFER_LMA;
  }
  if (changed & (CR0_PG | CR0_PE | CR0_WP)) flushAll(c);
  updateMode(c);
  return true;
}

export function writeCr3(c: Vcpu, v: u64): bool {
  let keep = false;
  if (c.mode & MODE_LONG) {
    if (c.cr4 & CR4_PCIDE) {
      keep = (v & CR3_KEEP) != 0;
      v &= ~CR3_KEEP;
    }
    if (v >> MAXPHYADDR) return raiseError(c, GP, 0);
  } else {
    v &= 0xffffffff;
    if ((c.cr0 & CR0_PG) && (c.cr4 & CR4_PAE) && !loadPdptes(c, v)) return false;
  }
  c.cr3 = v;
  selectContext(c, keep);
  return true;
}

export function writeCr4(c: Vcpu, v: u64): bool {
  if (v & ~cr4Allowed(c)) return raiseError(c, GP, 0);
  const changed = c.cr4 ^ v;
  if ((c.mode & MODE_LONG) && !(v & CR4_PAE)) return raiseError(c, GP, 0);
  if (changed & CR4_LA57 && c.mode & MODE_LONG) return raiseError(c, GP, 0);
  if (changed & v & CR4_PCIDE && (!(c.mode & MODE_LONG) || c.cr3 & 0xfff)) return raiseError(c, GP, 0);
  if ((changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP)) && (v & CR4_PAE) && (c.cr0 & CR0_PG) && !(c.mode & MODE_LONG)) {
    if (!loadPdptes(c, c.cr3)) return false;
  }
  c.cr4 = v;
  if (changed & CR4_DE) rearm(c);
  if (changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PCIDE)) flushAll(c);
  updateMode(c);
  return true;
}

/** IA32_EFER: SCE, LME, NXE; LMA is read-only and LME cannot change while paging is on. */
export function writeEfer(c: Vcpu, v: u64): bool {
  const mine: u64 = 1 | EFER_LME | EFER_NXE;
  if (v & ~(mine | EFER_LMA)) return raiseError(c, GP, 0);
  if (((v ^ c.efer) & EFER_LME) && (c.cr0 & CR0_PG)) return raiseError(c, GP, 0);
  const changed = (v ^ c.efer) & mine;
  c.efer = (c.efer & EFER_LMA) | (v & mine);
  if (changed & EFER_NXE) flushAll(c);
  updateMode(c);
  return true;
}

@inline function privileged(c: Vcpu): bool { return c.cpl ? raiseError(c, GP, 0) : true; }
/** MOV CR and MOV DR have the mode's width, whatever the prefixes. */
@inline function width(c: Vcpu): u32 { return c.mode & MODE_CODE64 ? 3 : 2; }

export function movFromCr(c: Vcpu, u: usize): bool {
  const n = <u32>uS(u);
  if (n == 1 || n > 4 && n != 8) return raise(c, UD);
  if (!privileged(c)) return false;
  const v = n == 0 ? c.cr0 : n == 2 ? c.cr2 : n == 3 ? c.cr3 : n == 4 ? c.cr4 : apicReadTpr(c);
  putReg(c, uD(u), width(c), v);
  return true;
}

export function movToCr(c: Vcpu, u: usize): bool {
  const n = <u32>uD(u);
  if (n == 1 || n > 4 && n != 8) return raise(c, UD);
  if (!privileged(c)) return false;
  let v = load<u64>(changetype<usize>(c) + uS(u));
  if (width(c) == 2) v &= 0xffffffff;
  // MOV to CR8 is the one that does not serialize (SDM vol. 3, 9.3).
  if (n != 8) drainStores(c);
  switch (n) {
    case 0: return writeCr0(c, v);
    case 2: c.cr2 = v; return true;
    case 3: return writeCr3(c, v);
    case 4: return writeCr4(c, v);
    default:
      if (v >> 4) return raiseError(c, GP, 0);
      apicWriteTpr(c, v);
      return true;
  }
}

/** DR4 and DR5 are other names of DR6 and DR7 unless CR4.DE is set. */
function debugRegister(c: Vcpu, n: u32): i32 {
  if (n > 7 || (n == 4 || n == 5) && (c.cr4 & 8)) { raise(c, UD); return -1; }
  if (!privileged(c)) return -1;
  // General detect: DR7.GD guards the debug registers.
  if (c.drAt(7) & (1 << 13)) {
    raiseDebug(c, DR6_BD);
    return -1;
  }
  return <i32>(n == 4 || n == 5 ? n + 2 : n);
}

export function movFromDr(c: Vcpu, u: usize): bool {
  const n = debugRegister(c, <u32>uS(u));
  if (n < 0) return false;
  putReg(c, uD(u), width(c), c.drAt(n));
  return true;
}

export function movToDr(c: Vcpu, u: usize): bool {
  const n = debugRegister(c, <u32>uD(u));
  if (n < 0) return false;
  let v = load<u64>(changetype<usize>(c) + uS(u));
  if (width(c) == 2) v &= 0xffffffff;
  if (n >= 6 && v >> 32) return raiseError(c, GP, 0);
  drainStores(c);
  if (n == 6) v = (v & 0xe00f) | 0xffff0ff0;
  if (n == 7) v = (v & 0xffff23ff) | 0x400;
  c.set_dr(n, v);
  if (n != 6) rearm(c);
  return true;
}

export function clts(c: Vcpu, u: usize): bool {
  if (!privileged(c)) return false;
  c.cr0 &= ~CR0_TS;
  updateMode(c);
  return true;
}

/** LMSW: PE, MP, EM, TS; it cannot clear PE. */
export function lmsw(c: Vcpu, u: usize): bool {
  if (!privileged(c)) return false;
  if (!readOperandPiece(c, u, uD(u), 1)) return false;
  const mine = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
  return writeCr0(c, (c.cr0 & ~(mine & ~CR0_PE)) | (operand & mine));
}

/** SMSW: a register gets as much of CR0 as the operand size has, memory 16 bits. */
export function smsw(c: Vcpu, u: usize): bool {
  if (!umipAllows(c)) return false;
  if (!uD(u)) return writeMem(c, u, 1, c.cr0);
  putReg(c, uD(u), uSize(u), c.cr0);
  return true;
}

export function sgdt(c: Vcpu, u: usize): bool { return storeTable(c, u, c.gdtLimit, c.gdtBase); }
export function sidt(c: Vcpu, u: usize): bool { return storeTable(c, u, c.idtLimit, c.idtBase); }

function storeTable(c: Vcpu, u: usize, limit: u32, base: u64): bool {
  if (!umipAllows(c)) return false;
  return writePiece(c, u, 0, 1, limit) && writePiece(c, u, 2, width(c), base);
}

export function lgdt(c: Vcpu, u: usize): bool {
  if (!loadTable(c, u)) return false;
  drainStores(c);
  c.gdtLimit = tableLimit;
  c.gdtBase = tableBase;
  return true;
}
export function lidt(c: Vcpu, u: usize): bool {
  if (!loadTable(c, u)) return false;
  drainStores(c);
  c.idtLimit = tableLimit;
  c.idtBase = tableBase;
  return true;
}

let tableLimit: u32 = 0;
let tableBase: u64 = 0;
/** Reads limit and base; a 16-bit operand size leaves 24 bits of base. */
function loadTable(c: Vcpu, u: usize): bool {
  if (!privileged(c)) return false;
  if (!readPiece(c, u, 0, 1)) return false;
  tableLimit = <u32>operand;
  const z = width(c);
  if (!readPiece(c, u, 2, z)) return false;
  tableBase = z == 2 && uSize(u) == 1 ? operand & 0xffffff : operand;
  if (z == 3 && !canonicalBase(c, tableBase)) return raiseError(c, GP, 0);
  return true;
}

export function invlpg(c: Vcpu, u: usize): bool {
  if (!privileged(c)) return false;
  drainStores(c);
  const linear = ea(c, u);
  flushPage(c, c.mode & MODE_CODE64 ? linear : linear & 0xffffffff);
  return true;
}

/** INVPCID (SDM vol. 2): the type is in the register, PCID and linear address in the descriptor. */
export function invpcid(c: Vcpu, u: usize): bool {
  if (!privileged(c)) return false;
  const type = getReg(c, uD(u), width(c));
  c.stackFault = uFlags(u) & UF_STACK;
  if (!locate(c, u, 0, 16, false)) return false;
  const p = readPtr(c, located, 16);
  if (!p) return false;
  const pcid = load<u64>(p), linear = load<u64>(p, 8);
  if (type > 3 || pcid >> 12 || type < 2 && pcid && !(c.cr4 & CR4_PCIDE)) return raiseError(c, GP, 0);
  drainStores(c);
  if (type == 0) {
    if (!canonicalBase(c, linear)) return raiseError(c, GP, 0);
    flushPage(c, linear);
  } else if (type == 1) flushPcid(c, pcid);
  else if (type == 2) flushAll(c);
  else flushNonGlobal(c);
  return true;
}

/** Basic exit reason of INVD and WBINVD (SDM vol. 3, appendix C). */
const REASON_WBINVD: u64 = 54;

/** INVD and WBINVD: there is no cache to write back. */
export function wbinvd(c: Vcpu, u: usize): bool {
  if (!privileged(c)) return false;
  drainStores(c);
  return !(c.caps & CAP_WBINVD_EXIT) || deviceRead(c, EXIT_VMX, REASON_WBINVD, 1);
}

/** The answer to a HALT_EXIT is 0: wait for an event; anything else: go on. */
export function hlt(c: Vcpu, u: usize): bool {
  if (!privileged(c)) return false;
  if (c.caps & CAP_HALT_EXIT) {
    if (!deviceRead(c, EXIT_HLT, 0, 1)) return false;
    if (deviceValue) return true;
  }
  c.runState = RUN_STATE_HALTED;
  // This was the instruction that STI's shadow covers: what comes now ends the halt.
  c.shadow = 0;
  return true;
}

/** Instructions between two PAUSEs of one spin loop, at most. */
const SPIN_LOOP: u64 = 1000;

/**
 * PAUSE: counted, so that a vCPU that spins can give way to one that has what it waits for (RUN_SPIN). It leaves only if
 * the hypervisor's user wants to see it.
 */
export function pause(c: Vcpu, u: usize): bool {
  if (vcpuCount() > 1) {
    c.pauses = c.icount - c.pausedAt > SPIN_LOOP ? 1 : c.pauses + 1;
    c.pausedAt = c.icount;
  }
  return !(c.caps & CAP_PAUSE_EXIT) || deviceRead(c, EXIT_PAUSE, 0, 1);
}

/** MONITOR and MWAIT, where the model has them: MWAIT ends at once, as an implementation may. */
export function monitor(c: Vcpu, u: usize): bool {
  if (c.cpl) return raise(c, UD);
  return c.gprAt(1) & 0xffffffff ? raiseError(c, GP, 0) : true;
}
export function mwait(c: Vcpu, u: usize): bool {
  if (c.cpl) return raise(c, UD);
  return (c.gprAt(1) & 0xffffffff) > 1 ? raiseError(c, GP, 0) : true;
}

export function clac(c: Vcpu, u: usize): bool { return setAc(c, 0); }
export function stac(c: Vcpu, u: usize): bool { return setAc(c, AC); }

function setAc(c: Vcpu, ac: u64): bool {
  if (c.cpl) return raise(c, UD);
  c.rflags = (c.rflags & ~AC) | ac;
  // In ring 0 AC means nothing else, so that the mode stays.
  updateWindow(c);
  return true;
}

/** PKRU: new rights for user pages (SDM vol. 3, 4.6.2). What was translated under the same ones before counts again. */
export function setPkru(c: Vcpu, v: u32): void {
  if (c.pkru == v) return;
  c.pkru = v;
  if (c.cr4 & CR4_PKE) selectContext(c, true);
}

function pkruAllowed(c: Vcpu): bool {
  if (!(c.cr4 & CR4_PKE)) return raise(c, UD);
  return <u32>c.gprAt(1) ? raiseError(c, GP, 0) : true;
}

export function rdpkru(c: Vcpu, u: usize): bool {
  if (!pkruAllowed(c)) return false;
  c.set_gpr(0, c.pkru);
  c.set_gpr(2, 0);
  return true;
}

export function wrpkru(c: Vcpu, u: usize): bool {
  if (!pkruAllowed(c)) return false;
  if (<u32>c.gprAt(2)) return raiseError(c, GP, 0);
  setPkru(c, <u32>c.gprAt(0));
  return true;
}
