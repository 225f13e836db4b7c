/** What the decoders of this folder know of a vCPU: plain data, so that it can cross from a worker to the page. */
import type { MachineDebug } from "../machine/debug.ts";
import { VCPU } from "../shared/layout.ts";
import { getSegment, type Segment, type StructView } from "../vcpu/view.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import { SEGMENT_NAMES, type SegmentName, VM_REG_GUEST } from "../vmm/registers.ts";

/** General registers in the encoding order of instructions, which is that of `CpuState.gpr`. */
export const GPR_NAMES = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(
  " ",
) as readonly string[];

export interface Table {
  readonly base: bigint;
  readonly limit: number;
}

export interface CpuState {
  readonly id: number;
  /** A value of RUN_STATE (src/shared/layout.ts). */
  readonly runState: number;
  /** Instructions retired. */
  readonly icount: number;
  readonly rip: bigint;
  readonly gpr: readonly bigint[];
  readonly rflags: bigint;
  readonly cpl: number;
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly pkru: number;
  /** DR0 to DR7. */
  readonly dr: readonly bigint[];
  /** PDPTEs of PAE paging, which MOV to CR3 has loaded. */
  readonly pdpte: readonly bigint[];
  readonly segments: Readonly<Record<SegmentName, Segment>>;
  readonly gdt: Table;
  readonly idt: Table;
  readonly msrs: Readonly<Record<(typeof MSR_NAMES)[number], bigint>>;
  /** XMM0 to XMM15. */
  readonly xmm: readonly bigint[];
  readonly mxcsr: number;
}

/** MSRs that are fields of the vCPU's page. */
export const MSR_NAMES = [
  ...(["star", "lstar", "cstar", "sfmask", "kernelGsBase"] as const),
  ...(["sysenterCs", "sysenterEsp", "sysenterEip", "pat", "apicBase"] as const),
] as const;

/** Reads `length` bytes of RAM or ROM at a guest physical address; undefined: they are not all there. */
export type ReadPhysical = (gpa: number, length: number) => Uint8Array | undefined;

/** A vCPU that stands still, and the memory it sees. */
export interface Sight {
  readonly cpu: CpuState;
  readonly physical: ReadPhysical;
}

const all = (view: StructView, field: (typeof VCPU)["dr"]): bigint[] =>
  Array.from({ length: field.count }, (_, i) => view.get64(field, i));

const YMM_STRIDE = 32;

/** The state of a vCPU. Only while it stands still. */
export function readCpu(debug: MachineDebug, id: number): CpuState {
  const view = debug.view(id);
  const get = (name: "cr0" | "cr2" | "cr3" | "cr4" | "efer" | "rip"): bigint => view.get64(VCPU[name]);
  const half = (i: number, at: number): bigint =>
    view.data.getBigUint64(view.base + VCPU.ymm.offset + i * YMM_STRIDE + at, true);
  return {
    id,
    runState: view.get(VCPU.runState),
    icount: view.get(VCPU.icount),
    rip: get("rip"),
    gpr: all(view, VCPU.gpr),
    rflags: debug.register(id, VM_REG_GUEST.RFLAGS),
    cpl: view.get(VCPU.cpl),
    cr0: get("cr0"),
    cr2: get("cr2"),
    cr3: get("cr3"),
    cr4: get("cr4"),
    efer: get("efer"),
    pkru: view.get(VCPU.pkru),
    dr: all(view, VCPU.dr),
    pdpte: all(view, VCPU.pdpte),
    segments: Object.fromEntries(SEGMENT_NAMES.map((name) => [name, getSegment(view, name)])) as Record<
      SegmentName,
      Segment
    >,
    gdt: { base: view.get64(VCPU.gdtBase), limit: view.get(VCPU.gdtLimit) },
    idt: { base: view.get64(VCPU.idtBase), limit: view.get(VCPU.idtLimit) },
    msrs: Object.fromEntries(MSR_NAMES.map((name) => [name, view.get64(VCPU[name])])) as CpuState["msrs"],
    xmm: Array.from({ length: 16 }, (_, i) => half(i, 0) | (half(i, 8) << 64n)),
    mxcsr: view.get(VCPU.mxcsr),
  };
}

/** Reads a machine's memory. */
export const physicalOf =
  (memory: MachineMemory): ReadPhysical =>
  (gpa, length) => {
    for (let at = gpa; at < gpa + length; at = at - (at % 4096) + 4096) {
      if (memory.hostAddress(at) < 0) return undefined;
    }
    const bytes = new Uint8Array(length);
    for (let at = gpa; at < gpa + length; ) {
      const next = Math.min(gpa + length, at - (at % 4096) + 4096);
      memory.read(at, bytes.subarray(at - gpa, next - gpa));
      at = next;
    }
    return bytes;
  };

/** Bits that all of paging and segmentation depend on. */
export const CR0 = { PE: 1n, WP: 1n << 16n, AM: 1n << 18n, PG: 1n << 31n } as const;
export const CR4 = {
  PSE: 1n << 4n,
  PAE: 1n << 5n,
  LA57: 1n << 12n,
  PCIDE: 1n << 17n,
  SMEP: 1n << 20n,
  SMAP: 1n << 21n,
  PKE: 1n << 22n,
} as const;
export const EFER = { LMA: 1n << 10n, NXE: 1n << 11n } as const;
export const RFLAGS = { TF: 1n << 8n, IF: 1n << 9n, VM: 1n << 17n, AC: 1n << 18n } as const;
const AR_L = 0x2000;
const AR_DB = 0x4000;

export const isLong = (cpu: CpuState): boolean => (cpu.efer & EFER.LMA) !== 0n;
export const isReal = (cpu: CpuState): boolean => (cpu.cr0 & CR0.PE) === 0n;

/** Width of its code. */
export function widthOf(cpu: CpuState): 16 | 32 | 64 {
  const { ar } = cpu.segments.CS;
  if (isLong(cpu) && ar & AR_L) return 64;
  return ar & AR_DB ? 32 : 16;
}

/** Linear address of an offset in a segment, in its present mode. */
export function linearOf(cpu: CpuState, segment: SegmentName, offset: bigint): bigint {
  const wide = widthOf(cpu) === 64;
  const base = wide && segment !== "FS" && segment !== "GS" ? 0n : cpu.segments[segment].base;
  return BigInt.asUintN(wide ? 64 : 32, base + offset);
}

/** Its mode of operation, in words. */
export function modeText(cpu: CpuState): string {
  if (isReal(cpu)) return "real mode";
  if (isLong(cpu)) return widthOf(cpu) === 64 ? "64-bit mode" : "compatibility mode";
  return cpu.rflags & RFLAGS.VM ? "virtual-8086 mode" : `${widthOf(cpu)}-bit protected mode`;
}

/** Lower-case hexadecimal with 0x. */
export const hex = (value: number | bigint, digits = 1): string => `0x${value.toString(16).padStart(digits, "0")}`;
