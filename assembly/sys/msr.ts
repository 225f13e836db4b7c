/**
 * Model-specific registers (SDM vol. 4): those that Linux and the BSDs touch at boot on an Intel CPU with this model's
 * features. Any other is #GP(0).
 *
 * The local APIC's registers (x2APIC, 800h to 83Fh) and IA32_APIC_BASE belong to the device thread, except where the
 * virtual-APIC page answers. A read leaves with EXIT_RDMSR, a write with EXIT_WRMSR: exitA = number, exitData[0] = value
 * written; the answer in exitData[0] is the value read, or for a write 0 = done, 1 = #GP(0).
 *
 * Not here: machine-check banks (there are none), performance counters, VMX.
 */
import {
  Vcpu, AREA_APIC, ATTENTION_DEADLINE, V_ATTENTION, CAP_MSR_EXIT, EXIT_RDMSR, EXIT_WRMSR, MODE_CODE64, SEG_FS, SEG_GS, STATUS_EXIT, STATUS_FAULT, STATUS_SLOW,
} from "../gen/layout";
import { GP, raise, raiseError, UD } from "../exception";
import { apicRead, apicValue, apicWrite, APIC_LVT_TIMER, APICBASE_ENABLED, APICBASE_X2APIC } from "../apic";
import { uD, uSize } from "../decode/uop";
import { drainStores } from "../mem/fence";
import { deviceRead, deviceValue } from "../mem/stage";
import { segBase, setSegBase } from "../mem/segment";
import { MAXPHYADDR } from "../mem/walk";
import { tsc, tscReached, tscToNs } from "../time";
import { writeEfer } from "./control";
import {
  ARCH_CAPABILITIES, CPU_ARCH_CAPABILITIES, CPU_RDPID, CPU_RDTSCP, CPU_SPEC_CTRL, CPU_TSC_ADJUST, CPU_TSC_DEADLINE,
  CPU_X2APIC, CPU_XSAVES, hasFeature, isAmd, MICROCODE,
} from "./model";
import { getReg, putReg } from "./operand";
import { canonical, canonicalBase } from "../mem/linear";

const MTRR_VARIABLE: u32 = 8;
/** IA32_MISC_ENABLE (SDM vol. 4): what may be written, and what says that there is no BTS (11) and no PEBS (12). */
const MISC_ENABLE_DEFINED: u64 = 0x400c51889;
const MISC_ENABLE_FIXED: u64 = 0x1800;

/** Place in mtrrFixed of a fixed-range MTRR, or -1. */
function fixedMtrr(n: u32): i32 {
  if (n == 0x250) return 0;
  if (n == 0x258 || n == 0x259) return <i32>n - 0x257;
  return n >= 0x268 && n <= 0x26f ? <i32>n - 0x265 : -1;
}

let result: u64 = 0;

function got(v: u64): bool {
  result = v;
  return true;
}

/**
 * PerfEvtSel0 to 3 and PerfCtr0 to 3, which every AMD CPU since the K7 has, whatever CPUID says (AMD APM vol. 2, 13.2):
 * nothing counts here, so they read as zero and take any value.
 */
@inline function isAmdCounter(c: Vcpu, n: u32): bool { return n - 0xc0010000 < 8 && isAmd(c); }

