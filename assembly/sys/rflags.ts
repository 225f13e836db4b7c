/** Instructions that move or change RFLAGS (SDM vol. 2), with the privilege rules of IF and IOPL. No VME or PVI. */
import { Vcpu, MODE_IOPL_OK, MODE_V86, V_GPR } from "../gen/layout";
import { raiseError, GP } from "../exception";
import { uSize } from "../decode/uop";
import { arithmeticFlags, getRflags, OF, setArithmeticFlags } from "../sem/flags";
import { frameHere, framePush, frameSp, moveSp, popped, stackRead } from "./frame";
import { writableFlags, writeRflags } from "./iret";
import { DF, IF, lookUp, RF, updateMode, VM } from "./mode";

/** Virtual-8086 code below IOPL 3 faults on what could touch IF. */
function v86Allowed(c: Vcpu): bool {
  return (c.mode & (MODE_V86 | MODE_IOPL_OK)) == MODE_V86 ? raiseError(c, GP, 0) : true;
}

export function pushf(c: Vcpu, u: usize): bool {
  if (!v86Allowed(c)) return false;
  frameHere(c);
  if (!framePush(c, uSize(u), getRflags(c) & ~(VM | RF))) return false;
  c.set_gpr(4, frameSp());
  return true;
}

export function popf(c: Vcpu, u: usize): bool {
  if (!v86Allowed(c)) return false;
  const z = uSize(u);
  if (!stackRead(c, 0, z)) return false;
  const image = popped;
  moveSp(c, <u64>1 << z);
  writeRflags(c, image & ~RF, writableFlags(c, z));
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
  if (!(c.mode & MODE_IOPL_OK)) return raiseError(c, GP, 0);
  c.rflags &= ~IF;
  return true;
}

/**
 * STI: interrupts wait for one more instruction, if they were off. The shadow is cleared when the outer loop next steps
 * an instruction in it, which may be later: an interrupt is then late by one instruction.
 */
export function sti(c: Vcpu, u: usize): bool {
  if (!(c.mode & MODE_IOPL_OK)) return raiseError(c, GP, 0);
  if (!(c.rflags & IF)) c.shadow = 1;
  c.rflags |= IF;
  lookUp(c);
  return true;
}
