/** CPUID (SDM vol. 2, CPUID): leaves from the model's features (./model.ts) and from the machine's size. */
import { Vcpu, AREA_CPUID, CONTROL_BASE, C_CORES_PER_PACKAGE, C_THREADS_PER_CORE } from "../gen/layout";
import { tscHz } from "../time";
import { drainStores } from "../mem/fence";
import { compactedSize, componentAt, componentSize, standardSize, xcr0Supported } from "../simd/xsave";
import { CPU_LA57, CPU_SPEC_CTRL, CPU_XSAVE, CRYSTAL_HZ, features, hasFeature, isAmd, SIGNATURE } from "./model";
import { CR4_PKE, MAXPHYADDR } from "../mem/walk";

const BASIC_MAX: u32 = 0x1f;
const EXTENDED_MAX: u32 = 0x80000008;
const HYPERVISOR_MAX: u32 = 0x40000010;

let a: u32 = 0;
let b: u32 = 0;
let x: u32 = 0;
let d: u32 = 0;

/** Four characters of a string from `i` on, as CPUID packs them; blanks beyond the end. */
function chars(s: string, i: i32): u32 {
  let v: u32 = 0;
  for (let k = 3; k >= 0; k--) v = (v << 8) | (i + k < s.length ? s.charCodeAt(i + k) : 0);
  return v;
}

const BRAND = "Tabhyve virtual CPU (Intel 64)";

/** A serializing instruction (SDM vol. 3, 9.3). */
export function cpuid(c: Vcpu, u: usize): bool {
  drainStores(c);
  leaf(c, <u32>c.gprAt(0), <u32>c.gprAt(1));
  c.set_gpr(0, a);
  c.set_gpr(3, b);
  c.set_gpr(1, x);
  c.set_gpr(2, d);
  return true;
}

/** The answer for a vCPU that does not run, in exitData: EAX, EBX, ECX, EDX. */
export function readCpuid(vcpu: usize, function_: u32, index: u32): void {
  const c = changetype<Vcpu>(vcpu);
  leaf(c, function_, index);
  c.set_exitData(0, a);
  c.set_exitData(1, b);
  c.set_exitData(2, x);
  c.set_exitData(3, d);
}

function threads(): u32 { return load<u32>(CONTROL_BASE, C_THREADS_PER_CORE); }
/** Logical processors of a package. */
function processors(): u32 { return threads() * load<u32>(CONTROL_BASE, C_CORES_PER_PACKAGE); }

/** OSPKE follows CR4, as OSXSAVE does. */
function osPke(c: Vcpu): u32 { return c.cr4 & CR4_PKE ? 1 << 4 : 0; }

/** Bits that tell `n` things apart. */
function bitsFor(n: u32): u32 { return n <= 1 ? 0 : 32 - <u32>clz<u32>(n - 1); }
/** Bits of an APIC id that tell the threads of a core apart, and the logical processors of a package. */
function threadBits(): u32 { return bitsFor(threads()); }
function packageBits(): u32 { return bitsFor(processors()); }

/**
 * The hypervisor's user may have given a table (the seeds' vcpu_cpuid_config): 32-byte entries
 *
 *      0 function   4 index   8 flags (1: the index counts)   12 -   16 EAX   20 EBX   24 ECX   28 EDX
 *
 * of which the first that fits answers. A function that is not there reads as zeros, one above the highest basic
 * function as that one (SDM vol. 2, CPUID).
 */
function fromTable(c: Vcpu, n: u32, sub: u32): bool {
  const base = changetype<usize>(c) + AREA_CPUID, end = base + <usize>c.cpuidCount * 32;
  let highest: u32 = 0;
  for (let e = base; e < end; e += 32) {
    const f = load<u32>(e);
    if (f < 0x40000000) highest = max(highest, f);
    if (f != n || (load<u32>(e, 8) & 1) && load<u32>(e, 4) != sub) continue;
    a = load<u32>(e, 16); b = load<u32>(e, 20); x = load<u32>(e, 24); d = load<u32>(e, 28);
    return true;
  }
  return n < 0x40000000 && n > highest ? fromTable(c, highest, sub) : false;
}

/** What follows the state of the vCPU rather than the table: OSXSAVE, the APIC's being on, SYSCALL in 64-bit code. */
function live(c: Vcpu, n: u32): void {
  if (n == 1) {
    x = c.cr4 & (1 << 18) ? x | 1 << 27 : x & ~(<u32>1 << 27);
    if (!((c.apicBase >> 11) & 1)) d &= ~(<u32>1 << 9);
  }
}

function leaf(c: Vcpu, n: u32, sub: u32): void {
  a = b = x = d = 0;
  if (c.cpuidCount) {
    if (fromTable(c, n, sub)) live(c, n);
    return;
  }
  if (n >= 0x80000000) {
    if (n <= EXTENDED_MAX) { extended(c, n); return; }
  } else if (n >= 0x40000000 && n <= HYPERVISOR_MAX && features(c, 0) >> 31) {
    hypervisor(n);
    return;
  }
  // Intel CPUs answer a leaf that is too high with the highest basic one.
  basic(c, n > BASIC_MAX ? BASIC_MAX : n, sub);
}

/** How x87's pointers behave (assembly/x87/state.ts): FDP_EXCPTN_ONLY, and FCS and FDS are always 0. */
const X87_POINTERS: u32 = 0x2040;

