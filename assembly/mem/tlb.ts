/**
 * The software TLB: three direct-mapped tables (read, write, execute) of 16-byte entries
 *
 *     0 tag u64   linear page | ctx        8 addend u32   host address = addend + (u32)linear address
 *                                         12 flags u32    PAGE_* of ./walk.ts
 *
 * ctx is {generation 10 bits, class 2 bits}, so that a flush is a new generation and a change of privilege a new
 * class; a cleared entry has generation 0, which is never used, and while writes are staged ctx has the last one, which
 * no entry has either (hideTlb). Classes: 0 supervisor, 1 user, 3 user with alignment checks (never filled, so every
 * access takes the slow path).
 *
 * With SMAP, a supervisor's entries of user pages are good while RFLAGS.AC is set. They are few, and listed (OPENED): when
 * AC is cleared they become the user's, which have the same rights, or nobody's. Kernels open such windows several times
 * in a system call; as a class of its own, each had every other page looked up again, going in and coming out.
 *
 * A **context** is what was translated under one PCID and, with CR4.PKE, one PKRU. Vcpu.contexts has the last
 * CONTEXTS of them:
 *
 *     0 key u64   0 = none, else KEY_VALID | PKRU << 12 | PCID
 *     8 generation u32      12 code generation u32 (0: none yet)
 *
 * Going back to a context is putting its generation into ctx. Entries of global pages are good for every context: those
 * used lately are listed (SHARED) and get the new generation with the change; for the others a miss first looks whether
 * there is such an entry (tlbReuse), which saves the walk.
 *
 * The jump cache has generations of its own, in codeCtx. A supervisor's code in global pages is the same in every context:
 * its entries have one generation (systemCode), which changes of context leave. Where a supervisor's code in other pages
 * is met, that one is not used until the next change of context (systemShared).
 */
import {
  Vcpu, AREA_TLB_READ, AREA_TLB_WRITE, AREA_TLB_EXEC, AREA_ENTERED, AREA_JUMP, AREA_LARGE, AREA_OPENED, AREA_SHARED,
  TLB_ENTRIES, JUMP_ENTRIES, STAT_FLUSHES, MODE_ALIGN, MODE_BITS, MODE_CODE64, MODE_LONG, V_CONTEXTS,
} from "../gen/layout";
import { bump } from "../stat";
import {
  CR0_WP, CR4_PCIDE, CR4_PGE, CR4_PKE, CR4_SMAP, EFER_LMA, PAGE_GIGANTIC, PAGE_GLOBAL, PAGE_LARGE, PAGE_SUPERVISOR, RFLAGS_AC,
} from "./walk";
import { ON_FETCH, pageArmed } from "./watch";

const CONTEXTS: u32 = 16;
const KEY_VALID: u64 = 1 << 63;
const GENERATIONS: u32 = 1023;
const GENERATION: u64 = 0xffc;
/** Vcpu.codeCtx is {code generation, mode}. */
const CODE_GENERATIONS: u32 = 1 << (32 - <u32>MODE_BITS);

@inline export function tlbEntry(table: usize, linear: u64): usize {
  return table + (<usize>(linear >> 12) & (TLB_ENTRIES - 1)) * 16;
}

/** Bit of AREA_LARGE for the 4 MiB around `linear`. */
@inline function largeBit(linear: u64): usize { return <usize>(linear >> 22) & 1023; }

export function tlbFill(c: Vcpu, table: usize, linear: u64, hostPage: usize, flags: u32): void {
  if ((c.ctx & 3) != 3) fill(c, table, linear, hostPage, flags, c.ctx);
}

/** After the CPU's own read, with a supervisor's rights at any privilege level. */
export function tlbFillSystem(c: Vcpu, linear: u64, hostPage: usize, flags: u32): void {
  if (flags & PAGE_SUPERVISOR) fill(c, AREA_TLB_READ, linear, hostPage, flags, c.ctx & ~3);
}

