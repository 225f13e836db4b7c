/**
 * The word of a backing page: who may write to it without being asked, and who holds code of it.
 *
 *     31                      16 15                       0
 *     +-------------------------+--------------------------+
 *     | vCPU i holds code       | vCPU i may hold a write  |
 *     |                         | translation              |
 *     +-------------------------+--------------------------+
 *
 * A page that holds code of any vCPU has no write translation in any TLB: writes to it take the careful path, which
 * drops the code they hit. So each side sets its own bit and then looks for the other half's, by one read-modify-write:
 *
 *     vCPU that decodes (noteCode):   code bit set, word seen · others with a write bit asked, and waited for · bytes
 *                                     read · block entered into the tables
 *     vCPU that fills (noteWritable): write bit set, word seen · if it has no code bit, TLB entry made
 *     vCPU that was asked:            write translations of the page dropped · write bit cleared · slot emptied
 *     careful path, and the host:     bytes written · word read · lines posted to every vCPU that has a code bit
 *
 * Of two read-modify-writes one is first. noteCode before noteWritable: the filler sees the code bit. The other way round:
 * the decoder sees the write bit and asks. noteCode before the careful path's: the writer sees the bit and posts; the
 * other way round: the new bytes are read. A write translation that was made after the bytes have been read is
 * impossible, so no write goes unseen.
 *
 * **Asking** (unwrite). vCPU i puts the page into slot i of the one it asks and sets ATTENTION.DROP; it goes on when
 * the slot is empty again, or when the other one is not in the guest (Vcpu.inGuest = 0): that one takes its attention
 * word before it touches guest memory again. A slot that is still taken because its owner has stayed outside is
 * replaced, after unwriteAll has been set; the owner looks at the slots first, so it sees one page or all. While it waits, a vCPU serves what others ask of it, so that no circle of them stands
 * still; nothing else is served there, because blocks may not vanish while one is being built or linked.
 *
 *     slot   empty --i--> page --asked one: dropped, bit cleared--> empty
 *
 * Bits may be set without need, never missing. The code bit goes when the page's blocks have been dropped (forgetCode),
 * on the thread that set it: no code --noteCode--> being decoded --addToPage--> code --dropBytes--> no code.
 */
import {
  Vcpu, AREA_TLB_WRITE, ATTENTION_DROP, CONTROL_BASE, C_PAGE_WORDS, C_VCPU_COUNT, STAT_UNWRITES, TLB_ENTRIES, VCPU_BASE,
  VCPU_STRIDE, VM_MAXCPU, V_ATTENTION, V_DROP_ALL, V_DROP_PAGES, V_IN_GUEST, V_UNWRITE, V_UNWRITE_ALL,
} from "../gen/layout";
import { bump } from "../stat";
import { dropWriteEntries } from "./tlb";

const DROP_SLOTS: usize = 32;
/** How often to look before the thread sleeps between looks, and for how long. */
const SPINS: i32 = 1000;
const NAP_NS: i64 = 50_000;

@inline function pageWord(host: usize): usize {
  return <usize>load<u32>(CONTROL_BASE, C_PAGE_WORDS) + (host >> 12 << 2);
}

@inline export function vcpuAt(id: u32): usize { return VCPU_BASE + <usize>id * VCPU_STRIDE; }
@inline export function vcpuCount(): u32 { return load<u32>(CONTROL_BASE, C_VCPU_COUNT); }

/** Before a write translation is made: true if the page has no code, and may have one. */
export function noteWritable(c: Vcpu, host: usize): bool {
  const at = pageWord(host), mine: u32 = 1 << c.vcpuid;
  let word = load<u32>(at);
  // A bit that is set is cleared by this thread alone: whoever looks for it will ask, and be served after this.
  if (!(word & mine)) {
    word = atomic.or<u32>(at, mine);
    if (word >> 16) atomic.and<u32>(at, ~mine);
  }
  return word >> 16 == 0;
}

