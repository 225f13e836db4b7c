/** What CPUID tells a vCPU's guest (the seeds' vcpu_cpuid_config), and which XCR0 values it may have. */
import { AREA, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";

/** Entries of a configuration at most (VMM_CPUID_MAX_ENTRIES). */
export const CPUID_MAX_ENTRIES = 256;
const ENTRY_SIZE = 32;
/** The entry answers only for its own index (ECX). */
const USE_INDEX = 1;

/** `struct vcpu_cpuid_entry`: the answer to one function, or to one function and index. */
export interface CpuidEntry {
  readonly func: number;
  /** Undefined: any index. */
  readonly index?: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** Legacy: the CPU model answers (legacy_emulate_cpuid), with the features of `--cpu`. */
export type CpuidConfig = { readonly legacy: true } | { readonly entries: readonly CpuidEntry[] };

const isU32 = (n: number): boolean => Number.isInteger(n) && n >= 0 && n <= 0xffff_ffff;

/**
 * vm_set_cpuid. OSXSAVE and the APIC's bit in leaf 1 follow the vCPU's state whatever the entry says.
 *
 * | configuration | outcome |
 * |---|---|
 * | legacy, or 1 to CPUID_MAX_ENTRIES entries | taken |
 * | no entries | EINVAL: a CPU answers at least leaf 0 |
 * | more entries | ENOSPC |
 * | two entries that answer the same, values that are not 32 bits | EINVAL |
 */
export function setCpuid(view: StructView, config: CpuidConfig): void {
  if ("legacy" in config) {
    view.set(VCPU.cpuidCount, 0);
    return;
  }
  const { entries } = config;
  if (!entries.length) throw new VmError("EINVAL", "a CPUID configuration without entries");
  if (entries.length > CPUID_MAX_ENTRIES) throw new VmError("ENOSPC", `at most ${CPUID_MAX_ENTRIES} CPUID entries`);
  const seen = new Set<string>();
  for (const e of entries) {
    if (![e.func, e.index ?? 0, e.eax, e.ebx, e.ecx, e.edx].every(isU32)) {
      throw new VmError("EINVAL", `CPUID entry ${e.func}: values have 32 bits`);
    }
    const key = `${e.func}/${e.index ?? "*"}`;
    if (seen.has(key)) throw new VmError("EINVAL", `two CPUID entries for function 0x${e.func.toString(16)}`);
    seen.add(key);
  }
  entries.forEach((e, i) => {
    const at = view.base + AREA.CPUID + i * ENTRY_SIZE;
    const words = [e.func, e.index ?? 0, e.index === undefined ? 0 : USE_INDEX, 0, e.eax, e.ebx, e.ecx, e.edx];
    words.forEach((word, k) => {
      view.data.setUint32(at + 4 * k, word, true);
    });
  });
  view.set(VCPU.cpuidCount, entries.length);
}

/** vm_get_cpuid. */
export function getCpuid(view: StructView): CpuidConfig {
  const count = view.get(VCPU.cpuidCount);
  if (!count) return { legacy: true };
  const entries = Array.from({ length: count }, (_, i): CpuidEntry => {
    const at = view.base + AREA.CPUID + i * ENTRY_SIZE;
    const word = (k: number): number => view.data.getUint32(at + 4 * k, true);
    const indexed = word(2) & USE_INDEX ? { index: word(1) } : {};
    return { func: word(0), ...indexed, eax: word(4), ebx: word(5), ecx: word(6), edx: word(7) };
  });
  return { entries };
}

/** XCR0 bits (SDM vol. 1, 13.3). */
const XCR0 = { X87: 1n, SSE: 2n, AVX: 4n, MPX: 0x18n, AVX512: 0xe0n, PKRU: 0x200n } as const;

/**
 * validate_guest_xcr0: whether a guest may set this value (SDM vol. 1, 13.3).
 *
 * @param limit bits that the CPU offers
 */
export function validateGuestXcr0(value: bigint, limit: bigint): boolean {
  if (value & ~limit || !(value & XCR0.X87)) return false;
  if (value & XCR0.AVX && !(value & XCR0.SSE)) return false;
  if (value & XCR0.AVX512 && (value & XCR0.AVX512) !== XCR0.AVX512) return false;
  if (value & XCR0.AVX512 && !(value & XCR0.AVX)) return false;
  const mpx = value & XCR0.MPX;
  return mpx === 0n || mpx === XCR0.MPX;
}
