/** From the core's exit record (VCPU.exit*) to a VmExit. */
import { EXIT } from "../shared/exit.ts";
import { VCPU } from "../shared/layout.ts";
import type { CoreExports } from "../vcpu/core.ts";
import { getSegment, type StructView } from "../vcpu/view.ts";
import { codeWidth, cpuMode, guestPaging } from "./cpuMode.ts";
import { VmError } from "./error.ts";
import {
  TASK_SWITCH_REASONS,
  type VmExit,
  type VmInout,
  type VmInstEmul,
  type VmTaskSwitch,
  type VmVmx,
} from "./exit.ts";
import type { MachineMemory } from "./memory.ts";
import { VM_REG_GUEST } from "./registers.ts";
import { getSegDesc } from "./segment.ts";
import { VIE_INST_SIZE, type Vie, valueBefore, vieAddresses, vieDecode } from "./vie.ts";

/** Bits of exitB (assembly/mem/stage.ts). */
export const EXIT_WRITE = 1;
const EXIT_STRING = 2;
const EXIT_REP = 4;
/** ACCESS_PROBE and ACCESS_FETCH of assembly/mem/walk.ts. */
const PROBE = 512;
const FETCH = 16;
const NONE = 0xffff_ffff_ffff_ffffn;
/** An access of the core is at most this many bytes long; a later piece of it lies so far from its start at most. */
const LONGEST = 64n;

export const exitSize = (view: StructView): number => (view.get(VCPU.exitB) >> 8) & 15;
export const exitWrites = (view: StructView): boolean => (view.get(VCPU.exitB) & EXIT_WRITE) !== 0;

/** gpa of a linear address in the vCPU's present mode, without a trace in the guest; undefined if it has none. */
export function translate(core: CoreExports, view: StructView, linear: bigint, access = 0): number | undefined {
  const gpa = BigInt.asUintN(64, core.gla2gpa(view.base, linear, access | PROBE));
  return gpa === NONE ? undefined : Number(gpa);
}

/** The instruction at `rip`, read through the guest's own page tables. */
export function fetchVie(core: CoreExports, view: StructView, memory: MachineMemory, rip: bigint): Vie | undefined {
  const long = cpuMode(view) === "64BIT";
  const bytes = new Uint8Array(VIE_INST_SIZE);
  const base = long ? 0n : getSegment(view, "CS").base;
  let n = 0;
  while (n < bytes.length) {
    const linear = BigInt.asUintN(long ? 64 : 32, base + rip + BigInt(n));
    const gpa = translate(core, view, linear, FETCH);
    if (gpa === undefined || memory.hostAddress(gpa) < 0) break;
    const here = Math.min(bytes.length - n, 4096 - (gpa % 4096));
    memory.read(gpa, bytes.subarray(n, n + here));
    n += here;
  }
  return vieDecode(bytes.subarray(0, n), codeWidth(view));
}

/** The linear address that an access to `gpa` had, by the instruction's operands. */
function glaOf(core: CoreExports, view: StructView, vie: Vie | undefined, gpa: number): bigint {
  if (!vie) return NONE;
  for (const linear of vieAddresses(view, vie, valueBefore(view))) {
    const at = translate(core, view, linear);
    // A later piece may lie on another page than the first.
    if (at === undefined) continue;
    const ahead = BigInt(gpa - at);
    if (ahead >= 0n && ahead < LONGEST) return linear + ahead;
    const far = translate(core, view, linear + LONGEST);
    if (far !== undefined && far - gpa > 0 && BigInt(far - gpa) <= LONGEST) return linear + LONGEST - BigInt(far - gpa);
  }
  return NONE;
}

function inout(view: StructView): VmInout {
  const how = view.get(VCPU.exitB);
  const write = (how & EXIT_WRITE) !== 0;
  return {
    bytes: exitSize(view) as 1 | 2 | 4,
    in: !write,
    string: (how & EXIT_STRING) !== 0,
    rep: (how & EXIT_REP) !== 0,
    port: view.get(VCPU.exitA),
    eax: write ? Number(view.get64(VCPU.exitData) & 0xffff_ffffn) : 0,
  };
}

