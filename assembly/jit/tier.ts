/**
 * From hot blocks to installed regions. A block that has run often enough (Vcpu.heat) is compiled with what can be
 * reached from it. The function body joins a batch; a batch becomes one module, because a module costs much more than a
 * function. Everything here happens at instruction counts, never by the clock.
 *
 *     COLD --runs `heat` times--> HEAD, its trail, body in the batch --module made--> REGION --evicted--> COLD
 *                            \--> HEAD for good: the backend has nothing for it
 *
 * A REGION that is entered AGAIN times gets a new region, of what its trail passes then: loops through functions that were
 * compiled by themselves become one function.
 *
 * A region record, in the arena:
 *
 *      0 table index u32 (0: in the batch; REGION_DEAD)   4 next younger region u32   8 entries u32, then {head u32, entry u32} each
 *
 * The host (src/vcpu/jit.ts) bounds what is alive: it lets go of the oldest regions and says how many. A region whose
 * page was dropped stays in its list, entered by nothing, until it is the oldest.
 */
import {
  AREA_BATCH, AREA_PROFILE, STAT_MODULES, STAT_REGIONS, STAT_REGIONS_EVICTED, Vcpu,
} from "../gen/layout";
import { OP_COLD, OP_HEAD, OP_REGION } from "../gen/decode";
import { enter } from "../decode/block";
import { addRegionToPage, allocate, arenaRoom, REGION_DEAD, unhookRegion } from "../decode/pages";
import { bump } from "../stat";
import { block, blocks, hostPageOf, pages } from "./plan";
import { writeRegion } from "./region";
import { beginTrail, following, forgetTrail, trailHolds, trailPage, trailRoot } from "./trail";

/**
 * Makes a module of `count` function bodies {u32 length, bytes} at `at` and leaves their table indices there, a u32 each. Returns how many of the vCPU's oldest regions have lost their functions for it; -1: the host cannot.
 */
// @ts-ignore: decorator
@external("env", "compileRegions")
declare function compileRegions(vcpu: usize, at: usize, count: u32): i32;
/** The vCPU has forgotten all its regions. */
// @ts-ignore: decorator
@external("env", "forgetRegions")
declare function forgetRegions(vcpu: usize): void;

/** Regions of a module, and instructions that the first of them waits for others. */
const BATCH: u32 = 64;
const PATIENCE: u64 = 1_000_000;
/** Below this heat there is no waiting: tests want to see the region run next time. */
const NO_BATCHES: u32 = 2;

/** Entries of a region until it is made again. */
const AGAIN: u32 = 30_000;
/** How often a block comes back that found another one's trail being followed. */
const LATER: u32 = 50;
/** The least that COLD may have to count down, when what is asked for cannot be had yet: its next execution takes 1. */
const SOON: u32 = 2;

/** Number of the batch that is waiting; a COLD block has at +4 that of the last one it became part of. */
let batch: u32 = 1;

/** Makes lists and batch those of the arena of now. */
function settle(c: Vcpu): void {
  if (c.regionEpoch == c.arenaEpoch) return;
  c.regionEpoch = c.arenaEpoch;
  c.regionFirst = 0;
  c.regionLast = 0;
  c.batchCount = 0;
  forgetRegions(changetype<usize>(c));
}

/** Compiles from the hot block at `u` on; c.ripPage is its page's. Afterwards it begins with HEAD or REGION. */
export function tierUp(c: Vcpu, u: usize): void {
  settle(c);
  if (c.heat > NO_BATCHES) {
    // A region that waits for its module has this block, too: it must prove that it is entered from elsewhere.
    const waits = load<u32>(u, 4) == batch;
    if (waits || following()) {
      store<u32>(u, waits ? max<u32>(c.heat >> 2, SOON) : LATER, 16);
      return;
    }
    beginTrail(c, u);
  }
  store<u16>(u, <u16>OP_HEAD);
  if (!c.heat || c.heat > NO_BATCHES) return;
  if (addToBatch(c, u)) compileBatch(c);
}

/** The region at `u` has been entered often; c.ripPage is its page's. */
export function tierUpAgain(c: Vcpu, u: usize): void {
  settle(c);
  if (!c.heat) return;
  if (following()) store<u32>(u, LATER, 4);
  else beginTrail(c, u);
}

/** Compiles from the trail's first block on: it has come to its end. */
export function endTrail(c: Vcpu): void {
  settle(c);
  const rip = c.rip, page = c.ripPage, status = c.status;
  if (c.heat && trailHolds(c)) {
    if (c.mode == load<u32>(trailRoot - 28)) {
      c.ripPage = trailPage;
      if (addToBatch(c, trailRoot) && (c.heat <= NO_BATCHES || c.batchCount == BATCH)) compileBatch(c);
    } else if (load<u16>(trailRoot) == OP_HEAD) {
      store<u16>(trailRoot, <u16>OP_COLD);
      store<u32>(trailRoot, LATER, 16);
    }
  }
  forgetTrail();
  c.rip = rip; c.ripPage = page; c.status = status;
}

