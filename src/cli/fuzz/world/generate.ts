/**
 * Random worlds: a program that runs over and over, so that its regions are compiled, while it writes to memory that it
 * sees twice, changes its own code and its page table, and faults.
 */
import type { Width } from "../../../isa/operand.ts";
import type { Row } from "../../../isa/table/grammar.ts";
import { CODE, CODE_BASE16, PAGE } from "../../vectorMemory.ts";
import type { Patch } from "../case.ts";
import { encode, POINTERS } from "../encode.ts";
import { Random } from "../random.ts";
import { DATA, littleEndian, READ_ONLY, STACK, State } from "../state.ts";
import { CODE_ALIAS, DATA_ALIAS, PHYSICAL, TABLE } from "./machine.ts";

export interface World {
  readonly mode: Width;
  /** The program, `at` bytes into the code pages, and what their twins have there. */
  readonly code: Uint8Array;
  readonly twin: Uint8Array;
  readonly at: number;
  /** RIP at the start. */
  readonly start: number;
  readonly rflags: number;
  readonly gpr: BigUint64Array;
  readonly xsave: Uint8Array;
  readonly patches: readonly Patch[];
  /** Offsets in `code` of its parts: after an exception the program goes on with the next one. */
  readonly parts: readonly number[];
  /** Offsets in `code` of its instructions. */
  readonly starts: readonly number[];
  /** Executions after which blocks are compiled, and lengths of the runs after which the engines are compared. */
  readonly heat: number;
  readonly slices: readonly number[];
}

/** Where the number of rounds that are left is. */
const COUNTER = STACK + 0x40;
const LINES = [DATA, DATA + PAGE, DATA_ALIAS, CODE, CODE + PAGE];

class Writer {
  readonly s: State;
  readonly code: number[] = [];
  readonly starts: number[] = [];
  /** Places of immediates that may be changed while the program runs. */
  readonly mutable: { at: number; size: number }[] = [];
  /** Stores into code whose target is not known yet: offset of the address, and of the byte. */
  readonly #stores: { address: number; value: number }[] = [];
  readonly #first: number;

  constructor(s: State) {
    this.s = s;
    this.#first = s.start;
  }

  emit(...bytes: readonly number[]): void {
    this.starts.push(this.code.length);
    this.code.push(...bytes);
    this.s.start = this.#first + this.code.length;
  }