function fill(c: Vcpu, table: usize, linear: u64, hostPage: usize, flags: u32, ctx: u64): void {
  if (isHidden(ctx)) return;
  // Breakpoints are looked for where the TLB misses; compiled code asks it for pages of code, too.
  if (c.armed && pageArmed(c, table == AREA_TLB_EXEC ? ON_FETCH : ~ON_FETCH, linear)) return;
  const e = tlbEntry(changetype<usize>(c) + table, linear);
  store<u64>(e, (linear & ~0xfff) | ctx);
  store<u32>(e, <u32>hostPage - (<u32>linear & ~0xfff), 8);
  store<u32>(e, flags | (load<u32>(e, 12) & LISTED), 12);
  if (flags & PAGE_SUPERVISOR) {
    if (flags & PAGE_GLOBAL) share(c, e);
  } else if (!(ctx & 3) && c.cr4 & CR4_SMAP) noteOpened(c, e);
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
  if (!(flags & PAGE_SUPERVISOR)) {
    // The user's own, in a window: the rights are the same if write protection holds for supervisors, too.
    if (((tag & ~0xfff) | ctx | 1) != tag || table == AREA_TLB_EXEC || !windowOpen(c) || !(c.cr0 & CR0_WP)) return 0;
    noteOpened(c, e);
  } else {
    if (!countsNow(c, tag, flags)) return 0;
    if (flags & PAGE_GLOBAL) share(c, e);
  }
  store<u64>(e, (tag & ~0xfff) | ctx);
  return <usize><u32>(<u32>linear + load<u32>(e, 8));
}

/** Host address of `size` bytes that the CPU reads itself, a supervisor's page at any privilege level. 0: see readAs. */
export function tlbSystem(c: Vcpu, linear: u64, size: u32): usize {
  const e = tlbEntry(changetype<usize>(c) + AREA_TLB_READ, linear), tag = load<u64>(e), flags = load<u32>(e, 12);
  if ((tag ^ (linear + (size - 1))) >> 12 || !(flags & PAGE_SUPERVISOR) || isHidden(c.ctx)) return 0;
  return countsNow(c, tag, flags) ? <usize><u32>(<u32>linear + load<u32>(e, 8)) : 0;
}

/** Whether a supervisor's page's entry is of the current context, or of every one. */
@inline function countsNow(c: Vcpu, tag: u64, flags: u32): bool {
  return !((tag ^ c.ctx) & GENERATION) || (flags & PAGE_GLOBAL && <u32>(tag & GENERATION) >> 2 > c.globalFloor);
}

// --- pages of every context

/** Bit of an entry's flags: its place is listed in SHARED. It stays when another page takes the place. */
const LISTED: u32 = 1 << 31;
/** A user page's rights depend on PKRU, which contexts have of their own. */
const EVERYWHERE: u32 = PAGE_GLOBAL | PAGE_SUPERVISOR;
const MOST_SHARED: u32 = 256;

@inline function sharedAt(c: Vcpu, i: u32): usize { return changetype<usize>(c) + AREA_SHARED + (<usize>i << 2); }

/** Lists an entry of a global page, which is being used. */
function share(c: Vcpu, e: usize): void {
  const flags = load<u32>(e, 12);
  if (flags & LISTED) return;
  // Full: what is used from now on is listed anew.
  if (c.sharedCount == MOST_SHARED) {
    for (let i: u32 = 0; i < MOST_SHARED; i++) {
      const old: usize = load<u32>(sharedAt(c, i));
      store<u32>(old, load<u32>(old, 12) & ~LISTED, 12);
    }
    c.sharedCount = 0;
  }
  store<u32>(e, flags | LISTED, 12);
  store<u32>(sharedAt(c, c.sharedCount++), <u32>e);
}

/** ctx has another generation: the listed entries that count in it get that, if they have `old`, which counted until now. */
function takeShared(c: Vcpu, old: u64): void {
  const change = (old ^ c.ctx) & GENERATION;
  for (let i: u32 = 0; i < c.sharedCount; i++) {
    const e: usize = load<u32>(sharedAt(c, i)), tag = load<u64>(e);
    if (!((tag ^ old) & GENERATION) && (load<u32>(e, 12) & EVERYWHERE) == EVERYWHERE) store<u64>(e, tag ^ change);
  }
}

// --- windows of RFLAGS.AC

const MOST_OPENED: u32 = 8;

@inline function openedAt(c: Vcpu, i: u32): usize { return changetype<usize>(c) + AREA_OPENED + (<usize>i << 2); }

@inline function windowOpen(c: Vcpu): bool { return c.cpl < 3 && (c.cr4 & CR4_SMAP) != 0 && (c.rflags & RFLAGS_AC) != 0; }

