/** What runs the suite's programs: this machine's CPU, and the core. */
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { RUN } from "../../src/shared/exit.ts";
import { CONTROL, PAGE_SIZE, VCPU } from "../../src/shared/layout.ts";
import { type CoreExports, instantiateCore } from "../../src/vcpu/core.ts";
import { postDrop } from "../../src/vcpu/drop.ts";
import { type Segment, setSegment, vcpuBase, vcpuView } from "../../src/vcpu/view.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";
import { CODE, type Program, STACK_TOP, type State, serialize } from "./program.ts";

const XSAVE_SIZE = 832;

/** Compiles ./native.c; its path. */
export function buildNative(folder: string): string {
  const out = join(folder, "native");
  execFileSync("gcc", [
    "-O2",
    "-fcf-protection=none",
    "-mgeneral-regs-only",
    "-static",
    "-o",
    out,
    join(import.meta.dirname, "native.c"),
  ]);
  return out;
}

/** Runs a program on the CPU; a text says what went wrong. */
export function runNative(native: string, p: Program): State | string {
  const { status, signal, stdout } = spawnSync(native, [], { input: serialize(p) });
  if (status !== 0 || stdout.length < 144 + XSAVE_SIZE) return `ended with ${signal ?? status}`;
  const words = Array.from({ length: 18 }, (_, i) => stdout.readBigUInt64LE(8 * i));
  return {
    vector: Number(words[0]),
    rip: words[1],
    gpr: words.slice(2),
    xsave: Uint8Array.from(stdout.subarray(144, 144 + XSAVE_SIZE)),
  };
}

/** The kernel's linear addresses: a page each for IDT, handlers, GDT, TSS and stack. */
const KERNEL = 0xffff_ff80_0000_0000n;
const kernelPage = (i: number): bigint => KERNEL + BigInt(i * PAGE_SIZE);
const [IDT, HANDLERS, GDT, TSS, STACK, KERNEL_END] = [0, 1, 2, 3, 4, 5].map(kernelPage);
const TABLES = 0x10_0000;
const RAM = 64 << 20;
/** Page table entry bits (SDM vol. 3, 4.5). */
const PRESENT = 1n;
const WRITE = 2n;
const USER = 4n;
const ACCESSED = 0x60n;
const HAS_ERROR = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
/** Instructions after which a program is given up, by slices. */
const SLICE = 100_000n;
const SLICES = 3000;

/**
 * The core with a 64-bit process in ring 3; every exception's handler is a HLT, so that it ends the run.
 *
 * Compiled code (`heat` > 0) is tried by running a program twice, or `heat` times: the last finds it compiled.
 */
export class FexMachine {
  readonly #module: WebAssembly.Module;
  readonly #heat: number;
  readonly #memory = new MachineMemory({ regions: [{ gpa: 0, length: RAM }], vcpus: 1, shared: true });
  readonly #view = vcpuView(this.#memory.memory.buffer, 0);
  readonly #base = vcpuBase(0);
  #core: CoreExports;
  #next = 0;

  constructor(module: WebAssembly.Module, heat: number) {
    this.#module = module;
    this.#heat = heat;
    this.#memory.onCodeWrite = (page) => postDrop(this.#view, page);
    this.#memory.control.set(CONTROL.tscHz, 1_000_000_000);
    this.#core = this.#start();
  }

  #start(): CoreExports {
    this.#view.set(VCPU.heat, this.#heat);
    return instantiateCore(this.#module, this.#memory.memory, () => 0);
  }

  run(p: Program): State | string {
    this.#load(p);
    let state = this.#go();
    for (let n = 1; n < Math.max(2, this.#heat) && this.#heat && typeof state !== "string"; n++) {
      this.#load(p);
      state = this.#go();
    }
    return state;
  }

  #write64(gpa: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.#write(gpa, bytes);
  }

