/**
 * Which blocks came from which page of backing memory. A record for each page that holds code, in the arena:
 *
 *      0 host page u32     4 next record u32     8 lines u64 (bit i: bytes 64i..64i+63 are code)
 *     16 first list node u32 {block u32, next u32}
 *     20 first list node u32 {region record u32, next u32}: compiled regions with code of the page (assembly/jit/tier.ts)
 *
 * A write to a line without code leaves the blocks alone; a write to one with code drops every block of the page.
 */
import {
  Vcpu, AREA_BLOCKS, AREA_ARENA, AREA_END, BLOCK_BUCKETS, STAT_BLOCKS_DROPPED, V_DROP_ALL, V_DROP_PAGES,
} from "../gen/layout";
import { forgetCode, serveUnwrites, unwriteOwn } from "../mem/pageword";
import { newCodeGeneration } from "../mem/tlb";
import { OP_COLD, OP_HEAD, OP_NEXT, OP_REGION } from "../gen/decode";
import { bump } from "../stat";

/** Bytes of the bucket array used for page records: the upper half; blocks use the lower half. */
const BUCKETS: usize = BLOCK_BUCKETS / 2;
const DROP_SLOTS: usize = 32;

@inline function pageBucket(c: Vcpu, hostPage: usize): usize {
  return changetype<usize>(c) + AREA_BLOCKS + (BUCKETS + ((hostPage >> 12) & (BUCKETS - 1))) * 4;
}

/** Head of the hash chain of the block that starts at `host` in mode `mode`. */
@inline export function blockBucket(c: Vcpu, host: usize, mode: u32): usize {
  const h = host ^ (host >> 15) ^ (<usize>mode * 0x9e37);
  return changetype<usize>(c) + AREA_BLOCKS + (h & (BUCKETS - 1)) * 4;
}

function findPage(c: Vcpu, hostPage: usize): usize {
  let r: usize = load<u32>(pageBucket(c, hostPage));
  while (r && load<u32>(r) != <u32>hostPage) r = load<u32>(r, 4);
  return r;
}

let arenaTop: usize = 0;

/** Empties the arena: every block is gone. Pages keep their code bit until something writes to them. */
export function resetArena(c: Vcpu): void {
  memory.fill(changetype<usize>(c) + AREA_BLOCKS, 0, BLOCK_BUCKETS * 4);
  arenaTop = changetype<usize>(c) + AREA_ARENA;
  c.arenaEpoch++;
  newCodeGeneration(c);
}

/** Room in the arena, 16-byte aligned. Callers have made sure of it with arenaRoom. */
export function allocate(size: usize): usize {
  const at = arenaTop;
  arenaTop += (size + 15) & ~15;
  return at;
}

@inline export function arenaAt(): usize { return arenaTop; }

export function arenaRoom(c: Vcpu, size: usize): bool {
  return arenaTop + size <= changetype<usize>(c) + AREA_END;
}

/** Notes that `block` has code in [from, to) of a backing page, whose code bit was set before its bytes were read. */
export function addToPage(c: Vcpu, hostPage: usize, from: u32, to: u32, block: usize): void {
  let r = findPage(c, hostPage);
  if (!r) {
    r = allocate(32);
    const head = pageBucket(c, hostPage);
    store<u32>(r, <u32>hostPage);
    store<u32>(r, load<u32>(head), 4);
    store<u64>(r, 0, 8);
    store<u32>(r, 0, 16);
    store<u32>(r, 0, 20);
    store<u32>(head, <u32>r);
  }
  if (!load<u64>(r, 8)) unwriteOwn(c, hostPage);
  let lines: u64 = 0;
  for (let line = from >> 6; line <= (to - 1) >> 6; line++) lines |= <u64>1 << line;
  store<u64>(r, load<u64>(r, 8) | lines, 8);
  const node = allocate(8);
  store<u32>(node, <u32>block);
  store<u32>(node, load<u32>(r, 16), 4);
  store<u32>(r, <u32>node, 16);
}

/** Notes that a region has code of a page, if it is one with blocks. */
export function addRegionToPage(c: Vcpu, hostPage: usize, region: usize): void {
  const r = findPage(c, hostPage);
  if (!r) return;
  const node = allocate(8);
  store<u32>(node, <u32>region);
  store<u32>(node, load<u32>(r, 20), 4);
  store<u32>(r, <u32>node, 20);
}

/** Table index of a region that must not be entered any more. */
export const REGION_DEAD: u32 = 0xffffffff;

/**
 * Takes a region's entries away from the interpreter: those blocks that still lead into it count their executions anew.
 */
export function unhookRegion(c: Vcpu, r: usize): void {
  const index = load<u32>(r);
  store<u32>(r, REGION_DEAD);
  for (let e = r + 12, end = e + (<usize>load<u32>(r, 8) << 3); e < end; e += 8) {
    const head: usize = load<u32>(e);
    if (load<u16>(head) != OP_REGION || load<u32>(head, 28) != index) continue;
    store<u16>(head, <u16>(c.heat ? OP_COLD : OP_HEAD));
    store<u32>(head, c.heat, 16);
  }
}

/** Bytes [host, host + size) of one page were written: drops the page's blocks if code was among them. */
export function dropLines(c: Vcpu, host: usize, size: u32): void {
  const r = findPage(c, host & ~0xfff);
  // No blocks: the bit is left over from an emptied arena, or from code that could not be decoded to its end.
  if (!r || !load<u64>(r, 8)) {
    forgetCode(c, host);
    return;
  }
  const from = <u32>host & 0xfff;
  let lines: u64 = 0;
  for (let line = from >> 6; line <= (from + size - 1) >> 6; line++) lines |= <u64>1 << line;
  if (load<u64>(r, 8) & lines) dropPage(c, r);
}

function dropPage(c: Vcpu, r: usize): void {
  for (let node: usize = load<u32>(r, 16); node; node = load<u32>(node, 4)) {
    // A dead block keeps its place in the hash chain under a key that nothing has; links to it are sent on.
    const head: usize = load<u32>(node);
    store<u32>(head - 32, 0xffffffff);
    store<u16>(head, <u16>OP_NEXT);
    store<u16>(head, load<u16>(head, 24), 2);
    bump(c, STAT_BLOCKS_DROPPED);
  }
  for (let node: usize = load<u32>(r, 20); node; node = load<u32>(node, 4)) unhookRegion(c, load<u32>(node));
  store<u32>(r, 0, 16);
  store<u32>(r, 0, 20);
  store<u64>(r, 0, 8);
  forgetCode(c, load<u32>(r));
  newCodeGeneration(c);
}

/** Does what others have asked for: drops code that they have overwritten (src/vcpu/drop.ts), and write translations. */
export function takeDrops(c: Vcpu): void {
  serveUnwrites(c);
  const base = changetype<usize>(c);
  if (atomic.xchg<u32>(base + V_DROP_ALL, 0)) resetArena(c);
  for (let i: usize = 0; i < DROP_SLOTS; i++) {
    if (!load<u32>(base + (i << 2), V_DROP_PAGES)) continue;
    const entry = atomic.xchg<u32>(base + V_DROP_PAGES + (i << 2), 0), first = entry >> 6 & 63, last = entry & 63;
    dropLines(c, <usize>(entry & 0xfffff000) + <usize>(first << 6), (last - first + 1) << 6);
  }
}