/** "GenuineIntel" or "AuthenticAMD". */
function vendor(c: Vcpu): void {
  const amd = isAmd(c);
  b = amd ? 0x68747541 : 0x756e6547;
  d = amd ? 0x69746e65 : 0x49656e69;
  x = amd ? 0x444d4163 : 0x6c65746e;
}

function basic(c: Vcpu, n: u32, sub: u32): void {
  switch (n) {
    case 0: a = BASIC_MAX; vendor(c); break;
    case 1: {
      a = SIGNATURE;
      b = (c.vcpuid << 24) | (<u32>1 << packageBits() << 16) | (8 << 8);
      x = features(c, 0);
      // OSXSAVE follows CR4.
      if (c.cr4 & (1 << 18)) x |= 1 << 27;
      d = features(c, 1);
      if (!((c.apicBase >> 11) & 1)) d &= ~(<u32>1 << 9);
      if (processors() > 1) d |= 1 << 28;
      break;
    }
    // No descriptors here: leaf 4 has the caches.
    case 2: a = 0x00feff01; break;
    case 4: cache(sub); break;
    case 6: a = 4; break; // ARAT: the LAPIC timer never stops
    case 7:
      if (sub == 0) { a = 2; b = features(c, 2) | X87_POINTERS; x = features(c, 3) | osPke(c); d = features(c, 4); }
      // BHI_CTRL: a bit to set, where a kernel would otherwise run a loop of branches at every system call
      else if (sub == 2 && hasFeature(c, CPU_SPEC_CTRL)) d = 1 << 4;
      break;
    // Of the levels that only 1Fh can tell (modules, tiles, dies) there is none.
    case 0xb:
    case 0x1f:
      x = sub & 0xff;
      d = c.vcpuid;
      if (sub == 0) { a = threadBits(); b = threads(); x |= 1 << 8; }
      else if (sub == 1) { a = packageBits(); b = processors(); x |= 2 << 8; }
      break;
    case 0xd: if (hasFeature(c, CPU_XSAVE)) extendedState(c, sub); break;
    case 0x15: a = 1; b = <u32>(tscHz() / CRYSTAL_HZ); x = <u32>CRYSTAL_HZ; break;
    case 0x16: a = <u32>(tscHz() / 1000000); b = a; x = 100; break;
    default: break;
  }
}

/** Processor extended state enumeration: the sizes in EBX are those of what is enabled now (SDM vol. 1, 13.2). */
function extendedState(c: Vcpu, sub: u32): void {
  const supported = xcr0Supported(c);
  if (sub == 0) {
    a = <u32>supported;
    b = standardSize(c.xcr0);
    x = standardSize(supported);
  } else if (sub == 1) {
    a = features(c, 7);
    b = compactedSize(c.xcr0 | c.xss);
  } else if (sub < 64 && (supported >> sub) & 1) {
    a = componentSize(sub);
    b = componentAt(sub);
  }
}

/** Deterministic cache parameters: 32 KiB of L1 data and instructions, 1 MiB of L2 of a core, 8 MiB of L3 of a package. */
function cache(sub: u32): void {
  // Highest ids: of cores in the package, and of logical processors that share a cache.
  const cores = (<u32>1 << (packageBits() - threadBits())) - 1;
  const sharing = (<u32>1 << (sub == 3 ? packageBits() : threadBits())) - 1;
  if (sub > 3) return;
  const level: u32 = sub < 2 ? 1 : sub;
  const type: u32 = sub == 0 ? 1 : sub == 1 ? 2 : 3;
  a = type | (level << 5) | (1 << 8) | (sharing << 14) | (cores << 26);
  const ways: u32 = sub < 2 ? 8 : 16;
  b = 63 | ((ways - 1) << 22);
  x = sub < 2 ? 63 : sub == 2 ? 1023 : 8191;
  if (sub == 3) d = 2;
}

function hypervisor(n: u32): void {
  if (n == 0x40000000) {
    a = HYPERVISOR_MAX;
    b = chars("TabhyveTabhy", 0); x = chars("TabhyveTabhy", 4); d = chars("TabhyveTabhy", 8);
  } else if (n == 0x40000010) {
    // TSC and APIC timer in kHz.
    a = <u32>(tscHz() / 1000);
    b = <u32>(CRYSTAL_HZ / 1000);
  }
}

function extended(c: Vcpu, n: u32): void {
  switch (n) {
    // AMD repeats its name here, Intel does not.
    case 0x80000000: a = EXTENDED_MAX; if (isAmd(c)) vendor(c); break;
    case 0x80000001:
      x = features(c, 5);
      d = features(c, 6);
      // Intel CPUs report SYSCALL only to 64-bit code.
      if (!((c.mode >> 1) & 1)) d &= ~(<u32>1 << 11);
      break;
    case 0x80000002: case 0x80000003: case 0x80000004: {
      const i = <i32>(n - 0x80000002) * 16;
      a = chars(BRAND, i); b = chars(BRAND, i + 4); x = chars(BRAND, i + 8); d = chars(BRAND, i + 12);
      break;
    }
    case 0x80000006: x = 0x04008040; break; // L2: 1 MiB, 64-byte lines
    case 0x80000007: d = 1 << 8; break; // invariant TSC
    case 0x80000008: a = <u32>MAXPHYADDR | (hasFeature(c, CPU_LA57) ? 57 << 8 : 48 << 8); break;
    default: break;
  }
}