  /** ModRM (with `reg`) and address of an absolute operand. */
  #absolute(reg: number, linear: number): number[] {
    const { mode } = this.s;
    if (mode === 16) return [(reg << 3) | 6, ...littleEndian(BigInt(linear - CODE_BASE16), 2)];
    const address = littleEndian(BigInt(linear), 4);
    return mode === 64 ? [(reg << 3) | 4, 0x25, ...address] : [(reg << 3) | 5, ...address];
  }

  some(rows: readonly Row[], count: number): void {
    for (let i = 0; i < count; i++) {
      if (this.s.r.percent(12)) this.#mutable();
      else this.emit(...encode(this.s, this.s.r.pick(rows), true));
    }
  }

  /** An instruction with an immediate that stores may hit: ADD, XOR, SUB, CMP with the accumulator; MOV to it. */
  #mutable(): void {
    const size = this.s.mode === 16 ? 2 : 4;
    this.mutable.push({ at: this.code.length + 1, size });
    this.emit(this.s.r.pick([0x05, 0x35, 0x2d, 0x3d, 0xb8, 0xb9]), ...this.s.r.bytes(size));
  }

  /** A store of a byte into the program, by a way in which it may be written. */
  storeToCode(): void {
    const bytes = [0xc6, ...this.#absolute(0, 0)];
    const length = this.s.mode === 16 ? 2 : 4;
    this.#stores.push({ address: this.code.length + bytes.length - length, value: this.code.length + bytes.length });
    this.emit(...bytes, this.s.r.below(256));
  }

  /** A page table entry is written, and the translations dropped that it may have had. */
  remap(): void {
    const { r, mode } = this.s;
    const line = r.percent(70) ? r.pick(LINES.slice(0, 3)) : r.pick(LINES);
    const code = line === CODE || line === CODE + PAGE;
    const which = code ? (line === CODE ? 0 : 1) : 0;
    const gpa = code ? PHYSICAL[r.pick([2, 4]) + which] : r.percent(85) ? PHYSICAL[r.below(2)] : r.pick(PHYSICAL);
    const rights = code ? 1 : r.percent(80) ? 3 : r.percent(60) ? 1 : 0;
    const value = littleEndian(BigInt(gpa | 0x60 | rights), 4);
    const size = mode === 16 ? [0x66] : [];
    this.emit(...size, 0xc7, ...this.#absolute(0, TABLE + (line / PAGE) * 8), ...value);
    if (r.percent(60)) this.emit(0x0f, 0x01, ...this.#absolute(7, line));
    else {
      this.emit(0x0f, 0x20, 0xd8);
      this.emit(0x0f, 0x22, 0xd8);
    }
  }

  skipped(body: () => void): void {
    const at = this.code.length;
    this.emit(0x70 | this.s.r.below(16), 0);
    body();
    this.code[at + 1] = Math.min(this.code.length - at - 2, 127);
  }

  loop(body: () => void): void {
    const { r, mode } = this.s;
    this.emit(0xb9, ...littleEndian(BigInt(1 + r.below(12)), mode === 16 ? 2 : 4));
    const top = this.code.length;
    body();
    if (this.code.length - top > 110) return;
    if (r.percent(30)) this.emit(r.pick([0xe0, 0xe1, 0xe2]), (top - this.code.length - 2) & 0xff);
    else {
      this.emit(0xff, 0xc9);
      this.emit(0x75, (top - this.code.length - 2) & 0xff);
    }
  }

  call(body: () => void): void {
    const size = this.s.mode === 16 ? 2 : 4;
    this.emit(0xe8, ...littleEndian(2n, size));
    const at = this.code.length;
    this.emit(0xeb, 0);
    body();
    this.emit(0xc3);
    this.code[at + 1] = Math.min(this.code.length - at - 2, 127);
  }

  /** NOPs up to the end of a page: what follows lies on the next one. */
  nextPage(): void {
    const rest = PAGE - ((this.#first + this.code.length) % PAGE);
    if (this.code.length + rest > 0x1700) return;
    const size = this.s.mode === 16 ? 2 : 4;
    this.emit(0xe9, ...littleEndian(BigInt(rest - 1 - size), size));
    while ((this.#first + this.code.length) % PAGE) this.code.push(0x90);
    this.s.start = this.#first + this.code.length;
  }

  /** Another round, as long as the counter says so. */
  again(): void {
    const size = this.s.mode === 16 ? 2 : 4;
    this.emit(0xff, ...this.#absolute(1, COUNTER));
    this.emit(0x0f, 0x84, ...littleEndian(BigInt(1 + size), size));
    const back = -(this.code.length + 1 + size);
    this.emit(0xe9, ...littleEndian(BigInt.asUintN(64, BigInt(back)), size));
    this.emit(0xcc);
  }

  /** Gives the stores into code their targets. */
  settle(): void {
    const { r, mode } = this.s;
    for (const { address, value } of this.#stores) {
      const hit = this.mutable.length && r.percent(90) ? r.pick(this.mutable) : undefined;
      const at = hit ? hit.at + r.below(hit.size) : r.pick(this.starts) + r.below(3);
      const linear = this.#first + at;
      const alias = CODE_ALIAS[linear >= CODE + PAGE ? 1 : 0] + (linear % PAGE);
      const bytes = littleEndian(BigInt(mode === 16 ? alias - CODE_BASE16 : alias), mode === 16 ? 2 : 4);
      bytes.forEach((b, i) => {
        this.code[address + i] = b;
      });
      if (!hit) this.code[value] = this.code[at] ^ r.pick([1, 8, 0x80, 0]);
    }
  }
}

/** The world of a seed. */
export function world(seed: number, n: number, mode: Width, rows: readonly Row[]): World {
  const r = new Random(seed, n, mode);
  const s = new State(r, mode);
  s.start = CODE + 0x800 + r.below(0x7c0);
  const first = s.start;
  for (const p of POINTERS) {
    const at = r.percent(50)
      ? DATA + 0xfe0 + r.below(32)
      : r.percent(70)
        ? DATA_ALIAS + 0xf80 + r.below(64)
        : r.percent(50)
          ? DATA + 0x1000 + r.below(64)
          : READ_ONLY + 8;
    s.gpr[p] = BigInt(s.offset(at));
  }
  s.gpr[4] = BigInt(s.offset(STACK + 0x800));
  s.poke(COUNTER, littleEndian(BigInt(2 + r.below(30)), 4));
  s.poke(DATA + 0xf80, s.bytes(r.pick(["integer", "single", "double"] as const), 192));
  const w = new Writer(s);
  const parts: number[] = [];
  const count = 2 + r.below(6);
  for (let i = 0; i < count && w.code.length < 0x600; i++) {
    parts.push(w.code.length);
    const some = (): void => w.some(rows, 1 + r.below(4));
    some();
    switch (r.below(9)) {
      case 0:
        w.skipped(some);
        break;
      case 1:
      case 2:
        w.loop(some);
        break;
      case 3:
        w.call(some);
        break;
      case 4:
      case 5:
        w.storeToCode();
        break;
      case 6:
        w.remap();
        break;
      case 7:
        if (r.percent(50)) w.nextPage();
        break;
      default:
        break;
    }
    if (r.percent(20)) w.remap();
  }
  parts.push(w.code.length);
  w.again();
  w.settle();
  const code = Uint8Array.from(w.code);
  const twin = code.slice();
  for (const { at, size } of w.mutable) if (r.percent(50)) twin.set(r.bytes(size), at);
  const { gpr, xsave, patches } = s.finish(code, w.starts, "world");
  const slices = r.percent(30) ? [20_000] : Array.from({ length: 4 }, () => 1 + r.below(r.percent(50) ? 40 : 600));
  return {
    ...{ mode, code, twin, at: first - CODE, start: s.offset(first), rflags: s.rflags, gpr, xsave, patches, parts },
    ...{ starts: w.starts, heat: r.pick([1, 1, 2, 3]), slices },
  };
}
