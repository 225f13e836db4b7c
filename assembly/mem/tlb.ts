/**
 * The software TLB: three direct-mapped tables (read, write, execute) of 16-byte entries
 *
 *     0 tag u64   linear page | ctx        8 addend u32   host address = addend + (u32)linear address
 *                                         12 flags u32    PAGE_* of ./walk.ts
 *
 * ctx is {generation 10 bits, class 2 bits}, so that a flush is a new generation and a change of privilege a new
 * class; a cleared entry has generation 0, which is never used, and while writes are staged ctx has the last one, which
 * no entry has either (hideTlb). Classes: 0 supervisor, 1 user, 2 supervisor that may
 * touch user pages in spite of SMAP, 3 user with alignment checks (never filled, so every access takes the slow path).
 *
 * A **context** is what was translated under one PCID and, with CR4.PKE, one PKRU. Vcpu.contexts has the last
 * CONTEXTS of them:
 *
 *     0 key u64   0 = none, else KEY_VALID | PKRU << 12 | PCID
 *     8 generation u32      12 code generation u32 (0: none yet)
 *
 * Going back to a context is putting its generation into ctx. Entries of supervisor pages are good for more than the
 * ctx they have: for both supervisor classes, and for every context if the page is global. So a miss first looks for
 * such an entry (tlbReuse), which saves the walk after nearly every change of CR3.
 */
import {
  Vcpu, AREA_TLB_READ, AREA_TLB_WRITE, AREA_TLB_EXEC, AREA_JUMP, AREA_LARGE, TLB_ENTRIES, JUMP_ENTRIES, STAT_FLUSHES,
  MODE_ALIGN, MODE_BITS, MODE_CODE64, MODE_LONG, V_CONTEXTS,
} from "../gen/layout";
import { bump } from "../stat";
import {
  CR4_PCIDE, CR4_PKE, CR4_SMAP, EFER_LMA, PAGE_GIGANTIC, PAGE_GLOBAL, PAGE_LARGE, PAGE_SUPERVISOR, RFLAGS_AC,
} from "./walk";
import { ON_FETCH, pageArmed } from "./watch";

const CONTEXTS: u32 = 16;
const KEY_VALID: u64 = 1 << 63;
const GENERATIONS: u32 = 1023;
const GENERATION: u64 = 0xffc;
/** Vcpu.codeCtx is {code generation, mode}. */
const CODE_GENERATIONS: u32 = 1 << (32 - <u32>MODE_BITS);
const MODE_MASK: u32 = (1 << <u32>MODE_BITS) - 1;

@inline export function tlbEntry(table: usize, linear: u64): usize {
  return table + (<usize>(linear >> 12) & (TLB_ENTRIES - 1)) * 16;
}

/** Bit of AREA_LARGE for the 4 MiB around `linear`. */
@inline function largeBit(linear: u64): usize { return <usize>(linear >> 22) & 1023; }

export function tlbFill(c: Vcpu, table: usize, linear: u64, hostPage: usize, flags: u32): void {
  const ctx = c.ctx;
  if ((ctx & 3) == 3 || isHidden(ctx)) return;
  // Breakpoints are looked for where the TLB misses; compiled code asks it for pages of code, too.
  if (c.armed && pageArmed(c, table == AREA_TLB_EXEC ? ON_FETCH : ~ON_FETCH, linear)) return;
  const e = tlbEntry(changetype<usize>(c) + table, linear);
  store<u64>(e, (linear & ~0xfff) | ctx);
  store<u32>(e, <u32>hostPage - (<u32>linear & ~0xfff), 8);
  store<u32>(e, flags, 12);
  if (flags & PAGE_LARGE) {
    const h = largeBit(linear), p = changetype<usize>(c) + AREA_LARGE + (h >> 3);
    store<u8>(p, load<u8>(p) | <u8>(<u32>1 << <u32>(h & 7)));
  } else if (flags & PAGE_GIGANTIC) c.gigantic = 1;
  if (linear >> 32 && (c.mode & (MODE_LONG | MODE_CODE64)) == MODE_LONG) c.wrapped |= wrappedBit(c);
}

@inline function wrappedBit(c: Vcpu): u32 { return c.cpl == 3 ? 1 : 2; }

/**
 * Host address of `size` bytes at `linear` by an entry that is good though its ctx is another: it then gets this ctx.
 * 0: there is none.
 */
