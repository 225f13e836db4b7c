/** What the bits of paging entries mean, and why an access by them is allowed or not (SDM vol. 3, chapter 4). */
import { type CpuState, CR0, CR4, EFER, hex, isLong, linearOf, RFLAGS } from "../cpuState.ts";
import type { PagingMode, Walk, WalkStep } from "../walk.ts";
import { type Event, errorText, pageFaultText } from "./exceptions.ts";

/** A field of an entry, explained. */
export interface EntryBit {
  /** "0", "11:9". */
  readonly bits: string;
  readonly name: string;
  readonly value: bigint;
  readonly says: string;
}

/** Physical address bits the CPU model has (CPUID 80000008h EAX; assembly/mem/walk.ts). */
const MAXPHYADDR = 40n;
const ADDRESS = 0x000f_ffff_ffff_ffffn;
const BIT = (n: number): bigint => 1n << BigInt(n);
const P = BIT(0);
const W = BIT(1);
const U = BIT(2);
const PS = BIT(7);
const XD = BIT(63);

const sizeText = (shift: number): string =>
  shift >= 30 ? `${2 ** (shift - 30)} GiB` : shift >= 20 ? `${2 ** (shift - 20)} MiB` : "4 KiB";

/** What an entry leads to. */
const LEADS_TO = {
  PTE: "page",
  PDE: "page table",
  PDPTE: "page directory",
  PML4E: "page-directory-pointer table",
  PML5E: "PML4 table",
} as const;

/** An entry bit by bit, from bit 0 up (SDM vol. 3, tables 4-5 to 4-20). One that is not present has no other bit. */
export function explainEntry({ entry, value, leaf, shift }: WalkStep, mode: PagingMode): EntryBit[] {
  const wide = mode !== "32-bit";
  const out: EntryBit[] = [];
  const field = (bits: string, name: string, of: bigint, says: string): void => {
    out.push({ bits, name, value: of, says });
  };
  const bit = (n: number, name: string, set: string, clear: string): void => {
    const on = (value >> BigInt(n)) & 1n;
    field(`${n}`, name, on, on ? set : clear);
  };
  bit(
    0,
    "P",
    "present",
    "not present: every use of the entry is a page fault, and software may keep anything in the rest",
  );
  if (!(value & P)) return out;
  const span = leaf ? "this page" : `all ${sizeText(shift)} below it`;
  if (!(mode === "PAE" && entry === "PDPTE")) {
    bit(
      1,
      "R/W",
      `writes to ${span} are allowed, if every level agrees`,
      `${span} cannot be written (supervisors may while CR0.WP is 0)`,
    );
    bit(2, "U/S", `user code may use ${span}, if every level agrees`, `only supervisors may use ${span}`);
  }
  bit(3, "PWT", "write-through", "write-back");
  bit(4, "PCD", "not cached", "cached");
  if (!(mode === "PAE" && entry === "PDPTE"))
    bit(5, "A", "has been used for a translation", "not used since software cleared it");
  if (leaf) {
    bit(6, "D", "has been written to", "not written to since software cleared it");
    if (entry === "PTE")
      bit(7, "PAT", "memory type from the upper half of IA32_PAT", "memory type from the lower half of IA32_PAT");
    else field("7", "PS", 1n, `maps a page of ${sizeText(shift)} by itself`);
    bit(8, "G", "global: stays in the TLB when CR3 is written (with CR4.PGE)", "leaves the TLB when CR3 is written");
    if (entry !== "PTE")
      bit(12, "PAT", "memory type from the upper half of IA32_PAT", "memory type from the lower half of IA32_PAT");
  } else if (!(mode === "PAE" && entry === "PDPTE") && (wide || entry === "PDE")) {
    bit(7, "PS", "reserved here, must be 0", `leads to a ${LEADS_TO[entry]}`);
  }
  const top = wide ? 51 : 31;
  const low = leaf ? shift : 12;
  const address = wide ? value & ADDRESS & ~(BIT(low) - 1n) : value & 0xffff_ffffn & ~(BIT(low) - 1n);
  field(
    `${top}:${low}`,
    "address",
    address >> BigInt(low),
    leaf ? `the page is at ${hex(address)}` : `the next table is at ${hex(address)}`,
  );
  if (leaf && (mode === "4-level" || mode === "5-level")) {
    field("62:59", "key", (value >> 59n) & 15n, "protection key, looked up in PKRU while CR4.PKE is 1");
  }
  if (wide && !(mode === "PAE" && entry === "PDPTE"))
    bit(63, "XD", `no instruction is fetched from ${span}`, `code in ${span} may be executed, if every level agrees`);
  return out;
}

export interface Access {
  readonly kind: "read" | "write" | "fetch";
  readonly user: boolean;
  /** The CPU's own, of a descriptor table or TSS. */
  readonly implicit?: boolean;
}

/** Whether an access is allowed, and which rule says so. */
export interface Verdict {
  readonly ok: boolean;
  readonly access: Access;
  /** Error code of the page fault. */
  readonly error: number | undefined;
  /** Place in Walk.steps of the entry that decides. */
  readonly step: number | undefined;
  /** One sentence. */
  readonly why: string;
  /** Of the SDM's volume 3. */
  readonly section: string;
}

const accessText = ({ kind, user }: Access): string =>
  `${user ? "user" : "supervisor"} ${kind === "fetch" ? "instruction fetch" : kind}`;