/** Reads an MSR into `result`. False = #GP or exit recorded. */
function read(c: Vcpu, n: u32): bool {
  if (n >= 0x800 && n <= 0x83f) return readX2apic(c, n);
  if (n >= 0x200 && n < 0x200 + 2 * MTRR_VARIABLE) return got(c.mtrrVarAt(n - 0x200));
  const fixed = fixedMtrr(n);
  if (fixed >= 0) return got(c.mtrrFixedAt(fixed));
  if (isAmdCounter(c, n)) return got(0);
  switch (n) {
    case 0x00: case 0x01: return got(0);
    case 0x10: return got(tsc(c));
    case 0x17: return got(0);
    case 0x1b: return got(c.apicBase);
    case 0x2a: return got(0);
    case 0x34: return got(0);
    case 0x3a: return got(1); // IA32_FEATURE_CONTROL: locked, no VMX
    case 0x3b: return hasFeature(c, CPU_TSC_ADJUST) ? got(c.tscAdjust) : raiseError(c, GP, 0);
    case 0x48: return hasFeature(c, CPU_SPEC_CTRL) ? got(c.specCtrl) : raiseError(c, GP, 0);
    case 0x8b: return got(MICROCODE << 32);
    case 0xce: return got(10 << 8);
    case 0xfe: return got(MTRR_VARIABLE | 0x500); // fixed ranges, write combining
    case 0x10a: return hasFeature(c, CPU_ARCH_CAPABILITIES) ? got(ARCH_CAPABILITIES) : raiseError(c, GP, 0);
    case 0x174: return got(c.sysenterCs);
    case 0x175: return got(c.sysenterEsp);
    case 0x176: return got(c.sysenterEip);
    case 0x179: case 0x17a: return got(0); // no machine-check banks
    case 0x1a0: return got(c.miscEnable);
    case 0x1d9: case 0x1db: case 0x1dc: case 0x1dd: case 0x1de: return got(0);
    case 0x277: return got(c.pat);
    case 0x2ff: return got(c.mtrrDefType);
    case 0x6e0: return hasFeature(c, CPU_TSC_DEADLINE) ? got(c.tscDeadline) : raiseError(c, GP, 0);
    case 0xda0: return hasFeature(c, CPU_XSAVES) ? got(c.xss) : raiseError(c, GP, 0);
    case 0xc0000080: return got(c.efer);
    case 0xc0000081: return got(c.star);
    case 0xc0000082: return got(c.lstar);
    case 0xc0000083: return got(c.cstar);
    case 0xc0000084: return got(c.sfmask);
    case 0xc0000100: return got(segBase(c, SEG_FS));
    case 0xc0000101: return got(segBase(c, SEG_GS));
    case 0xc0000102: return got(c.kernelGsBase);
    case 0xc0000103: return hasTscAux(c) ? got(c.tscAux) : raiseError(c, GP, 0);
    default: return unknownRead(c, n);
  }
}

function hasTscAux(c: Vcpu): bool { return hasFeature(c, CPU_RDTSCP) || hasFeature(c, CPU_RDPID); }

function memoryTypesOk(v: u64, pat: bool): bool {
  for (let i = 0; i < 8; i++) {
    const t = <u32>(v >> (<u64>i << 3)) & 0xff;
    if (t > 7 || t == 2 || t == 3 || (t == 7 && !pat)) return false;
  }
  return true;
}

