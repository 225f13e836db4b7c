/**
 * The part of the local APIC that must not wait for the device thread (SDM vol. 3, chapter 11; as APIC-register
 * virtualisation and posted interrupts do): TPR, PPR, EOI, IRR to ISR, IPIs (./ipi.ts), the timer's deadline. The registers
 * lie in the vCPU's virtual-APIC page at their xAPIC offsets; every other register is src/io/vlapic.ts, which hears of a
 * write after it has been stored (a trap-like exit) and answers reads of the current count.
 */
import { Vcpu, AREA_APIC, AREA_PIR, ATTENTION_POSTED, RING_EOI, V_ATTENTION } from "./gen/layout";
import { sendIpi } from "./ipi";
import { ringPut } from "./ring";

export const APIC_ID: usize = 0x20;
export const APIC_TPR: usize = 0x80;
export const APIC_PPR: usize = 0xa0;
export const APIC_EOI: usize = 0xb0;
export const APIC_LDR: usize = 0xd0;
export const APIC_DFR: usize = 0xe0;
export const APIC_SVR: usize = 0xf0;
export const APIC_ISR: usize = 0x100;
export const APIC_TMR: usize = 0x180;
export const APIC_IRR: usize = 0x200;
export const APIC_ICR_LOW: usize = 0x300;
export const APIC_ICR_HIGH: usize = 0x310;
export const APIC_LVT_TIMER: usize = 0x320;
export const APIC_CCR_TIMER: usize = 0x390;
export const APIC_SELF_IPI: usize = 0x3f0;
/** IA32_APIC_BASE. */
export const APICBASE_ENABLED: u64 = 1 << 11;
export const APICBASE_X2APIC: u64 = 1 << 10;
const SVR_ENABLE: u32 = 0x100;
const LVT_MASKED: u32 = 0x10000;
const LVT_MODE: u32 = 0x60000;
const LVT_PERIODIC: u32 = 0x20000;

@inline function reg(c: Vcpu, r: usize): u32 { return load<u32>(changetype<usize>(c) + AREA_APIC + r); }
@inline function setReg(c: Vcpu, r: usize, v: u32): void { store<u32>(changetype<usize>(c) + AREA_APIC + r, v); }
@inline function bitWord(c: Vcpu, field: usize, vector: u32): usize {
  return changetype<usize>(c) + AREA_APIC + field + (vector >> 5) * 16;
}

/** Highest vector set in IRR or ISR, or -1. */
function highest(c: Vcpu, field: usize): i32 {
  for (let i = 7; i >= 0; i--) {
    const w = reg(c, field + <usize>i * 16);
    if (w) return i * 32 + 31 - <i32>clz<u32>(w);
  }
  return -1;
}

export function apicEnabled(c: Vcpu): bool {
  return (c.apicBase & APICBASE_ENABLED) != 0;
}

/** Takes posted interrupts into IRR. */
export function apicSync(c: Vcpu): void {
  const pir = changetype<usize>(c) + AREA_PIR;
  for (let i: usize = 0; i < 8; i++) {
    const w = atomic.xchg<u32>(pir + i * 4, 0);
    if (w) {
      const irr = changetype<usize>(c) + AREA_APIC + APIC_IRR + i * 16;
      store<u32>(irr, load<u32>(irr) | w);
    }
  }
}

function updatePpr(c: Vcpu): u32 {
  const tpr = reg(c, APIC_TPR) & 0xff, isr = max(highest(c, APIC_ISR), 0);
  const ppr: u32 = (tpr >> 4) >= (<u32>isr >> 4) ? tpr : <u32>isr & 0xf0;
  setReg(c, APIC_PPR, ppr);
  return ppr;
}

/** The vector that the processor priority lets through, or -1. */
export function apicDeliverable(c: Vcpu): i32 {
  if (!apicEnabled(c) || !(reg(c, APIC_SVR) & SVR_ENABLE)) return -1;
  const v = highest(c, APIC_IRR);
  if (v < 16) return -1;
  return <u32>v >> 4 > updatePpr(c) >> 4 ? v : -1;
}

