/**
 * The machine of a world: a program in ring 0 in 64-bit, 32-bit or 16-bit code, in memory of which it sees some pages
 * twice, with its own page table among them. Linear addresses are those of ../../vectorMemory.ts and further ones:
 *
 *     CODE    2 pages  read only    at CODE_ALIAS[i] again, writable; TWIN is a second pair of pages to put there
 *     DATA    2 pages  read/write   DATA's first page at DATA_ALIAS again
 *     TABLE   1 page   read/write   the page table itself
 *
 * Every exception stops the machine, at a HLT of its own in 64-bit code with a stack of its own. What the CPU needs for
 * that lies far from any pointer of a program, and the upper page tables nowhere: to write to those without dropping
 * translations would make two right engines differ.
 */
import { DEFAULT, IMPLEMENTED } from "../../../isa/features.ts";
import type { Width } from "../../../isa/operand.ts";
import { REGISTERS } from "../../../machine/stateHash.ts";
import { RUN } from "../../../shared/exit.ts";
import { CONTROL, type Field, SEG_STRIDE, STATS, VCPU } from "../../../shared/layout.ts";
import { type CoreExports, instantiateCore } from "../../../vcpu/core.ts";
import { RegionCompiler } from "../../../vcpu/jit.ts";
import { type Segment, type StructView, setSegment, vcpuBase, vcpuView } from "../../../vcpu/view.ts";
import { MachineMemory } from "../../../vmm/memory.ts";
import { CODE, CODE_BASE16, PAGE, PROCESS_SIZE, place, pristine, REGIONS } from "../../vectorMemory.ts";
import { loadRegisters } from "../engine.ts";
import { DATA } from "../state.ts";
import type { World } from "./generate.ts";

export const CODE_ALIAS = [0x10_3000, 0x10_f000] as const;
export const DATA_ALIAS = 0x10_8000;
export const TABLE = 0x10_b000;

const RAM = 0x40_0000;
export const PROCESS = 0x20_0000;
/** The code pages' other contents. */
const TWIN = 0x21_0000;
const PML4 = 0x18_0000;
export const MEMORY = PML4;
const KERNEL = 0x31_0000;
/** Linear address of the 2 MiB that PROCESS begins and KERNEL is in. */
const HIGH = 0xc000_0000;
/** Linear address of the kernel's physical one. */
const high = (gpa: number): bigint => BigInt(HIGH + gpa - PROCESS);
const [GDT, IDT, TSS, HANDLERS] = [KERNEL, KERNEL + PAGE, KERNEL + 2 * PAGE, KERNEL + 3 * PAGE];
const KERNEL_STACK_TOP = KERNEL + 5 * PAGE;
const PT = PML4 + 3 * PAGE;
const [P, W, AD, PS] = [1n, 2n, 0x60n, 0x80n];
const CR0 = 0x8001_0033; // PG WP NE ET MP PE
const CR4 = 0x4_0620; // OSXSAVE OSXMMEXCPT OSFXSR PAE
const EFER = 0xd01; // NXE LMA LME SCE

const flat = (ar: number, base = 0n, limit = 0xffff_ffff): Segment => ({ selector: 8, base, limit, ar });
const BASE16 = BigInt(CODE_BASE16);
const CS: Readonly<Record<Width, Segment>> = {
  64: flat(0xa09b),
  32: flat(0xc09b),
  16: flat(0x9b, BASE16, 0xffff),
};
const DS = (mode: Width): Segment => (mode === 16 ? flat(0x93, BASE16, 0xffff) : flat(0xc093));

/** Physical pages that a program may map: the data pages, the code pages and their twins. */
export const PHYSICAL = [
  ...[0, PAGE].map((n) => PROCESS + place(DATA) + n),
  ...[0, PAGE].map((n) => PROCESS + place(CODE) + n),
  ...[0, PAGE].map((n) => TWIN + n),
];

const usual = (memory: WebAssembly.Memory): RegionCompiler => new RegionCompiler(memory);

export class WorldMachine {
  readonly #memory = new MachineMemory({ regions: [{ gpa: 0, length: RAM }], vcpus: 1, shared: true });
  readonly #view: StructView;
  readonly #module: WebAssembly.Module;
  readonly #regions: (memory: WebAssembly.Memory) => RegionCompiler;
  readonly #base = vcpuBase(0);
  readonly #ram: Uint8Array;
  readonly #pristine = pristine();
  #core!: CoreExports;
  #random = 0n;