/** A supervisor's entry of a user page; when there are too many, the first ones are dropped. */
function noteOpened(c: Vcpu, e: usize): void {
  const n = c.openedCount++, p = openedAt(c, n % MOST_OPENED);
  if (n >= MOST_OPENED && load<u32>(p) != <u32>e) store<u64>(load<u32>(p), 0);
  store<u32>(p, <u32>e);
}

/** Supervisors may touch user pages no longer. */
function closeWindow(c: Vcpu): void {
  const kept = (c.cr0 & CR0_WP) != 0;
  for (let i: u32 = 0, n = min(c.openedCount, MOST_OPENED); i < n; i++) {
    const e: usize = load<u32>(openedAt(c, i)), tag = load<u64>(e);
    if (tag & 3 || load<u32>(e, 12) & PAGE_SUPERVISOR) continue;
    store<u64>(e, kept && tag ? tag | 1 : 0);
  }
  c.openedCount = 0;
}

/** After a change of RFLAGS.AC or CPL. */
export function updateWindow(c: Vcpu): void {
  if (c.openedCount && !windowOpen(c)) closeWindow(c);
}

@inline function isHidden(ctx: u64): bool { return (ctx & GENERATION) == GENERATION; }

/** Makes every access miss until showTlb: what is in memory may not be what the instruction has written (./stage.ts). */
export function hideTlb(c: Vcpu): void { c.ctx |= GENERATION; }

export function showTlb(c: Vcpu): void {
  if (isHidden(c.ctx)) c.ctx = (<u64>load<u32>(slot(c, c.context), 8) << 2) | (c.ctx & 3);
}

/** Recomputes class and code tag after a change of CPL, RFLAGS.AC, CR4.SMAP or mode. */
export function updateContext(c: Vcpu): void {
  const cls: u64 = c.cpl == 3 ? (c.mode & MODE_ALIGN ? 3 : 1) : 0;
  c.ctx = (c.ctx & ~3) | cls;
  updateWindow(c);
  updateCode(c);
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
    c.sharedCount = 0;
    c.openedCount = 0;
  }
  const s = slot(c, c.context);
  store<u64>(s, key);
  store<u32>(s, c.tlbGeneration, 8);
  c.ctx = (<u64>c.tlbGeneration << 2) | (c.ctx & 3);
  store<u32>(s, 0, 12);
  updateCode(c);
}

// --- generations of the jump cache

/** Nobody has a code generation any more. */
function forgetCode(c: Vcpu): void {
  for (let i: u32 = 0; i < CONTEXTS; i++) store<u32>(slot(c, i), 0, 12);
  c.systemCode = 0;
}

function nextCode(c: Vcpu): u32 {
  if (++c.codeGeneration == CODE_GENERATIONS) {
    memory.fill(changetype<usize>(c) + AREA_JUMP, 0, JUMP_ENTRIES * 16);
    forgetCode(c);
    c.codeGeneration = 1;
  }
  return c.codeGeneration;
}

/** Brings codeCtx up to date with the context and CPL. */
function updateCode(c: Vcpu): void {
  let generation: u32;
  if (c.systemShared && c.cpl < 3) {
    generation = c.systemCode;
    if (!generation) { generation = nextCode(c); c.systemCode = generation; }
  } else {
    const s = slot(c, c.context);
    generation = load<u32>(s, 12);
    if (!generation) { generation = nextCode(c); store<u32>(s, generation, 12); }
  }
  c.codeCtx = (generation << <u32>MODE_BITS) | c.mode;
}

/** Makes every jump cache entry stale, in every context. */
export function newCodeGeneration(c: Vcpu): void {
  memory.fill(entered(c, false), 0, ENTERED_SIZE);
  memory.fill(entered(c, true), 0, ENTERED_SIZE);
  forgetCode(c);
  updateCode(c);
}

/**
 * The pages that the jump cache may know an address of, a bit each, hashed: those of contexts, and those of systemCode. One
 * half of the bits is for where kernels are, so that what goes on in user space leaves them alone.
 */
const ENTERED_SIZE: usize = 512;
const ENTERED_HALF: usize = 256;

@inline function entered(c: Vcpu, system: bool): usize {
  return changetype<usize>(c) + AREA_ENTERED + (system ? ENTERED_SIZE : 0);
}
@inline function enteredHalf(linear: u64): usize { return linear >> 63 || linear >> 30 == 3 ? ENTERED_HALF : 0; }
@inline function enteredByte(linear: u64): usize {
  return enteredHalf(linear) + ((<usize>(linear >> 12) >> 3) & (ENTERED_HALF - 1));
}
@inline function enteredBit(linear: u64): u8 { return <u8>(<u32>1 << (<u32>(linear >> 12) & 7)); }

