/**
 * Inter-processor interrupts from vCPU to vCPU, without the device thread (SDM vol. 3, 11.6): fixed, lowest-priority and
 * NMI ones. INIT, start-up, SMI and whatever is wrong (a reserved bit or mode, an illegal vector) is left to
 * src/io/vlapic.ts. Which APIC a destination names is said by src/io/apicBus.ts, too, for the IOAPIC and MSIs;
 * test/vmm/ipi.test.ts holds the two together.
 *
 * Posting, from any thread (src/io/apicPage.ts is the device thread's end):
 *
 *     sender:  TMR bit cleared · bit in the PIR set · ATTENTION.POSTED set · woken, if it sleeps
 *     target:  attention word exchanged for 0 · PIR words exchanged for 0 into IRR (apicSync)
 *
 * Each step is a read-modify-write, so what the sender has stored before is seen by the handler.
 */
import {
  AREA_APIC, AREA_PIR, ATTENTION_NMI, ATTENTION_POSTED, STAT_IPIS, Vcpu, V_ATTENTION, V_NMI_POSTED,
} from "./gen/layout";
import {
  APICBASE_ENABLED, APICBASE_X2APIC, APIC_DFR, APIC_ICR_HIGH, APIC_ICR_LOW, APIC_ID, APIC_LDR, APIC_SVR, APIC_TMR, APIC_TPR,
} from "./apic";
import { vcpuAt, vcpuCount } from "./mem/pageword";
import { bump } from "./stat";

const FIXED: u32 = 0;
const LOWEST_PRIORITY: u32 = 1;
const NMI: u32 = 4;
const ICR_LOGICAL: u32 = 1 << 11;
/** Bits that software may set: a reserved one is #GP in x2APIC mode, and ignored in xAPIC mode. */
const ICR_WRITABLE: u32 = 0xccfff;
const ICR_BUSY: u32 = 1 << 12;
const SHORTHAND_NONE: u32 = 0;
const SHORTHAND_SELF: u32 = 1;
const SHORTHAND_OTHERS: u32 = 3;
const FIRST_VECTOR: u32 = 16;

@inline function regOf(vcpu: usize, r: usize): u32 { return load<u32>(vcpu + AREA_APIC + r); }

/** A write of ICR (all 64 bits in x2APIC mode): sends it. False: the device thread must. */
export function sendIpi(c: Vcpu, value: u64): bool {
  const x2apic = (c.apicBase & APICBASE_X2APIC) != 0, low = <u32>value & ICR_WRITABLE;
  const mode = low >> 8 & 7, vector = low & 0xff;
  if (x2apic && <u32>value & ~(ICR_WRITABLE | ICR_BUSY)) return false;
  if (mode != NMI && (mode > LOWEST_PRIORITY || vector < FIRST_VECTOR)) return false;
  const base = changetype<usize>(c) + AREA_APIC;
  if (x2apic) store<u32>(base, <u32>(value >> 32), APIC_ICR_HIGH);
  store<u32>(base, low, APIC_ICR_LOW);
  bump(c, STAT_IPIS);
  const high = load<u32>(base, APIC_ICR_HIGH), shorthand = low >> 18;
  const all: u32 = x2apic ? 0xffffffff : 0xff;
  const destination = shorthand != SHORTHAND_NONE ? all : x2apic ? high : high >> 24;
  const logical = shorthand == SHORTHAND_NONE && (low & ICR_LOGICAL) != 0;
  let targets: u32 = 0;
  for (let i: u32 = 0, n = vcpuCount(); i < n; i++) {
    const me = i == c.vcpuid;
    if (shorthand == SHORTHAND_SELF ? me : !(shorthand == SHORTHAND_OTHERS && me) && names(vcpuAt(i), destination, all, logical)) {
      targets |= 1 << i;
    }
  }
  if (mode == LOWEST_PRIORITY) targets = arbitrate(targets, vector);
  for (; targets; targets &= targets - 1) {
    const target = vcpuAt(ctz(targets));
    if (mode == NMI) {
      atomic.add<u32>(target + V_NMI_POSTED, 1);
      attend(target, ATTENTION_NMI);
    }
    else if (accepts(target)) {
      const word = <usize>(vector >> 5), bit: u32 = 1 << (vector & 31);
      atomic.and<u32>(target + AREA_APIC + APIC_TMR + (word << 4), ~bit);
      atomic.or<u32>(target + AREA_PIR + (word << 2), bit);
      attend(target, ATTENTION_POSTED);
    }
  }
  return true;
}

function attend(target: usize, bits: i32): void {
  atomic.or<i32>(target + V_ATTENTION, bits);
  atomic.notify(target + V_ATTENTION, -1);
}

/** Takes fixed interrupts: enabled by IA32_APIC_BASE and by software. */
function accepts(target: usize): bool {
  return (changetype<Vcpu>(target).apicBase & APICBASE_ENABLED) != 0 && (regOf(target, APIC_SVR) & 0x100) != 0;
}

/** Whether a destination names the APIC of the vCPU at `target`; `all` is the broadcast. */
function names(target: usize, destination: u32, all: u32, logical: bool): bool {
  const base = changetype<Vcpu>(target).apicBase;
  if (!(base & APICBASE_ENABLED)) return false;
  if (destination == all) return true;
  const x2apic = (base & APICBASE_X2APIC) != 0;
  if (!logical) return destination == (x2apic ? regOf(target, APIC_ID) : regOf(target, APIC_ID) >> 24);
  const ldr = regOf(target, APIC_LDR);
  if (x2apic) return destination >> 16 == ldr >> 16 && (destination & ldr & 0xffff) != 0;
  if (destination > 0xff) return false;
  const mine = ldr >> 24;
  // DFR: the flat model, or clusters of four.
  if (regOf(target, APIC_DFR) >> 28 == 0xf) return (destination & mine) != 0;
  return (destination & 0xf0) == (mine & 0xf0) && (destination & mine & 0x0f) != 0;
}

@inline function priority(target: usize): u32 { return regOf(target, APIC_TPR) >> 4 & 15; }

/** The one of `targets` that lowest-priority delivery chooses: as src/io/apicBus.ts does. */
function arbitrate(targets: u32, vector: u32): u32 {
  let lowest: u32 = 16, equal: u32 = 0;
  for (let left = targets; left; left &= left - 1) {
    const target = vcpuAt(ctz(left));
    if (!accepts(target)) continue;
    const p = priority(target);
    if (p < lowest) {
      lowest = p;
      equal = 0;
    }
    if (p == lowest) equal |= left & -left;
  }
  if (!equal) return 0;
  for (let skip = vector % <u32>popcnt(equal); skip; skip--) equal &= equal - 1;
  return equal & -equal;
}
