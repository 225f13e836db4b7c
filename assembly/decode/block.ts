/**
 * Blocks of micro-ops: found by where their bytes lie in backing memory and by mode, so that they survive changes of
 * CR3 and serve every alias. A block never crosses a page; an instruction that does is a block of its own, which
 * checks its second page each time (STRADDLE).
 *
 * A block is 32 bytes of record and then its micro-ops, the first of which is HEAD; a block's address is its HEAD:
 *
 *     -32 host address u32   -28 mode u32   -24 next in hash chain u32   -20 end of micro-ops u32
 *
 * HEAD: disp = instructions in the block, off = offset in the page. Where regions are compiled, a block begins with COLD
 * instead, which has in imm how often it must still run until it is worth compiling. A relative branch remembers its host page number
 * at +6, so that it can be linked within the page. Links never leave a page. A dropped block's HEAD becomes a NEXT to
 * itself, so that a link to it finds its successor.
 */
import {
  Vcpu, AREA_TLB_EXEC, AREA_JUMP, AREA_SCRATCH, JUMP_ENTRIES, MODE_CODE32, MODE_BITS, MODE_CODE64, MODE_FLATCS, SEG_CS, STATUS_RESUME,
  UOP_SIZE, STAT_BLOCKS_BUILT, STAT_LOOKUPS, STAT_JUMP_MISSES, STAT_TLB_FILLS_EXEC,
} from "../gen/layout";
import {
  OP_COLD, OP_HEAD, OP_STOP, OP_NEXT, OP_NEXTEV, OP_GO, OP_GOEV, OP_STRADDLE, ATTR_BR, ATTR_END, ATTR_EV,
} from "../gen/decode";
import { GP, raiseError } from "../exception";
import { noteCode } from "../mem/pageword";
import { hostRead } from "../mem/phys";
import { segBase, segLimit } from "../mem/segment";
import { noteEntered, tlbEntry, tlbFill, tlbReuse } from "../mem/tlb";
import { ARMED_CODE, ON_FETCH, pageArmed } from "../mem/watch";
import { walk, walkPage, NO_GPA, ACCESS_FETCH, ACCESS_QUIET, ACCESS_USER } from "../mem/walk";
import { bump } from "../stat";
import { addToPage, allocate, arenaAt, arenaRoom, blockBucket, resetArena } from "./pages";
import { attributes, decode, length, relative, tooLong } from "./decode";
import { canonical, nearCanonicalEnd } from "../mem/linear";

/** Most instructions in a block, and room for one in the arena. */
export const MAX_INSTRUCTIONS: u32 = 64;
const MAX_BYTES: usize = 32 + (MAX_INSTRUCTIONS + 2) * 3 * 32 + 256;

/** Bits of RIP that the mode has. */
@inline export function ripMask(c: Vcpu): u64 {
  return c.mode & MODE_CODE64 ? ~0 : c.mode & MODE_CODE32 ? 0xffffffff : 0xffff;
}

/** Linear address of an instruction pointer. */
@inline export function linearRip(c: Vcpu, rip: u64): u64 {
  return c.mode & MODE_CODE64 ? rip : (rip + segBase(c, SEG_CS)) & 0xffffffff;
}

/** Shifts of the hash below, which assembly/jit/chain.ts emits, too. */
export const JUMP_FOLD: u32 = 13;
export const JUMP_CONTEXT: u32 = 5;
/** Place in the jump cache. Each context has its own, so that switches keep them. */
@inline function jumpEntry(c: Vcpu, linear: u64): usize {
  const low = <u32>linear, hash = low ^ (low >> JUMP_FOLD) ^ (c.codeCtx >> <u32>MODE_BITS << JUMP_CONTEXT);
  return changetype<usize>(c) + AREA_JUMP + (hash & <u32>(JUMP_ENTRIES - 1)) * 16;
}

/**
 * The block at c.rip through the jump cache, or 0 with RESUME: the outer loop then comes back through enterSlow,
 * which may fault.
 */
export function enter(c: Vcpu): usize {
  const rip = c.rip, linear = linearRip(c, rip);
  let e = jumpEntry(c, linear);
  if (load<u64>(e) == linear && load<u32>(e, 8) == c.codeCtx) {
    c.ripPage = rip - (linear & 0xfff);
    return load<u32>(e, 12);
  }
  c.status = STATUS_RESUME;
  if (c.stepping || c.armed & ARMED_CODE && pageArmed(c, ON_FETCH, linear)) return 0;
  bump(c, STAT_JUMP_MISSES);
  const host = fetchHost(c, linear, false);
  if (!host || !(c.mode & MODE_FLATCS)) return 0;
  const block = lookup(c, host, linear, false);
  if (!block) return 0;
  c.ripPage = rip - (linear & 0xfff);
  // Regions may not be entered there, and the jump cache is how one goes on to another.
  if (c.mode & MODE_CODE64 && nearCanonicalEnd(linear)) return block;
  noteEntered(c, linear);
  e = jumpEntry(c, linear);
  store<u64>(e, linear);
  store<u32>(e, c.codeCtx, 8);
  store<u32>(e, <u32>block, 12);
  return block;
}

