/** Registers of the local APIC and fields of an interrupt message (SDM vol. 3, chapter 11 "APIC"). */

/** Register offsets in the xAPIC page (table 11-1); an x2APIC MSR is 0x800 + offset / 16 (table 11-6). */
export const APIC = {
  ID: 0x20,
  VERSION: 0x30,
  TPR: 0x80,
  APR: 0x90,
  PPR: 0xa0,
  EOI: 0xb0,
  RRD: 0xc0,
  LDR: 0xd0,
  DFR: 0xe0,
  SVR: 0xf0,
  ISR: 0x100,
  TMR: 0x180,
  IRR: 0x200,
  ESR: 0x280,
  ICR_LOW: 0x300,
  ICR_HIGH: 0x310,
  LVT_TIMER: 0x320,
  LVT_THERMAL: 0x330,
  LVT_PERF: 0x340,
  LVT_LINT0: 0x350,
  LVT_LINT1: 0x360,
  LVT_ERROR: 0x370,
  ICR_TIMER: 0x380,
  CCR_TIMER: 0x390,
  DCR_TIMER: 0x3e0,
  SELF_IPI: 0x3f0,
} as const;

/** End of the registers in the page. */
export const APIC_END = 0x400;

/** Delivery modes: bits 10:8 of ICR, LVT entries, IOAPIC redirection entries and MSI data. */
export const DELIVERY = {
  FIXED: 0,
  LOWEST_PRIORITY: 1,
  SMI: 2,
  NMI: 4,
  INIT: 5,
  STARTUP: 6,
  EXTINT: 7,
} as const;
export const DELIVERY_SHIFT = 8;

/**
 * Local vector table entry (figure 11-8). Only the timer has a mode, only the LINTs have polarity, Remote IRR and
 * trigger; timer and error have no delivery mode.
 *
 *     31      19 18  17  16 15  14  13  12 11 10    8 7      0
 *     +---------+------+---+---+---+---+---+--+-------+--------+
 *     |    0    | mode | M |TM |IRR|POL|DS | 0| deliv | vector |
 *     +---------+------+---+---+---+---+---+--+-------+--------+
 */
export const LVT_MASKED = 1 << 16;
export const LVT_TIMER_MODE = 3 << 17;
export const TIMER_ONE_SHOT = 0 << 17;
export const TIMER_PERIODIC = 1 << 17;
export const TIMER_TSC_DEADLINE = 2 << 17;
/** Delivery status and Remote IRR: a write does not change them, and may have them set. */
export const LVT_READ_ONLY = (1 << 12) | (1 << 14);

/** LVT entries and the bits of each that can be written. Their number less one is in the version register. */
export const LVT_WRITABLE: ReadonlyMap<number, number> = new Map([
  [APIC.LVT_TIMER, 0x7_00ff],
  [APIC.LVT_THERMAL, 0x1_07ff],
  [APIC.LVT_PERF, 0x1_07ff],
  [APIC.LVT_LINT0, 0x1_a7ff],
  [APIC.LVT_LINT1, 0x1_a7ff],
  [APIC.LVT_ERROR, 0x1_00ff],
]);

/** Integrated APIC, highest LVT entry 5 (no CMCI), no suppression of EOI broadcasts. */
export const VERSION_VALUE = 0x14 | ((LVT_WRITABLE.size - 1) << 16);

/** Spurious-interrupt vector register: software enable. */
export const SVR_ENABLE = 1 << 8;

/** Error status register (figure 11-9): the errors this model can detect. */
export const ESR_SEND_ILLEGAL_VECTOR = 1 << 5;
export const ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6;
export const ESR_ILLEGAL_REGISTER = 1 << 7;
export const ESR_MASK = ESR_SEND_ILLEGAL_VECTOR | ESR_RECEIVE_ILLEGAL_VECTOR | ESR_ILLEGAL_REGISTER;

/**
 * Interrupt command register (figures 11-12 and 11-28). In the x2APIC there is no delivery status, and the
 * destination has 32 bits.
 *
 *     63      56 55       20 19  18 17 16 15  14  13  12  11  10    8 7      0
 *     +---------+-----------+------+-----+---+---+---+---+---+-------+--------+
 *     |  dest   |     0     | shrt |  0  |TM | L | 0 |DS |LOG| deliv | vector |
 *     +---------+-----------+------+-----+---+---+---+---+---+-------+--------+
 */
export const ICR_WRITABLE = 0xc_cfff;
export const ICR_BUSY = 1 << 12;
export const ICR_LOGICAL = 1 << 11;
export const ICR_ASSERT = 1 << 14;
export const ICR_LEVEL = 1 << 15;
export const ICR_SHORTHAND_SHIFT = 18;
export const SHORTHAND = { NONE: 0, SELF: 1, ALL: 2, OTHERS: 3 } as const;

/** LDR of an x2APIC: cluster in bits 31:16, one bit within it (11.12.10.2). */
export function x2apicLdr(id: number): number {
  return (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;
}

/** First vector that a fixed interrupt may have. */
export const FIRST_VECTOR = 16;

/** How software may get at a register, and the bits that a write may set (the rest are reserved). */
export interface RegisterRule {
  readonly xapic: "" | "r" | "w" | "rw";
  readonly x2apic: "" | "r" | "w" | "rw";
  readonly bits: number;
}

function rules(): ReadonlyMap<number, RegisterRule> {
  const map = new Map<number, RegisterRule>();
  const rule = (offset: number, xapic: RegisterRule["xapic"], x2apic: RegisterRule["x2apic"], bits = 0): void => {
    map.set(offset, { xapic, x2apic, bits });
  };
  rule(APIC.ID, "r", "r");
  rule(APIC.VERSION, "r", "r");
  rule(APIC.TPR, "rw", "rw", 0xff);
  rule(APIC.APR, "r", "");
  rule(APIC.PPR, "r", "r");
  rule(APIC.EOI, "w", "w");
  rule(APIC.RRD, "r", "");
  rule(APIC.LDR, "rw", "r", 0xff00_0000);
  rule(APIC.DFR, "rw", "", 0xf000_0000);
  // Bit 9, focus checking, does nothing; 32-bit Linux sets it on family 6, in x2APIC mode too, and does not fault.
  rule(APIC.SVR, "rw", "rw", 0x3ff);
  for (let i = 0; i < 8; i++) for (const set of [APIC.ISR, APIC.TMR, APIC.IRR]) rule(set + 16 * i, "r", "r");
  rule(APIC.ESR, "rw", "rw");
  rule(APIC.ICR_LOW, "rw", "rw", ICR_WRITABLE);
  rule(APIC.ICR_HIGH, "rw", "", 0xff00_0000);
  for (const [offset, bits] of LVT_WRITABLE) rule(offset, "rw", "rw", bits);
  rule(APIC.ICR_TIMER, "rw", "rw", 0xffff_ffff);
  rule(APIC.CCR_TIMER, "r", "r");
  rule(APIC.DCR_TIMER, "rw", "rw", 0xb);
  rule(APIC.SELF_IPI, "", "w", 0xff);
  return map;
}

/** Every register there is, by offset. */
export const REGISTERS: ReadonlyMap<number, RegisterRule> = rules();
