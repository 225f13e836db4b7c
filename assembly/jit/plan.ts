/**
 * Which blocks make up a region, and in which order they are written.
 *
 * A region is made of the blocks that can be reached from its first one by direct branches; calls are followed and their
 * return sites belong to it. Blocks are known by their place: bytes from the start of the first one's page, in linear
 * addresses. Other pages may be mapped elsewhere when the region runs again, so whoever goes from page to page looks
 * whether the one meant is there (region.ts, guard). Blocks stand in reverse postorder. A backward edge makes its target
 * the header of a loop, which extends at least to the edge's source; loops that would overlap are extended until they
 * nest. Every block can then be written once, in order, inside Wasm's blocks and loops. What cannot be reached that way
 * (entries from outside into the middle, returns, irreducible edges) goes through a dispatch at the head of each loop
 * around the target: such targets are `marked`.
 *
 * A group is a loop, with all that is in it, that is small enough for registers and flags to be kept in locals.
 */
import { AREA_JIT, MODE_CODE64, UOP_SIZE, Vcpu } from "../gen/layout";
import { OP_COLD, OP_EASEG, OP_HEAD, OP_NEXT, OP_REGION } from "../gen/decode";
import { META, META_CALL, META_CONTROL, META_SEMANTIC, SEM_CALL, SEM_CALL_E, SEM_JCC, SEM_JMP } from "../gen/emit";
import { fetchHost, findBlock, linearRip, lookupInPage, MAX_INSTRUCTIONS as BLOCK_INSTRUCTIONS } from "../decode/block";
import { uOff, uSize } from "../decode/uop";
import { edgeAt, edges, onTrail } from "./trail";

const MAX_BLOCKS: u32 = 40;
/** Up to this heat regions are made of all code that can be reached: what has run says nothing yet. */
const EAGER: u32 = 2;
/**
 * What the host's optimising compiler spends grows faster than a function: with 1,024 instructions and 8 pages it needed
 * four times as long for a boot. The longest way from check to check must be well below the budget of a run, too.
 */
const MAX_INSTRUCTIONS: u32 = 320;
/** Instructions of a region at most: its last block may be as long as blocks get. */
export const LONGEST: i64 = MAX_INSTRUCTIONS + BLOCK_INSTRUCTIONS;
/** The same for what is compiled the first time: most of it is not hot enough for more, and regions go on to others. */
const FIRST_INSTRUCTIONS: u32 = 96;
/** Instructions of a group. */
const MAX_GROUP: u32 = 100;

@unmanaged export class Block {
  head: u32;
  /** Offset in the page. */
  off: u32;
  /** Place of its page, and that page's number among the region's. */
  delta: i32;
  page: u32;
  /** Instructions of the interpreter's block. */
  n: u32;
  /** The first micro-op that the region does not have. */
  cut: u32;
  /** Places of its successors, or NOWHERE: of a taken branch or a call, and the next one. */
  taken: i32;
  next: i32;
  /** Last block of the loop whose header this is, or 0xffffffff. */
  loopEnd: u32;
  /** Instructions that may run from here to the next check of the budget. */
  need: u32;
  /** Header of the group that it is in, or -1. */
  group: i32;
  /** Labels while the block's surroundings are written, -1: of the block's start for jumps from before, of its loop. */
  forward: i32;
  loop: i32;
  /** Label of the end of the group whose header this is. */
  leaving: u32;
  isReturn: bool;
  /** Ends in an indirect branch, which may go to any return site. */
  indirect: bool;
  /** Entered by the interpreter. */
  entry: bool;
  /** Reached through a dispatch. */
  marked: bool;
  /** How many marked blocks there are before the one after it, less 1: of a marked block, what leads to it in a dispatch. */
  number: u32;
  /** In postorder. */
  position: u32;
  /** Successors that the search has visited. */
  pending: u32;
}

export const NO_LOOP: u32 = 0xffffffff;
export const NOWHERE: i32 = i32.MIN_VALUE;
/** How far from its first page a region may go. */
const REACH: i64 = 1 << 30;
const MAX_PAGES: u32 = 6;
const BLOCK_SIZE: usize = 76;
const FOUND: usize = 0x40000;
const ORDERED: usize = 0x42000;
/** {delta i32, host page u32} of each page. */
const PAGES: usize = 0x44000;
/** For each page: index of the block + 1 by offset in the page; 0xff: it cannot be in the region. */
const INDEX: usize = 0x70000;
const STACK: usize = 0x45000;
const NOT_HERE: u8 = 0xff;

