/**
 * The page walk (SDM vol. 3, chapter 4): no paging, 32-bit, PAE, 4-level and 5-level; A and D bits, NX, WP, U/S, SMEP,
 * SMAP, protection keys, large and 1 GB pages, reserved bits. PDPTEs of PAE paging come from the registers loaded with
 * CR3.
 */
import { Vcpu, STAT_WALKS } from "../gen/layout";
import { raisePageFault } from "../exception";
import { CPU_PDPE1GB, hasFeature } from "../sys/model";
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
/** No fault recorded: the access may be given up. */
export const ACCESS_QUIET: u32 = 1024;

export const NO_GPA: u64 = ~0;
export const CR0_WP: u64 = 1 << 16;
export const CR0_PG: u64 = 1 << 31;
export const CR4_PSE: u64 = 1 << 4;
export const CR4_PAE: u64 = 1 << 5;
export const CR4_PGE: u64 = 1 << 7;
export const CR4_LA57: u64 = 1 << 12;
export const CR4_PCIDE: u64 = 1 << 17;
export const CR4_SMEP: u64 = 1 << 20;
export const CR4_SMAP: u64 = 1 << 21;
export const CR4_PKE: u64 = 1 << 22;
export const EFER_LMA: u64 = 1 << 10;
export const EFER_NXE: u64 = 1 << 11;
export const RFLAGS_AC: u64 = 1 << 18;

/** Bits of an entry of a paging structure (SDM vol. 3, 4.5, tables 4-15 to 4-20). */
const P: u64 = 1;
const W: u64 = 2;
const U: u64 = 4;
const A: u64 = 32;
const D: u64 = 64;
const PS: u64 = 128;
const G: u64 = 256;
const NX: u64 = 1 << 63;
/** Physical address bits the CPU model has (CPUID 80000008h EAX). */
export const MAXPHYADDR: u64 = 40;
const RSVD_HIGH: u64 = 0x000fffffffffffff & ~((1 << MAXPHYADDR) - 1);
const FRAME: u64 = 0x000ffffffffff000;

/** Error code of a page fault (SDM vol. 3, 4.7); W, U and I/D are those of the access. */
const PF_P: u32 = 1;
const PF_RSVD: u32 = 8;
const PF_PK: u32 = 32;

/** What is to be known of the page that was found: it has 2 or 4 MiB, or 1 GiB; only supervisors may use it; G. */
export const PAGE_LARGE: u32 = 1;
export const PAGE_GIGANTIC: u32 = 2;
export const PAGE_SUPERVISOR: u32 = 4;
export const PAGE_GLOBAL: u32 = 8;

/** PAGE_* of the last successful walk. */
export let walkPage: u32 = 0;

function fault(c: Vcpu, linear: u64, access: u32, bits: u32): u64 {
  if (!(access & (ACCESS_PROBE | ACCESS_QUIET))) {
    const nx = (c.cr4 & CR4_PAE) && (c.efer & EFER_NXE);
    const fetch: u32 = (access & ACCESS_FETCH) && (nx || (c.cr4 & CR4_SMEP)) ? 16 : 0;
    raisePageFault(c, linear, bits | (access & (ACCESS_WRITE | ACCESS_USER)) | fetch);
  }
  return NO_GPA;
}

/**
 * Sets accessed and dirty bits in an entry, if they are not set. False: the entry is not `entry` any more, because another
 * vCPU has changed it; the walk begins anew (SDM vol. 3, 9.1.2.2: the update is a locked one of what was read).
 */
@inline function touch(at: usize, entry: u64, bits: u64, access: u32): bool {
  if ((entry & bits) == bits || access & ACCESS_PROBE) return true;
  noteDirty(at);
  return atomic.cmpxchg<u64>(at, entry, entry | bits) == entry;
}
@inline function touch32(at: usize, entry: u64, bits: u64, access: u32): bool {
  if ((entry & bits) == bits || access & ACCESS_PROBE) return true;
  noteDirty(at);
  return atomic.cmpxchg<u32>(at, <u32>entry, <u32>(entry | bits)) == <u32>entry;
}

/** Guest physical address of `linear` for `access`, or NO_GPA with a page fault recorded. */
export function walk(c: Vcpu, linear: u64, access: u32): u64 {
  if (!(c.cr0 & CR0_PG)) {
    walkPage = 0;
    return linear & 0xffffffff;
  }
  bump(c, STAT_WALKS);
  if (c.efer & EFER_LMA) return walkWide(c, linear, access, c.cr3 & FRAME, c.cr4 & CR4_LA57 ? 48 : 39);
  if (c.cr4 & CR4_PAE) {
    const pdpte = c.pdpteAt(<usize>(linear >> 30) & 3);
    if (!(pdpte & P)) return fault(c, linear, access, 0);
    return walkWide(c, linear, access, pdpte & FRAME, 21);
  }
  return walk32(c, linear, access);
}

