/** A process's state in the making: registers and memory that a generator of code arranges for its operands. */
import type { Width } from "../../isa/operand.ts";
import { CODE, CODE_BASE16 } from "../vectorMemory.ts";
import { type Case, type Patch, X, XSAVE_SIZE } from "./case.ts";
import type { Random } from "./random.ts";

/** Linear addresses of the process's pages (../vectorMemory.ts), and of a hole. */
export const LOW = 0x8000;
export const DATA = 0x10_4000;
export const READ_ONLY = 0x10_7000;
export const STACK = 0x10_9000;
const HOLE = 0x10_c000;
const CODE_END = CODE + 0x2000;
const FS_BASE = 0x10_4000;
const GS_BASE = 0x10_4800;

export type Segment = "" | "fs" | "gs";
/** What a patch of memory looks like. */
export type Kind = "integer" | "single" | "double" | "extended" | "bcd" | "text";

/** Addresses at both ends of the canonical hole, and elsewhere in the upper half. */
const FAR = [
  ...[0x7fff_ffff_fff8n, 0x8000_0000_0000n, 0xffff_7fff_ffff_fff8n, 0xffff_8000_0000_0010n, 0xffff_ffff_ffff_fff9n],
  0xdead_0000_0000_beefn,
];

export class State {
  readonly r: Random;
  readonly mode: Width;
  readonly gpr = new BigUint64Array(16);
  readonly xsave = new Uint8Array(XSAVE_SIZE);
  readonly patches: Patch[] = [];
  /** Linear address of the code. */
  start: number;
  rflags = 0x202;
  readonly #view = new DataView(this.xsave.buffer);

  constructor(r: Random, mode: Width) {
    this.r = r;
    this.mode = mode;
    this.start = CODE + 0x800 + r.below(0x400);
    // An instruction that crosses the pages, or ends where no code can be.
    if (r.percent(2)) this.start = r.pick([CODE + 0x1000, CODE_END]) - 1 - r.below(14);
    for (let i = 0; i < 16; i++) this.gpr[i] = r.percent(30) ? BigInt(this.offset(this.data())) : r.integer();
    this.gpr[4] = BigInt(this.offset(STACK + 0x800 + r.below(0x100) * 8));
    if (r.percent(8))
      this.gpr[4] = BigInt(this.offset(r.pick([STACK, STACK + 0x1000, STACK + 0x2000]) + r.below(64) - 32));
    for (const flag of [1, 4, 0x10, 0x40, 0x80, 0x800]) if (r.percent(50)) this.rflags |= flag;
    if (r.percent(15)) this.rflags |= 0x400;
    if (r.percent(3)) this.rflags |= 0x4_0000;
    this.#vectors();
    this.#fpu();
  }

  /** Offset of a linear address in the segments of data, stack and code. */
  offset(linear: number): number {
    return linear - (this.mode === 16 ? CODE_BASE16 : 0);
  }

  base(segment: Segment): number {
    return segment === "fs" ? FS_BASE : segment === "gs" ? GS_BASE : this.mode === 16 ? CODE_BASE16 : 0;
  }

  /** An address in the pages of data. */
  data(): number {
    return DATA + 0x100 + (this.r.percent(50) ? this.r.below(0x1c0) * 16 : this.r.below(0x1c00));
  }

  /** Linear address for an operand of `size` bytes: mostly data, now and then what faults or crosses pages. */
  target(size: number, aligned: boolean): bigint {
    const { r } = this;
    const n = r.below(100);
    const whole = (a: number): bigint => BigInt(aligned && r.percent(90) ? a & -16 : a);
    if (n < 78) return whole(this.data());
    if (n < 83) return BigInt(DATA + 0x1000 - r.below(size + 1));
    if (n < 86) return BigInt(DATA + 0x2000 - r.below(size + 1));
    if (n < 87) return BigInt(DATA - r.below(size + 1));
    if (n < 91) return whole(READ_ONLY + r.below(0xe00));
    if (n < 93) return whole(STACK + r.below(0x1e00));
    if (n < 94) return BigInt(CODE + r.below(0x1f00));
    if (n < 97) return whole(HOLE + r.below(0x3000));
    if (this.mode === 64) return r.pick(FAR) + BigInt(r.below(8));
    if (this.mode === 16) return BigInt(CODE_BASE16 + 0x1_0000 - r.below(size + 2));
    return BigInt(0xffff_f000 + r.below(0x1000));
  }

  /** Address of code to go to. */
  code(): number {
    return CODE + this.r.below(0x2000);
  }

