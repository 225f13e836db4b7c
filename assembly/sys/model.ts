/**
 * The CPU model. Features are those of src/isa/features.ts, in words of 32 that are each one register of a CPUID leaf:
 *
 *     0  1 ECX     1  1 EDX     2  7.0 EBX     3  7.0 ECX     4  7.0 EDX     5  8000_0001 ECX     6  8000_0001 EDX
 *     7  0D.1 EAX
 *
 * Vcpu.cpuToggle has, for each word, the features that the machine's `--cpu` option switches on or off. It does not
 * change while a vCPU runs: the decoder looks at it once for each instruction that needs a feature.
 *
 * It is an Intel model (family 6) that says in IA32_ARCH_CAPABILITIES that it has none of the known side channels, so
 * that guests need no page-table isolation and no retpolines.
 */
import { Vcpu } from "../gen/layout";
import { FEATURES_DEFAULT, FEATURES_IMPLEMENTED } from "../gen/features";

export * from "../gen/features";

/** The features of one word as this vCPU's guest sees them. */
export function features(c: Vcpu, word: u32): u32 {
  return (unchecked(FEATURES_DEFAULT[word]) ^ c.cpuToggleAt(word)) & unchecked(FEATURES_IMPLEMENTED[word]);
}

/** Whether the guest has a feature, given by its number: CPU_* of ../gen/features. */
export function hasFeature(c: Vcpu, feature: u32): bool {
  return (features(c, feature >> 5) >> (feature & 31) & 1) != 0;
}

/** Whether the model's vendor is AMD (`--cpu …,vendor=AuthenticAMD`): CPUID says so, and SYSCALL and SYSENTER obey. */
export function isAmd(c: Vcpu): bool { return c.cpuToggleAt(11) == 1; }

/** Family 6, model 143, stepping 8 (SDM vol. 2, CPUID figure 3-6). */
export const SIGNATURE: u32 = 0x000806f8;
export const MICROCODE: u64 = 0x2b000603;

/**
 * IA32_ARCH_CAPABILITIES: RDCL_NO 0, IBRS_ALL 1, SKIP_L1DFL_VMENTRY 3, SSB_NO 4, MDS_NO 5, IF_PSCHANGE_MC_NO 6, TAA_NO 8,
 * SBDR_SSDP_NO 13, FBSDP_NO 14, PSDP_NO 15, BHI_NO 20, PBRSB_NO 24, GDS_NO 26, RFDS_NO 27, ITS_NO 62.
 */
export const ARCH_CAPABILITIES: u64 = 0x400000000d10e17b;

/** Crystal clock of CPUID 15h; the LAPIC timer counts it too. */
export const CRYSTAL_HZ: u64 = 25000000;
