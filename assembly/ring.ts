/**
 * The VM-wide ring of coalesced writes: things the device thread must hear of, in order, but that no vCPU waits for.
 * Entries are 16 bytes {kind u32, vcpu u32, value u64}; a writer takes a ticket, fills the entry and publishes it by
 * writing the kind last. The reader (src/vcpu/ring.ts) clears the kind as it goes.
 */
import { Vcpu, CONTROL_BASE, C_RING_HEAD, C_RING_TAIL, C_DOORBELL, RING_BASE, RING_SIZE } from "./gen/layout";

/** EOI of a level-triggered vector. */
export const RING_EOI: u32 = 1;
/** A port write that nobody waits for: value = bytes << 48 | port << 32 | what is written (assembly/ports.ts). */
export const RING_PORT: u32 = 2;

/** FERR#: an x87 error that CR0.NE does not report. */
export const RING_FERR: u32 = 3;

const ENTRIES: u32 = <u32>(RING_SIZE / 16);

/** Puts an entry; when the ring is full, spins until the reader has caught up (it never waits for a vCPU). */
export function ringPut(c: Vcpu, kind: u32, value: u64): void {
  const ticket = atomic.add<u32>(CONTROL_BASE + C_RING_HEAD, 1);
  while (ticket - atomic.load<u32>(CONTROL_BASE + C_RING_TAIL) >= ENTRIES) {}
  const e = RING_BASE + <usize>(ticket & (ENTRIES - 1)) * 16;
  store<u32>(e, c.vcpuid, 4);
  store<u64>(e, value, 8);
  atomic.store<u32>(e, kind);
  ringDoorbell();
}

/** Tells the device thread that there is something to do. */
export function ringDoorbell(): void {
  atomic.add<i32>(CONTROL_BASE + C_DOORBELL, 1);
  atomic.notify(CONTROL_BASE + C_DOORBELL, 1);
}
