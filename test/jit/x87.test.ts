/**
 * Sequences of x87 instructions in regions and on the interpreter: registers, tags, FSW, pointers, flags and memory must
 * agree, with every precision and rounding, masked exceptions or not, full and empty registers, and values of every class.
 */
import { beforeAll, expect, it } from "vitest";
import { VCPU } from "../../src/shared/layout.ts";
import { coreModule } from "../core.ts";
import { CODE, STACK, TestMachine } from "./machine.ts";
import { Random } from "./program.ts";

let interp: TestMachine;
let jit: TestMachine;

beforeAll(async () => {
  const core = await coreModule();
  [interp, jit] = [new TestMachine(core), new TestMachine(core)];
}, 300_000);

const MEMORY = 0x28_0000;
const BYTES = 0x200;
const RBX = 3;

/** An 80-bit value of some class, most of them normal ones that are near each other. */
function real(r: Random): [bigint, number] {
  const sign = r.next(2) << 15;
  const fraction = ((BigInt(r.next(2 ** 32)) << 32n) | BigInt(r.next(2 ** 32))) >> BigInt(r.pick([0, 0, 1, 11, 40]));
  const significand = fraction | (1n << 63n);
  switch (r.next(14)) {
    case 0:
      return [0n, sign];
    case 1:
      return [fraction >> 1n, sign];
    case 2:
      return [r.pick([1n << 63n, significand, 3n << 62n]), sign | 0x7fff];
    case 3:
      return [fraction, sign | r.next(0x8000)];
    case 4:
      return [significand, sign | r.pick([1, 2, 0x3c00, 0x3c01, 0x43fe, 0x43ff, 0x7ffe])];
    case 5:
      return [1n << 63n, sign | r.pick([0x3fff, 0x4000, 0x401e, 0x403e])];
    case 6:
      return [r.pick([(1n << 64n) - 1n, (1n << 64n) - 0x400n, (1n << 63n) | 0x400n]), sign | (0x3ff0 + r.next(32))];
    default:
      return [significand, sign | (0x3ff0 + r.next(r.pick([2, 32, 80])))];
  }
}

/** Integers, singles and doubles of every class. */
function fill(r: Random, bytes: Uint8Array): void {
  const d = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length; i += 8) {
    const sign = r.next(2) ? 1n << 63n : 0n;
    switch (r.next(8)) {
      case 0:
        d.setBigUint64(i, r.value(), true);
        break;
      case 1:
        d.setBigUint64(i, sign | (r.pick([0n, 0x7ffn, 1n, 0x7fen]) << 52n) | (r.next(2) ? r.value() >> 12n : 0n), true);
        break;
      case 2:
        d.setUint32(i, r.pick([0, 0x7f80_0000, 0x7f80_0001, 1, 0x0080_0000, 0x7f7f_ffff, 0x8000_0000]), true);
        d.setFloat32(i + 4, r.next(1000) / 3, true);
        break;
      case 3:
        d.setFloat32(i, -r.next(1000) / 8, true);
        break;
      default:
        d.setFloat64(i, (r.next(1 << 30) - 2 ** 29) / r.pick([1, 8, 3, 2 ** 20]), true);
    }
  }
}

/** D9 and DD have, in memory, the control word and the environment. */
const isControl = (opcode: number, digit: number) => (opcode === 0xd9 || opcode === 0xdd) && digit >= 4;

function instruction(r: Random): number[] {
  const opcode = 0xd8 + r.next(8);
  const digit = r.next(8);
  if (r.next(3) === 0) {
    if (isControl(opcode, digit) && r.next(6)) return [opcode, 0x43 | (r.next(4) << 3), r.next(0x70)];
    return [opcode, 0x43 | (digit << 3), r.next(0x70)];
  }
  // Stack registers near the top, and few of the instructions that only regions' callers have.
  if ((opcode === 0xd9 && digit >= 4) || (opcode === 0xdb && digit === 4)) {
    if (r.next(4))
      return r.pick([
        [0xd9, 0xe0],
        [0xd9, 0xe1],
        [0xd9, 0xe8],
        [0xd9, 0xee],
        [0xd9, 0xfa],
        [0xdf, 0xe0],
      ]);
  }
  return [opcode, 0xc0 | (digit << 3) | r.next(r.pick([2, 4, 8]))];
}