export function tlbReuse(c: Vcpu, table: usize, linear: u64, size: u32): usize {
  const e = tlbEntry(changetype<usize>(c) + table, linear), tag = load<u64>(e), ctx = c.ctx;
  if ((tag ^ (linear + (size - 1))) >> 12 || ctx & 1 || isHidden(ctx)) return 0;
  const flags = load<u32>(e, 12);
  if (!(flags & PAGE_SUPERVISOR)) return 0;
  if ((tag ^ ctx) & GENERATION && !(flags & PAGE_GLOBAL && <u32>(tag & GENERATION) >> 2 > c.globalFloor)) return 0;
  store<u64>(e, (tag & ~0xfff) | ctx);
  return <usize><u32>(<u32>linear + load<u32>(e, 8));
}

@inline function isHidden(ctx: u64): bool { return (ctx & GENERATION) == GENERATION; }

/** Makes every access miss until showTlb: what is in memory may not be what the instruction has written (./stage.ts). */
export function hideTlb(c: Vcpu): void { c.ctx |= GENERATION; }

export function showTlb(c: Vcpu): void {
  if (isHidden(c.ctx)) c.ctx = (<u64>load<u32>(slot(c, c.context), 8) << 2) | (c.ctx & 3);
}

/** Class of a supervisor access. */
@inline export function supervisorClass(c: Vcpu): u64 { return (c.cr4 & CR4_SMAP) && (c.rflags & RFLAGS_AC) ? 2 : 0; }

/** Recomputes class and code tag after a change of CPL, RFLAGS.AC, CR4.SMAP or mode. */
export function updateContext(c: Vcpu): void {
  const cls: u64 = c.cpl == 3 ? (c.mode & MODE_ALIGN ? 3 : 1) : supervisorClass(c);
  c.ctx = (c.ctx & ~3) | cls;
  c.codeCtx = (c.codeCtx & ~MODE_MASK) | c.mode;
  // What compatibility mode has filled under sums beyond 4 GiB is another address in 64-bit mode.
  if (c.wrapped && c.mode & MODE_CODE64 && c.wrapped & wrappedBit(c)) flushAll(c);
}

@inline function slot(c: Vcpu, i: u32): usize { return changetype<usize>(c) + V_CONTEXTS + (<usize>i << 4); }

function currentKey(c: Vcpu): u64 {
  const pcid = c.cr4 & CR4_PCIDE ? c.cr3 & 0xfff : 0;
  return KEY_VALID | pcid | (c.cr4 & CR4_PKE && c.efer & EFER_LMA ? <u64>c.pkru << 12 : 0);
}

function forgetContexts(c: Vcpu): void { memory.fill(slot(c, 0), 0, CONTEXTS * 16); }

/** Gives the current context new generations: nothing that it has translated counts any more. */
function renew(c: Vcpu): void {
  bump(c, STAT_FLUSHES);
  const key = currentKey(c);
  if (++c.tlbGeneration == GENERATIONS) {
    memory.fill(changetype<usize>(c) + AREA_TLB_READ, 0, TLB_ENTRIES * 16);
    memory.fill(changetype<usize>(c) + AREA_TLB_WRITE, 0, TLB_ENTRIES * 16);
    memory.fill(changetype<usize>(c) + AREA_TLB_EXEC, 0, TLB_ENTRIES * 16);
    forgetContexts(c);
    c.tlbGeneration = 1;
    c.globalFloor = 0;
  }
  const s = slot(c, c.context);
  store<u64>(s, key);
  store<u32>(s, c.tlbGeneration, 8);
  c.ctx = (<u64>c.tlbGeneration << 2) | (c.ctx & 3);
  renewCode(c);
}

/** A new code generation for the current context. */
function renewCode(c: Vcpu): void {
  if (++c.codeGeneration == CODE_GENERATIONS) {
    memory.fill(changetype<usize>(c) + AREA_JUMP, 0, JUMP_ENTRIES * 16);
    for (let i: u32 = 0; i < CONTEXTS; i++) store<u32>(slot(c, i), 0, 12);
    c.codeGeneration = 1;
  }
  store<u32>(slot(c, c.context), c.codeGeneration, 12);
  c.codeCtx = (c.codeGeneration << <u32>MODE_BITS) | c.mode;
}

/** Makes every jump cache entry stale, in every context. */
export function newCodeGeneration(c: Vcpu): void {
  for (let i: u32 = 0; i < CONTEXTS; i++) store<u32>(slot(c, i), 0, 12);
  renewCode(c);
}

