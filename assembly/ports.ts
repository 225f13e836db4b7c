/**
 * Ports that need no round trip to the device thread: writes that nobody waits for go into the ring, and a register
 * whose value a chip has published is read from there. The chips keep the table (Control.portHooks):
 *
 *     31      24    23       18     17     16    15                0
 *     | value  |        0       | read | write |      port       |      0 = empty
 *
 * Both are of bytes. No published value may change by such a write; IDE's registers, where they do, have assembly/ide.ts.
 */
import { CONTROL_BASE, C_PORT_HOOKS, PORT_HOOK_SLOTS, RING_PORT, Vcpu } from "./gen/layout";
import { ideRead, ideWrite } from "./ide";
import { ringHasRoom, ringPut } from "./ring";

const WRITE: u32 = 0x10000;
const READ: u32 = 0x20000;

function find(port: u32, what: u32): u32 {
  for (let i: usize = 0; i < PORT_HOOK_SLOTS; i++) {
    const hook = load<u32>(CONTROL_BASE + C_PORT_HOOKS + i * 4);
    if ((hook & 0xffff) == port && hook & what) return hook;
  }
  return 0;
}

/** Reads a byte whose value is known here; -1: it must be asked for. */
export function portRead(c: Vcpu, port: u32): i32 {
  const hook = find(port, READ);
  return hook ? <i32>(hook >> 24) : ideRead(c, port);
}

/** Puts a write of `size` bytes into the ring; false if somebody waits for it, or there is no room. */
export function portCoalesce(c: Vcpu, port: u32, size: u32, value: u32): bool {
  if (size != 1 || !find(port, WRITE)) return ideWrite(c, port, size, value);
  if (!ringHasRoom()) return false;
  ringPut(c, RING_PORT, (<u64>size << 48) | (<u64>port << 32) | (value & 0xff));
  return true;
}
