/**
 * What regions do for a handler (src/isa/jitVectors.ts) and the handler itself, on the same operands: registers, flags, MXCSR
 * and memory must agree, and so must faults.
 */
import { beforeAll, expect, it } from "vitest";
import { JIT_VECTORS } from "../../src/isa/jitVectors.ts";
import { ROWS } from "../../src/isa/table/index.ts";
import { VCPU } from "../../src/shared/layout.ts";
import { coreModule } from "../core.ts";
import { samples } from "../isa/samples.ts";
import { CODE, HANDLERS, STACK, TestMachine } from "./machine.ts";
import { Random } from "./program.ts";

let interp: TestMachine;
let jit: TestMachine;

beforeAll(async () => {
  const core = await coreModule();
  [interp, jit] = [new TestMachine(core), new TestMachine(core)];
  for (const m of [interp, jit]) {
    m.view.set64(VCPU.cr4, m.view.get64(VCPU.cr4) | (1n << 18n));
    m.view.set64(VCPU.xcr0, 7n);
    m.core.refresh(m.base);
  }
  KEPT.forEach(([at], i) => {
    interp.memory.read(at, kept[i]);
  });
}, 300_000);

/** Most memory operands are there: sums of one register and a multiple of another. */
const MEMORY = 0x28_0000;
const GPR = Array.from({ length: 16 }, (_, i) => BigInt(i === 4 ? STACK : MEMORY + i * 0x40));
const SAMPLES = 12;
/** x87 instructions: ./x87.test.ts. */
const NAMES = new Set([...JIT_VECTORS].filter(([, [kind]]) => !kind.startsWith("X87_")).map(([name]) => name));
/** Page tables, descriptors and handlers, which a stray store may hit: as they were at the start. */
const KEPT = [
  [0, 0x2_4000],
  [0x8_0000, 0x1000],
  [HANDLERS, 512],
] as const;
const kept = KEPT.map(([, size]) => new Uint8Array(size));

/** Doubles and singles of every class, and noise. */
function fill(r: Random, bytes: Uint8Array): void {
  const d = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < bytes.length; i += 8) {
    const sign = BigInt(r.next(2)) << 63n;
    switch (r.next(8)) {
      case 0:
        d.setBigUint64(i, r.value(), true);
        break;
      case 1:
        d.setBigUint64(i, sign, true);
        break;
      case 2:
        d.setBigUint64(i, sign | (BigInt(r.next(3) ? 0x7ff : 0) << 52n) | BigInt(r.next(3)), true);
        break;
      case 3:
        d.setBigUint64(i, sign | (BigInt(r.next(2) ? 1 : 0x7fe) << 52n) | (r.value() >> 12n), true);
        break;
      case 4:
        d.setFloat32(i, r.next(1000) / 8, true);
        d.setFloat32(i + 4, -r.next(1000) / 3, true);
        break;
      case 5:
        d.setUint32(i, r.pick([0, 0x7f80_0000, 0x7f80_0001, 1, 0x0080_0000, 0x7f7f_ffff]), true);
        break;
      default:
        d.setFloat64(i, (r.next(1 << 30) - 2 ** 29) / r.pick([1, 8, 3, 2 ** 20]), true);
    }
  }
}

function run(m: TestMachine, code: Uint8Array, state: Uint8Array, memory: Uint8Array, mxcsr: number, compile: boolean) {
  KEPT.forEach(([at], i) => {
    m.memory.write(at, kept[i]);
  });
  m.memory.write(CODE, new Uint8Array(32).fill(0xf4));
  m.memory.write(CODE, code);
  m.reset();
  m.memory.write(MEMORY, memory);
  m.memory.write(MEMORY * 3, memory);
  const st = m.base + VCPU.st.offset;
  m.memory.bytes.fill(0x11, st, m.base + VCPU.ymm.offset);
  m.memory.bytes.set(state, m.base + VCPU.ymm.offset);
  m.view.set(VCPU.fcw, 0x37f);
  m.view.set(VCPU.fsw, 0);
  m.view.set(VCPU.ftw, 0xff);
  m.view.set(VCPU.mxcsr, mxcsr);
  m.set({ gpr: GPR, rflags: 2n, rip: BigInt(CODE) });
  if (compile) m.compile(CODE);
  const before = m.compiled;
  m.run(100n);
  const { gpr, rflags, rip } = m.get();
  const end = m.base + VCPU.ymm.offset + 512;
  const text = [
    ...[...gpr, rflags, rip].map((v) => v.toString(16)),
    m.view.get(VCPU.mxcsr).toString(16),
    Buffer.from(m.memory.bytes.slice(st, end)).toString("hex"),
    ...[m.dump(MEMORY, 0x800), m.dump(MEMORY * 3, 0x800), m.dump(STACK - 0x100, 0x100)],
  ];
  return { text: text.join(" "), compiled: m.compiled - before };
}

it("agrees with the handlers", { timeout: 120_000 }, () => {
  const r = new Random(7);
  const seen = new Map<string, number>();
  const wrong: string[] = [];
  const [state, memory] = [new Uint8Array(512), new Uint8Array(0x800)];
  for (const row of ROWS) {
    const name = row.meaning.slice(1);
    if (!row.meaning.startsWith("@") || !NAMES.has(name)) continue;
    let n = 0;
    for (const code of samples(row, 64)) {
      if (n++ === SAMPLES) break;
      fill(r, state);
      fill(r, memory);
      const mxcsr = r.pick([0x1f80, 0x1fa0, 0x1fa0, 0x3fa0, 0x9fe0, 0x1f20, 0x0000]);
      const a = run(interp, code, state, memory, mxcsr, false);
      const b = run(jit, code, state, memory, mxcsr, true);
      if (a.text !== b.text)
        wrong.push(`${row.text}: ${Buffer.from(code).toString("hex")} mxcsr ${mxcsr.toString(16)}`);
      seen.set(name, (seen.get(name) ?? 0) + b.compiled);
    }
  }
  expect(wrong).toEqual([]);
  for (const name of NAMES) expect(seen.get(name), name).toBeGreaterThan(0);
});
