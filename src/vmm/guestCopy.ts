/**
 * Guest linear memory from the host (the seeds' vm_gla2gpa and vm_copy_setup family): translation with the rights of a
 * privilege level, and copies that end in the guest's own page fault when they should.
 */
import { PAGE_SIZE, VCPU } from "../shared/layout.ts";
import type { CoreExports } from "../vcpu/core.ts";
import type { StructView } from "../vcpu/view.ts";
import { VmError } from "./error.ts";
import { type GpaHold, type MemorySegments, PROT } from "./memseg.ts";

/** ACCESS_* of assembly/mem/walk.ts: what CoreExports.gla2gpa takes. */
export const ACCESS = { WRITE: 2, USER: 4, FETCH: 16, PROBE: 512, QUIET: 1024 } as const;
const NONE = 0xffff_ffff_ffff_ffffn;
const PF = 14;

/** A page fault, as it would be delivered: error code (SDM vol. 3, 4.7) and CR2. */
export interface GuestFault {
  readonly errcode: number;
  readonly cr2: bigint;
}

/** The physical address of a linear one, or the page fault that an access meets. */
export type Translation = { readonly gpa: number } | { readonly fault: GuestFault };

/**
 * vm_gla2gpa: the physical address of `gla` for an access, in the vCPU's present mode. Accessed and dirty bits are set as
 * the access would.
 *
 * @param prot PROT.READ, PROT.WRITE or PROT.EXEC
 * @param level 3 = user
 */
export function gla2gpa(core: CoreExports, view: StructView, gla: bigint, prot: number, level: number): Translation {
  const access =
    (prot & PROT.WRITE ? ACCESS.WRITE : 0) | (prot & PROT.EXEC ? ACCESS.FETCH : 0) | (level === 3 ? ACCESS.USER : 0);
  const gpa = BigInt.asUintN(64, core.gla2gpa(view.base, gla, access));
  if (gpa !== NONE) return { gpa: Number(gpa) };
  return { fault: { errcode: view.get(VCPU.excVector) === PF ? view.get(VCPU.excError) : 0, cr2: gla } };
}

/** One page's part of a copy (`struct vm_copyinfo`). */
export interface VmCopyinfo {
  readonly gpa: number;
  readonly len: number;
  readonly prot: number;
  readonly hold: GpaHold;
}

/**
 * vm_copy_setup: translates and holds all of [gla, gla + len) before a byte is copied.
 *
 * | memory | outcome |
 * |---|---|
 * | all of it mapped, with these rights | the parts |
 * | a page fault on the way | the fault; nothing is held |
 * | mapped to addresses without memory, or to memory without these rights | VmError EFAULT; nothing is held |
 * | no length, or rights that are neither READ nor WRITE | VmError EINVAL |
 */
export function copySetup(
  core: CoreExports,
  view: StructView,
  segments: MemorySegments,
  gla: bigint,
  len: number,
  prot: number,
  level: number,
): { readonly copyinfo: VmCopyinfo[] } | { readonly fault: GuestFault } {
  if (!(len > 0) || (prot !== PROT.READ && prot !== PROT.WRITE))
    throw new VmError("EINVAL", "a copy of what, and where");
  const copyinfo: VmCopyinfo[] = [];
  for (let done = 0; done < len; ) {
    const at = BigInt.asUintN(64, gla + BigInt(done));
    const n = Math.min(len - done, PAGE_SIZE - Number(at % BigInt(PAGE_SIZE)));
    const to = gla2gpa(core, view, at, prot, level);
    if ("fault" in to) {
      copyTeardown(segments, copyinfo);
      return to;
    }
    try {
      copyinfo.push({ gpa: to.gpa, len: n, prot, hold: segments.hold(to.gpa, n, prot) });
    } catch (error) {
      copyTeardown(segments, copyinfo);
      throw error;
    }
    done += n;
  }
  return { copyinfo };
}

/** vm_copy_teardown. */
export function copyTeardown(segments: MemorySegments, copyinfo: readonly VmCopyinfo[]): void {
  for (const part of copyinfo) segments.release(part.hold);
}

/** vm_copyin: guest memory into `into`, whose length the parts have together. */
export function copyin(copyinfo: readonly VmCopyinfo[], into: Uint8Array): void {
  check(copyinfo, into.length);
  let at = 0;
  for (const { hold, len } of copyinfo) {
    into.set(hold.bytes, at);
    at += len;
  }
}

/** vm_copyout: `from` into guest memory. @throws VmError EINVAL: set up for reading */
export function copyout(from: Uint8Array, copyinfo: readonly VmCopyinfo[]): void {
  check(copyinfo, from.length);
  if (copyinfo.some((part) => part.prot !== PROT.WRITE)) throw new VmError("EINVAL", "set up for reading");
  let at = 0;
  for (const { hold, len } of copyinfo) {
    hold.bytes.set(from.subarray(at, at + len));
    at += len;
  }
}

function check(copyinfo: readonly VmCopyinfo[], length: number): void {
  const total = copyinfo.reduce((n, part) => n + part.len, 0);
  if (total !== length) throw new VmError("EINVAL", `${length} bytes for a copy of ${total}`);
}