function write(c: Vcpu, n: u32, v: u64): bool {
  if (n >= 0x800 && n <= 0x83f) return writeX2apic(c, n, v);
  if (n >= 0x200 && n < 0x200 + 2 * MTRR_VARIABLE) {
    const reserved: u64 = ~((<u64>1 << MAXPHYADDR) - 1) | (n & 1 ? 0x7ff : 0xf00);
    if (v & reserved || !(n & 1) && !memoryTypesOk(v & 0xff, false)) return raiseError(c, GP, 0);
    c.set_mtrrVar(n - 0x200, v);
    return true;
  }
  const fixed = fixedMtrr(n);
  if (fixed >= 0) {
    if (!memoryTypesOk(v, false)) return raiseError(c, GP, 0);
    c.set_mtrrFixed(fixed, v);
    return true;
  }
  if (isAmdCounter(c, n)) return true;
  switch (n) {
    // Writing the TSC moves IA32_TSC_ADJUST by as much (SDM vol. 3, 18.17.3).
    case 0x10: c.tscAdjust += v - tsc(c); rearm(c); return true;
    case 0x1b: return writeApicBase(c, v);
    case 0x3b:
      if (!hasFeature(c, CPU_TSC_ADJUST)) return raiseError(c, GP, 0);
      c.tscAdjust = v;
      rearm(c);
      return true;
    case 0x48:
      // IBRS, STIBP, SSBD, BHI_DIS_S
      if (!hasFeature(c, CPU_SPEC_CTRL) || v & ~0x407) return raiseError(c, GP, 0);
      c.specCtrl = v;
      return true;
    case 0x49: return hasFeature(c, CPU_SPEC_CTRL) && !(v & ~1) ? true : raiseError(c, GP, 0);
    // Microcode updates are taken for loaded.
    case 0x79: case 0x8b: return true;
    case 0x174: c.sysenterCs = v & 0xffffffff; return true;
    case 0x175: if (!canonicalOnly(c, v)) return false; c.sysenterEsp = v; return true;
    case 0x176: if (!canonicalOnly(c, v)) return false; c.sysenterEip = v; return true;
    case 0x17a: return v ? raiseError(c, GP, 0) : true;
    case 0x1a0:
      if (v & ~MISC_ENABLE_DEFINED) return raiseError(c, GP, 0);
      c.miscEnable = v | MISC_ENABLE_FIXED;
      return true;
    case 0x1d9: return v & ~0xdfc3 ? raiseError(c, GP, 0) : true;
    case 0x277:
      if (!memoryTypesOk(v, true)) return raiseError(c, GP, 0);
      c.pat = v;
      return true;
    case 0x2ff:
      if (v & ~0xcff || !memoryTypesOk(v & 0xff, false)) return raiseError(c, GP, 0);
      c.mtrrDefType = v;
      return true;
    case 0x6e0:
      if (!hasFeature(c, CPU_TSC_DEADLINE)) return raiseError(c, GP, 0);
      // Ignored unless the LVT is in that mode (SDM vol. 3, 11.5.4.1).
      if (deadlineMode(c)) { c.tscDeadline = v; rearm(c); }
      return true;
    // IA32_XSS: there are no supervisor state components.
    case 0xda0: return hasFeature(c, CPU_XSAVES) && v == 0 ? true : raiseError(c, GP, 0);
    case 0xc0000080: return writeEfer(c, v);
    case 0xc0000081: c.star = v; return true;
    case 0xc0000082: if (!canonicalOnly(c, v)) return false; c.lstar = v; return true;
    case 0xc0000083: if (!canonicalOnly(c, v)) return false; c.cstar = v; return true;
    case 0xc0000084: if (v >> 32) return raiseError(c, GP, 0); c.sfmask = v; return true;
    case 0xc0000100: if (!canonicalOnly(c, v)) return false; setSegBase(c, SEG_FS, v); return true;
    case 0xc0000101: if (!canonicalOnly(c, v)) return false; setSegBase(c, SEG_GS, v); return true;
    case 0xc0000102: if (!canonicalOnly(c, v)) return false; c.kernelGsBase = v; return true;
    case 0xc0000103:
      if (!hasTscAux(c) || v >> 32) return raiseError(c, GP, 0);
      c.tscAux = v;
      return true;
    default: return c.caps & CAP_MSR_EXIT ? tellDevice(c, n, v) : raiseError(c, GP, 0);
  }
}

/** An MSR that the model does not have: #GP(0), or the hypervisor's user answers (VMR_UNHANLDED of the seeds). */
function unknownRead(c: Vcpu, n: u32): bool {
  if (!(c.caps & CAP_MSR_EXIT)) return raiseError(c, GP, 0);
  return deviceRead(c, EXIT_RDMSR, n, 8) ? got(deviceValue) : false;
}

/** What the host gets of a vCPU that does not run: the seeds' vm_msr_result. The value is in exitData[0]. */
const VMR_OK: i32 = 0;
const VMR_GP: i32 = 1;
/** The local APIC's registers, of which the device thread has the rest, and MSRs that the model does not have. */
const VMR_UNHANDLED: i32 = 2;

