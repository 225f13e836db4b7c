/** SYSCALL, SYSRET, SYSENTER, SYSEXIT and SWAPGS (SDM vol. 2 under each). Their segments are fixed, nothing is read. */
import {
  Vcpu, MODE_CODE64, MODE_LONG, MODE_PROTECTED, SEG_CS, SEG_GS, SEG_SS,
} from "../gen/layout";
import { raise, raiseError, GP, UD } from "../exception";
import { uSize } from "../decode/uop";
import { nextRip } from "../interp/branch";
import { segBase, setSeg, setSegBase } from "../mem/segment";
import { getRflags } from "../sem/flags";
import { writeRflags } from "./iret";
import { DR6_BS } from "./debug";
import { isAmd } from "./model";
import { EFER_SCE, IF, lookUp, RF, TF, updateMode, VM } from "./mode";
import { canonical } from "../mem/linear";

/** Access rights of the flat segments: G, P, S, accessed; code is L or D, data B. */
const CODE64: u32 = 0xa09b;
const CODE32: u32 = 0xc09b;
const DATA: u32 = 0xc093;


function setFlat(c: Vcpu, cs: u32, code: u32, ss: u32, cpl: u32): void {
  setSeg(c, SEG_CS, (cs & 0xfffc) | cpl, 0, 0xffffffff, code | (cpl << 5));
  setSeg(c, SEG_SS, (ss & 0xfffc) | cpl, 0, 0xffffffff, DATA | (cpl << 5));
  c.cpl = cpl;
}

/**
 * Whether there is SYSCALL and SYSRET: Intel CPUs know them only in 64-bit mode, AMD's in all of IA-32e mode. (AMD's legacy
 * SYSCALL, outside IA-32e mode, is not there: #UD.)
 */
function known(c: Vcpu): bool {
  const there = c.mode & MODE_CODE64 || c.mode & MODE_LONG && c.mode & MODE_PROTECTED && isAmd(c);
  return there && c.efer & EFER_SCE ? true : raise(c, UD);
}

/** Their single-step trap is TF's as they leave it. */
export function syscall(c: Vcpu, u: usize): bool {
  if (!known(c)) return false;
  const flags = getRflags(c), cs = <u32>(c.star >> 32) & 0xffff;
  c.set_gpr(1, nextRip(c, u));
  c.set_gpr(11, flags);
  // Compatibility mode, on AMD's, has an entry of its own.
  c.rip = c.mode & MODE_CODE64 ? c.lstar : c.cstar;
  writeRflags(c, flags & ~c.sfmask & ~RF, ~0);
  c.single &= <u32>c.rflags;
  setFlat(c, cs, CODE64, cs + 8, 0);
  updateMode(c);
  return true;
}

export function sysret(c: Vcpu, u: usize): bool {
  if (!known(c)) return false;
  if (c.cpl) return raiseError(c, GP, 0);
  const wide = uSize(u) == 3 && (c.mode & MODE_CODE64) != 0, rip = c.gprAt(1), cs = <u32>(c.star >> 48);
  if (wide && !canonical(c, rip)) return raiseError(c, GP, 0);
  writeRflags(c, c.gprAt(11) & 0x3c7fd7, ~0);
  c.rip = wide ? rip : rip & 0xffffffff;
  setFlat(c, wide ? cs + 16 : cs, wide ? CODE64 : CODE32, cs + 8, 3);
  c.single = 0;
  if (c.rflags & TF) c.debug |= DR6_BS;
  updateMode(c);
  lookUp(c);
  return true;
}

export function sysenter(c: Vcpu, u: usize): bool {
  if (isAmd(c) && c.mode & MODE_LONG) return raise(c, UD);
  const cs = <u32>c.sysenterCs & 0xfffc;
  if (!(c.mode & MODE_PROTECTED) || cs == 0) return raiseError(c, GP, 0);
  const long = (c.mode & MODE_LONG) != 0;
  c.rflags &= ~(VM | IF | RF);
  c.set_gpr(4, long ? c.sysenterEsp : c.sysenterEsp & 0xffffffff);
  c.rip = long ? c.sysenterEip : c.sysenterEip & 0xffffffff;
  setFlat(c, cs, long ? CODE64 : CODE32, cs + 8, 0);
  updateMode(c);
  return true;
}

export function sysexit(c: Vcpu, u: usize): bool {
  if (isAmd(c) && c.mode & MODE_LONG) return raise(c, UD);
  const cs = <u32>c.sysenterCs & 0xfffc;
  if (!(c.mode & MODE_PROTECTED) || cs == 0 || c.cpl) return raiseError(c, GP, 0);
  const wide = uSize(u) == 3 && (c.mode & MODE_CODE64) != 0, rip = c.gprAt(2), rsp = c.gprAt(1);
  if (wide && (!canonical(c, rip) || !canonical(c, rsp))) return raiseError(c, GP, 0);
  c.rip = wide ? rip : rip & 0xffffffff;
  c.set_gpr(4, wide ? rsp : rsp & 0xffffffff);
  setFlat(c, wide ? cs + 32 : cs + 16, wide ? CODE64 : CODE32, wide ? cs + 40 : cs + 24, 3);
  updateMode(c);
  return true;
}

export function swapgs(c: Vcpu, u: usize): bool {
  if (!(c.mode & MODE_CODE64)) return raise(c, UD);
  if (c.cpl) return raiseError(c, GP, 0);
  const base = segBase(c, SEG_GS);
  setSegBase(c, SEG_GS, c.kernelGsBase);
  c.kernelGsBase = base;
  return true;
}
