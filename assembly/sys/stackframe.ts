/** Stack instructions beyond PUSH and POP of a register: PUSHA, POPA, ENTER, LEAVE, POP to memory. */
import { Vcpu, MODE_CODE64, STATUS_FAULT, V_EA, V_GPR, UOP_SIZE } from "../gen/layout";
import { uD, uImm, uSize } from "../decode/uop";
import { probeWrite, rdz, value } from "../mem/access";
import { stackLinear, stackMask } from "../mem/stack";
import { beginStaging, endStaging, keepStaged } from "../mem/stage";
import { READ, WRITE } from "../sem/kinds";
import { frameHere, framePush, frameSp, moveSp, popped, stackRead } from "./frame";
import { getGpr, putGpr, putReg, writePiece } from "./operand";

export function pusha(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  frameHere(c);
  for (let r: usize = 0; r < 8; r++) if (!framePush(c, z, getGpr(c, r, z))) return false;
  c.set_gpr(4, frameSp());
  return true;
}

export function popa(c: Vcpu, u: usize): bool {
  const z = uSize(u);
  // Registers change as they are read, as in Intel CPUs; a fault leaves SP, so that all is read again. SP's slot is read, too.
  for (let i: usize = 0; i < 8; i++) {
    if (!stackRead(c, <u64>i << z, z)) return false;
    if (i == 3) continue;
    putGpr(c, 7 - i, z, popped);
  }
  moveSp(c, <u64>8 << z);
  return true;
}

/** ENTER. What it has pushed before a fault stays in memory, as on Intel's processors. */
export function enterFrame(c: Vcpu, u: usize): bool {
  // With nesting it reads pointers of the old frame, which may be what it pushes.
  if (level(u) > 1 && !beginStaging(c)) return false;
  const built = buildFrame(c, u);
  endStaging();
  if (built) return true;
  if (c.status == STATUS_FAULT) keepStaged(c);
  return false;
}

@inline function level(u: usize): u32 { return <u32>load<u8>(u, 12) & 31; }

/** imm = bytes of locals, the decoder's second immediate (in disp) = nesting level. */
function buildFrame(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u64>1 << z, levels = level(u), mask = stackMask(c);
  frameHere(c);
  if (!framePush(c, z, c.gprAt(5))) return false;
  const frame = frameSp();
  let bp = c.gprAt(5);
  for (let i: u32 = 1; i < levels; i++) {
    bp -= size;
    const linear = stackLinear(c, bp & mask, <u32>size, READ);
    if (linear == ~0 && !(c.mode & MODE_CODE64)) return false;
    c.stackFault = 1;
    if (!rdz(c, linear, z)) return false;
    if (!framePush(c, z, value)) return false;
  }
  if (levels && !framePush(c, z, frame)) return false;
  const after = frameSp(), sp = (after - (uImm(u) & 0xffff)) & mask;
  // Intel CPUs check that the new top of the stack can be written.
  const last = stackLinear(c, sp, <u32>size, WRITE);
  if (last == ~0 && !(c.mode & MODE_CODE64)) return false;
  c.stackFault = 1;
  if (!probeWrite(c, last, <u32>size)) return false;
  putGpr(c, 5, z, frame);
  c.set_gpr(4, (after & ~mask) | sp);
  return true;
}

export function leave(c: Vcpu, u: usize): bool {
  const z = uSize(u), mask = stackMask(c), sp = c.gprAt(5) & mask;
  const linear = stackLinear(c, sp, <u32>1 << z, READ);
  if (linear == ~0 && !(c.mode & MODE_CODE64)) return false;
  c.stackFault = 1;
  if (!rdz(c, linear, z)) return false;
  c.set_gpr(4, (c.gprAt(4) & ~mask) | ((sp + (<u64>1 << z)) & mask));
  putGpr(c, 5, z, value);
  return true;
}

/**
 * POP r/m: an address with RSP as base counts the pointer after the pop (SDM vol. 2, POP). The stack is read before
 * the operand's limit is checked.
 */
export function popE(c: Vcpu, u: usize): bool {
  const z = uSize(u), size = <u64>1 << z, rsp = c.gprAt(4), d = uD(u);
  if (!stackRead(c, 0, z)) return false;
  const v = popped;
  if (d) {
    moveSp(c, size);
    putReg(c, d, z, v);
    return true;
  }
  moveSp(c, size);
  // An address micro-op has worked with the old pointer.
  const moved = load<u16>(u, 6) == V_EA && load<u16>(u - UOP_SIZE, 6) == V_GPR + 32;
  if (writePiece(c, u, moved ? size : 0, z, v)) return true;
  c.set_gpr(4, rsp);
  return false;
}