export function getMsr(vcpu: usize, n: u32): i32 {
  const c = changetype<Vcpu>(vcpu);
  c.status = STATUS_FAULT;
  if (!read(c, n)) return c.status == STATUS_SLOW ? VMR_UNHANDLED : VMR_GP;
  c.set_exitData(0, result);
  return VMR_OK;
}

export function setMsr(vcpu: usize, n: u32, v: u64): i32 {
  const c = changetype<Vcpu>(vcpu);
  c.status = STATUS_FAULT;
  if (!write(c, n, v)) return c.status == STATUS_SLOW ? VMR_UNHANDLED : VMR_GP;
  return VMR_OK;
}

function canonicalOnly(c: Vcpu, v: u64): bool { return canonicalBase(c, v) ? true : raiseError(c, GP, 0); }

function deadlineMode(c: Vcpu): bool {
  return (load<u32>(changetype<usize>(c) + AREA_APIC + APIC_LVT_TIMER) & 0x60000) == 0x40000;
}

/** The LAPIC timer's deadline from IA32_TSC_DEADLINE; 0 disarms. */
function rearm(c: Vcpu): void {
  if (!deadlineMode(c)) return;
  c.apicTimerPeriod = 0;
  if (c.tscDeadline && tscReached(c, c.tscDeadline)) {
    // Now, and before the next instruction.
    c.apicTimer = 0;
    atomic.or<i32>(changetype<usize>(c) + V_ATTENTION, ATTENTION_DEADLINE);
  } else c.apicTimer = c.tscDeadline ? tscToNs(c, c.tscDeadline) : ~0;
}

/** IA32_APIC_BASE: checked here, then told to the device thread, which maps the page and resets the APIC. */
function writeApicBase(c: Vcpu, v: u64): bool {
  const reserved: u64 = ~((<u64>1 << MAXPHYADDR) - 1) | 0x2ff;
  const old = c.apicBase;
  if (v & reserved) return raiseError(c, GP, 0);
  const x2 = (v & APICBASE_X2APIC) != 0, on = (v & APICBASE_ENABLED) != 0;
  if (x2 && (!on || !hasFeature(c, CPU_X2APIC))) return raiseError(c, GP, 0);
  // From x2APIC mode only to off; from off not straight to x2APIC (SDM vol. 3, figure 11-28).
  if ((old & APICBASE_X2APIC) && on && !x2) return raiseError(c, GP, 0);
  if (!(old & APICBASE_ENABLED) && x2) return raiseError(c, GP, 0);
  if (!tellDevice(c, 0x1b, v)) return false;
  c.apicBase = (v & ~0x100) | (old & 0x100);
  return true;
}

/** A write that the device thread carries out before the instruction completes. */
function tellDevice(c: Vcpu, n: u32, v: u64): bool {
  if (!deviceRead(c, EXIT_WRMSR, n, 8)) {
    if (c.status == STATUS_EXIT) c.set_exitData(0, v);
    return false;
  }
  return deviceValue ? raiseError(c, GP, 0) : true;
}

const X2APIC_EOI: u32 = 0x0b;
const X2APIC_ICR: u32 = 0x30;
const X2APIC_SELF_IPI: u32 = 0x3f;

/** Which registers exist as MSR 800h + n (SDM vol. 3, table 11-6). */
function x2apicExists(n: u32): bool {
  return n == 2 || n == 3 || n == 8 || n == 0xa || n == 0xb || n == 0xd || n == 0xf || n >= 0x10 && n <= 0x28
    || n == 0x30 || n >= 0x32 && n <= 0x39 || n == 0x3e || n == 0x3f;
}

function readX2apic(c: Vcpu, n: u32): bool {
  const r = n - 0x800;
  if (!(c.apicBase & APICBASE_X2APIC) || !x2apicExists(r) || r == X2APIC_EOI || r == X2APIC_SELF_IPI) return raiseError(c, GP, 0);
  if (r != X2APIC_ICR && apicRead(c, <usize>r << 4)) return got(apicValue);
  return deviceRead(c, EXIT_RDMSR, n, 8) ? got(deviceValue) : false;
}

