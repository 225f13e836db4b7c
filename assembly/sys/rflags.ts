/**
 * Instructions that move or change RFLAGS (SDM vol. 2), with the privilege rules of IF and IOPL. Below the IOPL they need,
 * programs see VIF as their IF: in virtual-8086 mode with CR4.VME, in ring 3 with CR4.PVI (SDM vol. 3, 21.3 and 21.4).
 */
import { Vcpu, MODE_IOPL_OK, MODE_V86, V_GPR } from "../gen/layout";
import { raiseError, GP } from "../exception";
import { uSize } from "../decode/uop";
import { arithmeticFlags, getRflags, OF, setArithmeticFlags } from "../sem/flags";
import { frameHere, framePush, frameSp, moveSp, popped, stackRead } from "./frame";
import { writableFlags, writeRflags } from "./iret";
import { beginShadow, CR4_PVI, CR4_VME, DF, IF, IOPL, lookUp, RF, TF, updateMode, VIF, VIP, VM } from "./mode";

/** Virtual-8086 code below IOPL 3. */
@inline export function v86Below(c: Vcpu): bool { return (c.mode & (MODE_V86 | MODE_IOPL_OK)) == MODE_V86; }

/** Such code needs CR4.VME and 16-bit operands for PUSHF, POPF and IRET; else #GP(0). */
export function v86Extended(c: Vcpu, z: u32): bool {
  return (c.cr4 & CR4_VME) != 0 && z == 1 ? true : raiseError(c, GP, 0);
}

/** FLAGS as such code sees them: VIF for IF, IOPL 3. */
export function virtualFlags(c: Vcpu): u64 {
  const flags = getRflags(c);
  return (flags & ~IF) | IOPL | (flags & VIF ? IF : 0);
}

/** Loads FLAGS for such code. #GP(0) if that single-steps, or lets in an interrupt that the monitor holds (VIP). */
export function setVirtualFlags(c: Vcpu, image: u64): bool {
  if (image & TF || image & IF && c.rflags & VIP) return raiseError(c, GP, 0);
  writeRflags(c, (image & ~VIF) | (image & IF ? VIF : 0), (writableFlags(c, 1) & ~(IF | IOPL)) | VIF);
  return true;
}

/** Whether CLI and STI, where IOPL forbids them, change VIF. */
function virtualIf(c: Vcpu): bool {
  const bit = c.mode & MODE_V86 ? CR4_VME : c.cpl == 3 ? CR4_PVI : 0;
  return (c.cr4 & bit) != 0 ? true : raiseError(c, GP, 0);
}

export function pushf(c: Vcpu, u: usize): bool {
  const below = v86Below(c);
  if (below && !v86Extended(c, uSize(u))) return false;
  frameHere(c);
  if (!framePush(c, uSize(u), below ? virtualFlags(c) : getRflags(c) & ~(VM | RF))) return false;
  c.set_gpr(4, frameSp());
  return true;
}

export function popf(c: Vcpu, u: usize): bool {
  const z = uSize(u), below = v86Below(c);
  if (below && !v86Extended(c, z)) return false;
  if (!stackRead(c, 0, z)) return false;
  const image = popped;
  if (below) {
    if (!setVirtualFlags(c, image)) return false;
  } else writeRflags(c, image & ~RF, writableFlags(c, z));
  moveSp(c, <u64>1 << z);
  updateMode(c);
  lookUp(c);
  return true;
}

export function lahf(c: Vcpu, u: usize): bool {
  store<u8>(changetype<usize>(c) + V_GPR + 1, <u8>(arithmeticFlags(c) | 2));
  return true;
}

export function sahf(c: Vcpu, u: usize): bool {
  const low = <u64>load<u8>(changetype<usize>(c) + V_GPR + 1);
  setArithmeticFlags(c, (arithmeticFlags(c) & OF) | low & 0xd5);
  return true;
}

export function cld(c: Vcpu, u: usize): bool {
  c.rflags &= ~DF;
  return true;
}
export function std(c: Vcpu, u: usize): bool {
  c.rflags |= DF;
  return true;
}

export function cli(c: Vcpu, u: usize): bool {
  if (c.mode & MODE_IOPL_OK) c.rflags &= ~IF;
  else if (virtualIf(c)) c.rflags &= ~VIF;
  else return false;
  return true;
}

/** STI: interrupts wait for one more instruction, if they were off. */
export function sti(c: Vcpu, u: usize): bool {
  if (!(c.mode & MODE_IOPL_OK)) {
    if (!virtualIf(c)) return false;
    if (c.rflags & VIP) return raiseError(c, GP, 0);
    c.rflags |= VIF;
    return true;
  }
  if (c.rflags & IF) c.shadow = 0;
  else beginShadow(c, u, 1);
  c.rflags |= IF;
  lookUp(c);
  return true;
}
