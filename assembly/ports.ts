/**
 * Ports that need no round trip to the device thread: writes that nobody waits for go into the ring, and a register
 * whose value a chip has published is read from there. The chips keep the table (Control.portHooks):
 *
 *     31      24     22     20         17     16    15                0
 *     | value  |  0  | more  |    0   | read | write |      port       |      0 = empty
 *
 * It holds for `more` ports behind that one, too.
 */
import { CONTROL_BASE, C_PORT_HOOKS, C_RING_HEAD, C_RING_TAIL, RING_SIZE, Vcpu } from "./gen/layout";
import { ringPut, RING_PORT } from "./ring";

const HOOKS: usize = 16;
const WRITE: u32 = 0x10000;
const READ: u32 = 0x20000;
/** Entries left free: without a reader on another thread the ring is emptied only when the vCPU comes back. */
const RESERVE: u32 = 64;

function find(port: u32, what: u32): u32 {
  for (let i: usize = 0; i < HOOKS; i++) {
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

/** Puts a byte for a port into the ring; false if somebody waits for this port's writes, or there is no room. */
export function portCoalesce(c: Vcpu, port: u32, value: u32): bool {
  if (!find(port, WRITE)) return false;
  const used = atomic.load<u32>(CONTROL_BASE + C_RING_HEAD) - atomic.load<u32>(CONTROL_BASE + C_RING_TAIL);
  if (used > <u32>(RING_SIZE / 16) - RESERVE) return false;
  ringPut(c, RING_PORT, (<u64>port << 32) | (value & 0xff));
  return true;
}
