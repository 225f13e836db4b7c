/**
 * Saved state of a vCPU that stands between two instructions. Not in it: caches (TLB, blocks), which are made anew, and
 * the local APIC with its timer, which is a device (src/io/vlapic.ts).
 */
import { SnapshotFields } from "../io/snapshotFields.ts";
import { ATTENTION, type Field, SEG_INDEX, STATS, VCPU } from "../shared/layout.ts";
import type { CoreExports } from "../vcpu/core.ts";
import { getSegment, type StructView, setSegment } from "../vcpu/view.ts";
import { type CpuidEntry, getCpuid, setCpuid } from "../vmm/cpuid.ts";
import { cpl } from "../vmm/cpuMode.ts";
import { FPU_SIZE, getFpu, setFpu } from "../vmm/fpu.ts";
import { forgetInterrupted } from "../vmm/vcpuReset.ts";

/** Fields that are saved under their own names: 64-bit registers and MSRs. */
const LONGS = [
  ...["rip", "cr0", "cr2", "cr3", "cr4", "efer", "xcr0", "xss", "gdtBase", "idtBase", "excCr2", "star", "lstar"],
  ...["cstar", "sfmask", "kernelGsBase", "sysenterCs", "sysenterEsp", "sysenterEip", "pat", "tscAdjust", "tscOffset"],
  ...["tscAux", "miscEnable", "specCtrl", "mtrrDefType", "icount", "lastNow"],
] as const satisfies readonly (keyof typeof VCPU)[];
const WORDS = [
  ...["pkru", "gdtLimit", "idtLimit", "shadow", "debug", "nmiBlocked", "nmiPending", "runState", "startup", "caps"],
] as const satisfies readonly (keyof typeof VCPU)[];
const ARRAYS = ["gpr", "dr", "pdpte", "mtrrFixed", "mtrrVar"] as const satisfies readonly (keyof typeof VCPU)[];
/** B3 to B0, BD, BS and BT of DR6: what Vcpu.debug can hold for the guest. */
const DR6_TRAPS = 0xe00f;
/** Most that some of the words can be. */
const LIMITS: Partial<Record<(typeof WORDS)[number], number>> = {
  gdtLimit: 0xffff,
  idtLimit: 0xffff,
  shadow: 2,
  nmiBlocked: 1,
  nmiPending: 2,
  runState: 3,
  startup: 0x3ff,
  debug: DR6_TRAPS,
  caps: 0xff,
};

type Segments = Record<keyof typeof SEG_INDEX, { selector: number; base: bigint; limit: number; access: number }>;

export type VcpuV1 = Record<(typeof LONGS)[number], bigint> &
  Record<(typeof WORDS)[number], number> &
  Record<(typeof ARRAYS)[number], bigint[]> & {
    version: 1;
    id: number;
    rflags: bigint;
    segments: Segments;
    /** An XSAVE image (src/vmm/fpu.ts). */
    fpu: Uint8Array;
    /** Vcpu.cpuToggle: a machine with other features refuses. */
    cpuToggle: number[];
    cpuid: CpuidEntry[];
    /** The core's counters, in the order of STATS. */
    stats: number[];
  };

const U64 = 0xffff_ffff_ffff_ffffn;
const field = (name: keyof typeof VCPU): Field => VCPU[name] as Field;

/** The state of a vCPU; it does not run. */
export function exportVcpu(core: CoreExports, view: StructView): VcpuV1 {
  const longs = Object.fromEntries(LONGS.map((name) => [name, view.get64(field(name))]));
  const words = Object.fromEntries(WORDS.map((name) => [name, view.get(field(name))]));
  // What the host's breakpoints have met is not the guest's.
  words.debug &= DR6_TRAPS;
  // An NMI that the vCPU has not seen yet.
  if (view.load(VCPU.attention) & ATTENTION.NMI) {
    words.nmiPending = Math.min(2, words.nmiPending + view.load(VCPU.nmiPosted));
  }
  const arrays = Object.fromEntries(
    ARRAYS.map((name) => [name, Array.from({ length: field(name).count }, (_, i) => view.get64(field(name), i))]),
  );
  const segments = Object.fromEntries(
    (Object.keys(SEG_INDEX) as (keyof Segments)[]).map((name) => {
      const { selector, base, limit, ar } = getSegment(view, name);
      return [name, { selector, base, limit, access: ar }];
    }),
  );
  const cpuid = getCpuid(view);
  return {
    version: 1,
    id: view.get(VCPU.vcpuid),
    ...longs,
    ...words,
    ...arrays,
    rflags: core.rflags(view.base),
    segments: segments as Segments,
    fpu: getFpu(view),
    cpuToggle: Array.from({ length: VCPU.cpuToggle.count }, (_, i) => view.get(VCPU.cpuToggle, i)),
    cpuid: "entries" in cpuid ? [...cpuid.entries] : [],
    stats: STATS.map((_, i) => view.get(VCPU.stats, i)),
  } as VcpuV1;
}

