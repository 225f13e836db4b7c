/** Saved state of a local APIC, and what makes one unusable. */

import { APIC_BASE_X2APIC, validApicBase } from "./apicBase.ts";
import {
  APIC,
  APIC_END,
  ESR_MASK,
  LVT_MASKED,
  LVT_WRITABLE,
  REGISTERS,
  SVR_ENABLE,
  VERSION_VALUE,
  x2apicLdr,
} from "./apicRegs.ts";
import { SnapshotFields } from "./snapshotFields.ts";
import type { LintLevels } from "./vlapicLint.ts";

export interface VlapicV1 extends LintLevels {
  version: 1;
  /** Initial APIC id; saved to refuse another processor's state. */
  id: number;
  apicBase: bigint;
  /** 64 words: the registers at their offset / 16, as the mode lays them out. */
  registers: number[];
  /** Errors since the last write of ESR. */
  errors: number;
  /** Guest ns until the timer fires (negative: it should have fired), undefined when it is not armed. */
  timerDueIn: bigint | undefined;
  timerPeriod: bigint;
  tscDeadline: bigint;
}

const U64 = (1n << 64n) - 1n;
const S63 = (1n << 63n) - 1n;

/** Checks a saved state; `id` and `physicalBits` are those of the processor it is for. */
export function checkVlapic(name: string, state: VlapicV1, id: number, physicalBits: number): VlapicV1 {
  const from = new SnapshotFields(name, state).version(1);
  const savedId = from.int("id", 0, 0xffff_ffff);
  if (savedId !== id) from.fail("id", `${savedId}, this processor's is ${id}`);
  const apicBase = from.bigint("apicBase", 0n, U64);
  if (!validApicBase(apicBase, physicalBits)) from.fail("apicBase", `0x${apicBase.toString(16)} cannot be`);
  const x2apic = (apicBase & APIC_BASE_X2APIC) !== 0n;
  const registers = from.intsOf("registers", APIC_END / 16, 0, 0xffff_ffff);
  registers.forEach((value, i) => {
    if (!possible(i * 16, value, id, x2apic)) from.fail(`registers[${i}]`, `0x${value.toString(16)} cannot be`);
  });
  if ((registers[APIC.SVR / 16] & SVR_ENABLE) === 0) {
    for (const offset of LVT_WRITABLE.keys()) {
      if ((registers[offset / 16] & LVT_MASKED) === 0) from.fail(`registers[${offset / 16}]`, "not masked");
    }
  }
  const errors = from.u8("errors");
  if ((errors & ~ESR_MASK) !== 0) from.fail("errors", `0x${errors.toString(16)} has bits that are not there`);
  return {
    version: 1,
    id,
    apicBase,
    registers,
    errors,
    timerDueIn: state.timerDueIn === undefined ? undefined : from.bigint("timerDueIn", -S63, S63),
    timerPeriod: from.bigint("timerPeriod", 0n, U64),
    tscDeadline: from.bigint("tscDeadline", 0n, U64),
    lint0: from.bool("lint0"),
    lint1: from.bool("lint1"),
    extintMessage: from.bool("extintMessage"),
  };
}

/** The register at `offset` can have this value. */
function possible(offset: number, value: number, id: number, x2apic: boolean): boolean {
  const rule = REGISTERS.get(offset);
  switch (offset) {
    case APIC.ID:
      return value === (x2apic ? id : id << 24) >>> 0;
    case APIC.VERSION:
      return value === VERSION_VALUE;
    case APIC.PPR:
      return value <= 0xff;
    case APIC.LDR:
      return x2apic ? value === x2apicLdr(id) : (value & 0xff_ffff) === 0;
    case APIC.DFR:
      return (value & 0x0fff_ffff) === 0x0fff_ffff;
    case APIC.ESR:
      return (value & ~ESR_MASK) === 0;
    case APIC.ICR_HIGH:
      return x2apic || (value & 0xff_ffff) === 0;
    case APIC.SELF_IPI:
      return value === 0;
    default:
      if (offset >= APIC.ISR && offset < APIC.ESR) return true;
      return (value & ~(rule?.bits ?? 0)) === 0;
  }
}
