/**
 * The CPU model: one list of the CPUID features that the core implements and of those a guest sees by default. Each
 * word is one register of a CPUID leaf:
 *
 *     0  1 ECX     1  1 EDX     2  7.0 EBX     3  7.0 ECX     4  7.0 EDX     5  8000_0001 ECX     6  8000_0001 EDX
 *
 * Vcpu.cpuToggle has, for each word, the features that the machine's `--cpu` option switches on or off.
 *
 * It is an Intel model (family 6) that says in IA32_ARCH_CAPABILITIES that it has none of the known side channels, so
 * that guests need no page-table isolation and no retpolines. Not claimed though implemented: SMAP, because STAC and
 * CLAC around every copy cost more than they are worth here.
 */
import { Vcpu } from "../gen/layout";

/** A feature is its word << 5 | its bit. */
export const CPU_MONITOR: u32 = 3;
export const CPU_CX16: u32 = 13;
export const CPU_X2APIC: u32 = 21;
export const CPU_TSC_DEADLINE: u32 = 24;
export const CPU_XSAVE: u32 = 26;
export const CPU_FSGSBASE: u32 = 64 + 0;
export const CPU_TSC_ADJUST: u32 = 64 + 1;
export const CPU_SMEP: u32 = 64 + 7;
export const CPU_SMAP: u32 = 64 + 20;
export const CPU_UMIP: u32 = 96 + 2;
export const CPU_RDPID: u32 = 96 + 22;
export const CPU_SPEC_CTRL: u32 = 128 + 26;
export const CPU_ARCH_CAPABILITIES: u32 = 128 + 29;
export const CPU_RDTSCP: u32 = 192 + 27;

@inline function bit(n: u32): u32 { return <u32>1 << n; }

/** What the core can do. */
function implemented(word: u32): u32 {
  switch (word) {
    // CX16, X2APIC, TSC_DEADLINE, HYPERVISOR; MONITOR (MWAIT ends at once, which the SDM allows)
    case 0: return bit(3) | bit(13) | bit(21) | bit(24) | bit(31);
    // FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
    case 1: return 0x078bfbfd;
    // FSGSBASE TSC_ADJUST SMEP ERMS SMAP
    case 2: return bit(0) | bit(1) | bit(7) | bit(9) | bit(20);
    // UMIP RDPID
    case 3: return bit(2) | bit(22);
    // SPEC_CTRL ARCH_CAPABILITIES
    case 4: return bit(26) | bit(29);
    // LAHF in 64-bit mode
    case 5: return bit(0);
    // SYSCALL NX PDPE1GB RDTSCP LM
    case 6: return bit(11) | bit(20) | bit(26) | bit(27) | bit(29);
    default: return 0;
  }
}

/** What of that a guest does not see unless asked for. */
function hidden(word: u32): u32 {
  return word == 0 ? bit(3) : word == 2 ? bit(20) : 0;
}

/** The features of one word as this vCPU's guest sees them. */
export function features(c: Vcpu, word: u32): u32 {
  const all = implemented(word);
  return ((all & ~hidden(word)) ^ c.cpuToggleAt(word)) & all;
}

export function hasFeature(c: Vcpu, feature: u32): bool {
  return (features(c, feature >> 5) >> (feature & 31) & 1) != 0;
}

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