/** Host address of the code byte at `linear`, or 0; with `fault` a page fault is then recorded. */
export function fetchHost(c: Vcpu, linear: u64, fault: bool): usize {
  const e = tlbEntry(changetype<usize>(c) + AREA_TLB_EXEC, linear);
  if (load<u64>(e) == ((linear & ~0xfff) | c.ctx)) return <usize><u32>(<u32>linear + load<u32>(e, 8));
  const known = tlbReuse(c, AREA_TLB_EXEC, linear, 1);
  if (known) return known;
  const gpa = walk(c, linear, ACCESS_FETCH | (c.cpl == 3 ? ACCESS_USER : 0) | (fault ? 0 : ACCESS_QUIET));
  if (gpa == NO_GPA) return 0;
  const host = hostRead(gpa);
  if (host) {
    bump(c, STAT_TLB_FILLS_EXEC);
    tlbFill(c, AREA_TLB_EXEC, linear, host & ~0xfff, walkPage);
  }
  return host;
}

/**
 * Finds or builds the block at a host address for the current mode. 0: it cannot be built without a fault (recorded if
 * `fault`).
 */
function lookup(c: Vcpu, host: usize, linear: u64, fault: bool): usize {
  bump(c, STAT_LOOKUPS);
  const b = findBlock(c, host);
  if (b) return b;
  if (!arenaRoom(c, MAX_BYTES)) resetArena(c);
  return build(c, host, blockBucket(c, host, c.mode), linear, fault);
}

/** The block at a host address for the current mode, if it has been built. */
export function findBlock(c: Vcpu, host: usize): usize {
  const mode = c.mode;
  for (let b: usize = load<u32>(blockBucket(c, host, mode)); b; b = load<u32>(b - 24)) {
    if (load<u32>(b - 32) == <u32>host && load<u32>(b - 28) == mode) return b;
  }
  return 0;
}

/** The block `off` bytes into a host page, for a link within the page; 0 if it takes more than a look. */
export function lookupInPage(c: Vcpu, hostPage: usize, off: u32, linear: u64): usize {
  // Building may empty the arena, and with it the micro-op that wants to be linked.
  if (!arenaRoom(c, MAX_BYTES)) return 0;
  return lookup(c, hostPage + off, linear, false);
}

/**
 * The block at c.rip for the outer loop: checks limit and canonical form, takes page faults. 0 = fault recorded. The
 * result may be a one-instruction block in the scratch area.
 */
export function enterSlow(c: Vcpu): usize {
  const rip = c.rip;
  c.status = STATUS_RESUME;
  if (c.mode & MODE_CODE64) {
    if (!canonical(c, rip)) { raiseError(c, GP, 0); return 0; }
  } else if (rip > <u64>segLimit(c, SEG_CS)) {
    raiseError(c, GP, 0);
    return 0;
  }
  const linear = linearRip(c, rip);
  // A page with a breakpoint is executed one instruction at a time.
  if (c.armed & ARMED_CODE && pageArmed(c, ON_FETCH, linear)) return single(c);
  c.ripPage = rip - (linear & 0xfff);
  const host = fetchHost(c, linear, true);
  if (!host || !(c.mode & MODE_FLATCS)) return c.status == STATUS_RESUME ? single(c) : 0;
  return lookup(c, host, linear, true);
}

let bytesFrom: usize = 0;
let bytesTo: usize = 0;
/** Host page of the second part of an instruction that straddles pages, 0 if it cannot be fetched. */
let secondPage: usize = 0;

@inline function secondLinear(c: Vcpu, linear: u64): u64 {
  const next = (linear & ~0xfff) + 4096;
  return c.mode & MODE_CODE64 ? next : next & 0xffffffff;
}

/** Gathers up to 15 code bytes at `linear` in the scratch area. False = a page fault is recorded for the first byte. */
function gather(c: Vcpu, linear: u64): bool {
  const buffer = changetype<usize>(c) + AREA_SCRATCH + 0x800;
  const first = min<usize>(15, 4096 - (<usize>linear & 0xfff));
  const host = fetchHost(c, linear, true);
  // Nothing answers a fetch from a hole: the bus floats high, and FF FF is an undefined opcode.
  if (!host) {
    if (c.status != STATUS_RESUME) return false;
    memory.fill(buffer, 0xff, 15);
    bytesFrom = buffer;
    bytesTo = buffer + 15;
    return true;
  }
  memory.copy(buffer, host, first);
  bytesFrom = buffer;
  bytesTo = buffer + first;
  secondPage = 0;
  if (first < 15) {
    secondPage = fetchHost(c, secondLinear(c, linear), false);
    if (secondPage) {
      noteCode(c, secondPage);
      memory.copy(buffer + first, secondPage, 15 - first);
      bytesTo = buffer + 15;
    }
  }
  return true;
}