function taskSwitch(view: StructView): VmTaskSwitch {
  const how = view.get(VCPU.exitB);
  return {
    tsssel: view.get(VCPU.exitA),
    ext: (how & 8) !== 0,
    errcode: how & 16 ? Number(view.get64(VCPU.exitData)) : undefined,
    reason: TASK_SWITCH_REASONS[(how >> 1) & 3],
    paging: guestPaging(view),
  };
}

/** Exits by EXIT.VMX: an exception that is to be delivered, WBINVD. */
function vmx(view: StructView): VmVmx {
  return {
    status: 0,
    exitReason: view.get(VCPU.exitA),
    exitQualification: exitWrites(view) ? view.get64(VCPU.exitData, 0) : 0n,
    instType: 0,
    instError: 0,
    intInfo: exitWrites(view) ? view.get64(VCPU.exitData, 1) : 0n,
    detail: "",
  };
}

/** What the record of a vCPU that has left says. */
export function readExit(core: CoreExports, view: StructView, memory: MachineMemory): VmExit {
  const rip = view.get64(VCPU.exitRip);
  const head = { rip, instLength: view.get(VCPU.exitLength) };
  const code = view.get(VCPU.exitCode);
  switch (code) {
    case EXIT.INOUT: {
      const io = inout(view);
      if (!io.string) return { ...head, exitcode: "INOUT", inout: io };
      const vie = fetchVie(core, view, memory, rip);
      const before = valueBefore(view);
      const addrsize = vie?.addrsize ?? 4;
      const segName = io.in ? VM_REG_GUEST.ES : VM_REG_GUEST[(vie?.segmentRegister ?? "DS") as "DS"];
      const trim = (v: bigint): bigint => BigInt.asUintN(8 * addrsize, v);
      return {
        ...head,
        exitcode: "INOUT_STR",
        inoutStr: {
          inout: io,
          paging: guestPaging(view),
          rflags: core.rflags(view.base),
          cr0: view.get64(VCPU.cr0),
          index: trim(before(io.in ? VM_REG_GUEST.RDI : VM_REG_GUEST.RSI)),
          count: io.rep ? trim(before(VM_REG_GUEST.RCX)) : 1n,
          addrsize,
          segName,
          segDesc: getSegDesc(view, segName),
        },
      };
    }
    case EXIT.INST_EMUL: {
      const gpa = Number(view.get64(VCPU.exitA));
      const write = exitWrites(view);
      if (memory.hostAddress(gpa) >= 0) {
        return { ...head, exitcode: "PAGING", paging: { gpa, faultType: write ? "write" : "read" } };
      }
      const vie = head.instLength ? fetchVie(core, view, memory, rip) : undefined;
      const instEmul: VmInstEmul = {
        gpa,
        gla: glaOf(core, view, vie, gpa),
        csD: codeWidth(view) === 32,
        paging: guestPaging(view),
        vie,
        write,
        bytes: exitSize(view) as VmInstEmul["bytes"],
        value: write ? view.get64(VCPU.exitData) : 0n,
      };
      return { ...head, exitcode: "INST_EMUL", instEmul };
    }
    case EXIT.RDMSR:
      return { ...head, exitcode: "RDMSR", msr: { code: view.get(VCPU.exitA) } };
    case EXIT.WRMSR:
      return { ...head, exitcode: "WRMSR", msr: { code: view.get(VCPU.exitA), wval: view.get64(VCPU.exitData) } };
    case EXIT.HLT:
      return { ...head, exitcode: "HLT", hlt: { rflags: core.rflags(view.base) } };
    case EXIT.MTRAP:
      return { ...head, exitcode: "MTRAP" };
    case EXIT.PAUSE:
      return { ...head, exitcode: "PAUSE" };
    case EXIT.VMX:
      return { ...head, exitcode: "VMX", vmx: vmx(view) };
    case EXIT.INTA:
      return { ...head, exitcode: "INTA" };
    case EXIT.TASK_SWITCH:
      return { ...head, exitcode: "TASK_SWITCH", taskSwitch: taskSwitch(view) };
    default:
      throw new VmError("EINVAL", `the core left with exit code ${code}`);
  }
}
