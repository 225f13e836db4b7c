/**
 * The machine that vectors run on: memory, page tables, descriptor tables and exception handlers as the vectors'
 * recording had them (a 64-bit kernel with a process in ring 3), and one vCPU driven directly.
 *
 * What the process has is in ./vectorMemory.ts. What the kernel has lies in a supervisor page above the canonical gap. Every gate of the IDT leads to a HLT of its
 * own, so an exception ends `run` with RUN.HALT, and the handler's RIP, the frame it was given and CR2 say what happened:
 * delivery itself is part of what is tested.
 */
import { DEFAULT, IMPLEMENTED } from "../isa/features.ts";
import { RUN } from "../shared/exit.ts";
import { CONTROL, SEG_STRIDE, VCPU } from "../shared/layout.ts";
import { type CoreExports, instantiateCore } from "../vcpu/core.ts";
import { postDrop } from "../vcpu/drop.ts";
import { type Segment, type StructView, setSegment, vcpuBase, vcpuView } from "../vcpu/view.ts";
import { MachineMemory } from "../vmm/memory.ts";
import type { Vector } from "./vectorFormat.ts";
import {
  CODE,
  CODE_BASE16,
  hexBytes,
  imageBefore,
  linearOf,
  PAGE,
  PROCESS_SIZE,
  place,
  pristine,
  put,
  REGIONS,
} from "./vectorMemory.ts";

/** Guest physical places. */
const RAM_SIZE = 0x40_0000;
const PROCESS = 0x20_0000;
const PML4 = 0x30_0000;
const PDPT_LOW = PML4 + PAGE;
const PD_LOW = PML4 + 2 * PAGE;
const PT_LOW = PML4 + 3 * PAGE;
const PDPT_HIGH = PML4 + 4 * PAGE;
const PD_HIGH = PML4 + 5 * PAGE;
const TABLES = PML4 + 6 * PAGE;
const GDT = TABLES;
const LDT = TABLES + 0x100;
const TSS = TABLES + 0x200;
const IDT = TABLES + PAGE;
const HANDLERS = TABLES + 2 * PAGE;
const KERNEL_STACK = TABLES + 3 * PAGE;
const KERNEL_STACK_TOP = KERNEL_STACK + PAGE;
/** Linear address of guest physical address 0 in the kernel's mapping. */
const KERNEL = 0xffff_ff80_0000_0000n;
const kernel = (gpa: number): bigint => KERNEL + BigInt(gpa);

/** Page table entry bits (SDM vol. 3, 4.5): the entries are accessed and dirty from the start. */
const P = 1n;
const W = 2n;
const U = 4n;
const AD = 0x60n;
const PS = 0x80n;
const NX = 1n << 63n;

const CR0 = 0x8005_0033; // PG AM WP NE ET MP PE
const CR4 = 0x5_0e20; // OSXSAVE FSGSBASE UMIP OSXMMEXCPT OSFXSR PAE
const EFER = 0xd01; // NXE LMA LME SCE
const XCR0 = 7;

const flat = (selector: number, ar: number): Segment => ({ selector, base: 0n, limit: 0xffff_ffff, ar });
const NULL_SEGMENT: Segment = { selector: 0, base: 0n, limit: 0, ar: 0x1_0000 };
const KERNEL_CS = flat(0x10, 0xa09b);
const FS_BASE = 0x10_4000n;
const GS_BASE = 0x10_4800n;
const FS = { selector: 0x27, base: FS_BASE, limit: 0x1fff, ar: 0x40f3 };
const GS = { selector: 0x2f, base: GS_BASE, limit: 0xffff_ffff, ar: 0xc0f3 };
const CS32 = flat(0x07, 0xc0fb);
const SS32 = flat(0x0f, 0xc0f3);
const CS16 = { selector: 0x17, base: BigInt(CODE_BASE16), limit: 0xffff, ar: 0x00fb };
const SS16 = { selector: 0x1f, base: BigInt(CODE_BASE16), limit: 0xffff, ar: 0x00f3 };
const LDTR = { selector: 0x50, base: kernel(LDT), limit: 6 * 8 - 1, ar: 0x82 };
const TR = { selector: 0x40, base: kernel(TSS), limit: 0x67, ar: 0x8b };

