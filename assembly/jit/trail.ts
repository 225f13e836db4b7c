/**
 * Where execution goes from a block that is to be compiled: the next blocks, one budget each. It tells the region
 * (./plan.ts) what indirect branches lead to, and which blocks belong together. Counted in blocks, so it is the same every
 * time the same instructions run.
 *
 *     in the compiler's area:   edges {block u32, 4 bytes, RIP that its indirect branch went to u64}, heads of the blocks u32
 */
import { AREA_JIT, Vcpu } from "../gen/layout";
import { META, META_CONTROL, META_SEMANTIC, SEM_CALL, SEM_JCC, SEM_JMP } from "../gen/emit";
import { OP_COLD, OP_HEAD, OP_REGION } from "../gen/decode";
import { uOff } from "../decode/uop";

const EDGES: usize = 0x7a000;
const MAX_EDGES: u32 = 48;
const HEADS: usize = 0x7c000;
/** Blocks that a trail goes on for. */
const LENGTH: u32 = 96;
/** Budgets in other modes, a system call or the user's code between, until it is given up. */
const PATIENCE: u32 = 1000;

/** Edges and blocks of the trail; none if the region is made without. */
export let edges: u32 = 0;
let heads: u32 = 0;
/** Blocks still to come; 0: nothing is being followed. */
let left: u32 = 0;
let strays: u32 = 0;
/** The block that it began with, what page that was in, and whether it is a region's. */
export let trailRoot: usize = 0;
export let trailPage: u64 = 0;
let epoch: u32 = 0;
/** The block before, if it ends in an indirect branch. */
let last: usize = 0;

@inline export function following(): bool { return left != 0; }
@inline export function edgeAt(c: Vcpu, i: u32): usize { return changetype<usize>(c) + AREA_JIT + EDGES + (<usize>i << 4); }
@inline function headAt(c: Vcpu, i: u32): usize { return changetype<usize>(c) + AREA_JIT + HEADS + (<usize>i << 2); }

/** From the block at `u` on; c.ripPage is its page's. */
export function beginTrail(c: Vcpu, u: usize): void {
  forgetTrail();
  left = LENGTH;
  trailRoot = u;
  trailPage = c.ripPage;
  epoch = c.arenaEpoch;
}

export function forgetTrail(): void {
  left = 0;
  strays = 0;
  edges = 0;
  heads = 0;
  last = 0;
}

/** What comes next is not where the last block went. */
export function breakTrail(): void { last = 0; }

/** Whether the trail passes a block. */
export function onTrail(c: Vcpu, head: usize): bool {
  for (let i: u32 = 0; i < heads; i++) if (load<u32>(headAt(c, i)) == <u32>head) return true;
  return false;
}

/** Whether the trail is as long as it gets, in its first block's mode. */
export function trailEnds(c: Vcpu): bool {
  return left == 1 && (epoch != c.arenaEpoch || c.mode == load<u32>(trailRoot - 28) || strays == PATIENCE);
}
/** Whether the block that it began with is still there. */
export function trailHolds(c: Vcpu): bool {
  const op = <u32>load<u16>(trailRoot);
  return epoch == c.arenaEpoch && (op == OP_HEAD || op == OP_REGION);
}

@inline function isIndirect(head: usize): bool {
  const meta = unchecked(META[load<u16>(<usize>load<u32>(head - 20) - 64)]), semantic = meta & META_SEMANTIC;
  return (meta & META_CONTROL) != 0 && semantic != SEM_JCC && semantic != SEM_JMP && semantic != SEM_CALL;
}

/** The block at `u` runs next, alone: the budget for that. c.ripPage is its page's. */
export function follow(c: Vcpu, u: usize): i64 {
  const op = <u32>load<u16>(u);
  if (epoch != c.arenaEpoch) left = 1;
  else if (c.mode != load<u32>(trailRoot - 28)) {
    last = 0;
    if (strays == PATIENCE) left = 1;
    else strays++;
    return i64.MAX_VALUE;
  }
  if (left == 1 || (op != OP_HEAD && op != OP_COLD && op != OP_REGION)) return i64.MAX_VALUE;
  if (last) addEdge(c, c.ripPage + uOff(u));
  if (!onTrail(c, u)) store<u32>(headAt(c, heads++), <u32>u);
  last = isIndirect(u) ? u : 0;
  left--;
  return load<u32>(u, 12);
}

function addEdge(c: Vcpu, rip: u64): void {
  for (let i: u32 = 0; i < edges; i++) {
    const e = edgeAt(c, i);
    if (load<u32>(e) == <u32>last && load<u64>(e, 8) == rip) return;
  }
  if (edges == MAX_EDGES) return;
  const e = edgeAt(c, edges++);
  store<u32>(e, <u32>last);
  store<u64>(e, rip, 8);
}