/** Whether a table has a page of the 2^shift bytes at `linear`. */
function hasEntered(table: usize, linear: u64, shift: u64): bool {
  const first = enteredByte(linear);
  if (shift == 12) return (load<u8>(table + first) & enteredBit(linear)) != 0;
  const half = enteredHalf(linear), bytes = <usize>1 << <usize>(shift - 15);
  for (let i: usize = 0; i < min(bytes, ENTERED_HALF); i++) {
    if (load<u8>(table + half + ((first - half + i) & (ENTERED_HALF - 1)))) return true;
  }
  return false;
}

/** The translations of 2^shift bytes at `linear` are gone: jump cache entries that may be of them become stale. */
function dropEntered(c: Vcpu, linear: u64, shift: u64): void {
  if (hasEntered(entered(c, true), linear, shift)) {
    memory.fill(entered(c, true), 0, ENTERED_SIZE);
    c.systemCode = 0;
  }
  if (hasEntered(entered(c, false), linear, shift)) {
    memory.fill(entered(c, false), 0, ENTERED_SIZE);
    for (let i: u32 = 0; i < CONTEXTS; i++) store<u32>(slot(c, i), 0, 12);
  }
  updateCode(c);
}

/** The jump cache gets an address of the page at `linear`: under codeCtx as it is afterwards. */
export function noteEntered(c: Vcpu, linear: u64): void {
  if (c.systemShared && c.cpl < 3) {
    const e = tlbEntry(changetype<usize>(c) + AREA_TLB_EXEC, linear);
    if ((load<u64>(e) ^ linear) >> 12 || (load<u32>(e, 12) & EVERYWHERE) != EVERYWHERE) {
      c.systemShared = 0;
      updateCode(c);
    }
  }
  const p = entered(c, c.systemShared && c.cpl < 3) + enteredByte(linear);
  store<u8>(p, load<u8>(p) | enteredBit(linear));
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
  c.systemCode = 0;
  c.systemShared = u32((c.cr4 & CR4_PGE) != 0);
  memory.fill(changetype<usize>(c) + AREA_LARGE, 0, 128);
  renew(c);
}

/** Drops every translation but those of global pages, in every context. */
export function flushNonGlobal(c: Vcpu): void {
  const old = c.ctx;
  forgetContexts(c);
  renew(c);
  takeShared(c, old);
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
  const old = c.ctx;
  c.systemShared = u32((c.cr4 & CR4_PGE) != 0);
  if (keep) {
    c.ctx = (<u64>load<u32>(slot(c, i), 8) << 2) | (c.ctx & 3);
    updateCode(c);
  } else renew(c);
  takeShared(c, old);
}

/** INVPCID of a single context: drops what was translated under `pcid`, but for global pages. */
export function flushPcid(c: Vcpu, pcid: u64): void {
  for (let i: u32 = 0; i < CONTEXTS; i++) if ((load<u64>(slot(c, i)) & 0xfff) == pcid) store<u64>(slot(c, i), 0);
  if (!load<u64>(slot(c, c.context))) renew(c);
}

/**
 * INVLPG: drops the translations of one page, whatever its size, in every context. Nearly always it is data, whose
 * flush leaves the jump cache as it is.
 */
export function flushPage(c: Vcpu, linear: u64): void {
  const h = largeBit(linear);
  if (c.gigantic) {
    flushRegion(c, linear >> 30 << 30, TLB_ENTRIES, PAGE_GIGANTIC, 30);
    dropEntered(c, linear >> 30 << 30, 30);
  }
  if (load<u8>(changetype<usize>(c) + AREA_LARGE + (h >> 3)) & (1 << (h & 7))) {
    const shift: u64 = c.mode & MODE_LONG ? 21 : 22;
    flushRegion(c, linear >> shift << shift, <usize>1 << <usize>(shift - 12), PAGE_LARGE, shift);
    dropEntered(c, linear >> shift << shift, shift);
  }
  const base = changetype<usize>(c);
  store<u64>(tlbEntry(base + AREA_TLB_READ, linear), 0);
  store<u64>(tlbEntry(base + AREA_TLB_WRITE, linear), 0);
  store<u64>(tlbEntry(base + AREA_TLB_EXEC, linear), 0);
  dropEntered(c, linear, 12);
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