/** Interrupt acknowledge: IRR to ISR. */
export function apicAccept(c: Vcpu, vector: u32): void {
  const bit: u32 = 1 << (vector & 31);
  const irr = bitWord(c, APIC_IRR, vector), isr = bitWord(c, APIC_ISR, vector);
  store<u32>(irr, load<u32>(irr) & ~bit);
  store<u32>(isr, load<u32>(isr) | bit);
  updatePpr(c);
}

/** EOI: a level-triggered vector is reported to the IOAPIC, in order with other coalesced writes. */
export function apicEoi(c: Vcpu): void {
  const v = highest(c, APIC_ISR);
  if (v < 0) return;
  const bit: u32 = 1 << (v & 31), isr = bitWord(c, APIC_ISR, v);
  store<u32>(isr, load<u32>(isr) & ~bit);
  updatePpr(c);
  if (load<u32>(bitWord(c, APIC_TMR, v)) & bit) ringPut(c, RING_EOI, <u64>v);
  atomic.or<i32>(changetype<usize>(c) + V_ATTENTION, ATTENTION_POSTED);
}

/** Posts an edge-triggered vector to this vCPU itself; vectors below 16 are reserved. */
export function apicPost(c: Vcpu, vector: u32): void {
  if (vector < 16) return;
  const irr = bitWord(c, APIC_IRR, vector), bit: u32 = 1 << (vector & 31);
  // Edge triggered, whatever this vector was used for before: its EOI is nobody else's business.
  atomic.and<u32>(bitWord(c, APIC_TMR, vector), ~bit);
  store<u32>(irr, load<u32>(irr) | bit);
  atomic.or<i32>(changetype<usize>(c) + V_ATTENTION, ATTENTION_POSTED);
}

export function apicReadTpr(c: Vcpu): u64 {
  return (reg(c, APIC_TPR) >> 4) & 15;
}

export function apicWriteTpr(c: Vcpu, cr8: u64): void {
  setTpr(c, <u32>(cr8 & 15) << 4);
}

function setTpr(c: Vcpu, value: u32): void {
  setReg(c, APIC_TPR, value & 0xff);
  updatePpr(c);
  atomic.or<i32>(changetype<usize>(c) + V_ATTENTION, ATTENTION_POSTED);
}

/** True if the core does a write of this register (xAPIC offset) by itself, entirely. */
export function apicWrite(c: Vcpu, register: usize, value: u64): bool {
  switch (<i32>register) {
    case <i32>APIC_ICR_LOW: return sendIpi(c, value);
    // In xAPIC mode alone: an x2APIC has no such register.
    case <i32>APIC_ICR_HIGH: setReg(c, APIC_ICR_HIGH, <u32>value & 0xff000000); return true;
    case <i32>APIC_TPR: setTpr(c, <u32>value); return true;
    case <i32>APIC_EOI: apicEoi(c); return true;
    case <i32>APIC_SELF_IPI: apicPost(c, <u32>value & 0xff); return true;
    default: return false;
  }
}

/** True if the core answers a read of this register, with the value in `apicValue`. */
export let apicValue: u64 = 0;
export function apicRead(c: Vcpu, register: usize): bool {
  if (register == APIC_CCR_TIMER) return false;
  if (register == APIC_PPR) updatePpr(c);
  apicValue = register < 0x400 ? reg(c, register) : 0;
  return true;
}

/** Fires the LAPIC timer if its deadline has passed; re-arms a periodic one without drift. */
export function apicTimerTick(c: Vcpu, ns: u64): void {
  if (ns < c.apicTimer) return;
  const lvt = reg(c, APIC_LVT_TIMER);
  if ((lvt & LVT_MODE) == LVT_PERIODIC && c.apicTimerPeriod) {
    // Missed periods are lost, as they are while a real APIC's vector is already pending.
    const late = (ns - c.apicTimer) / c.apicTimerPeriod;
    c.apicTimer += (late + 1) * c.apicTimerPeriod;
  } else {
    c.apicTimer = ~0;
    c.tscDeadline = 0;
  }
  if (!(lvt & LVT_MASKED)) apicPost(c, lvt & 0xff);
}
