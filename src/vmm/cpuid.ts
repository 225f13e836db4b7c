/** What CPUID tells a vCPU's guest (the seeds' vcpu_cpuid_config), and which XCR0 values it may have. */
import { AREA, VCPU } from "../shared/layout.ts";
import type { CoreExports } from "../vcpu/core.ts";
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

/** What CPUID answers. */
export interface CpuidRegisters {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** vcpu_emulate_cpuid: what CPUID would answer a vCPU that does not run. */
export function emulateCpuid(core: CoreExports, view: StructView, func: number, index = 0): CpuidRegisters {
  if (![func, index].every(isU32)) throw new VmError("EINVAL", `CPUID ${func}/${index}: values have 32 bits`);
  // The exit record may hold an exit that waits for its answer.
  const words = [0, 1, 2, 3];
  const kept = words.map((i) => view.get64(VCPU.exitData, i));
  core.readCpuid(view.base, func, index);
  const [eax, ebx, ecx, edx] = words.map((i) => view.get(VCPU.exitData, i));
  for (const i of words) view.set64(VCPU.exitData, kept[i], i);
  return { eax, ebx, ecx, edx };
}

/** Functions that list levels of the topology; the entry that ends the list names its index. */
const LEVELS: readonly number[] = [0xb, 0x1f];

/** Functions whose answer depends on the index, and the first index that has none. */
function indices(read: (func: number, index: number) => CpuidRegisters, func: number): number {
  if (func === 4) {
    let n = 0;
    while (read(4, n).eax & 31) n++;
    return n + 1;
  }
  if (func === 7) return read(7, 0).eax + 1;
  if (LEVELS.includes(func)) return 3;
  if (func === 0xd) return 64;
  return 0;
}

/**
 * vcpu_cpuid_init: what the CPU model answers, as entries: a configuration to change and to set. Sizes in function 0Dh, and
 * OSPKE in function 7, are those of now.
 */
export function cpuidInit(core: CoreExports, view: StructView): { readonly entries: CpuidEntry[] } {
  const count = view.get(VCPU.cpuidCount);
  view.set(VCPU.cpuidCount, 0);
  try {
    const read = (func: number, index: number): CpuidRegisters => emulateCpuid(core, view, func, index);
    const entries: CpuidEntry[] = [];
    for (const first of [0, 0x4000_0000, 0x8000_0000]) {
      const last = read(first, 0).eax;
      // No hypervisor's functions: the highest basic one answers.
      if (last < first) continue;
      for (let func = first; func <= last; func++) {
        const n = indices(read, func);
        if (n === 0) entries.push({ func, ...read(func, 0) });
        for (let index = 0; index < n; index++) {
          const r = read(func, index);
          if (index === 0 || LEVELS.includes(func) || r.eax || r.ebx || r.ecx || r.edx)
            entries.push({ func, index, ...r });
        }
      }
    }
    return { entries };
  } finally {
    view.set(VCPU.cpuidCount, count);
  }
}

/** `enum vm_cpuid_capability`: NO_EXECUTE (EFER.NXE), FFXSR (fast FXSAVE), TCE (translation cache extension). */
export type CpuidCapability = "NONE" | "NO_EXECUTE" | "FFXSR" | "TCE";

/** Register and bit of CPUID 80000001h (AMD APM vol. 3, appendix E). */
const CAPABILITY_BIT: Readonly<Record<Exclude<CpuidCapability, "NONE">, readonly ["ecx" | "edx", number]>> = {
  NO_EXECUTE: ["edx", 20],
  FFXSR: ["edx", 25],
  TCE: ["ecx", 17],
};

/** vm_cpuid_capability: whether a vCPU's CPUID has it. NONE: false. @throws VmError EINVAL */
export function cpuidCapability(core: CoreExports, view: StructView, cap: CpuidCapability): boolean {
  if (cap === "NONE") return false;
  if (!Object.hasOwn(CAPABILITY_BIT, cap)) throw new VmError("EINVAL", `no CPUID capability is called ${String(cap)}`);
  const [register, bit] = CAPABILITY_BIT[cap];
  return (emulateCpuid(core, view, 0x8000_0001)[register] & (1 << bit)) !== 0;
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