/** Decodes at the end of a page, where the bytes may go on in the next one. 0 = fault recorded if `fault`. */
function decodeAcross(c: Vcpu, linear: u64, off: u32, u: usize, fault: bool): usize {
  if (!gather(c, linear)) return 0;
  const done = decode(c, bytesFrom, bytesTo, off, u);
  if (done) return done;
  // 15 bytes were there and did not suffice: longer than an instruction may be.
  if (bytesTo - bytesFrom >= 15) return tooLong(u, off);
  if (fault) fetchHost(c, secondLinear(c, linear), true);
  return 0;
}

function endOp(u: usize, op: u32, off: u32, nextOff: u32): usize {
  memory.fill(u, 0, UOP_SIZE);
  store<u16>(u, <u16>op);
  store<u16>(u, <u16>nextOff, 2);
  store<u16>(u, <u16>off, 24);
  return u + UOP_SIZE;
}

/** The micro-op after a block's last instruction, by that row's attributes. */
function closing(u: usize, attr: u32, off: u32, nextOff: u32): usize {
  if (attr & ATTR_BR) return endOp(u, attr & ATTR_EV ? OP_GOEV : OP_GO, off, nextOff);
  return endOp(u, attr & ATTR_EV ? OP_NEXTEV : OP_NEXT, off, nextOff);
}

function build(c: Vcpu, host: usize, bucket: usize, linear: u64, fault: bool): usize {
  const start = <u32>host & 0xfff, page = host & ~0xfff;
  // Before the first byte is read: whoever overwrites the page now either sees the bit or is seen.
  noteCode(c, page);
  const head = arenaAt() + 32;
  let u = endOp(head, OP_HEAD, start, 0), off = start, n: u32 = 0, second: usize = 0;
  while (true) {
    let from = u;
    u = decode(c, page + off, page + 4096, off, from);
    if (!u) {
      // The bytes run out at the end of the page: an instruction that goes on in the next one stands alone.
      if (n) { u = endOp(from, OP_NEXT, off, off); break; }
      from = endOp(from, OP_STRADDLE, off, 0);
      u = decodeAcross(c, linear, off, from, fault);
      if (!u) return 0;
      second = secondPage;
      store<u32>(from - UOP_SIZE, <u32>second, 16);
      from -= UOP_SIZE;
    }
    for (let i = from; i < u; i += UOP_SIZE) store<u16>(i, <u16>n, 26);
    n++;
    off += length;
    if (attributes & (ATTR_BR | ATTR_END | ATTR_EV)) {
      if (relative) store<u32>(u - UOP_SIZE, <u32>(page >> 12), 6);
      u = closing(u, attributes, off - length, off);
      break;
    }
    if (n == MAX_INSTRUCTIONS || off >= 4096) { u = endOp(u, OP_NEXT, off - length, off); break; }
  }
  bump(c, STAT_BLOCKS_BUILT);
  store<u32>(head, n, 12);
  if (c.heat) {
    store<u16>(head, <u16>OP_COLD);
    store<u32>(head, c.heat, 16);
  }
  // The last micro-op closes the block and belongs to no instruction.
  for (let i = head + UOP_SIZE; i < u - UOP_SIZE; i += UOP_SIZE) store<u16>(i, <u16>(n - load<u16>(i, 26)), 26);
  store<u32>(head - 32, <u32>host);
  store<u32>(head - 28, c.mode);
  store<u32>(head - 24, load<u32>(bucket));
  store<u32>(head - 20, <u32>u);
  store<u32>(bucket, <u32>head);
  allocate(u - head + 32);
  addToPage(c, page, start, min<u32>(off, 4096), head);
  if (second) addToPage(c, second & ~0xfff, 0, off - 4096, head);
  return head;
}

/**
 * One instruction at c.rip in the scratch area, outside the block cache and not linked to anything; returns its
 * micro-ops without HEAD, or 0 with a fault recorded. c.stepping must be set while it runs.
 */
export function single(c: Vcpu): usize {
  const linear = linearRip(c, c.rip), off = <u32>linear & 0xfff;
  c.ripPage = c.rip - off;
  c.status = STATUS_RESUME;
  const u = changetype<usize>(c) + AREA_SCRATCH;
  const to = decodeAcross(c, linear, off, u, true);
  if (!to) return 0;
  if (!(c.mode & (MODE_FLATCS | MODE_CODE64)) && c.rip + length - 1 > <u64>segLimit(c, SEG_CS)) {
    raiseError(c, GP, 0);
    return 0;
  }
  for (let i = u; i < to; i += UOP_SIZE) store<u16>(i, 1, 26);
  endOp(to, attributes & ATTR_BR ? OP_GO : OP_STOP, off, off + length);
  return u;
}
