/**
 * Ports that need no round trip to the device thread: writes that nobody waits for go into the ring, and a register
 * whose value a chip has published is read from there. The chips keep the table (Control.portHooks):
 *
 *     31      24    23    22     20    19     18     17     16    15                0
 *     | value  | dword  |  more  | same | ones | read | write |      port       |      0 = empty
 *
 * It holds for `more` ports behind that one, too. Reads are of bytes. Writes are of bytes, or with `dword` of four; for some
 * registers it depends on what is written whether somebody waits, since no published value may change by it:
 *
 *     same   only what a byte read of the port is published to give
 *     value  these bits must be clear, or with `ones` set
 */
import { CONTROL_BASE, C_PORT_HOOKS, C_RING_HEAD, C_RING_TAIL, PORT_HOOK_SLOTS, RING_SIZE, Vcpu } from "./gen/layout";
import { ringPut, RING_PORT } from "./ring";

const WRITE: u32 = 0x10000;
const READ: u32 = 0x20000;
const ONES: u32 = 0x40000;
const SAME: u32 = 0x80000;
const DWORD: u32 = 0x80_0000;
/** Entries left free: without a reader on another thread the ring is emptied only when the vCPU comes back. */
const RESERVE: u32 = 64;

function find(port: u32, what: u32): u32 {
  for (let i: usize = 0; i < PORT_HOOK_SLOTS; i++) {
    const hook = load<u32>(CONTROL_BASE + C_PORT_HOOKS + i * 4);
    if (port - (hook & 0xffff) <= ((hook >> 20) & 7) && hook & what) return hook;
  }
  return 0;
}

/** The published value of a port, or -1. */
export function portShadow(port: u32): i32 {
  const hook = find(port, READ);
  return hook ? <i32>(hook >> 24) : -1;
}

/**
 * Puts a write of `size` bytes into the ring; false if somebody waits for this port's writes, or there is no room.
 */
export function portCoalesce(c: Vcpu, port: u32, size: u32, value: u32): bool {
  const hook = find(port, WRITE);
  if (!hook || size != (hook & DWORD ? 4 : 1)) return false;
  if (size == 1) {
    value &= 0xff;
    if (hook & SAME && <i32>value != portShadow(port)) return false;
    const bits = hook >> 24;
    if ((value & bits) != (hook & ONES ? bits : 0)) return false;
  }
  const used = atomic.load<u32>(CONTROL_BASE + C_RING_HEAD) - atomic.load<u32>(CONTROL_BASE + C_RING_TAIL);
  if (used > <u32>(RING_SIZE / 16) - RESERVE) return false;
  ringPut(c, RING_PORT, (<u64>size << 48) | (<u64>port << 32) | value);
  return true;
}