/** Compiles what has waited long enough. */
export function compileWaiting(c: Vcpu): void {
  settle(c);
  if (c.batchCount && c.icount - c.batchSince >= PATIENCE) compileBatch(c);
}

/** Writes the function body of the region that begins at a block, and its record. False: not compiled. */
function addToBatch(c: Vcpu, head: usize): bool {
  const body = writeRegion(c, head);
  if (!body) return false;
  const size: usize = 4 + load<u32>(body);
  let entries: u32 = 0;
  for (let k: u32 = 0; k < blocks; k++) entries += u32(block(k).entry);
  if (!arenaRoom(c, 256 + entries * 8)) return false;
  if (c.batchCount && c.batchAt + size > changetype<usize>(c) + AREA_PROFILE) compileBatch(c);
  if (!c.batchCount) {
    c.batchAt = <u32>(changetype<usize>(c) + AREA_BATCH);
    c.batchSince = c.icount;
  }
  memory.copy(c.batchAt, body, size);
  c.batchAt += <u32>size;
  const r = allocate(12 + entries * 8);
  store<u32>(r, 0);
  store<u32>(r, 0, 4);
  store<u32>(r, entries, 8);
  let e = r + 12;
  for (let k: u32 = 0; k < blocks; k++) {
    const at: usize = block(k).head;
    if (<u32>load<u16>(at) == OP_COLD) store<u32>(at, batch, 4);
    if (!block(k).entry) continue;
    store<u32>(e, block(k).head);
    store<u32>(e, block(k).number, 4);
    e += 8;
  }
  for (let i: u32 = 0; i < pages; i++) addRegionToPage(c, hostPageOf(i), r);
  if (c.regionLast) store<u32>(c.regionLast, <u32>r, 4);
  else c.regionFirst = <u32>r;
  if (!c.batchCount++) c.regionWaiting = <u32>r;
  c.regionLast = <u32>r;
  return true;
}

function compileBatch(c: Vcpu): void {
  const count = c.batchCount, area: usize = changetype<usize>(c) + AREA_BATCH;
  c.batchCount = 0;
  batch++;
  const lost = compileRegions(changetype<usize>(c), area, count);
  if (lost < 0) {
    // The host has no room for modules at all: the interpreter does the rest.
    c.heat = 0;
    return;
  }
  bump(c, STAT_MODULES);
  for (let i = 0; i < lost; i++) evictOldest(c);
  let r: usize = c.regionWaiting;
  for (let i: u32 = 0; i < count; i++) {
    install(c, r, load<u32>(area + (<usize>i << 2)));
    r = load<u32>(r, 4);
  }
}

/** Lets the interpreter enter a region. What was dropped meanwhile is left alone. */
function install(c: Vcpu, r: usize, index: u32): void {
  if (load<u32>(r) == REGION_DEAD) return;
  bump(c, STAT_REGIONS);
  store<u32>(r, index);
  for (let e = r + 12, end = e + (<usize>load<u32>(r, 8) << 3); e < end; e += 8) {
    const head: usize = load<u32>(e), op = <u32>load<u16>(head);
    if (op != OP_HEAD && op != OP_COLD && op != OP_REGION) continue;
    store<u16>(head, <u16>OP_REGION);
    store<u32>(head, load<u32>(e, 4), 16);
    // One that is made again goes on counting, from 0 downwards.
    if (op != OP_REGION) store<u32>(head, AGAIN, 4);
    store<u32>(head, index, 28);
  }
}

function evictOldest(c: Vcpu): void {
  const r: usize = c.regionFirst;
  c.regionFirst = load<u32>(r, 4);
  if (!c.regionFirst) c.regionLast = 0;
  bump(c, STAT_REGIONS_EVICTED);
  if (load<u32>(r) != REGION_DEAD) unhookRegion(c, r);
}

/**
 * Compiles the region at `rip` now; for tests and measurements. False: the code there cannot be compiled, or it is
 * compiled already.
 */
export function compileAt(vcpu: usize, rip: u64): bool {
  const c = changetype<Vcpu>(vcpu), oldRip = c.rip, oldPage = c.ripPage, oldStatus = c.status;
  settle(c);
  c.rip = rip;
  const head = enter(c), done = head != 0 && load<u16>(head) != OP_REGION && addToBatch(c, head);
  c.rip = oldRip; c.ripPage = oldPage; c.status = oldStatus;
  if (done) compileBatch(c);
  return done;
}
