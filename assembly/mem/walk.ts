/**
 * The page walk (SDM vol. 3, chapter 4): no paging, 32-bit, PAE and 4-level; A and D bits, NX, WP, U/S, SMEP, SMAP,
 * large and 1 GB pages, reserved bits. PDPTEs of PAE paging come from the registers loaded with CR3.
 */
import { Vcpu, STAT_WALKS } from "../gen/layout";
import { raisePageFault } from "../exception";
import { noteDirty } from "./dirty";
import { hostRead } from "./phys";
import { bump } from "../stat";

/** What an access wants. */
export const ACCESS_WRITE: u32 = 2;
export const ACCESS_USER: u32 = 4;
export const ACCESS_FETCH: u32 = 16;
/** Supervisor access that the CPU itself makes (descriptor tables, TSS): SMAP ignores RFLAGS.AC. */
export const ACCESS_IMPLICIT: u32 = 256;
/** Only look: no A/D bits, no fault recorded. */
export const ACCESS_PROBE: u32 = 512;

export const NO_GPA: u64 = ~0;
export const CR0_WP: u64 = 1 << 16;
export const CR0_PG: u64 = 1 << 31;
export const CR4_PSE: u64 = 1 << 4;
export const CR4_PAE: u64 = 1 << 5;
export const CR4_SMEP: u64 = 1 << 20;
export const CR4_SMAP: u64 = 1 << 21;
export const EFER_LMA: u64 = 1 << 10;
export const EFER_NXE: u64 = 1 << 11;
const RFLAGS_AC: u64 = 1 << 18;

const P: u64 = 1;
const W: u64 = 2;
const U: u64 = 4;
const A: u64 = 32;
const D: u64 = 64;
const PS: u64 = 128;
const NX: u64 = 1 << 63;
/** Physical address bits the CPU model has (CPUID 80000008h EAX). */
export const MAXPHYADDR: u64 = 40;
const RSVD_HIGH: u64 = 0x000fffffffffffff & ~((1 << MAXPHYADDR) - 1);
const FRAME: u64 = 0x000ffffffffff000;

/** Set by a successful walk: the page is larger than 4 KiB; it may be written without another walk (D is set). */
export let walkLarge: bool = false;

function fault(c: Vcpu, linear: u64, access: u32, bits: u32): u64 {
  if (!(access & ACCESS_PROBE)) {
    const fetch: u32 = (access & ACCESS_FETCH) && ((c.efer & EFER_NXE) || (c.cr4 & CR4_SMEP)) ? 16 : 0;
    raisePageFault(c, linear, bits | (access & (ACCESS_WRITE | ACCESS_USER)) | fetch);
  }
  return NO_GPA;
}

/**
 * Sets accessed and dirty bits in an entry, if they are not set. False: the entry is not `entry` any more, because another
 * vCPU has changed it; the walk begins anew (SDM vol. 3, 9.1.2.2: the update is a locked one of what was read).
 */
@inline function touch(at: usize, entry: u64, bits: u64, wide: bool): bool {
  if ((entry & bits) == bits) return true;
  noteDirty(at);
  if (wide) return atomic.cmpxchg<u64>(at, entry, entry | bits) == entry;
  return atomic.cmpxchg<u32>(at, <u32>entry, <u32>(entry | bits)) == <u32>entry;
}

/** Guest physical address of `linear` for `access`, or NO_GPA with a page fault recorded. */
export function walk(c: Vcpu, linear: u64, access: u32): u64 {
  if (!(c.cr0 & CR0_PG)) {
    walkLarge = false;
    return linear & 0xffffffff;
  }
  bump(c, STAT_WALKS);
  if (c.efer & EFER_LMA) return walkWide(c, linear, access, c.cr3 & FRAME, 39, U | W, 0);
  if (c.cr4 & CR4_PAE) {
    const pdpte = c.pdpteAt(<usize>(linear >> 30) & 3);
    if (!(pdpte & P)) return fault(c, linear, access, 0);
    return walkWide(c, linear, access, pdpte & FRAME, 21, U | W, 0);
  }
  return walk32(c, linear, access);
}

