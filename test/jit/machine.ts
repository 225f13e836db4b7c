/** A vCPU in flat 64-bit mode without devices, for comparing the engines and measuring them. */

import { RUN } from "../../src/shared/exit.ts";
import { STATS, VCPU } from "../../src/shared/layout.ts";
import { type CoreExports, instantiateCore } from "../../src/vcpu/core.ts";
import { type JitExports, type JitLimits, RegionCompiler } from "../../src/vcpu/jit.ts";
import { type StructView, setSegment, vcpuBase, vcpuView } from "../../src/vcpu/view.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";

export const CODE = 0x40_0000;
export const DATA = 0x50_0000;
export const STACK = 0x58_0000;
/** Every exception vector has its own HLT here, 16 bytes apart. */
export const HANDLERS = 0x30_0000;
/** Code of warm(). */
const WARM = 0x20_0000;
/** The last page that is mapped. */
export const LAST_PAGE = 0x9f_f000;
const IDT = 0x8_0000;
const PML4 = 0x1000;
const PT0 = 0x1_0000;
const NEVER = 0xffff_ffff_ffff_ffffn;

export const P = 1n;
export const W = 2n;

export interface State {
  gpr: bigint[];
  rflags: bigint;
  rip: bigint;
  icount: number;
}

export class TestMachine {
  readonly memory: MachineMemory;
  readonly core: CoreExports & JitExports;
  readonly view: StructView;
  readonly jit: RegionCompiler;
  readonly base: number;

  /** `id`: which of two vCPUs; the other one stays as it is. `heat`: Vcpu.heat. */
  constructor(module: WebAssembly.Module, id = 0, options: { heat?: number; limits?: JitLimits } = {}) {
    this.base = vcpuBase(id);
    const regions = [
      { gpa: 0, length: 0xa_0000 },
      { gpa: 0x20_0000, length: 0x80_0000 },
    ];
    this.memory = new MachineMemory({ regions, vcpus: 2, shared: true });
    const { memory } = this.memory;
    this.jit = new RegionCompiler(memory, options.limits);
    const now = () => performance.now();
    this.core = instantiateCore(module, memory, now, undefined, this.jit) as CoreExports & JitExports;
    this.view = vcpuView(memory.buffer, id);
    this.view.set(VCPU.heat, options.heat ?? 0);
    this.core.init(this.base);
    // 4-level paging over 32 MiB in 4 KiB pages, one to one.
    this.put64(PML4, BigInt(PML4 + 0x1000) | P | W);
    this.put64(PML4 + 0x1000, BigInt(PML4 + 0x2000) | P | W);
    for (let i = 0; i < 16; i++) this.put64(PML4 + 0x2000 + i * 8, BigInt(PT0 + i * 0x1000) | P | W);
    for (let page = 0; page <= LAST_PAGE; page += 4096) this.map(page, page);
    for (let v = 0; v < 32; v++) {
      const at = BigInt(HANDLERS + v * 16);
      this.put64(IDT + v * 16, (at & 0xffffn) | (8n << 16n) | (0x8e00n << 32n) | ((at >> 16n) << 48n));
      this.put64(IDT + v * 16 + 8, at >> 32n);
      this.memory.write(HANDLERS + v * 16, Uint8Array.of(0xf4));
    }
    // GDT for the interrupt gates: null, 64-bit code.
    this.put64(0x9000, 0n);
    this.put64(0x9008, 0x00af_9b00_0000_ffffn);
    const v = this.view;
    for (const s of ["ES", "SS", "DS", "FS", "GS"] as const)
      setSegment(v, s, { selector: 16, base: 0n, limit: 0xffff_ffff, ar: 0xc093 });
    setSegment(v, "CS", { selector: 8, base: 0n, limit: 0xffff_ffff, ar: 0xa09b });
    v.set64(VCPU.gdtBase, 0x9000n);
    v.set(VCPU.gdtLimit, 0xffff);
    v.set64(VCPU.idtBase, BigInt(IDT));
    v.set(VCPU.idtLimit, 0xfff);
    v.set64(VCPU.cr0, 0x8001_0011n);
    v.set64(VCPU.cr4, 0x620n);
    v.set64(VCPU.cr3, BigInt(PML4));
    v.set64(VCPU.efer, 0x500n);
    v.set64(VCPU.apicTimer, NEVER);
    v.set64(VCPU.deviceDeadline, NEVER);
    this.core.refresh(this.base);
  }

  put64(gpa: number, value: bigint): void {
    const b = new Uint8Array(8);
    new DataView(b.buffer).setBigUint64(0, value, true);
    this.memory.write(gpa, b);
  }

  /** Maps one page; `flags` 0 takes the mapping away. The TLB keeps what it has. */
  map(linear: number, gpa: number, flags = P | W): void {
    this.put64(PT0 + (linear >>> 12) * 8, flags ? BigInt(gpa) | flags : 0n);
  }

  /** Forgets all code and translations. */
  reset(): void {
    this.core.init(this.base);
  }

  /** Has the TLB know the writable pages of [from, to): what regions do not find there, the interpreter does. */
  warm(from: number, to: number): void {
    // again: mov cl, [eax]; or byte [eax], 0; add eax, 4096; cmp eax, ebx; jne again; hlt
    this.memory.write(WARM, Buffer.from("8a08800800050010000039d875f2f4", "hex"));
    const heat = this.view.get(VCPU.heat);
    this.view.set(VCPU.heat, 0);
    this.set({ gpr: [BigInt(from), 0n, 0n, BigInt(to)], rip: BigInt(WARM) });
    if (this.run() !== RUN.HALT) throw new Error("no HLT after warming the TLB");
    this.view.set(VCPU.heat, heat);
  }

  /** The module of the region at `rip`, compiled now; undefined if there is nothing to compile, or it is already. */
  compile(rip: bigint | number): Uint8Array | undefined {
    return this.core.compileAt(this.base, BigInt(rip)) ? this.jit.last : undefined;
  }

  /** Guest memory from `gpa`, in hexadecimal. */
  dump(gpa: number, length: number): string {
    const bytes = new Uint8Array(length);
    this.memory.read(gpa, bytes);
    return Buffer.from(bytes).toString("hex");
  }

  set(s: Partial<State>): void {
    const v = this.view;
    s.gpr?.forEach((value, i) => {
      v.set64(VCPU.gpr, value, i);
    });
    if (s.rflags !== undefined) this.core.setRflags(this.base, s.rflags);
    if (s.rip !== undefined) v.set64(VCPU.rip, s.rip);
    v.set64(VCPU.icount, 0n);
    v.set(VCPU.runState, 0);
    v.set(VCPU.attention, 0);
  }

  get(): State {
    const v = this.view;
    return {
      gpr: Array.from({ length: 16 }, (_, i) => v.get64(VCPU.gpr, i)),
      rflags: BigInt.asUintN(64, this.core.rflags(this.base)),
      rip: v.get64(VCPU.rip),
      icount: Number(v.get64(VCPU.icount)),
    };
  }

  /** Instructions that ran in compiled regions so far. */
  get compiled(): number {
    return Number(this.view.get64(VCPU.stats, STATS.indexOf("jitInstructions")));
  }

  run(slice = 1n << 40n): number {
    return this.core.run(this.base, slice);
  }
}