/**
 * Checks a saved state for this vCPU.
 *
 * @throws SnapshotError; nothing has changed
 */
export function checkVcpu(view: StructView, state: unknown): VcpuV1 {
  const id = view.get(VCPU.vcpuid);
  const from = new SnapshotFields(`vcpu${id}`, state).version(1);
  if (from.int("id", 0, 15) !== id) from.fail("id", `this is vCPU ${id}`);
  const longs = Object.fromEntries(LONGS.map((name) => [name, from.bigint(name, 0n, U64)]));
  const words = Object.fromEntries(WORDS.map((name) => [name, from.int(name, 0, LIMITS[name] ?? 0xffff_ffff)]));
  const arrays = Object.fromEntries(
    ARRAYS.map((name) => {
      const list = from.array(name, field(name).count, field(name).count);
      list.forEach((v, i) => {
        if (typeof v !== "bigint" || v < 0n || v > U64) from.fail(`${name}[${i}]`, "not 64 bits");
      });
      return [name, list as bigint[]];
    }),
  );
  const saved = from.child("segments");
  const segments = Object.fromEntries(
    (Object.keys(SEG_INDEX) as (keyof Segments)[]).map((name) => {
      const s = saved.child(name);
      return [
        name,
        {
          selector: s.int("selector", 0, 0xffff),
          base: s.bigint("base", 0n, U64),
          limit: s.int("limit", 0, 0xffff_ffff),
          access: s.int("access", 0, 0x1_ffff),
        },
      ];
    }),
  );
  const toggles = from.ints("cpuToggle", VCPU.cpuToggle.count, 0, 0xffff_ffff);
  toggles.forEach((word, i) => {
    if (word !== view.get(VCPU.cpuToggle, i)) from.fail("cpuToggle", "the machine has other CPU features");
  });
  const cpuid = from.array("cpuid", 0, 256).map((_, i): CpuidEntry => {
    const e = from.children("cpuid", from.array("cpuid", 0, 256).length)[i];
    const u32 = (name: string): number => e.int(name, 0, 0xffff_ffff);
    const index = (state as VcpuV1).cpuid[i].index === undefined ? {} : { index: u32("index") };
    return { func: u32("func"), ...index, eax: u32("eax"), ebx: u32("ebx"), ecx: u32("ecx"), edx: u32("edx") };
  });
  return {
    version: 1,
    id,
    ...longs,
    ...words,
    ...arrays,
    rflags: from.bigint("rflags", 0n, 0x3f_ffffn),
    segments: segments as Segments,
    fpu: from.bytes("fpu", FPU_SIZE),
    cpuToggle: toggles,
    cpuid,
    stats: from.ints("stats", VCPU.stats.count, 0, Number.MAX_SAFE_INTEGER),
  } as VcpuV1;
}

/** Puts a checked state into a vCPU that does not run. Its engine must be told (Engine.refresh). */
export function importVcpu(core: CoreExports, view: StructView, state: VcpuV1): void {
  for (const name of LONGS) view.set64(field(name), state[name]);
  for (const name of WORDS) view.set(field(name), state[name]);
  for (const name of ARRAYS) {
    state[name].forEach((v, i) => {
      view.set64(field(name), v, i);
    });
  }
  for (const name of Object.keys(SEG_INDEX) as (keyof Segments)[]) {
    const { selector, base, limit, access } = state.segments[name];
    setSegment(view, name, { selector, base, limit, ar: access });
  }
  setFpu(view, state.fpu);
  setCpuid(view, state.cpuid.length ? { entries: state.cpuid } : { legacy: true });
  state.stats.forEach((n, i) => {
    view.set(VCPU.stats, n, i);
  });
  forgetInterrupted(view);
  core.setRflags(view.base, state.rflags);
  view.set(VCPU.cpl, cpl(view));
  // What was there before goes; what is due is looked for again, and no code of the old memory stays.
  view.store(VCPU.dropAll, 1);
  view.store(
    VCPU.attention,
    ATTENTION.POSTED | ATTENTION.EXTINT | ATTENTION.DROP | ATTENTION.DEADLINE | (state.startup ? ATTENTION.INIT : 0),
  );
}
