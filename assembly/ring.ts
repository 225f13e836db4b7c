/**
 * The VM-wide ring of coalesced writes: things the device thread must hear of, in order, but that no vCPU waits for.
 * Entries are 16 bytes {kind u32, vcpu u32, value u64}; a writer takes a ticket, fills the entry and publishes it by
 * writing the kind (src/shared/ring.ts) last. The reader (src/vcpu/ring.ts) clears the kind as it goes.
 */
import {
  Vcpu, CONTROL_BASE, C_RING_HEAD, C_RING_TAIL, C_DOORBELL, C_EXIT_POSTED, RING_BASE, RING_SIZE,
} from "./gen/layout";

const ENTRIES: u32 = <u32>(RING_SIZE / 16);

/** Entries left free: without a reader on another thread the ring is emptied only when the vCPU comes back. */
const RESERVE: u32 = 64;

/** There is room for what may also leave by an exit. */
export function ringHasRoom(): bool {
  const used = atomic.load<u32>(CONTROL_BASE + C_RING_HEAD) - atomic.load<u32>(CONTROL_BASE + C_RING_TAIL);
  return used <= ENTRIES - RESERVE;
}

/** Puts an entry; when the ring is full, spins until the reader has caught up (it never waits for a vCPU). */
export function ringPut(c: Vcpu, kind: u32, value: u64): void {
  publish(c, kind, value);
  ringDoorbell();
}

/**
 * Puts an entry that can wait until the device thread has something else to do: to wake it costs both threads more than most
 * entries do. It is woken all the same where an exit waits, for it may be this entry that keeps it from being served
 * (src/vcpu/exitWord.ts).
 */
export function ringPutQuietly(c: Vcpu, kind: u32, value: u64): void {
  publish(c, kind, value);
  atomic.add<i32>(CONTROL_BASE + C_DOORBELL, 1);
  if (atomic.load<u32>(CONTROL_BASE + C_EXIT_POSTED)) atomic.notify(CONTROL_BASE + C_DOORBELL, 1);
}

function publish(c: Vcpu, kind: u32, value: u64): void {
  const ticket = atomic.add<u32>(CONTROL_BASE + C_RING_HEAD, 1);
  while (ticket - atomic.load<u32>(CONTROL_BASE + C_RING_TAIL) >= ENTRIES) {}
  const e = RING_BASE + <usize>(ticket & (ENTRIES - 1)) * 16;
  store<u32>(e, c.vcpuid, 4);
  store<u64>(e, value, 8);
  atomic.store<u32>(e, kind);
}

/** Tells the device thread that there is something to do. */
export function ringDoorbell(): void {
  atomic.add<i32>(CONTROL_BASE + C_DOORBELL, 1);
  atomic.notify(CONTROL_BASE + C_DOORBELL, 1);
}