let area: usize = 0;
export let blocks: u32 = 0;
export let pages: u32 = 0;
let instructions: u32 = 0;
/** Take in blocks that have not run, too. */
let all: bool = false;
/** The region takes the place of others, for what the trail passes. */
let again: bool = false;
/** How many instructions are enough. */
let most: u32 = 0;

@inline function found(i: u32): Block { return changetype<Block>(area + FOUND + <usize>i * BLOCK_SIZE); }
@inline export function block(i: u32): Block { return changetype<Block>(area + ORDERED + <usize>i * BLOCK_SIZE); }

@inline function pageAt(i: u32): usize { return area + PAGES + (<usize>i << 3); }
@inline export function hostPageOf(i: u32): usize { return <usize>load<u32>(pageAt(i), 4); }

/** The number of the page at `delta`, or MAX_PAGES. */
function findPlace(delta: i32): u32 {
  for (let i: u32 = 0; i < pages; i++) if (load<i32>(pageAt(i)) == delta) return i;
  return MAX_PAGES;
}

/** Position of the block at a place, or -1. */
export function indexOf(place: i32): i32 {
  if (place == NOWHERE) return -1;
  const p = findPlace(place & ~0xfff);
  if (p == MAX_PAGES) return -1;
  const i = load<u8>(area + INDEX + (<usize>p << 12) + (place & 0xfff));
  return i == NOT_HERE ? -1 : <i32>i - 1;
}

/** Where a branch of block b with target `off` from its page's start goes. */
@inline export function placeFrom(b: Block, off: i64): i32 {
  const to = <i64>b.delta + off;
  return to < REACH && to > -REACH ? <i32>to : NOWHERE;
}

/** Whether the backend serves this micro-op. */
function supported(c: Vcpu, u: usize): bool {
  const op: u32 = load<u16>(u), wide = (c.mode & MODE_CODE64) != 0;
  if (op == OP_EASEG) return true;
  const meta = <i32>op < META.length ? unchecked(META[op]) : 0;
  if (meta & META_CALL) return true;
  if (!(meta & META_SEMANTIC)) return false;
  // A 16-bit operand size cuts the target of a relative branch.
  return !(meta & META_CONTROL) || wide || uSize(u) != 1;
}

/** Fills in a block's record; false if it has nothing for the region. */
function scan(c: Vcpu, head: usize, b: Block): bool {
  const end: usize = <usize>load<u32>(head - 20) - UOP_SIZE;
  let u = head + UOP_SIZE, start = u;
  for (; u < end; u += UOP_SIZE) {
    if (load<u16>(u, 24) != load<u16>(start, 24)) start = u;
    if (!supported(c, u)) break;
  }
  b.head = <u32>head; b.off = <u32>uOff(head); b.n = load<u32>(head, 12);
  b.taken = NOWHERE; b.next = NOWHERE; b.loopEnd = NO_LOOP; b.forward = -1; b.loop = -1;
  b.isReturn = false; b.indirect = false; b.entry = false; b.marked = false; b.pending = 0;
  b.cut = <u32>(u < end ? start : end);
  if (u < end) return start > head + UOP_SIZE;
  const last = end - UOP_SIZE, meta = unchecked(META[load<u16>(last)]);
  if (!(meta & META_CONTROL)) {
    if (load<u16>(end) == OP_NEXT) b.next = placeFrom(b, load<u16>(end, 2));
    return true;
  }
  const semantic = meta & META_SEMANTIC;
  if (semantic == SEM_JCC || semantic == SEM_JMP || semantic == SEM_CALL) {
    b.taken = placeFrom(b, <i64>load<u64>(last, 16));
  } else b.indirect = true;
  if (semantic != SEM_JMP && (!b.indirect || semantic == SEM_CALL_E)) b.next = placeFrom(b, load<u16>(last, 2));
  return true;
}

/**
 * Whether a block belongs into a region by how often it has run: half of what makes a block hot. Compiled code that
 * never runs costs as much as any other. `called`: a function that is compiled already stays where it is; taken into
 * every region that calls it, it was half of all that the host had to compile.
 */
function warm(c: Vcpu, head: usize, called: bool): bool {
  const op: u32 = load<u16>(head);
  if (again && (onTrail(c, head) || instructions > most / 2)) return onTrail(c, head);
  if (op == OP_COLD) return all || load<u32>(head, 16) <= c.heat >> 1;
  return op == OP_HEAD || (op == OP_REGION && (all || !called));
}

