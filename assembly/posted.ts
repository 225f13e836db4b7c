/**
 * Posted writes: a doorbell of a device (virtio's notifications, NVMe's queues) is only ever written, and who rings it does
 * not wait for what comes of it. So the write goes through the ring, and the vCPU goes on while the device thread works.
 * Every other access to a device is an exit, before which the ring is drained: it finds the device as if the write had been
 * an exit, too. Control.posted says where there are such registers (src/bus/postedRanges.ts).
 *
 * A device may have doorbells that it need not hear of at once (QUIET): to wake its thread costs more than the write. When it
 * does wait for one, it says so and looks into the ring after that; here the entry is put first, then QUIET is looked at: one
 * side has seen the other.
 *
 * Where the ring is read on this thread every write is an exit: time there goes by exits, and must not depend on when the
 * ring was drained.
 */
import {
  CONTROL_BASE, C_DEVICE_THREAD, C_POSTED, POSTED_BASE, POSTED_LENGTH, POSTED_QUIET, POSTED_RANGES, POSTED_WORDS, RING_MMIO,
  Vcpu,
} from "./gen/layout";
import { ringDoorbell, ringHasRoom, ringPutQuietly } from "./ring";

/** Puts a write of `size` bytes into the ring; false: somebody waits for it. */
export function postWrite(c: Vcpu, gpa: u64, size: u32, value: u32): bool {
  if (gpa >> 32 || (size != 2 && size != 4) || !load<u32>(CONTROL_BASE + C_DEVICE_THREAD)) return false;
  for (let i: u32 = 0; i < POSTED_RANGES; i++) {
    const at = CONTROL_BASE + C_POSTED + i * POSTED_WORDS * 4;
    if (<u32>gpa - word(at, POSTED_BASE) >= word(at, POSTED_LENGTH)) continue;
    if (!ringHasRoom()) return false;
    ringPutQuietly(c, RING_MMIO | (size << 8), (gpa << 32) | value);
    if (!(<u32>gpa & word(at, POSTED_QUIET))) ringDoorbell();
    return true;
  }
  return false;
}

@inline function word(at: usize, i: u32): u32 { return atomic.load<u32>(at + (i << 2)); }