  /** Writes the low `bits` of a register; of 32 bits, mostly with a zero above. */
  set(register: number, value: bigint, bits: number): void {
    const keep = bits < 32 || (bits === 32 && this.r.percent(20));
    const low = BigInt.asUintN(bits, value);
    this.gpr[register] = keep ? ((this.gpr[register] >> BigInt(bits)) << BigInt(bits)) | low : low;
  }

  poke(linear: number | bigint, bytes: Uint8Array): void {
    if (linear < 0x12_0000n) this.patches.push({ address: Number(linear), bytes });
  }

  poke64(linear: number | bigint, value: bigint, size = 8): void {
    this.poke(linear, littleEndian(value, size));
  }

  /** Bytes that an operand of that kind could have. */
  bytes(kind: Kind, length: number): Uint8Array {
    const { r } = this;
    const out = new Uint8Array((length + 15) & -16);
    const view = new DataView(out.buffer);
    const each = kind === "single" ? 4 : kind === "extended" ? 16 : 8;
    for (let at = 0; at < out.length; at += each) {
      if (kind === "single") view.setUint32(at, r.single(), true);
      else if (kind === "double") view.setBigUint64(at, r.double(), true);
      else if (kind === "extended") {
        const [exponent, significand] = r.extended();
        view.setBigUint64(at, significand, true);
        view.setUint16(at + 8, exponent, true);
      } else if (kind === "integer") view.setBigUint64(at, r.integer(), true);
      else {
        for (let i = 0; i < 8; i++) {
          out[at + i] = kind === "bcd" ? r.below(10) * 16 + r.below(10) : r.percent(6) ? 0 : 0x61 + r.below(4);
        }
      }
    }
    return out.subarray(0, length);
  }

  setXmm(i: number, bytes: Uint8Array): void {
    this.xsave.set(bytes, X.xmm + i * 16);
  }

  #vectors(): void {
    const { r } = this;
    const kind = r.pick(["integer", "integer", "single", "double"] as const);
    for (let i = 0; i < 16; i++) this.setXmm(i, this.bytes(r.percent(80) ? kind : "integer", 16));
    if (r.percent(50)) this.xsave.set(this.bytes(kind, 256), X.ymmHigh);
    this.#view.setUint32(X.mxcsr, r.percent(50) ? 0x1f80 : this.mxcsr(), true);
  }

  mxcsr(): number {
    const { r } = this;
    const masks = r.percent(90) ? 0x3f : r.below(64);
    const modes = (r.percent(20) ? 0x40 : 0) | (r.percent(20) ? 0x8000 : 0);
    return (r.percent(50) ? 0 : r.below(64)) | (masks << 7) | modes | (r.percent(50) ? 0 : r.below(4) << 13);
  }

  #fpu(): void {
    const { r } = this;
    const top = r.below(8);
    const full = r.percent(40) ? 8 : r.below(9);
    let tags = 0;
    for (let i = 0; i < full; i++) tags |= 1 << ((top + i) & 7);
    if (r.percent(6)) tags = r.below(256);
    const fcw = this.fcw();
    let flags = r.percent(80) ? 0 : r.below(64);
    if (!r.percent(10)) flags &= fcw;
    const summary = flags & ~fcw & 0x3f ? 0x8080 : 0;
    this.#view.setUint16(X.fcw, fcw, true);
    this.#view.setUint16(X.fsw, summary | flags | (top << 11) | (r.below(8) << 8) | (r.below(2) << 14), true);
    this.xsave[X.ftw] = tags;
    for (let i = 0; i < 8; i++) {
      // The last operation may have been an MMX one.
      if (r.percent(10)) {
        this.xsave.set(this.bytes("integer", 8), X.st + i * 16);
        this.xsave.fill(0xff, X.st + i * 16 + 8, X.st + i * 16 + 10);
      } else this.xsave.set(this.bytes("extended", 16).subarray(0, 10), X.st + i * 16);
    }
  }

  fcw(): number {
    const { r } = this;
    return (
      0x40 |
      (r.percent(85) ? 0x3f : r.below(64)) |
      (r.pick([3, 3, 3, 2, 0]) << 8) |
      (r.percent(50) ? 0 : r.below(4) << 10)
    );
  }

  /** The state with code at its start. */
  finish(code: Uint8Array, starts: readonly number[], about: string): Case {
    const { mode, rflags, gpr, xsave, patches } = this;
    if (mode !== 64) for (let i = 0; i < 16; i++) gpr[i] = i < 8 ? BigInt.asUintN(32, gpr[i]) : 0n;
    if (mode === 16) gpr[4] = BigInt.asUintN(16, gpr[4]);
    return { mode, code, rip: this.offset(this.start), rflags, gpr, xsave, patches, starts, about };
  }
}

export function littleEndian(value: bigint, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) out[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return out;
}