/** For a memory that may hold anything: clears the tables and the jump cache. */
export function emptyTlb(c: Vcpu): void {
  c.tlbGeneration = GENERATIONS - 1;
  c.codeGeneration = CODE_GENERATIONS - 1;
  flushAll(c);
}

/** Drops every translation, global ones included. */
export function flushAll(c: Vcpu): void {
  forgetContexts(c);
  c.globalFloor = c.tlbGeneration;
  c.context = 0;
  c.wrapped = 0;
  c.gigantic = 0;
  memory.fill(changetype<usize>(c) + AREA_LARGE, 0, 128);
  renew(c);
}

/** Drops every translation but those of global pages, in every context. */
export function flushNonGlobal(c: Vcpu): void {
  forgetContexts(c);
  renew(c);
}

/**
 * CR3 or PKRU has changed: the context that they select becomes the current one. `keep`: with what was translated under
 * it before; else only global pages stay.
 */
export function selectContext(c: Vcpu, keep: bool): void {
  const key = currentKey(c);
  let i = c.context;
  if (load<u64>(slot(c, i)) != key) {
    let free: u32 = (i + 1) % CONTEXTS;
    for (i = 0; i < CONTEXTS; i++) {
      const k = load<u64>(slot(c, i));
      if (k == key) break;
      if (!k) free = i;
    }
    if (i == CONTEXTS) {
      // The victim's generation is given up: nothing has it any more.
      i = free;
      keep = false;
    }
    c.context = i;
  }
  if (!keep) {
    renew(c);
    return;
  }
  const s = slot(c, i);
  c.ctx = (<u64>load<u32>(s, 8) << 2) | (c.ctx & 3);
  const code = load<u32>(s, 12);
  if (code) c.codeCtx = (code << <u32>MODE_BITS) | c.mode;
  else renewCode(c);
}

/** INVPCID of a single context: drops what was translated under `pcid`, but for global pages. */
export function flushPcid(c: Vcpu, pcid: u64): void {
  for (let i: u32 = 0; i < CONTEXTS; i++) if ((load<u64>(slot(c, i)) & 0xfff) == pcid) store<u64>(slot(c, i), 0);
  if (!load<u64>(slot(c, c.context))) renew(c);
}

/** INVLPG: drops the translations of one page, whatever its size, in every context. */
export function flushPage(c: Vcpu, linear: u64): void {
  const h = largeBit(linear);
  if (c.gigantic) flushRegion(c, linear >> 30 << 30, TLB_ENTRIES, PAGE_GIGANTIC, 30);
  if (load<u8>(changetype<usize>(c) + AREA_LARGE + (h >> 3)) & (1 << (h & 7))) {
    const shift: u64 = c.mode & MODE_LONG ? 21 : 22;
    flushRegion(c, linear >> shift << shift, <usize>1 << <usize>(shift - 12), PAGE_LARGE, shift);
  }
  const base = changetype<usize>(c);
  store<u64>(tlbEntry(base + AREA_TLB_READ, linear), 0);
  store<u64>(tlbEntry(base + AREA_TLB_WRITE, linear), 0);
  store<u64>(tlbEntry(base + AREA_TLB_EXEC, linear), 0);
  newCodeGeneration(c);
}

/** Drops entries that came from a page of 2^shift bytes at `start`; they lie in `entries` places of each table. */
function flushRegion(c: Vcpu, start: u64, entries: usize, size: u32, shift: u64): void {
  // Entries may lie under an address that was not truncated yet.
  const mask: u64 = c.mode & MODE_LONG && !c.wrapped ? ~0 : 0xffffffff;
  flushRange(changetype<usize>(c) + AREA_TLB_READ, start, entries, size, shift, mask);
  flushRange(changetype<usize>(c) + AREA_TLB_WRITE, start, entries, size, shift, mask);
  flushRange(changetype<usize>(c) + AREA_TLB_EXEC, start, entries, size, shift, mask);
}

function flushRange(table: usize, start: u64, entries: usize, size: u32, shift: u64, mask: u64): void {
  const from = tlbEntry(table, start);
  for (let e = from, to = from + entries * 16; e < to; e += 16) {
    if (!(((load<u64>(e) ^ start) & mask) >> shift) && load<u32>(e, 12) & size) store<u64>(e, 0);
  }
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