/** The number of the page at `delta`, which becomes one of the region's if it is mapped; MAX_PAGES: it is not. */
function takePage(c: Vcpu, delta: i32): u32 {
  const known = findPlace(delta);
  if (known != MAX_PAGES || pages == MAX_PAGES) return known;
  const host = fetchHost(c, linearRip(c, c.ripPage + <u64><i64>delta), false);
  if (!host) return MAX_PAGES;
  addPage(delta, host & ~0xfff);
  return pages - 1;
}

function addPage(delta: i32, host: usize): void {
  store<i32>(pageAt(pages), delta);
  store<u32>(pageAt(pages), <u32>host, 4);
  memory.fill(area + INDEX + (<usize>pages << 12), 0, 4096);
  pages++;
}

/** Index of the block at `place` among the found ones, finding it now if need be; -1: not in the region. `called`: see warm. */
function discover(c: Vcpu, place: i32, called: bool): i32 {
  if (place == NOWHERE) return -1;
  const delta = place & ~0xfff, p = takePage(c, delta);
  if (p == MAX_PAGES) return -1;
  const at = area + INDEX + (<usize>p << 12) + (place & 0xfff), known = load<u8>(at);
  if (known) return known == NOT_HERE ? -1 : <i32>known - 1;
  store<u8>(at, NOT_HERE);
  if (blocks == MAX_BLOCKS || instructions >= most) return -1;
  const host = hostPageOf(p), off = place & 0xfff, b = found(blocks);
  const head = all ? lookupInPage(c, host, off, linearRip(c, c.ripPage + <u64><i64>place)) : findBlock(c, host + off);
  b.delta = delta; b.page = p;
  if (!head || !warm(c, head, called) || !scan(c, head, b)) return -1;
  instructions += b.n;
  store<u8>(at, <u8>(blocks + 1));
  return blocks++;
}

/**
 * Collects the region that begins with the block at `head`. False: there is nothing to gain. c.ripPage is the page's.
 */
export function collect(c: Vcpu, head: usize): bool {
  again = load<u16>(head) == OP_REGION;
  all = c.heat <= EAGER;
  most = all || again ? MAX_INSTRUCTIONS : FIRST_INSTRUCTIONS;
  area = changetype<usize>(c) + AREA_JIT;
  cpu = c;
  blocks = 0;
  instructions = 0;
  pages = 0;
  addPage(0, load<u32>(head - 32) & ~0xfff);
  if (discover(c, <i32>uOff(head), false) < 0) return false;
  // Depth first; a block is done when both successors are. What is visited last stands right behind.
  let depth: u32 = 1, done: u32 = 0;
  const stack = area + STACK;
  store<u32>(stack, 0);
  while (depth) {
    const b = found(load<u32>(stack + ((depth - 1) << 2))), turn = b.pending++;
    if (turn == 2 + ways(c, b)) {
      b.position = done++;
      depth--;
      continue;
    }
    const last = unchecked(META[load<u16>(<usize>b.cut - UOP_SIZE)]) & META_SEMANTIC;
    const before = blocks, to = turn > 1 ? wayOf(c, b, turn - 2) : turn ? b.next : b.taken, i = discover(c, to, !turn && last == SEM_CALL);
    if (i >= 0 && turn == 1 && (last == SEM_CALL || last == SEM_CALL_E)) found(i).isReturn = true;
    if (blocks != before) store<u32>(stack + (depth++ << 2), i);
  }
  for (let i: u32 = 0; i < blocks; i++) {
    const b = found(i), at = blocks - 1 - b.position;
    memory.copy(changetype<usize>(block(at)), changetype<usize>(b), BLOCK_SIZE);
    store<u8>(area + INDEX + (<usize>b.page << 12) + b.off, <u8>(at + 1));
  }
  findLoops();
  findGroups();
  markTargets();
  findNeeds();
  return true;
}

/** How many places the trail has seen the indirect branch of a block go to. */
export function ways(c: Vcpu, b: Block): u32 {
  let n: u32 = 0;
  if (b.indirect) for (let i: u32 = 0; i < edges; i++) n += u32(load<u32>(edgeAt(c, i)) == b.head);
  return n;
}

/** One of them. */
export function wayOf(c: Vcpu, b: Block, which: u32): i32 {
  for (let i: u32 = 0; i < edges; i++) {
    const e = edgeAt(c, i);
    if (load<u32>(e) != b.head || which--) continue;
    const to = <i64>(load<u64>(e, 8) - c.ripPage);
    return to < REACH && to > -REACH ? <i32>to : NOWHERE;
  }
  return NOWHERE;
}