type Segments = Record<"ES" | "CS" | "SS" | "DS" | "FS" | "GS", Segment>;
const SEGMENTS: Readonly<Record<64 | 32 | 16, Segments>> = {
  64: {
    ES: NULL_SEGMENT,
    CS: flat(0x33, 0xa0fb),
    SS: flat(0x2b, 0xc0f3),
    DS: NULL_SEGMENT,
    FS: { ...NULL_SEGMENT, base: FS_BASE },
    GS: { ...NULL_SEGMENT, base: GS_BASE },
  },
  32: { ES: SS32, CS: CS32, SS: SS32, DS: SS32, FS, GS },
  16: { ES: SS16, CS: CS16, SS: SS16, DS: SS16, FS, GS },
};

/** Exceptions that push an error code (SDM vol. 3, table 6-1). */
const HAS_ERROR = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
/** A vector that no exception has. */
const UNUSED_VECTOR = 0xee;
/** Steps after which a run that does not leave its code is given up. */
const MAX_STEPS = 100_000;

/** What became of a vector. Registers are read from the machine, but for those that the handler's frame has. */
export interface Outcome {
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly rsp: bigint;
  readonly exception?: { readonly vector: number; readonly err?: number; readonly cr2: bigint };
  /** The core did something that no instruction of a process can do: triple fault, an exit, a trap of its own. */
  readonly broken?: string;
}

/** FSW: an unmasked exception is pending. */
const ES_B = 0x8080;
const INT1 = 0xf1;
const PUSHF = 0x9c;
const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3]);
const TF = 0x100n;
/**
 * True for an instruction that ends where it began: an element of a repeated one. The recording stepped with TF, and so
 * must the replay.
 */
const stepped = (vector: Vector): boolean => !vector.steps && !vector.exception && vector.after.rip === vector.rip;

export class VectorMachine {
  readonly heat: number;
  readonly #module: WebAssembly.Module;
  readonly #memory: MachineMemory;
  readonly #view: StructView;
  /** The process's pages as they are in guest memory, and as they are before any vector. */
  readonly #pages: Uint8Array;
  readonly #pristine: Uint8Array;
  /** Scratch for the memory that a vector expects. */
  readonly #expected = new Uint8Array(PROCESS_SIZE);
  readonly #segments: Readonly<Record<64 | 32 | 16, Uint8Array>>;
  readonly #xmm: Uint8Array;
  readonly #base = vcpuBase(0);
  readonly #features: readonly number[];
  #core: CoreExports;
  #mode = 0;

  /**
   * @param module the compiled core (dist/core/core.wasm).
   * @param heat Vcpu.heat: executions after which a block is compiled, 0 = never.
   * @param features the CPU's feature words (src/isa/features.ts).
   */
  constructor(module: WebAssembly.Module, heat = 0, features: readonly number[] = IMPLEMENTED) {
    this.heat = heat;
    this.#module = module;
    this.#features = features;
    this.#memory = new MachineMemory({ regions: [{ gpa: 0, length: RAM_SIZE }], vcpus: 1, shared: true });
    const buffer = this.#memory.memory.buffer;
    this.#view = vcpuView(buffer, 0);
    this.#memory.onCodeWrite = (hostPage) => postDrop(this.#view, hostPage);
    this.#pages = new Uint8Array(buffer, this.#memory.hostAddress(PROCESS), PROCESS_SIZE);
    this.#pristine = pristine();
    const v = this.#view;
    this.#memory.control.set(CONTROL.tscHz, 1_000_000_000);
    const image = (mode: 64 | 32 | 16): Uint8Array => {
      for (const [name, segment] of Object.entries(SEGMENTS[mode])) setSegment(v, name as keyof Segments, segment);
      setSegment(v, "LDTR", LDTR);
      setSegment(v, "TR", TR);
      const at = v.base + VCPU.seg.offset;
      return this.#memory.bytes.slice(at, at + 8 * SEG_STRIDE);
    };
    this.#segments = { 64: image(64), 32: image(32), 16: image(16) };
    this.#xmm = new Uint8Array(16 * 32);
    for (let i = 0; i < 16; i++) this.#xmm.fill(i * 0x11, i * 32, i * 32 + 16);
    this.#core = this.#start();
  }