interface Start {
  code: number[];
  fcw: number;
  fsw: number;
  ftw: number;
  st: [bigint, number][];
  memory: Uint8Array;
}

function start(r: Random): Start {
  let code = Array.from({ length: 1 + r.next(12) }, () => instruction(r)).flat();
  // mov ecx, 3; again: …; dec ecx; jnz again
  if (r.next(3) === 0) code = [0xb9, 3, 0, 0, 0, ...code, 0xff, 0xc9, 0x75, 0x100 - code.length - 4];
  const masks = r.next(6) ? 0x3f : r.next(0x40);
  const rounding = r.next(2) ? 0x300 : (r.next(4) << 10) | (r.pick([0, 2, 3]) << 8);
  // No exception is pending.
  const fsw = (r.next(0x40) & masks) | (r.next(8) << 11) | (r.next(2) ? 0x4700 & r.next(0x10000) : 0);
  const memory = new Uint8Array(BYTES);
  fill(r, memory);
  const ftw = r.pick([0xff, 0, r.next(256), 0x0f, 0xf0]);
  return { code, fcw: 0x40 | masks | rounding, fsw, ftw, st: Array.from({ length: 8 }, () => real(r)), memory };
}

function run(m: TestMachine, s: Start, compile: boolean) {
  m.memory.write(CODE, new Uint8Array(64).fill(0xf4));
  m.memory.write(CODE, Uint8Array.from(s.code));
  m.reset();
  m.memory.write(MEMORY, s.memory);
  const st = m.base + VCPU.st.offset;
  const bytes = new DataView(m.memory.bytes.buffer);
  s.st.forEach(([significand, exponent], i) => {
    bytes.setBigUint64(st + i * 16, significand, true);
    bytes.setUint16(st + i * 16 + 8, exponent, true);
  });
  m.view.set(VCPU.fcw, s.fcw);
  m.view.set(VCPU.fsw, s.fsw);
  m.view.set(VCPU.ftw, s.ftw);
  m.view.set64(VCPU.fip, 0n);
  m.view.set64(VCPU.fdp, 0n);
  m.view.set(VCPU.fop, 0);
  const gpr = Array.from({ length: 16 }, (_, i) => BigInt(i === 4 ? STACK : i === RBX ? MEMORY : i));
  m.set({ gpr, rflags: 2n, rip: BigInt(CODE) });
  // What the TLB does not have, the interpreter does.
  m.warm(MEMORY, MEMORY + 0x1000);
  m.set({ gpr, rflags: 2n, rip: BigInt(CODE) });
  if (compile) m.compile(CODE);
  const before = m.compiled;
  m.run(100n);
  const { gpr: registers, rflags, rip, icount } = m.get();
  const text = [
    ...[...registers, rflags, rip, icount].map((v) => v.toString(16)),
    Buffer.from(m.memory.bytes.slice(st, m.base + VCPU.ymm.offset)).toString("hex"),
    m.dump(MEMORY, BYTES),
  ];
  return { text: text.join(" "), compiled: m.compiled - before };
}

it("agrees with the interpreter", { timeout: 120_000 }, () => {
  const r = new Random(11);
  const wrong: string[] = [];
  let compiled = 0;
  let all = 0;
  for (let i = 0; i < Number(process.env.X87_RUNS ?? 1500); i++) {
    const s = start(r);
    const a = run(interp, s, false);
    const b = run(jit, s, true);
    compiled += b.compiled;
    all += s.code.length;
    if (a.text !== b.text) wrong.push(`${i}: ${Buffer.from(s.code).toString("hex")} fcw ${s.fcw.toString(16)}`);
  }
  expect(wrong).toEqual([]);
  expect(compiled).toBeGreaterThan(all / 20);
});
