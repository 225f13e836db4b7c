/**
 * Which blocks came from which page of backing memory. A record for each page that holds code, in the arena:
 *
 *      0 host page u32     4 next record u32     8 lines u64 (bit i: bytes 64i..64i+63 are code)
 *     16 first list node u32 {block u32, next u32, first byte in the page u32, byte after the last u32}
 *     20 first list node u32 {region record u32, next u32}: compiled regions with code of the page (assembly/jit/tier.ts)
 *
 * A write drops the blocks of which it has hit bytes, and then the page's regions: real-mode programs keep their variables
 * beside their code. Lines only say quickly that there is nothing to look for.
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
  store<u64>(r, load<u64>(r, 8) | linesOf(from, to), 8);
  const node = allocate(16);
  store<u32>(node, <u32>block);
  store<u32>(node, load<u32>(r, 16), 4);
  store<u32>(node, from, 8);
  store<u32>(node, to, 12);
  store<u32>(r, <u32>node, 16);
}

/** Bits of the lines that bytes [from, to) of a page are in. */
function linesOf(from: u32, to: u32): u64 {
  return (<u64>2 << ((to - 1) >> 6)) - (<u64>1 << (from >> 6));
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

/** The record of a page that has code in the lines of [host, host + size), or 0. */
function pageWithCode(c: Vcpu, host: usize, size: u32): usize {
  const r = findPage(c, host & ~0xfff);
  // No blocks: the bit is left over from an emptied arena, or from code that could not be decoded to its end.
  if (!r || !load<u64>(r, 8)) {
    forgetCode(c, host);
    return 0;
  }
  const from = <u32>host & 0xfff;
  return load<u64>(r, 8) & linesOf(from, from + size) ? r : 0;
}

/** Whether a block of this vCPU has been made of bytes of [host, host + size), which lie in one page. */
export function codeAt(c: Vcpu, host: usize, size: u32): bool {
  const r = pageWithCode(c, host, size);
  if (!r) return false;
  const from = <u32>host & 0xfff, to = from + size;
  for (let node: usize = load<u32>(r, 16); node; node = load<u32>(node, 4)) {
    if (load<u32>(node, 8) < to && from < load<u32>(node, 12)) return true;
  }
  return false;
}

/** Bytes [host, host + size) of one page were written: drops the blocks of which they are, and the page's regions. */
export function dropBytes(c: Vcpu, host: usize, size: u32): void {
  const r = pageWithCode(c, host, size);
  if (!r) return;
  const from = <u32>host & 0xfff, to = from + size;
  let lines: u64 = 0, dropped = false, link = r + 16;
  for (let node: usize = load<u32>(link); node; node = load<u32>(link)) {
    if (load<u32>(node, 8) < to && from < load<u32>(node, 12)) {
      dropBlock(c, load<u32>(node));
      dropped = true;
      store<u32>(link, load<u32>(node, 4));
    } else {
      lines |= linesOf(load<u32>(node, 8), load<u32>(node, 12));
      link = node + 4;
    }
  }
  if (!dropped) return;
  for (let node: usize = load<u32>(r, 20); node; node = load<u32>(node, 4)) unhookRegion(c, load<u32>(node));
  store<u32>(r, 0, 20);
  store<u64>(r, lines, 8);
  if (!lines) forgetCode(c, host);
  newCodeGeneration(c);
}

/** Takes a block out of its hash chain, unless it was dropped with its other page; links to it are sent on. */
function dropBlock(c: Vcpu, head: usize): void {
  const host: usize = load<u32>(head - 32);
  if (!host) return;
  let link = blockBucket(c, host, load<u32>(head - 28));
  while (load<u32>(link) != <u32>head) link = load<u32>(link) - 24;
  store<u32>(link, load<u32>(head - 24));
  store<u32>(head - 32, 0);
  store<u16>(head, <u16>OP_NEXT);
  store<u16>(head, load<u16>(head, 24), 2);
  bump(c, STAT_BLOCKS_DROPPED);
}

/** Does what others have asked for: drops code that they have overwritten (src/vcpu/drop.ts), and write translations. */
export function takeDrops(c: Vcpu): void {
  serveUnwrites(c);
  const base = changetype<usize>(c);
  if (atomic.xchg<u32>(base + V_DROP_ALL, 0)) resetArena(c);
  for (let i: usize = 0; i < DROP_SLOTS; i++) {
    if (!load<u32>(base + (i << 2), V_DROP_PAGES)) continue;
    const entry = atomic.xchg<u32>(base + V_DROP_PAGES + (i << 2), 0), first = entry >> 6 & 63, last = entry & 63;
    dropBytes(c, <usize>(entry & 0xfffff000) + <usize>(first << 6), (last - first + 1) << 6);
  }
}
