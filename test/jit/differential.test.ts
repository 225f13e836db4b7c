/** The same programs through both engines: registers, flags, memory, RIP, instruction counts and faults must agree. */
import { beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { SEMANTICS } from "../../src/isa/semantics.ts";
import { RUN } from "../../src/shared/exit.ts";
import { VCPU } from "../../src/shared/layout.ts";
import { setSegment } from "../../src/vcpu/view.ts";
import { coreModule } from "../core.ts";
import { CODE, DATA, STACK, TestMachine } from "./machine.ts";
import { MODE32, MODE64, Random, registers, straight, structured } from "./program.ts";

let interp: TestMachine;
let jit: TestMachine;

beforeAll(async () => {
  const core = await coreModule();
  interp = new TestMachine(core);
  jit = new TestMachine(core);
  for (const m of [interp, jit])
    setSegment(m.view, "FS", { selector: 16, limit: 0xffff_ffff, ar: 0xc093, base: BigInt(DATA) });
}, 300_000);

let mode = MODE64;
/** Code of the mode from now on: 64-bit, or compatibility mode with flat segments. */
function use(next: typeof MODE64): void {
  mode = next;
  for (const m of [interp, jit]) {
    setSegment(m.view, "CS", { selector: 8, base: 0n, limit: 0xffff_ffff, ar: mode.bits === 64 ? 0xa09b : 0xc09b });
    m.core.refresh(m.base);
  }
}

interface Run {
  text: string;
  end: number;
  icount: number;
  compiled: number;
}

function hex(state: object): string {
  return JSON.stringify(state, (_, v) => (typeof v === "bigint" ? v.toString(16) : v));
}

function prepare(m: TestMachine, code: Uint8Array, r: Random): void {
  m.memory.write(CODE, new Uint8Array(0x3000).fill(0xf4));
  m.memory.write(CODE, code);
  const data = new Uint8Array(0x2000);
  for (let i = 0; i < data.length; i++) data[i] = r.next(5) ? r.next(256) : 0;
  // The bound of the loops of 32-bit programs.
  new DataView(data.buffer).setUint32(0x1ff0, 40, true);
  // MXCSR: a rounding mode, masked exceptions, PE set or not.
  new DataView(data.buffer).setUint32(0x1fe0, 0x1f80 | (r.next(3) ? 0x20 : 0) | (r.next(4) ? 0 : 0x2000), true);
  m.memory.write(DATA, data);
  m.memory.write(STACK - 0x1000, new Uint8Array(0x1000));
  m.reset();
  // A fault has left 64-bit code behind.
  use(mode);
  m.warm(DATA, DATA + 0x2000);
  m.warm(STACK - 0x1000, STACK);
  // x87 and XMM registers, all valid; numbers, NaNs and denormals.
  const { data: page } = m.view;
  for (let i = 0; i < 8; i++) {
    m.view.set64(VCPU.st, (1n << 63n) | r.value(), i);
    page.setUint16(m.base + VCPU.st.offset + i * 16 + 8, r.pick([0, 0x3fff, 0x4005, 0xbffe, 0x7fff]), true);
  }
  m.view.set(VCPU.fcw, 0x37f);
  m.view.set(VCPU.fsw, 0);
  m.view.set(VCPU.ftw, 0xff >> r.next(8));
  m.view.set(VCPU.mxcsr, r.next(3) ? 0x1fa0 : 0x1f80);
  for (let at = m.base + VCPU.ymm.offset, i = 0; i < 64; i++, at += 8) {
    if (r.next(2)) page.setFloat64(at, (r.next(2001) - 1000) / 8, true);
    else page.setBigUint64(at, r.value(), true);
  }
  m.set({ gpr: registers(r, mode), rflags: 2n | (BigInt(r.next(0x1000)) & 0x8d5n), rip: BigInt(CODE) });
}

/** Runs to HLT in slices; the text is everything an engine can be caught with, at the end of every slice. */
function run(m: TestMachine, slices: readonly number[]): Run {
  const before = m.compiled;
  const text: string[] = [];
  let end: number = RUN.SLICE;
  for (let i = 0; end === RUN.SLICE && i < 2000; i++) {
    end = m.run(BigInt(slices[i % slices.length]));
    text.push(`${end} ${hex(m.get())}`);
  }
  const at = m.base + VCPU.st.offset;
  text.push(Buffer.from(m.memory.bytes.slice(at, m.base + VCPU.ymm.offset + 512)).toString("hex"));
  text.push(`cr2 ${m.view.get64(VCPU.cr2).toString(16)}`, m.dump(DATA, 0x2000), m.dump(STACK - 0x1000, 0x1000));
  return { text: text.join("\n"), end, icount: m.get().icount, compiled: m.compiled - before };
}

function both(source: string, seed: number, slices: readonly number[]): Run {
  const { bytes, symbols } = assemble(source);
  prepare(interp, bytes, new Random(seed));
  prepare(jit, bytes, new Random(seed));
  // Regions at every label: they overlap, and the interpreter goes from one to the other.
  jit.compile(CODE);
  for (const at of symbols.values()) if (seed % 3 === 0) jit.compile(at);
  const a = run(interp, slices);
  const b = run(jit, slices);
  if (a.text !== b.text) expect(`${source}\n${b.text}`, `seed ${seed}`).toBe(`${source}\n${a.text}`);
  return b;
}

const LONG = [1_000_000];
/** TABHYVE_ROUNDS=20: so many times as many programs, in so many times the time. */
const ROUNDS = Number(process.env.TABHYVE_ROUNDS ?? 1);
const TIMEOUT = 60_000 * ROUNDS;

describe.each([MODE64, MODE32])("both engines in $bits-bit code", { timeout: TIMEOUT }, (code) => {
  beforeAll(() => use(code));

  it("agree on single instructions", () => {
    let compiled = 0;
    for (let seed = 1; seed <= 1500 * ROUNDS; seed++)
      compiled += Math.sign(both(straight(new Random(seed * 7919), 1, 0, code), seed, LONG).compiled);
    // Not what divides by zero or crosses a page; in 32-bit code not segments with a base and 16-bit addresses either.
    expect(compiled / (1500 * ROUNDS)).toBeGreaterThan(code.bits === 64 ? 0.9 : 0.8);
  });

  it("agree on straight code with forward branches", () => {
    let all = 0;
    let compiled = 0;
    for (let seed = 1; seed <= 600 * ROUNDS; seed++) {
      const r = both(straight(new Random(seed * 104729), 3 + (seed % 20), 0, code), seed, LONG);
      all += r.icount;
      compiled += r.compiled;
    }
    expect(compiled / all).toBeGreaterThan(code.bits === 64 ? 0.7 : 0.5);
  });

  it("agree on faults in the middle", () => {
    for (let seed = 1; seed <= 400 * ROUNDS; seed++)
      both(straight(new Random(seed * 15485863), 8, 6, code), seed, LONG);
  });

  it("agree on loops, calls and computed branches", () => {
    let all = 0;
    let compiled = 0;
    for (let seed = 1; seed <= 300 * ROUNDS; seed++) {
      const r = both(structured(new Random(seed * 32452843), seed % 4 ? 0 : 40, code), seed, LONG);
      all += r.icount;
      compiled += r.compiled;
    }
    // x87 instructions on random bits, with a stack that overflows, leave the rest of their block to the interpreter.
    expect(compiled / all).toBeGreaterThan(code.bits === 64 ? 0.49 : 0.6);
  });

  it("stop after the same number of instructions, in the same state", () => {
    for (let seed = 1; seed <= 150 * ROUNDS; seed++) {
      const r = new Random(seed * 49979687);
      const slices = Array.from({ length: 5 }, () => 1 + r.next(seed % 2 ? 12 : 60));
      both(structured(r, 0, code), seed, slices);
    }
  });
});

describe("the generator of programs", () => {
  it("knows every meaning that the second engine serves", () => {
    const text: string[] = [];
    for (let seed = 1; seed < 3000; seed++)
      text.push(straight(new Random(seed * 7919), 2, 0), structured(new Random(seed), 0));
    const all = text.join("\n");
    const spelling: Record<string, string[]> = {
      imul2: ["imul"],
      imul3: ["imul"],
      movi: ["mov"],
      xchg90: ["xchg"],
      cbw: ["cbw", "cwde", "cdqe"],
      cwd: ["cwd", "cdq", "cqo"],
      jcc: ["jne"],
      cmov: ["cmovne"],
      setcc: ["setne"],
      jmpE: ["jmp r11"],
      callE: ["call r11"],
    };
    for (const name of Object.keys(SEMANTICS)) {
      if (SEMANTICS[name].interpOnly) continue;
      for (const s of spelling[name] ?? [name]) expect(all.includes(`\n${s}`), s).toBe(true);
    }
  });
});