  /** Only what changes: a write drops compiled code. */
  #write(gpa: number, bytes: Uint8Array): void {
    const before = new Uint8Array(bytes.length);
    this.#memory.read(gpa, before);
    if (Buffer.compare(before, bytes)) this.#memory.write(gpa, bytes);
  }

  #read64(gpa: number): bigint {
    const bytes = new Uint8Array(8);
    this.#memory.read(gpa, bytes);
    return new DataView(bytes.buffer).getBigUint64(0, true);
  }

  #page(): number {
    const gpa = this.#next;
    this.#next += PAGE_SIZE;
    return gpa;
  }

  /** Guest physical address of a linear one, mapped if it is not. */
  #map(linear: bigint, user = true): number {
    let table = TABLES;
    for (const shift of [39n, 30n, 21n, 12n]) {
      const at = table + Number((linear >> shift) & 511n) * 8;
      let entry = this.#read64(at);
      if (!(entry & PRESENT)) {
        const rights = user || shift > 12n ? USER : 0n;
        const page = this.#page();
        if (shift > 12n) this.#write(page, new Uint8Array(PAGE_SIZE));
        entry = BigInt(page) | PRESENT | WRITE | ACCESSED | rights;
        this.#write64(at, entry);
      }
      table = Number(entry & 0xf_ffff_ffff_f000n);
    }
    return table + Number(linear & 0xfffn);
  }

  #load(p: Program): void {
    this.#next = TABLES;
    this.#write(this.#page(), new Uint8Array(PAGE_SIZE));
    this.#kernel();
    // Page by page, so that code that is the same is not written.
    const pages = new Map<bigint, Uint8Array>();
    for (const [at, length] of p.regions) {
      for (let page = at; page < at + length; page += BigInt(PAGE_SIZE)) pages.set(page, new Uint8Array(PAGE_SIZE));
    }
    for (const [at, bytes] of p.contents) {
      bytes.forEach((byte, i) => {
        const linear = at + BigInt(i);
        const offset = linear % BigInt(PAGE_SIZE);
        const page = pages.get(linear - offset);
        if (!page) throw new Error(`${p.name}: nothing is mapped at ${linear.toString(16)}`);
        page[Number(offset)] = byte;
      });
    }
    for (const [linear, bytes] of pages) this.#write(this.#map(linear), bytes);
    this.#registers();
  }

  #kernel(): void {
    const [idt, handlers, gdt, tss] = [IDT, HANDLERS, GDT, TSS].map((page) => this.#map(page, false));
    this.#map(STACK, false);
    for (let vector = 0; vector < 256; vector++) {
      const handler = HANDLERS + BigInt(vector * 16);
      const kind = vector === 3 || vector === 4 ? 0xeen : 0x8en;
      const low = (handler & 0xffffn) | (0x10n << 16n) | (kind << 40n) | (((handler >> 16n) & 0xffffn) << 48n);
      this.#write64(idt + vector * 16, low);
      this.#write64(idt + vector * 16 + 8, (handler >> 32n) & 0xffff_ffffn);
      this.#write(handlers + vector * 16, Uint8Array.of(0xf4));
    }
    const descriptors = [0n, 0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn, 0n, 0x00cf_f300_0000_ffffn];
    [...descriptors, 0x00af_fb00_0000_ffffn].forEach((d, i) => {
      this.#write64(gdt + i * 8, d);
    });
    this.#write64(tss + 4, KERNEL_END);
  }

  #registers(): void {
    const v = this.#view;
    v.set(VCPU.cr0, 0x8005_0033);
    v.set(VCPU.cr3, TABLES);
    v.set(VCPU.cr4, 0x5_0e20);
    v.set(VCPU.efer, 0xd01);
    v.set(VCPU.xcr0, 7);
    v.set64(VCPU.gdtBase, GDT);
    v.set(VCPU.gdtLimit, 127);
    v.set64(VCPU.idtBase, IDT);
    v.set(VCPU.idtLimit, 4095);
    v.set(VCPU.a20Mask, 0xffff_ffff);
    const flat = (selector: number, ar: number): Segment => ({ selector, base: 0n, limit: 0xffff_ffff, ar });
    for (const s of ["ES", "DS", "FS", "GS"] as const) setSegment(v, s, flat(0, 0x1_0000));
    setSegment(v, "CS", flat(0x33, 0xa0fb));
    setSegment(v, "SS", flat(0x2b, 0xc0f3));
    setSegment(v, "TR", { selector: 0x40, base: TSS, limit: 0x67, ar: 0x8b });
    setSegment(v, "LDTR", { selector: 0, base: 0n, limit: 0, ar: 0x1_0082 });
    for (let i = 0; i < 16; i++) v.set64(VCPU.gpr, i === 4 ? STACK_TOP : 0n, i);
    v.set64(VCPU.rip, CODE);
    v.set(VCPU.cpl, 3);
    v.set(VCPU.runState, 0);
    v.set(VCPU.shadow, 0);
    for (const field of [VCPU.slow, VCPU.stepping, VCPU.stageCount, VCPU.stageNext, VCPU.replayCount]) v.set(field, 0);
    v.set64(VCPU.apicTimer, -1n);
    v.set64(VCPU.deviceDeadline, -1n);
    const bytes = new Uint8Array(this.#memory.memory.buffer);
    for (const f of [VCPU.ymm, VCPU.st]) bytes.fill(0, v.base + f.offset, v.base + f.offset + f.count * f.stride);
    v.set(VCPU.mxcsr, 0x1f80);
    v.set(VCPU.fcw, 0x37f);
    for (const field of [VCPU.fsw, VCPU.ftw, VCPU.fop, VCPU.fcs, VCPU.fds]) v.set(field, 0);
    v.set64(VCPU.fip, 0n);
    v.set64(VCPU.fdp, 0n);
    this.#core.init(this.#base);
    this.#core.setRflags(this.#base, 0x202n);
  }

  #go(): State | string {
    const v = this.#view;
    try {
      let why: number = RUN.SLICE;
      for (let n = 0; n < SLICES && why === RUN.SLICE; n++) why = this.#core.run(this.#base, SLICE);
      if (why !== RUN.HALT) {
        this.#core = this.#start();
        return why === RUN.SLICE ? "does not end" : `the core came back with ${why}`;
      }
    } catch (error) {
      this.#core = this.#start();
      return `the core trapped: ${(error as Error).message}`;
    }
    const vector = Number(v.get64(VCPU.rip) - 1n - HANDLERS) / 16;
    const rsp = v.get64(VCPU.gpr, 4) + (HAS_ERROR.has(vector) ? 8n : 0n);
    const frame = this.#map(rsp, false);
    const gpr = Array.from({ length: 16 }, (_, i) => v.get64(VCPU.gpr, i));
    gpr[4] = this.#read64(frame + 24);
    const bytes = new Uint8Array(this.#memory.memory.buffer);
    const xsave = new Uint8Array(XSAVE_SIZE);
    const fsw = v.get(VCPU.fsw);
    new DataView(xsave.buffer).setUint16(2, fsw, true);
    for (let i = 0; i < 8; i++) {
      const from = v.base + VCPU.st.offset + (((fsw >> 11) + i) & 7) * 16;
      xsave.set(bytes.subarray(from, from + 10), 32 + 16 * i);
    }
    for (let i = 0; i < 16; i++) {
      const from = v.base + VCPU.ymm.offset + i * 32;
      xsave.set(bytes.subarray(from, from + 16), 160 + 16 * i);
      xsave.set(bytes.subarray(from + 16, from + 32), 576 + 16 * i);
    }
    return { vector, rip: this.#read64(frame), gpr, xsave };
  }
}
