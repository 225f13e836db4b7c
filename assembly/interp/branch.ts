/** Where branches go: checking targets, linking blocks of one page, and everything else through the jump cache. */
import { Vcpu, MODE_CODE64, MODE_FLATCS, SEG_CS, STATUS_RESUME } from "../gen/layout";
import { raiseError, GP } from "../exception";
import { segLimit } from "../mem/segment";
import { enter, linearRip, lookupInPage, ripMask } from "../decode/block";
import { uSize } from "../decode/uop";
import { canonical } from "../mem/linear";

/** RIP after the instruction of a `br` row. */
export function nextRip(c: Vcpu, u: usize): u64 {
  return (c.ripPage + <u64>load<u16>(u, 2)) & ripMask(c);
}

/** Target of a relative branch: the operand size truncates it outside 64-bit mode (SDM vol. 2, JMP). */
export function relativeTarget(c: Vcpu, u: usize): u64 {
  const rip = c.ripPage + load<u64>(u, 16);
  if (c.mode & MODE_CODE64) return rip;
  return uSize(u) == 1 ? rip & 0xffff : rip & 0xffffffff;
}

/** False with #GP(0) recorded if `rip` is outside the code segment or not canonical. */
export function checkRip(c: Vcpu, rip: u64): bool {
  if (c.mode & MODE_CODE64) {
    if (canonical(c, rip)) return true;
  } else if (rip <= <u64>segLimit(c, SEG_CS)) return true;
  return raiseError(c, GP, 0);
}

export function checkTarget(c: Vcpu, u: usize): bool {
  return checkRip(c, relativeTarget(c, u));
}

/** Goes to `rip`, already checked. */
export function jumpRip(c: Vcpu, rip: u64): usize {
  c.rip = rip;
  return enter(c);
}

/** A relative branch that is not linked yet: links it if the target is in its own page. */
export function link(c: Vcpu, u: usize): usize {
  const rip = relativeTarget(c, u), delta = load<u64>(u, 16);
  if (!checkRip(c, rip)) return 0;
  return linkAt(c, u, 28, rip, delta);
}

/** The fall-through of a conditional branch. */
export function linkNext(c: Vcpu, u: usize): usize {
  return linkAt(c, u, 12, nextRip(c, u), load<u16>(u, 2));
}

function linkAt(c: Vcpu, u: usize, field: usize, rip: u64, delta: u64): usize {
  c.rip = rip;
  if (c.stepping) {
    c.status = STATUS_RESUME;
    return 0;
  }
  if (delta < 4096 && rip == c.ripPage + delta && c.mode & MODE_FLATCS) {
    const page: usize = <usize>load<u32>(u, 6) << 12;
    const block = lookupInPage(c, page, <u32>delta, linearRip(c, rip));
    if (block) {
      store<u32>(u + field, <u32>block);
      return block;
    }
  }
  return enter(c);
}