function writeX2apic(c: Vcpu, n: u32, v: u64): bool {
  const r = n - 0x800;
  if (!(c.apicBase & APICBASE_X2APIC) || !x2apicExists(r)) return raiseError(c, GP, 0);
  // ID, version, PPR, LDR, ISR, TMR, IRR and the current count are read-only.
  if (r == 2 || r == 3 || r == 0xa || r == 0xd || r >= 0x10 && r <= 0x27 || r == 0x39) return raiseError(c, GP, 0);
  if (r != X2APIC_ICR && v >> 32 || (r == 0xb || r == 0x28) && v) return raiseError(c, GP, 0);
  if (r == 8 && v >> 8 || r == 0x3f && v >> 8) return raiseError(c, GP, 0);
  if (apicWrite(c, <usize>r << 4, v)) return true;
  return tellDevice(c, n, v);
}

export function rdmsr(c: Vcpu, u: usize): bool {
  if (c.cpl) return raiseError(c, GP, 0);
  if (!read(c, <u32>c.gprAt(1))) return false;
  c.set_gpr(0, result & 0xffffffff);
  c.set_gpr(2, result >> 32);
  return true;
}

export function wrmsr(c: Vcpu, u: usize): bool {
  if (c.cpl) return raiseError(c, GP, 0);
  drainStores(c);
  return write(c, <u32>c.gprAt(1), (c.gprAt(0) & 0xffffffff) | (c.gprAt(2) << 32));
}

/** CR4.TSD keeps the TSC from user mode. */
function tscAllowed(c: Vcpu): bool {
  return c.cpl && (c.cr4 & 4) ? raiseError(c, GP, 0) : true;
}

function putTsc(c: Vcpu): void {
  const t = tsc(c);
  c.set_gpr(0, t & 0xffffffff);
  c.set_gpr(2, t >> 32);
}

export function rdtsc(c: Vcpu, u: usize): bool {
  if (!tscAllowed(c)) return false;
  putTsc(c);
  return true;
}

export function rdtscp(c: Vcpu, u: usize): bool {
  if (!tscAllowed(c)) return false;
  putTsc(c);
  c.set_gpr(1, c.tscAux & 0xffffffff);
  return true;
}

/** RDPMC: there are no counters. */
export function rdpmc(c: Vcpu, u: usize): bool { return raiseError(c, GP, 0); }

export function rdpid(c: Vcpu, u: usize): bool {
  putReg(c, uD(u), c.mode & MODE_CODE64 ? 3 : 2, c.tscAux);
  return true;
}

function baseAllowed(c: Vcpu): bool {
  return (c.mode & MODE_CODE64) && (c.cr4 & (1 << 16)) ? true : raise(c, UD);
}

function readBase(c: Vcpu, u: usize, s: u32): bool {
  if (!baseAllowed(c)) return false;
  putReg(c, uD(u), uSize(u), segBase(c, s));
  return true;
}
function writeBase(c: Vcpu, u: usize, s: u32): bool {
  if (!baseAllowed(c)) return false;
  const v = getReg(c, uD(u), uSize(u));
  // By the width that is translated now, unlike what WRMSR takes: recorded on a CPU that has LA57 off.
  if (!canonical(c, v)) return raiseError(c, GP, 0);
  setSegBase(c, s, v);
  return true;
}
export function rdfsbase(c: Vcpu, u: usize): bool { return readBase(c, u, SEG_FS); }
export function rdgsbase(c: Vcpu, u: usize): bool { return readBase(c, u, SEG_GS); }
export function wrfsbase(c: Vcpu, u: usize): bool { return writeBase(c, u, SEG_FS); }
export function wrgsbase(c: Vcpu, u: usize): bool { return writeBase(c, u, SEG_GS); }