/** Levels of 512 eight-byte entries, from the one that `shift` selects. */
function walkWide(c: Vcpu, linear: u64, access: u32, table: u64, shift: u64): u64 {
  const always = RSVD_HIGH | (c.efer & EFER_NXE ? 0 : NX) | (c.efer & EFER_LMA ? 0 : 0x7ff0000000000000);
  let rights = U | W, noExec: u64 = 0;
  while (true) {
    const at = hostRead(table + ((linear >> shift & 511) << 3));
    const entry: u64 = at ? load<u64>(at) : 0;
    if (!(entry & P)) return fault(c, linear, access, 0);
    let reserved = always;
    let last = shift == 12;
    if (entry & PS && !last) {
      last = shift == 21 || shift == 30 && hasFeature(c, CPU_PDPE1GB);
      reserved |= last ? ((1 << shift) - 1) & 0x3fffe000 : PS;
    }
    if (entry & reserved) return fault(c, linear, access, PF_P | PF_RSVD);
    rights &= entry;
    noExec |= entry & NX;
    if (last) {
      const refused = refusal(c, rights, noExec != 0, access, entry);
      if (refused) return fault(c, linear, access, refused);
      if (!touch(at, entry, access & ACCESS_WRITE ? A | D : A, access)) return walk(c, linear, access);
      walkPage = pageFlags(c, rights, entry, shift == 12 ? 0 : shift == 21 ? PAGE_LARGE : PAGE_GIGANTIC);
      const mask: u64 = (1 << shift) - 1;
      return (entry & FRAME & ~mask) | (linear & mask);
    }
    if (!touch(at, entry, A, access)) return walk(c, linear, access);
    table = entry & FRAME;
    shift -= 9;
  }
}

@inline function pageFlags(c: Vcpu, rights: u64, entry: u64, size: u32): u32 {
  return size | (rights & U ? 0 : PAGE_SUPERVISOR) | (entry & G && c.cr4 & CR4_PGE ? PAGE_GLOBAL : 0);
}

function walk32(c: Vcpu, linear: u64, access: u32): u64 {
  const pdAt = hostRead((c.cr3 & 0xfffff000) + ((linear >> 22 & 1023) << 2));
  while (true) {
    const pde: u64 = pdAt ? load<u32>(pdAt) : 0;
    if (!(pde & P)) return fault(c, linear, access, 0);
    if ((pde & PS) && (c.cr4 & CR4_PSE)) {
      // PSE-36: bits 20:13 of the PDE are address bits 39:32; bit 21 is reserved.
      if (pde & 0x200000) return fault(c, linear, access, PF_P | PF_RSVD);
      const refused = refusal(c, pde, false, access, 0);
      if (refused) return fault(c, linear, access, refused);
      if (!touch32(pdAt, pde, access & ACCESS_WRITE ? A | D : A, access)) continue;
      walkPage = pageFlags(c, pde, pde, PAGE_LARGE);
      return (pde & 0xffc00000) | ((pde >> 13 & 0xff) << 32) | (linear & 0x3fffff);
    }
    const ptAt = hostRead((pde & 0xfffff000) + ((linear >> 12 & 1023) << 2));
    const pte: u64 = ptAt ? load<u32>(ptAt) : 0;
    if (!(pte & P)) return fault(c, linear, access, 0);
    const refused = refusal(c, pde & pte, false, access, 0);
    if (refused) return fault(c, linear, access, refused);
    // Only a translation that is made sets the directory's bit: the 80386 had it so, and the SDM (4.8) leaves it open.
    if (!touch32(pdAt, pde, A, access)) continue;
    if (!touch32(ptAt, pte, access & ACCESS_WRITE ? A | D : A, access)) continue;
    walkPage = pageFlags(c, pde & pte, pte, 0);
    return (pte & 0xfffff000) | (linear & 0xfff);
  }
}

/**
 * Access rights (SDM vol. 3, 4.6): `rights` has U and W as every level agrees, `leaf` the protection key. 0 = allowed,
 * else bits of the error code.
 */
function refusal(c: Vcpu, rights: u64, noExec: bool, access: u32, leaf: u64): u32 {
  const key = (rights & U) != 0 && (c.cr4 & CR4_PKE) != 0 && keyRefuses(c, access, leaf);
  return key ? PF_P | PF_PK : permitted(c, rights, noExec, access) ? 0 : PF_P;
}

/** Protection keys: PKRU has AD (no access) and WD (no write) for each of 16 keys, bits 62:59 of the entry (4.6.2). */
function keyRefuses(c: Vcpu, access: u32, leaf: u64): bool {
  if (access & ACCESS_FETCH || !(c.efer & EFER_LMA)) return false;
  const bits = c.pkru >> (<u32>(leaf >> 59 & 15) << 1);
  return (bits & 1) != 0 || (bits & 2) != 0 && (access & ACCESS_WRITE) != 0 && ((access & ACCESS_USER) != 0 || (c.cr0 & CR0_WP) != 0);
}

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