/** Levels of 512 eight-byte entries, from the one that `shift` selects. */
function walkWide(c: Vcpu, linear: u64, access: u32, table: u64, shift: u64, rights: u64, noExec: u64): u64 {
  const reservedNx = c.efer & EFER_NXE ? 0 : NX;
  const pae = (c.efer & EFER_LMA) == 0;
  while (true) {
    const at = hostRead(table + ((linear >> shift & 511) << 3));
    const entry: u64 = at ? load<u64>(at) : 0;
    if (!(entry & P)) return fault(c, linear, access, 0);
    let reserved = RSVD_HIGH | reservedNx;
    if (pae) reserved |= 0x7ff0000000000000;
    const last = shift == 12 || ((entry & PS) && shift <= 30);
    if (shift == 39) reserved |= PS;
    else if (last && shift > 12) reserved |= ((1 << shift) - 1) & 0x3fffe000;
    if (entry & reserved) return fault(c, linear, access, 1 | 8);
    rights &= entry;
    noExec |= entry & NX;
    if (last) {
      if (!permitted(c, rights, noExec != 0, access)) return fault(c, linear, access, 1);
      if (!(access & ACCESS_PROBE) && !touch(at, entry, access & ACCESS_WRITE ? A | D : A, true)) return walk(c, linear, access);
      walkLarge = shift > 12;
      const mask: u64 = (1 << shift) - 1;
      return (entry & FRAME & ~mask) | (linear & mask);
    }
    if (!(access & ACCESS_PROBE) && !touch(at, entry, A, true)) return walk(c, linear, access);
    table = entry & FRAME;
    shift -= 9;
  }
}

function walk32(c: Vcpu, linear: u64, access: u32): u64 {
  const pdAt = hostRead((c.cr3 & 0xfffff000) + ((linear >> 22 & 1023) << 2));
  const pde: u64 = pdAt ? load<u32>(pdAt) : 0;
  if (!(pde & P)) return fault(c, linear, access, 0);
  if ((pde & PS) && (c.cr4 & CR4_PSE)) {
    // PSE-36: bits 20:13 of the PDE are address bits 39:32; bit 21 is reserved.
    if (pde & 0x200000) return fault(c, linear, access, 1 | 8);
    if (!permitted(c, pde, false, access)) return fault(c, linear, access, 1);
    if (!(access & ACCESS_PROBE) && !touch(pdAt, pde, access & ACCESS_WRITE ? A | D : A, false)) return walk(c, linear, access);
    walkLarge = true;
    return (pde & 0xffc00000) | ((pde >> 13 & 0xff) << 32) | (linear & 0x3fffff);
  }
  const ptAt = hostRead((pde & 0xfffff000) + ((linear >> 12 & 1023) << 2));
  const pte: u64 = ptAt ? load<u32>(ptAt) : 0;
  if (!(pte & P)) return fault(c, linear, access, 0);
  if (!permitted(c, pde & pte, false, access)) return fault(c, linear, access, 1);
  // Only a translation that is made sets the directory's bit: the 80386 had it so, and the SDM (4.8) leaves it open.
  if (!(access & ACCESS_PROBE) && !touch(pdAt, pde, A, false)) return walk(c, linear, access);
  if (!(access & ACCESS_PROBE) && !touch(ptAt, pte, access & ACCESS_WRITE ? A | D : A, false)) return walk(c, linear, access);
  walkLarge = false;
  return (pte & 0xfffff000) | (linear & 0xfff);
}

/** Access rights (SDM vol. 3, 4.6.1): `rights` has U and W as every level agrees. */
function permitted(c: Vcpu, rights: u64, noExec: bool, access: u32): bool {
  if ((access & ACCESS_FETCH) && noExec) return false;
  if (access & ACCESS_USER) {
    if (!(rights & U)) return false;
    return !(access & ACCESS_WRITE) || (rights & W) != 0;
  }
  if (rights & U) {
    if (access & ACCESS_FETCH) return !(c.cr4 & CR4_SMEP);
    if ((c.cr4 & CR4_SMAP) && ((access & ACCESS_IMPLICIT) || !(c.rflags & RFLAGS_AC))) return false;
  }
  if (access & ACCESS_WRITE) return (rights & W) != 0 || !(c.cr0 & CR0_WP);
  return true;
}

/**
 * For the host, of a vCPU that does not run: the gpa of `linear` for `access` in its present mode, or all ones with the
 * page fault's error code in excError (the seeds' vm_gla2gpa). A and D bits are set unless `access` has ACCESS_PROBE.
 */
export function gla2gpa(vcpu: usize, linear: u64, access: u32): u64 {
  return walk(changetype<Vcpu>(vcpu), linear, access);
}