/** Before code is read: afterwards no vCPU can write to the page without taking notice of it. */
export function noteCode(c: Vcpu, host: usize): void {
  const id = c.vcpuid, word = atomic.or<u32>(pageWord(host), <u32>0x10000 << id);
  const writers = word & 0xffff & ~(<u32>1 << id);
  if (writers) unwrite(c, host & ~0xfff, writers);
}

export function forgetCode(c: Vcpu, host: usize): void {
  atomic.and<u32>(pageWord(host), ~(<u32>0x10000 << c.vcpuid));
}

/** Drops this vCPU's own write translations of a page. */
export function unwriteOwn(c: Vcpu, hostPage: usize): void {
  const at = pageWord(hostPage), mine: u32 = 1 << c.vcpuid;
  if (!(load<u32>(at) & mine)) return;
  dropWriteEntries(c, hostPage);
  atomic.and<u32>(at, ~mine);
}

/** Asks the vCPUs in `writers` to drop their write translations of a page, and waits until none can use one. */
function unwrite(c: Vcpu, hostPage: usize, writers: u32): void {
  bump(c, STAT_UNWRITES);
  const slot = V_UNWRITE + (<usize>c.vcpuid << 2);
  for (let left = writers; left; left &= left - 1) {
    const other = vcpuAt(ctz(left));
    const old = atomic.load<u32>(other + slot);
    if (old && old != <u32>hostPage) atomic.store<u32>(other + V_UNWRITE_ALL, 1);
    atomic.store<u32>(other + slot, <u32>hostPage);
    atomic.or<i32>(other + V_ATTENTION, ATTENTION_DROP);
  }
  for (let left = writers; left; left &= left - 1) {
    const other = vcpuAt(ctz(left));
    for (let turn = 0; atomic.load<u32>(other + slot) && atomic.load<i32>(other + V_IN_GUEST); turn++) {
      serveUnwrites(c);
      // Its host thread may be waiting for a core.
      if (turn > SPINS) atomic.wait<i32>(other + slot, <i32>hostPage, NAP_NS);
    }
  }
}

/** Does what other vCPUs have asked for in `unwrite`. */
export function serveUnwrites(c: Vcpu): void {
  const base = changetype<usize>(c);
  for (let i: usize = 0, n = <usize>vcpuCount(); i < n; i++) {
    const slot = base + V_UNWRITE + (i << 2);
    while (true) {
      const page = atomic.load<u32>(slot);
      if (!page) break;
      unwriteOwn(c, page);
      atomic.cmpxchg<u32>(slot, page, 0);
    }
  }
  if (atomic.load<u32>(base + V_UNWRITE_ALL)) {
    atomic.store<u32>(base + V_UNWRITE_ALL, 0);
    memory.fill(base + AREA_TLB_WRITE, 0, TLB_ENTRIES * 16);
  }
}

/**
 * After bytes [host, host + size) of one page were written without a write translation: tells every other vCPU that holds
 * code there. True if this vCPU does.
 */
export function postCode(c: Vcpu, host: usize, size: u32): bool {
  const mine: u32 = 0x10000 << c.vcpuid;
  // A read-modify-write, not a load: the bytes must be out before the word is looked at.
  const word = atomic.or<u32>(pageWord(host), 0);
  for (let left = (word & ~mine) >> 16; left; left &= left - 1) postDrop(vcpuAt(ctz(left)), host, size);
  return (word & mine) != 0;
}

/** The writers' end of the drop slots, as in src/vcpu/drop.ts. */
function postDrop(other: usize, host: usize, size: u32): void {
  const from = <u32>host & 0xfff;
  const entry = <u32>(host & ~0xfff) | (from >> 6 << 6) | ((from + size - 1) >> 6);
  let i: usize = 0;
  for (; i < DROP_SLOTS; i++) {
    const was = atomic.cmpxchg<u32>(other + V_DROP_PAGES + (i << 2), 0, entry);
    if (!was || was == entry) break;
  }
  if (i == DROP_SLOTS) atomic.store<u32>(other + V_DROP_ALL, 1);
  atomic.or<i32>(other + V_ATTENTION, ATTENTION_DROP);
}
