/**
 * Running alone: a locked instruction that no atomic operation of the host can carry out (misaligned, across pages, 16
 * bytes, to a page with code) is executed while no other vCPU touches guest memory.
 *
 *     Control.exclusive    0 --beginExclusive, compare and exchange--> id + 1 --endExclusive--> 0
 *     Vcpu.inGuest         0 --enterGuest--> 1 --leaveGuest--> 0
 *
 *     one that wants to:  inGuest = 0 · exclusive: 0 -> id + 1, waiting while it is another's · ATTENTION.EXCLUSIVE for
 *                         every other · waits for each until its inGuest is 0 · inGuest = 1 · the instruction ·
 *                         exclusive = 0, and wakes
 *     enterGuest:         inGuest = 1 · exclusive seen; if it is not 0: leaveGuest · waits until it is 0 · again
 *     leaveGuest:         inGuest = 0 · exclusive seen; if it is not 0: wakes who waits for inGuest
 *
 * Each side writes its own word and then reads the other's, sequentially consistent: of a vCPU that enters and one that
 * wants to be alone, at least one sees the other. Whoever waits has inGuest = 0, so there is no circle. All memory that
 * was written before is seen by the one that runs alone, and the other way round: the words are atomic.
 *
 * With one vCPU, or all of them on one thread, nothing of this happens: instructions do not overlap anyway.
 */
import {
  ATTENTION_EXCLUSIVE, CONTROL_BASE, C_EXCLUSIVE, C_PARALLEL, STAT_EXCLUSIVES, Vcpu, V_ATTENTION, V_IN_GUEST,
} from "../gen/layout";
import { bump } from "../stat";
import { serveUnwrites, vcpuAt, vcpuCount } from "./pageword";

const EXCLUSIVE: usize = CONTROL_BASE + C_EXCLUSIVE;
/** How often to look before the thread sleeps. */
const SPINS: i32 = 1000;
const FOR_EVER: i64 = -1;

@inline export function parallel(): bool { return load<u32>(CONTROL_BASE, C_PARALLEL) != 0; }

/** Waits while the word at `at` is `value`. */
function waitWhile(at: usize, value: i32): void {
  for (let i = 0; i < SPINS; i++) if (atomic.load<i32>(at) != value) return;
  atomic.wait<i32>(at, value, FOR_EVER);
}

/** Before guest memory is touched; what the attention word asks for is to be done next. */
export function enterGuest(c: Vcpu): void {
  if (!parallel()) return;
  while (true) {
    atomic.store<i32>(changetype<usize>(c) + V_IN_GUEST, 1);
    const owner = atomic.load<i32>(EXCLUSIVE);
    if (!owner) return;
    leaveGuest(c);
    waitWhile(EXCLUSIVE, owner);
  }
}

export function leaveGuest(c: Vcpu): void {
  if (!parallel()) return;
  const at = changetype<usize>(c) + V_IN_GUEST;
  atomic.store<i32>(at, 0);
  if (atomic.load<i32>(EXCLUSIVE)) atomic.notify(at, -1);
}

/** From here to endExclusive no other vCPU touches guest memory. */
export function beginExclusive(c: Vcpu): void {
  bump(c, STAT_EXCLUSIVES);
  const me = c.vcpuid, n = vcpuCount();
  leaveGuest(c);
  while (true) {
    const owner = atomic.cmpxchg<i32>(EXCLUSIVE, 0, <i32>me + 1);
    if (!owner) break;
    waitWhile(EXCLUSIVE, owner);
  }
  for (let i: u32 = 0; i < n; i++) if (i != me) atomic.or<i32>(vcpuAt(i) + V_ATTENTION, ATTENTION_EXCLUSIVE);
  for (let i: u32 = 0; i < n; i++) {
    if (i == me) continue;
    while (atomic.load<i32>(vcpuAt(i) + V_IN_GUEST)) waitWhile(vcpuAt(i) + V_IN_GUEST, 1);
  }
  atomic.store<i32>(changetype<usize>(c) + V_IN_GUEST, 1);
  // Asked for while this vCPU was outside; whoever asked has gone on.
  serveUnwrites(c);
}

export function endExclusive(): void {
  atomic.store<i32>(EXCLUSIVE, 0);
  atomic.notify(EXCLUSIVE, -1);
}