/** Bits of an entry that must be 0 (SDM vol. 3, 4.4.2, 4.5). */
function reservedBits(cpu: CpuState, { entry, value, leaf, shift }: WalkStep, mode: PagingMode): bigint {
  if (mode === "32-bit") return entry === "PDE" && leaf ? BIT(21) : 0n;
  if (mode === "PAE" && entry === "PDPTE") return 0n; // looked at by MOV to CR3
  let reserved = ADDRESS & ~(BIT(Number(MAXPHYADDR)) - 1n);
  if (!(cpu.efer & EFER.NXE)) reserved |= XD;
  if (!isLong(cpu)) reserved |= 0x7ff0_0000_0000_0000n;
  if (leaf && entry !== "PTE") reserved |= (BIT(shift) - 1n) & ~0x1fffn;
  else if (!leaf && value & PS) reserved |= PS;
  return reserved;
}

/** Judges an access by the entries that a walk has met, as the CPU does: level by level, then by the rights of all. */
export function judge(cpu: CpuState, told: Walk, access: Access): Verdict {
  const { steps, mode, gpa } = told;
  if (mode === "none")
    return {
      ok: true,
      access,
      error: undefined,
      step: undefined,
      why: "paging is off: the linear address is the physical one",
      section: "4.1.1",
    };
  const nx = (cpu.cr4 & CR4.PAE) !== 0n && (cpu.efer & EFER.NXE) !== 0n;
  const common =
    (access.kind === "write" ? 2 : 0) | (access.user ? 4 : 0) | (access.kind === "fetch" && tellsFetches(cpu) ? 16 : 0);
  const no = (step: number, error: number, why: string, section: string): Verdict => ({
    ok: false,
    access,
    error: common | error,
    step,
    why,
    section,
  });
  for (const [i, step] of steps.entries()) {
    if (!(step.value & P)) return no(i, 0, `the ${step.entry} is not present (bit 0, P, is 0)`, "4.7");
    const bad = step.value & reservedBits(cpu, step, mode);
    if (bad) return no(i, 9, `the ${step.entry} has reserved bits set: ${hex(bad)}`, "4.7");
  }
  if (gpa === undefined) {
    return {
      ok: false,
      access,
      error: common,
      step: steps.length - 1,
      why: `the table that the ${steps.at(-1)?.entry ?? "CR3"} leads to is outside of memory`,
      section: "4.5",
    };
  }
  const last = steps.length - 1;
  const without = (flag: bigint): number =>
    steps.findIndex((s) => !(mode === "PAE" && s.entry === "PDPTE") && !(s.value & flag));
  const user = without(U) < 0;
  const readOnly = without(W);
  const noExec = nx ? steps.findIndex((s) => s.value & XD) : -1;
  const name = (i: number): string => steps[i].entry;
  const key = Number((steps[last].value >> 59n) & 15n);
  const rights = cpu.pkru >> (2 * key);
  if (user && cpu.cr4 & CR4.PKE && isLong(cpu) && access.kind !== "fetch") {
    if (rights & 1) return no(last, 33, `protection key ${key} has AD set in PKRU: no access`, "4.6.2");
    if (rights & 2 && access.kind === "write" && (access.user || cpu.cr0 & CR0.WP)) {
      return no(last, 33, `protection key ${key} has WD set in PKRU: no writes`, "4.6.2");
    }
  }
  if (access.kind === "fetch" && noExec >= 0)
    return no(noExec, 1, `the ${name(noExec)} has XD set: nothing is executed there`, "4.6.1");
  if (access.user && !user)
    return no(without(U), 1, `the ${name(without(U))} has U/S clear: only supervisors may use it`, "4.6.1");
  if (!access.user && user) {
    if (access.kind === "fetch" && cpu.cr4 & CR4.SMEP)
      return no(last, 1, "CR4.SMEP is 1: a supervisor executes nothing in a user page", "4.6.1");
    if (access.kind !== "fetch" && cpu.cr4 & CR4.SMAP && (access.implicit || !(cpu.rflags & RFLAGS.AC))) {
      return no(last, 1, "CR4.SMAP is 1 and RFLAGS.AC is 0: a supervisor does not touch a user page", "4.6.1");
    }
  }
  if (access.kind === "write" && readOnly >= 0 && (access.user || cpu.cr0 & CR0.WP)) {
    const whom = access.user ? "" : ", and CR0.WP is 1, so that it holds for supervisors too";
    return no(readOnly, 1, `the ${name(readOnly)} has R/W clear${whom}`, "4.6.1");
  }
  return {
    ok: true,
    access,
    error: undefined,
    step: last,
    why: `a ${accessText(access)} is allowed`,
    section: "4.6.1",
  };
}

/** Whether page faults say that they are of an instruction fetch (SDM vol. 3, 4.7). */
const tellsFetches = ({ cr4, efer }: CpuState): boolean =>
  (cr4 & CR4.SMEP) !== 0n || ((cr4 & CR4.PAE) !== 0n && (efer & EFER.NXE) !== 0n);

/**
 * The access that a page fault's error code tells of; not whether it was the CPU's own. Where error codes do not tell fetches
 * from reads, one of the place that is executed is taken for a fetch.
 */
export function faultAccess(cpu: CpuState, error: number, address: bigint): Access {
  const fetch = error & 16 || (!tellsFetches(cpu) && !(error & 2) && address === linearOf(cpu, "CS", cpu.rip));
  return { kind: fetch ? "fetch" : error & 2 ? "write" : "read", user: (error & 4) !== 0 };
}

/** What an event's error code says, in words; undefined where it has none. */
export function errorSays(cpu: CpuState, { vector, error, address }: Omit<Event, "type">): string | undefined {
  if (error === undefined) return undefined;
  if (address === undefined) return errorText(vector, error);
  return pageFaultText(error, faultAccess(cpu, error, address).kind === "fetch");
}
