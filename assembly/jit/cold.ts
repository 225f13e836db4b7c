/**
 * Departures from a block outside of groups. They are rare and long, so they stand behind the block: each has a label
 * around the block's code, to which a `br_if` goes.
 *
 *     block  block  …the block, which ends in a jump…  end  a departure  end  a departure
 */
import { scratch } from "./ir";
import { append, at, BLOCK, brIf, close, depth, END, byte, open, setDepth, takeOut } from "./wasm";

/** Where they wait for the block's end: where the function is put together when all blocks are written. */
const WAITING: usize = 0x5a000;
const END_OF_WAITING: usize = 0x70000;

/** Labels that are open, and of those the ones that have their departure. */
let labels: u32 = 0;
let used: u32 = 0;
let first: u32 = 0;
let waiting: usize = 0;
/** Where the block's code goes on, and the labels that are open there. */
let back: usize = 0;
let backDepth: u32 = 0;

/** Opens labels for `n` departures. */
export function openCold(n: u32): void {
  labels = n;
  used = 0;
  first = depth;
  waiting = scratch + WAITING;
  for (let i: u32 = 0; i < n; i++) open(BLOCK);
}

/** With a condition on the stack: what is written up to endCold happens if it holds, and is a departure. Its label. */
export function beginCold(): u32 {
  const label = first + labels - 1 - used++;
  brIf(label);
  back = at;
  backDepth = depth;
  byte(END);
  setDepth(label);
  return label;
}
export function endCold(): void {
  waiting = takeOut(back, waiting, scratch + END_OF_WAITING);
  setDepth(backDepth);
}

/** Writes the departures: the block's code is complete. */
export function closeCold(): void {
  append(scratch + WAITING, waiting - scratch - WAITING);
  setDepth(depth - used);
  for (; used < labels; used++) close();
}