  /** A fresh instance of the core on the same memory, with the kernel's part anew: also after one has run wild. */
  #start(): CoreExports {
    this.#kernelMemory();
    const core = instantiateCore(this.#module, this.#memory.memory, () => 0);
    const v = this.#view;
    v.set(VCPU.slow, 0);
    v.set(VCPU.stepping, 0);
    v.set(VCPU.stageCount, 0);
    v.set(VCPU.stageNext, 0);
    v.set(VCPU.replayCount, 0);
    this.#controlRegisters();
    v.set64(VCPU.apicTimer, -1n);
    v.set64(VCPU.deviceDeadline, -1n);
    this.#memory.bytes.set(this.#segments[64], v.base + VCPU.seg.offset);
    v.set(VCPU.heat, this.heat);
    core.init(this.#base);
    this.#mode = 0;
    return core;
  }

  #controlRegisters(): void {
    const v = this.#view;
    v.set(VCPU.cr0, CR0);
    v.set(VCPU.cr3, PML4);
    v.set(VCPU.cr4, CR4);
    v.set(VCPU.efer, EFER);
    v.set(VCPU.xcr0, XCR0);
    v.set64(VCPU.gdtBase, kernel(GDT));
    v.set(VCPU.gdtLimit, 16 * 8 - 1);
    v.set64(VCPU.idtBase, kernel(IDT));
    v.set(VCPU.idtLimit, 256 * 16 - 1);
    v.set(VCPU.a20Mask, 0xffff_ffff);
    for (const [i, word] of this.#features.entries()) v.set(VCPU.cpuToggle, (word ^ DEFAULT[i]) >>> 0, i);
  }

  #write64(gpa: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.#memory.write(gpa, bytes);
  }

