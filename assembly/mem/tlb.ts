/**
 * The software TLB: three direct-mapped tables (read, write, execute) of 16-byte entries
 *
 *     0 tag u64   linear page | ctx        8 addend u32   host address = addend + (u32)linear address
 *                                         12 large u32    1 if it came from a page larger than 4 KiB
 *
 * ctx is {generation 10 bits, class 2 bits}, so that a flush is a new generation and a change of privilege a new
 * class; a cleared entry has generation 0, which is never used. Classes: 0 supervisor, 1 user, 2 supervisor that may
 * touch user pages in spite of SMAP, 3 user with alignment checks (never filled, so every access takes the slow path).
 */
import {
  Vcpu, AREA_TLB_READ, AREA_TLB_WRITE, AREA_TLB_EXEC, AREA_JUMP, AREA_LARGE, TLB_ENTRIES, JUMP_ENTRIES, STAT_FLUSHES,
  MODE_ALIGN,
} from "../gen/layout";
import { ON_FETCH, pageArmed } from "./watch";
import { bump } from "../stat";

export const CR4_SMAP: u64 = 1 << 21;
export const RFLAGS_AC: u64 = 1 << 18;

@inline export function tlbEntry(table: usize, linear: u64): usize {
  return table + (<usize>(linear >> 12) & (TLB_ENTRIES - 1)) * 16;
}

export function tlbFill(c: Vcpu, table: usize, linear: u64, hostPage: usize, large: bool): void {
  const ctx = c.ctx;
  if ((ctx & 3) == 3) return;
  // Breakpoints are looked for where the TLB misses; compiled code asks it for pages of code, too.
  if (c.armed && pageArmed(c, table == AREA_TLB_EXEC ? ON_FETCH : ~ON_FETCH, linear)) return;
  const e = tlbEntry(changetype<usize>(c) + table, linear);
  store<u64>(e, (linear & ~0xfff) | ctx);
  store<u32>(e, <u32>hostPage - (<u32>linear & ~0xfff), 8);
  store<u32>(e, u32(large), 12);
  if (large) {
    const h = <usize>(linear >> 21) & 1023;
    const p = changetype<usize>(c) + AREA_LARGE + (h >> 3);
    store<u8>(p, load<u8>(p) | <u8>(<u32>1 << <u32>(h & 7)));
  }
}

/** Recomputes class and code tag after a change of CPL, RFLAGS.AC, CR4.SMAP or mode. */
export function updateContext(c: Vcpu): void {
  let cls: u64 = 0;
  if (c.cpl == 3) cls = c.mode & MODE_ALIGN ? 3 : 1;
  else if ((c.cr4 & CR4_SMAP) && (c.rflags & RFLAGS_AC)) cls = 2;
  c.ctx = (c.ctx & ~3) | cls;
  c.codeCtx = (c.codeCtx & 0xffffe000) | c.mode;
}

/** Makes every jump cache entry stale. */
export function newCodeGeneration(c: Vcpu): void {
  const next = (c.codeCtx >> 13) + 1;
  if (next == 1 << 19) {
    memory.fill(changetype<usize>(c) + AREA_JUMP, 0, JUMP_ENTRIES * 16);
    c.codeCtx = (1 << 13) | c.mode;
  } else {
    c.codeCtx = (next << 13) | c.mode;
  }
}

/** Drops every translation, global ones included. */
export function flushAll(c: Vcpu): void {
  bump(c, STAT_FLUSHES);
  const next = (c.ctx >> 2) + 1;
  if (next == 1024) {
    memory.fill(changetype<usize>(c) + AREA_TLB_READ, 0, TLB_ENTRIES * 16);
    memory.fill(changetype<usize>(c) + AREA_TLB_WRITE, 0, TLB_ENTRIES * 16);
    memory.fill(changetype<usize>(c) + AREA_TLB_EXEC, 0, TLB_ENTRIES * 16);
    c.ctx = (1 << 2) | (c.ctx & 3);
  } else {
    c.ctx = (next << 2) | (c.ctx & 3);
  }
  memory.fill(changetype<usize>(c) + AREA_LARGE, 0, 128);
  newCodeGeneration(c);
}

/** INVLPG: drops the translations of one page, whatever its size was. */
export function flushPage(c: Vcpu, linear: u64): void {
  const h = <usize>(linear >> 21) & 1023;
  if (load<u8>(changetype<usize>(c) + AREA_LARGE + (h >> 3)) & (1 << (h & 7))) {
    flushAll(c);
    return;
  }
  const base = changetype<usize>(c);
  store<u64>(tlbEntry(base + AREA_TLB_READ, linear), 0);
  store<u64>(tlbEntry(base + AREA_TLB_WRITE, linear), 0);
  store<u64>(tlbEntry(base + AREA_TLB_EXEC, linear), 0);
  newCodeGeneration(c);
}

/** Drops this vCPU's write translations of one backing page, so that writes to it take the slow path. */
export function dropWriteEntries(c: Vcpu, hostPage: usize): void {
  const base = changetype<usize>(c) + AREA_TLB_WRITE;
  for (let e = base, end = base + TLB_ENTRIES * 16; e < end; e += 16) {
    const tag = load<u64>(e);
    // In 32 bits, as the addend was made: the sum wraps.
    const backing = load<u32>(e, 8) + <u32>(tag & 0xfffff000);
    if (tag && <u32>backing == <u32>hostPage) store<u64>(e, 0);
  }
}