  /** `regions` makes what compiles regions. */
  constructor(module: WebAssembly.Module, regions: (memory: WebAssembly.Memory) => RegionCompiler = usual) {
    this.#module = module;
    this.#regions = regions;
    const { memory } = this.#memory;
    this.#view = vcpuView(memory.buffer, 0);
    this.#ram = new Uint8Array(memory.buffer, this.#memory.hostAddress(0), RAM);
    this.#memory.control.set(CONTROL.tscHz, 1_000_000_000);
    this.#start();
  }

  /** A new core on the same memory. */
  #start(): void {
    const { memory } = this.#memory;
    const random = (): bigint => this.#random++ * 0x1234_5678_9abc_def1n;
    this.#core = instantiateCore(this.#module, memory, () => 0, random, this.#regions(memory));
  }

  #put64(gpa: number, value: bigint): void {
    new DataView(this.#ram.buffer, this.#ram.byteOffset).setBigUint64(gpa, BigInt.asUintN(64, value), true);
  }

  /** Puts a world into the machine, with everything that was compiled and cached forgotten. */
  load(w: World, heat: number): void {
    const v = this.#view;
    this.#ram.fill(0, PML4);
    this.#tables();
    const pages = this.#ram.subarray(PROCESS, PROCESS + PROCESS_SIZE);
    pages.set(this.#pristine);
    for (const { address, bytes } of w.patches) {
      for (let i = 0; i < bytes.length; i++) if (place(address + i) >= 0) pages[place(address + i)] = bytes[i];
    }
    pages.set(w.code, place(CODE) + w.at);
    this.#ram.set(pages.subarray(place(CODE), place(CODE) + 2 * PAGE), TWIN);
    this.#ram.set(w.twin, TWIN + w.at);
    for (const name of ["slow", "stepping", "stageCount", "stageNext", "replayCount", "shadow", "debug"] as const) {
      v.set(VCPU[name], 0);
    }
    for (const name of ["runState", "attention", "icount", "excVector", "excError", "excHasError", "cr2"] as const) {
      v.set(VCPU[name], 0);
    }
    v.set(VCPU.cr0, CR0);
    v.set(VCPU.cr3, PML4);
    v.set(VCPU.cr4, CR4);
    v.set(VCPU.efer, EFER);
    v.set(VCPU.xcr0, 7);
    v.set64(VCPU.gdtBase, high(GDT));
    v.set(VCPU.gdtLimit, 0xff);
    v.set64(VCPU.idtBase, high(IDT));
    v.set(VCPU.idtLimit, 0xfff);
    v.set(VCPU.a20Mask, 0xffff_ffff);
    v.set64(VCPU.apicTimer, -1n);
    v.set64(VCPU.deviceDeadline, -1n);
    for (const [i, word] of IMPLEMENTED.entries()) v.set(VCPU.cpuToggle, (word ^ DEFAULT[i]) >>> 0, i);
    setSegment(v, "TR", { selector: 0x18, base: high(TSS), limit: 0x67, ar: 0x8b });
    setSegment(v, "LDTR", { selector: 0, base: 0n, limit: 0, ar: 0x1_0000 });
    loadRegisters(v, { gpr: w.gpr, rip: w.start, xsave: w.xsave });
    this.#random = 1n;
    this.#memory.control.set64(CONTROL.tscFloor, 0n);
    v.set(VCPU.heat, heat);
    this.#core.init(this.#base);
    this.#enter(w.mode, BigInt(w.rflags));
  }

  /** In the program's segments. */
  #enter(mode: Width, rflags: bigint): void {
    const v = this.#view;
    setSegment(v, "CS", CS[mode]);
    for (const name of ["ES", "SS", "DS"] as const) setSegment(v, name, DS(mode));
    setSegment(v, "FS", flat(0xc093, BigInt(DATA)));
    setSegment(v, "GS", flat(0xc093, BigInt(DATA + 0x800)));
    v.set(VCPU.cpl, 0);
    this.#core.refresh(this.#base);
    this.#core.setRflags(this.#base, rflags & ~0x1_4100n);
  }

  #tables(): void {
    const entry = (gpa: number, bits: bigint): bigint => BigInt(gpa) | bits | P | AD;
    this.#put64(PML4, entry(PML4 + PAGE, W));
    this.#put64(PML4 + PAGE, entry(PML4 + 2 * PAGE, W));
    this.#put64(PML4 + 2 * PAGE, entry(PT, W));
    this.#put64(PML4 + PAGE + (HIGH / 2 ** 30) * 8, entry(PML4 + 4 * PAGE, W));
    this.#put64(PML4 + 4 * PAGE, entry(PROCESS, W | PS));
    const map = (linear: number, gpa: number, writable: boolean): void =>
      this.#put64(PT + (linear / PAGE) * 8, entry(gpa, writable ? W : 0n));
    for (const [linear, pages, writable] of REGIONS) {
      for (let i = 0; i < pages; i++) map(linear + i * PAGE, PROCESS + place(linear + i * PAGE), writable);
    }
    CODE_ALIAS.forEach((linear, i) => {
      map(linear, PROCESS + place(CODE) + i * PAGE, true);
    });
    map(DATA_ALIAS, PROCESS + place(DATA), true);
    map(TABLE, PT, true);
    this.#put64(GDT + 8, 0x00af_9b00_0000_ffffn);
    this.#put64(TSS + 0x24, high(KERNEL_STACK_TOP));
    for (let vector = 0; vector < 256; vector++) {
      const at = high(HANDLERS + vector * 16);
      this.#put64(IDT + vector * 16, (at & 0xffffn) | (8n << 16n) | (0x8e01n << 32n) | ((at >> 16n) << 48n));
      this.#ram[HANDLERS + vector * 16] = 0xf4;
    }
  }

  /**
   * Runs at most `slice` instructions. What has ended it: nothing yet, an exception, whose frame stands in place of the
   * handler's registers then, or something that no program should do.
   */
  run(slice: number): "" | "exception" | string {
    const v = this.#view;
    const why = this.#core.run(this.#base, BigInt(slice));
    if (why === RUN.SLICE) return "";
    return why === RUN.HALT && v.get64(VCPU.rip) > high(HANDLERS) ? "exception" : `run ${why}`;
  }

  /** The vector of the exception that has ended `run`. */
  get vector(): number {
    return Math.floor(Number(this.#view.get64(VCPU.rip) - high(HANDLERS)) / 16);
  }

  /** A long of the exception's frame (SDM vol. 3, 6.14.2), from its end: SS 1, RSP 2, RFLAGS 3, CS 4, RIP 5. */
  #frame(from: number): bigint {
    return new DataView(this.#ram.buffer, this.#ram.byteOffset).getBigUint64(KERNEL_STACK_TOP - 8 * from, true);
  }

  /** RIP of the exception that has ended `run`. */
  get interrupted(): number {
    return Number(this.#frame(5));
  }

  /** Goes on after an exception with the code at `rip`. */
  resume(mode: Width, rip: number): void {
    const v = this.#view;
    v.set64(VCPU.gpr, this.#frame(2), 4);
    v.set64(VCPU.rip, BigInt(rip));
    v.set(VCPU.runState, 0);
    this.#enter(mode, this.#frame(3));
  }

  /** Registers as text, by name. */
  registers(): Map<string, string> {
    const v = this.#view;
    const out = new Map<string, string>([["rflags", this.#core.rflags(this.#base).toString(16)]]);
    const bytes = Buffer.from(this.#ram.buffer as ArrayBuffer);
    for (const name of REGISTERS) {
      const field: Field = VCPU[name];
      const at = v.base + field.offset;
      out.set(name, bytes.toString("hex", at, at + field.stride * field.count));
    }
    out.set("cr2", v.get64(VCPU.cr2).toString(16));
    return out;
  }

  /** One number for the registers that programs use. */
  fingerprint(): bigint {
    const v = this.#view;
    let hash = this.#core.rflags(this.#base) ^ v.get64(VCPU.icount);
    const add = (from: number, longs: number): void => {
      for (let i = 0; i < longs; i++) {
        hash = BigInt.asUintN(64, (hash ^ v.data.getBigUint64(from + i * 8, true)) * 0x9e37_79b9_7f4a_7c15n);
        hash ^= hash >> 29n;
      }
    };
    add(v.base + VCPU.gpr.offset, 16);
    add(v.base + VCPU.rip.offset, 1);
    add(v.base + VCPU.seg.offset, (8 * SEG_STRIDE) / 8);
    add(v.base + VCPU.ymm.offset, 64);
    add(v.base + VCPU.st.offset, 16);
    add((v.base + VCPU.mxcsr.offset) & ~7, 1);
    return hash;
  }

  /** Page tables, the program's memory from PROCESS on, and the kernel's: physical memory from MEMORY on. */
  memory(): Buffer {
    return Buffer.from(this.#ram.buffer as ArrayBuffer, this.#ram.byteOffset + MEMORY, RAM - MEMORY);
  }

  /** Instructions that have run in compiled code. */
  get compiled(): number {
    return this.#view.get(VCPU.stats, STATS.indexOf("jitInstructions"));
  }

  get executed(): number {
    return this.#view.get(VCPU.icount);
  }

  /** After something that cannot be gone on from. */
  restart(): void {
    this.#start();
  }
}
