/**
 * Handlers that regions call touch no general register or flag but their operands and what their rows declare
 * (src/isa/jitCalls.ts): each runs again with all other registers changed, and the result may not show it.
 */
import { beforeAll, expect, it } from "vitest";
import { jitCalls } from "../../src/isa/jitCalls.ts";
import { ADDRESS, STRUCTURE, specialise } from "../../src/isa/specialise.ts";
import { ROWS } from "../../src/isa/table/index.ts";
import { AREA, UOP_SIZE, VCPU } from "../../src/shared/layout.ts";
import { coreModule } from "../core.ts";
import { samples } from "../isa/samples.ts";
import { CODE, STACK, TestMachine } from "./machine.ts";

let m: TestMachine;

beforeAll(async () => {
  m = new TestMachine(await coreModule());
}, 300_000);

/** Values with which most memory operands, sums of one register and a multiple of another, are in RAM. */
const START = Array.from({ length: 16 }, (_, i) => BigInt(i === 4 ? STACK : 0x28_0000 + i * 0x40));
const MEMORY = 0x28_0000;
/** Where operands lie: at one register, at the sum of one and twice another, and by bit offset from there. */
const WRITTEN = [MEMORY, MEMORY * 3, MEMORY + (MEMORY >> 3), MEMORY * 3 + (MEMORY >> 3)];
const ARITHMETIC = 0x8d5n;
const SAMPLES = 4;
/** The time, and random numbers. */
const VARYING = new Set(["rdtsc", "rdtscp", "rdrand"]);
const FIRST_OP = STRUCTURE.length;
const EASEG = FIRST_OP + ADDRESS.indexOf("EASEG");

interface Result {
  gpr: bigint[];
  flags: bigint;
  rest: string;
}

function run(code: Uint8Array, gpr: bigint[], flags: bigint): Result {
  const { memory, view, base } = m;
  memory.write(CODE, code);
  m.reset();
  for (const at of WRITTEN) memory.write(at, new Uint8Array(0x1000).fill(0x3c));
  const st = base + VCPU.st.offset;
  memory.bytes.fill(0x11, st, base + VCPU.ymm.offset + 512);
  view.set(VCPU.fcw, 0x37f);
  view.set(VCPU.fsw, 0);
  view.set(VCPU.ftw, 0xff);
  view.set(VCPU.mxcsr, 0x1f80);
  m.set({ gpr, rflags: flags | 2n, rip: BigInt(CODE) });
  m.run(1n);
  const after = m.get();
  const page = Buffer.from(memory.bytes.slice(st, base + VCPU.ymm.offset + 512)).toString("hex");
  return {
    gpr: after.gpr,
    flags: after.rflags & ARITHMETIC,
    rest: `${after.rip} ${page} ${m.dump(MEMORY, 0x1000)}`,
  };
}

/** General registers that the micro-op just decoded names, as assembly/jit/emit.ts takes them. */
function named(aside: boolean): { reads: number; writes: number } {
  const d = m.view.data;
  const at = (offset: number): number => {
    const i = (offset - VCPU.gpr.offset) >> 3;
    return i >= 0 && i < 16 ? 1 << i : 0;
  };
  let u = m.base + AREA.SCRATCH;
  let reads = 0;
  for (;;) {
    reads |= at(d.getUint16(u + 6, true)) | at(d.getUint16(u + 8, true));
    if (d.getUint16(u, true) !== EASEG) break;
    u += UOP_SIZE;
  }
  let writes = at(d.getUint16(u + 2, true)) | at(d.getUint16(u + 4, true));
  if (aside) writes |= at(Number(BigInt.asUintN(32, d.getBigUint64(u + 16, true))));
  return { reads, writes };
}

it("rows declare what their handlers touch", { timeout: 120_000 }, () => {
  const { ops, slots } = specialise(ROWS);
  const calls = jitCalls(ROWS);
  const wrong = new Set<string>();
  let checked = 0;
  for (const row of ROWS) {
    const id = slots.get(row.id)?.[0] ?? 0;
    const call = calls.get(id);
    if (!call || VARYING.has(row.meaning.slice(1))) continue;
    expect(ops.find((op) => op.id === id)?.handler).toBe(true);
    let n = 0;
    for (const code of samples(row, 64)) {
      if (n++ === SAMPLES) break;
      const plain = run(code, START, 0n);
      const operands = named(call.aside);
      const writes = call.writes | operands.writes;
      const touched = call.reads | operands.reads | writes;
      checked++;
      // An exception pushes onto the stack.
      const free = START.map((_, i) => i).filter((i) => i !== 4 && !(touched & (1 << i)));
      for (let i = 0; i < 16; i++) {
        if (i !== 4 && !(writes & (1 << i)) && plain.gpr[i] !== START[i])
          wrong.add(`${row.text}: writes register ${i}`);
      }
      const changed = START.map((v, i) => (free.includes(i) ? v ^ 0x7_0008n : v));
      const other = run(code, changed, 0n);
      const same = other.gpr.every((v, i) => v === (free.includes(i) ? changed[i] : plain.gpr[i]));
      if (!same || other.rest !== plain.rest || other.flags !== plain.flags) {
        wrong.add(`${row.text}: reads one of registers ${free}`);
      }
      if (call.flags) continue;
      if (plain.flags !== 0n) wrong.add(`${row.text}: writes flags`);
      const flagged = run(code, START, ARITHMETIC);
      if (flagged.rest !== plain.rest || flagged.gpr.some((v, i) => v !== plain.gpr[i])) {
        wrong.add(`${row.text}: reads flags`);
      }
    }
  }
  expect([...wrong]).toEqual([]);
  expect(checked).toBeGreaterThan(2000);
});