/**
 * Position of the block that a taken (0) or an untaken (1) branch goes to, or an indirect one by the trail (2 …); -1 if it
 * is not in the region.
 */
function edge(b: Block, which: u32): i32 {
  if (which > 1) return indexOf(wayOf(cpu, b, which - 2));
  // A call goes to its target only.
  return which == 1 && isCall(b) ? -1 : indexOf(which == 0 ? b.taken : b.next);
}
let cpu: Vcpu = changetype<Vcpu>(0);

export function isCall(b: Block): bool {
  const semantic = unchecked(META[load<u16>(<usize>b.cut - UOP_SIZE)]) & META_SEMANTIC;
  return semantic == SEM_CALL || semantic == SEM_CALL_E;
}

function backEdge(k: u32, t: i32): void {
  if (t < 0 || <u32>t > k) return;
  const h = block(t);
  if (h.loopEnd == NO_LOOP || h.loopEnd < k) h.loopEnd = k;
}

function findLoops(): void {
  for (let k: u32 = 0; k < blocks; k++) {
    const n: u32 = 2 + ways(cpu, block(k));
    for (let which: u32 = 0; which < n; which++) backEdge(k, edge(block(k), which));
  }
  // Two loops overlap: the outer one takes in all of the inner one.
  let changed = true;
  while (changed) {
    changed = false;
    for (let i: u32 = 0; i < blocks; i++) {
      const outer = block(i);
      if (outer.loopEnd == NO_LOOP) continue;
      for (let j = i + 1; j <= outer.loopEnd; j++) {
        const inner = block(j).loopEnd;
        if (inner != NO_LOOP && inner > outer.loopEnd) { outer.loopEnd = inner; changed = true; }
      }
    }
  }
}

/** Outermost loops first. */
function findGroups(): void {
  let k: u32 = 0;
  while (k < blocks) {
    const end = block(k).loopEnd;
    let size: u32 = 0;
    block(k).group = -1;
    if (end != NO_LOOP) for (let i = k; i <= end; i++) size += block(i).n;
    if (size == 0 || size > MAX_GROUP) { k++; continue; }
    const header = k;
    for (; k <= end; k++) block(k).group = header;
  }
}

/** Whether a jump from k to t needs no dispatch. */
function direct(k: u32, t: u32): bool {
  if (t <= k) {
    const end = block(t).loopEnd;
    return end != NO_LOOP && k <= end;
  }
  for (let h: u32 = 0; h < t; h++) {
    const end = block(h).loopEnd;
    if (end != NO_LOOP && end >= t && (k < h || k > end)) return false;
  }
  return true;
}

function markEdge(k: u32, t: i32): void {
  if (t >= 0 && !direct(k, t)) block(t).marked = true;
}

function markTargets(): void {
  for (let k: u32 = 0; k < blocks; k++) {
    const b = block(k);
    const n: u32 = 2 + ways(cpu, b);
    for (let which: u32 = 0; which < n; which++) markEdge(k, edge(b, which));
    if (b.indirect) for (let r: u32 = 0; r < blocks; r++) if (block(r).isReturn) markEdge(k, r);
    // The interpreter comes in at the start, at loops (after the budget is used up) and at return sites: in the first
    // page, whose address the region is told.
    if (k == 0 || (b.page == 0 && (b.loopEnd != NO_LOOP || b.isReturn))) { b.entry = true; b.marked = true; }
  }
  let number: u32 = 0;
  for (let k: u32 = 0; k < blocks; k++) {
    const b = block(k);
    // The first one is marked.
    if (k && b.marked) number++;
    b.number = number;
  }
}

@inline export function checks(b: Block): bool { return b.marked || b.loopEnd != NO_LOOP; }

function findNeeds(): void {
  for (let k: i32 = blocks - 1; k >= 0; k--) {
    const b = block(k);
    let most: u32 = 0;
    const n: u32 = 2 + ways(cpu, b);
    for (let which: u32 = 0; which < n; which++) {
      const t = edge(b, which);
      if (t > k && !checks(block(t)) && block(t).need > most) most = block(t).need;
    }
    if (b.indirect) {
      for (let r: u32 = k + 1; r < blocks; r++) {
        const site = block(r);
        if (site.isReturn && !checks(site) && site.need > most) most = site.need;
      }
    }
    b.need = b.n + most;
  }
}

/** Whether anything in (from, to] is a target of the dispatch. */
export function dispatches(from: u32, to: u32): bool {
  for (let i = from + 1; i <= to; i++) if (block(i).marked) return true;
  return false;
}