  #kernelMemory(): void {
    const entry = (gpa: number, bits: bigint): bigint => BigInt(gpa) | bits | P | AD;
    this.#write64(PML4, entry(PDPT_LOW, W | U));
    this.#write64(PDPT_LOW, entry(PD_LOW, W | U));
    this.#write64(PD_LOW, entry(PT_LOW, W | U));
    let gpa = PROCESS;
    for (const [linear, pages, writable, executable] of REGIONS) {
      for (let i = 0; i < pages; i++, gpa += PAGE) {
        this.#write64(PT_LOW + (linear / PAGE + i) * 8, entry(gpa, U | (writable ? W : 0n) | (executable ? 0n : NX)));
      }
    }
    // The kernel's memory: the 2 MiB page that all of the above lies in, for supervisors only.
    this.#write64(PML4 + 511 * 8, entry(PDPT_HIGH, W));
    this.#write64(PDPT_HIGH, entry(PD_HIGH, W));
    this.#write64(PD_HIGH + (PROCESS / 0x20_0000) * 8, entry(PROCESS, W | PS));
    const descriptors: [table: number, index: number, Segment][] = [
      [GDT, 1, flat(0x08, 0xc09b)],
      [GDT, 2, KERNEL_CS],
      [GDT, 3, flat(0x18, 0xc093)],
      [GDT, 4, flat(0x23, 0xc0fb)],
      [GDT, 5, SEGMENTS[64].SS],
      [GDT, 6, SEGMENTS[64].CS],
      [GDT, 8, TR],
      [GDT, 10, LDTR],
      // Read-only and expand-down: Linux's number of the CPU is its limit.
      [GDT, 15, { selector: 0x7b, base: 0n, limit: 0, ar: 0x40f5 }],
    ];
    for (const s of [CS32, SS32, CS16, SS16, FS, GS]) descriptors.push([LDT, s.selector >> 3, s]);
    for (const [table, index, s] of descriptors) {
      this.#write64(table + index * 8, descriptor(s));
      if (!(s.ar & 0x10)) this.#write64(table + index * 8 + 8, s.base >> 32n);
    }
    this.#write64(TSS + 4, kernel(KERNEL_STACK_TOP));
    this.#write64(TSS + 0x60, 0x68_0000_0000_0000n);
    for (let vector = 0; vector < 256; vector++) {
      const target = kernel(HANDLERS + vector * 16);
      const dpl = vector === 3 || vector === 4 ? 3n : 0n;
      const low = (target & 0xffffn) | (BigInt(KERNEL_CS.selector) << 16n) | ((0x8en | (dpl << 5n)) << 40n);
      this.#write64(IDT + vector * 16, low | (((target >> 16n) & 0xffffn) << 48n));
      this.#write64(IDT + vector * 16 + 8, target >> 32n);
      this.#memory.write(HANDLERS + vector * 16, Uint8Array.of(0xf4));
    }
  }

  /**
   * Sets the machine up for a vector: every register, and the process's memory.
   *
   * @param again it is the one that ran last; what the core has made of its code is kept.
   */
  load(vector: Vector, again = false): void {
    const v = this.#view;
    const { before } = vector;
    imageBefore(vector, this.#pristine, this.#pages);
    for (let i = 0; i < 16; i++) v.set64(VCPU.gpr, BigInt(`0x${before.gpr[i] ?? 0}`), i);
    v.set64(VCPU.rip, BigInt(`0x${vector.rip}`));
    this.process(vector.mode, again);
    const ymm = v.base + VCPU.ymm.offset;
    this.#memory.bytes.set(this.#xmm, ymm);
    for (const [i, hex] of Object.entries(before.xmm ?? {})) {
      this.#memory.bytes.set(hexBytes(hex).reverse(), ymm + Number(i) * 32);
    }
    v.set(VCPU.mxcsr, before.mxcsr ?? 0x1f80);
    const { fcw = 0x37f, fsw = 0, ftw = 0, r } = before.fpu ?? {};
    v.set(VCPU.fcw, fcw);
    // The recording loaded the state with XRSTOR, which makes ES and B anew.
    v.set(VCPU.fsw, fsw & ~fcw & 0x3f ? fsw | ES_B : fsw & ~ES_B);
    v.set(VCPU.ftw, ftw);
    const st = v.base + VCPU.st.offset;
    this.#memory.bytes.fill(0, st, st + 8 * 16);
    r?.forEach((hex, p) => {
      this.#memory.bytes.set(hexBytes(hex).reverse(), st + p * 16);
    });
    this.#core.setRflags(this.#base, BigInt(`0x${before.rflags}`) | (stepped(vector) ? TF : 0n));
  }

  /**
   * What every process has in common. The caller has written, or writes before it runs: the general registers, RIP, the
   * vector unit and the FPU (`view`), memory (`pages`) and, with `setRflags`, RFLAGS.
   *
   * @param sameCode the code is the last process's; what the core has made of it is kept.
   */
  process(mode: 64 | 32 | 16, sameCode = false): void {
    const v = this.#view;
    if (!sameCode) {
      // Both pages of code have changed behind the core's back.
      const code = this.#memory.hostAddress(PROCESS + place(CODE));
      postDrop(v, code);
      postDrop(v, code + PAGE);
    }
    this.#memory.bytes.set(this.#segments[mode], v.base + VCPU.seg.offset);
    v.set(VCPU.cpl, 3);
    v.set(VCPU.runState, 0);
    v.set(VCPU.shadow, 0);
    v.set64(VCPU.cr2, 0n);
    // What the last vector raised must not make up for an exception that this one fails to record.
    v.set(VCPU.excVector, UNUSED_VECTOR);
    v.set(VCPU.excHasError, 0);
    v.set(VCPU.excKind, 0);
    this.#controlRegisters();
    // A process and a kernel of one width: the caches of translations need not cope with the change.
    if (mode !== this.#mode) {
      this.#mode = mode;
      this.#core.refresh(this.#base);
    }
  }

  /**
   * Runs the vector that was loaded last: instruction by instruction, or with `blocks` as code of a guest runs, up to
   * the INT3 (or the page that is not there) after it, where what follows is known to be one.
   */
  run(vector: Vector, blocks = false): Outcome {
    const start = BigInt(`0x${vector.rip}`);
    const end = start + BigInt(vector.code.length / 2);
    const v = this.#view;
    const whole = blocks && endsInTrap(vector, start, end);
    try {
      for (let steps = 0; steps < MAX_STEPS; steps++) {
        // Only the image that a vector's first instruction pushes has been cleaned.
        const pushf = vector.steps !== undefined && steps > 0 && this.#isPushf(vector, v.get64(VCPU.rip));
        // A single-step trap goes on to its handler's HLT.
        const why = this.#core.run(this.#base, whole ? 10_000n : stepped(vector) ? 2n : 1n);
        if (why === RUN.HALT) {
          const outcome = this.#exception();
          if (!whole && this.#isInt1(vector, outcome)) {
            if (!vector.steps) return beforeStep(outcome);
            this.#resume(vector, outcome);
            continue;
          }
          return whole ? beforeTrap(vector, outcome) : stepped(vector) ? beforeStep(outcome) : outcome;
        }
        if (why !== RUN.SLICE) {
          const exit = why === RUN.EXIT ? `an exit with code ${v.get(VCPU.exitCode)}` : "a triple fault";
          return this.#broken(why === RUN.STOP ? "a stop" : exit);
        }
        if (whole) continue;
        if (pushf) this.#markPushed(vector);
        const rip = v.get64(VCPU.rip);
        const rflags = BigInt.asUintN(64, this.#core.rflags(this.#base));
        if (!vector.steps || rip < start || rip >= end) return { rip, rflags, rsp: v.get64(VCPU.gpr, 4) };
        // The recording's TF was its own: what an instruction did to it is not there.
        if (rflags & TF) this.#core.setRflags(this.#base, rflags & ~TF);
      }
      return this.#broken(`still running after ${MAX_STEPS} steps`);
    } catch (error) {
      return this.#broken(`the core trapped: ${(error as Error).message}`);
    }
  }

  /**
   * Runs the process to its first exception: as a guest's code runs, or instruction by instruction. `each` is called
   * before every instruction of its own, if they run one by one, and ends the run with true.
   *
   * @param limit instructions after which a process that goes on is given up; undefined is returned then.
   */
  runFree(limit: number, each?: () => boolean): Outcome | undefined {
    const v = this.#view;
    try {
      const start = v.get64(VCPU.icount);
      for (let steps = 0; steps < limit; steps++) {
        // Not in the handler, which is where a single step has ended.
        if (v.get(VCPU.cpl) === 3 && each?.()) return undefined;
        const why = this.#core.run(this.#base, each ? 1n : BigInt(limit));
        if (why === RUN.HALT) return this.#exception();
        if (why !== RUN.SLICE) return this.#broken(why === RUN.EXIT ? "an exit" : `RUN ${why}`);
        if (!each && v.get64(VCPU.icount) - start >= BigInt(limit)) break;
      }
      // Not what it was about to do: the machine is used again.
      this.#core = this.#start();
      return undefined;
    } catch (error) {
      return this.#broken(`the core trapped: ${(error as Error).message}`);
    }
  }

  /** Sets RFLAGS, after everything else. */
  setRflags(value: bigint): void {
    this.#core.setRflags(this.#base, value);
  }

  get rflags(): bigint {
    return BigInt.asUintN(64, this.#core.rflags(this.#base));
  }

  /** The vCPU's area. */
  get view(): StructView {
    return this.#view;
  }

  /** The process's memory (./vectorMemory.ts). */
  get pages(): Uint8Array {
    return this.#pages;
  }

  /** The recording took #DB for its own single step: an INT1 did nothing. */
  #isInt1(vector: Vector, { exception, rip }: Outcome): boolean {
    return exception?.vector === 1 && this.#codeAt(vector, rip - 1n) === INT1;
  }

  /** The byte of the process's memory at an address in its code segment. */
  #codeAt(vector: Vector, rip: bigint): number | undefined {
    const at = place((vector.mode === 16 ? CODE_BASE16 : 0) + Number(rip));
    return at < 0 ? undefined : this.#pages[at];
  }

  /** Goes back to the process after an exception. */
  #resume(vector: Vector, { rip, rsp, rflags }: Outcome): void {
    const v = this.#view;
    this.#memory.bytes.set(this.#segments[vector.mode], v.base + VCPU.seg.offset);
    v.set64(VCPU.rip, rip);
    v.set64(VCPU.gpr, rsp, 4);
    v.set(VCPU.cpl, 3);
    v.set(VCPU.runState, 0);
    v.set(VCPU.excVector, UNUSED_VECTOR);
    this.#core.setRflags(this.#base, rflags);
  }

  /** True for PUSHF at `rip`, after any prefixes. */
  #isPushf(vector: Vector, rip: bigint): boolean {
    let byte = this.#codeAt(vector, rip);
    while (byte !== undefined && (PREFIXES.has(byte) || (vector.mode === 64 && byte >> 4 === 4))) {
      byte = this.#codeAt(vector, ++rip);
    }
    return byte === PUSHF;
  }

  /** The recording's TF stands in the image that a PUSHF has pushed. */
  #markPushed(vector: Vector): void {
    const rsp = this.#view.get64(VCPU.gpr, 4);
    const at = place(vector.mode === 16 ? CODE_BASE16 + (Number(rsp) & 0xffff) + 1 : Number(rsp) + 1);
    if (at >= 0) this.#pages[at] |= Number(TF >> 8n);
  }

  #broken(what: string): Outcome {
    const { rip, rsp } = { rip: this.#view.get64(VCPU.rip), rsp: this.#view.get64(VCPU.gpr, 4) };
    this.#core = this.#start();
    return { rip, rflags: 0n, rsp, broken: what };
  }

  /** Reads the frame that delivery has pushed: error code if any, RIP, CS, RFLAGS, RSP, SS. */
  #exception(): Outcome {
    const v = this.#view;
    const handler = Number(v.get64(VCPU.rip) - 1n - kernel(HANDLERS));
    const vector = handler / 16;
    const sp = Number(v.get64(VCPU.gpr, 4) - KERNEL);
    const hasError = HAS_ERROR.has(vector);
    const length = hasError ? 48 : 40;
    if (!Number.isInteger(vector) || vector < 0 || vector > 255 || sp + length !== KERNEL_STACK_TOP) {
      return this.#broken("HLT did not cause #GP, or an exception's frame has the wrong size");
    }
    const stack = v.data;
    let at = this.#memory.hostAddress(sp);
    const err = hasError ? Number(stack.getBigUint64(at, true)) : undefined;
    if (hasError) at += 8;
    return {
      rip: stack.getBigUint64(at, true),
      rflags: stack.getBigUint64(at + 16, true),
      rsp: stack.getBigUint64(at + 24, true),
      exception: { vector, ...(err === undefined ? {} : { err }), cr2: v.get64(VCPU.cr2) },
    };
  }

  gpr(i: number): bigint {
    return this.#view.get64(VCPU.gpr, i);
  }

  get mxcsr(): number {
    return this.#view.get(VCPU.mxcsr);
  }

  /** x87 control and status words, and the abridged tags. */
  get fpu(): { fcw: number; fsw: number; ftw: number } {
    const v = this.#view;
    return { fcw: v.get(VCPU.fcw), fsw: v.get(VCPU.fsw), ftw: v.get(VCPU.ftw) };
  }

  /** Physical x87 register: 20 hex digits, sign and exponent first. */
  st(p: number): string {
    const d = this.#view.data;
    const at = this.#view.base + VCPU.st.offset + p * 16;
    return hex(d.getUint16(at + 8, true), 4) + hex(d.getBigUint64(at, true), 16);
  }

  /** YMM register: 64 hex digits. */
  ymm(i: number): string {
    const d = this.#view.data;
    const at = this.#view.base + VCPU.ymm.offset + i * 32;
    let s = "";
    for (let q = 3; q >= 0; q--) s += hex(d.getBigUint64(at + q * 8, true), 16);
    return s;
  }

  /** First byte of memory that is not as the vector expects, if any, with the bytes from there to the last wrong one nearby. */
  memoryDifference(vector: Vector): { address: number; expected: string; got: string } | undefined {
    const want = this.#expected;
    imageBefore(vector, this.#pristine, want);
    for (const [address, bytes] of vector.after.mem ?? []) put(want, address, hexBytes(bytes));
    for (const [address, length] of vector.memIgnore ?? []) {
      for (let i = 0; i < length; i++) {
        const at = place(address + i);
        if (at >= 0) want[at] = this.#pages[at];
      }
    }
    const got = Buffer.from(this.#pages.buffer, this.#pages.byteOffset, PROCESS_SIZE);
    if (got.equals(want)) return undefined;
    let at = 0;
    while (want[at] === got[at]) at++;
    let last = at;
    for (let i = at; i < Math.min(at + 32, PROCESS_SIZE); i++) if (want[i] !== got[i]) last = i;
    return {
      address: linearOf(at),
      expected: Buffer.from(want.subarray(at, last + 1)).toString("hex"),
      got: got.subarray(at, last + 1).toString("hex"),
    };
  }
}

/** True if the bytes after the vector's code are INT3, and it does not come back into its own code. */
function endsInTrap(vector: Vector, start: bigint, end: bigint): boolean {
  const rip = BigInt(`0x${vector.after.rip}`);
  // The code of random vectors is longer than their one instruction.
  return !vector.id.includes("random/") && (vector.exception !== undefined || rip < start || rip >= end);
}

/** State at the end of a vector that completed and then met INT3, or a page that cannot be executed. */
function beforeTrap(vector: Vector, outcome: Outcome): Outcome {
  const { exception, rip, rflags, rsp } = outcome;
  if (vector.exception || !exception) return outcome;
  if (exception.vector === 3) return { rip: rip - 1n, rflags, rsp };
  const fetch = exception.vector === 14 && ((exception.err ?? 0) & 16) !== 0;
  return fetch && rip === BigInt(`0x${vector.after.rip}`) ? { rip, rflags, rsp } : outcome;
}

/** State after a single step: without the #DB that has ended it. */
function beforeStep(outcome: Outcome): Outcome {
  const { exception, ...state } = outcome;
  return exception?.vector === 1 ? state : outcome;
}

const hex = (n: number | bigint, digits: number): string => n.toString(16).padStart(digits, "0");

/** A segment descriptor (SDM vol. 3, 3.4.5) from the register it would load; the low half of a system descriptor. */
function descriptor(s: Segment): bigint {
  const limit = BigInt(s.ar & 0x8000 ? s.limit >>> 12 : s.limit);
  const base = s.base & 0xffff_ffffn;
  const ar = BigInt(s.ar & 0xf0ff);
  return (
    (limit & 0xffffn) | ((base & 0xff_ffffn) << 16n) | (ar << 40n) | ((limit >> 16n) << 48n) | ((base >> 24n) << 56n)
  );
}
