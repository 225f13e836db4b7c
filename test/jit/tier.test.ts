/** When code is compiled, what is let go of, and that nobody sees the difference. */
import { beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { RUN } from "../../src/shared/exit.ts";
import { STATS, VCPU } from "../../src/shared/layout.ts";
import { coreModule } from "../core.ts";
import { CODE, HANDLERS, STACK, TestMachine } from "./machine.ts";

let core: WebAssembly.Module;

beforeAll(async () => {
  core = await coreModule();
}, 300_000);

function load(m: TestMachine, source: string): void {
  m.memory.write(CODE, assemble(`bits 64\norg ${CODE}\n${source}`).bytes);
  m.put64(STACK - 8, BigInt(HANDLERS));
  m.warm(STACK - 0x1000, STACK);
  const gpr = new Array(16).fill(0n);
  gpr[4] = BigInt(STACK - 8);
  m.set({ gpr, rflags: 2n, rip: BigInt(CODE) });
}

const counted = (m: TestMachine, name: (typeof STATS)[number]): number =>
  Number(m.view.get64(VCPU.stats, STATS.indexOf(name)));

const LOOP = (n: number) => `mov ecx, ${n}\nagain: add rax, rcx\nsub ecx, 1\njne again\nret\n`;

describe("a block is compiled", () => {
  it("never, with heat 0", () => {
    const m = new TestMachine(core);
    load(m, LOOP(200_000));
    expect(m.run()).toBe(RUN.HALT);
    expect(counted(m, "regions")).toBe(0);
  });

  it("at its first execution, with heat 1", () => {
    const m = new TestMachine(core, 0, { heat: 1 });
    load(m, LOOP(10));
    m.run();
    expect(m.get().gpr[0]).toBe(55n);
    // All but the handler's HLT.
    expect(m.compiled).toBe(m.get().icount - 1);
  });

  it("at its second, with heat 2", () => {
    const m = new TestMachine(core, 0, { heat: 2 });
    load(m, LOOP(10));
    m.run();
    expect(m.get().gpr[0]).toBe(55n);
    // The first two times through the loop are one of the block that MOV begins and one of the loop's own.
    expect(m.compiled).toBe(3 * 8 + 1);
  });

  it.each([3, 4])("and what is in its region goes on while that waits for its batch, with heat %i", (heat) => {
    const m = new TestMachine(core, 0, { heat });
    // RARE has run twice when the trail from AGAIN ends, and belongs to the region.
    const rare = "rare: add rax, rcx\njmp back\n";
    load(m, `mov ecx, 200\nagain: test ecx, 0x1f\nje rare\nback: sub ecx, 1\njne again\nret\n${rare}`);
    expect(m.run()).toBe(RUN.HALT);
    expect(m.get().gpr[0]).toBe(32n * (1n + 2n + 3n + 4n + 5n + 6n));
  });

  it("in a batch, once it is hot", () => {
    const m = new TestMachine(core, 0, { heat: 1000 });
    load(m, LOOP(1_000_000));
    m.run();
    expect(m.get().icount).toBe(1 + 3_000_000 + 1 + 1);
    expect(counted(m, "regions")).toBe(1);
    expect(m.compiled / m.get().icount).toBeGreaterThan(0.6);
    expect(m.compiled / m.get().icount).toBeLessThan(0.9);
  });

  it("with what its indirect branches lead to", () => {
    const m = new TestMachine(core, 0, { heat: 1000 });
    load(
      m,
      `mov ecx, 1000000\nlea rbx, [rel function]\nagain: add rdx, 0x7654321\njmp rbx\nback: sub ecx, 1\njne again\nret\ntimes 4096 - ($ - $$) nop\nfunction: add rax, 0x1234567\nlea rsi, [rel back]\njmp rsi\n`,
    );
    expect(m.run()).toBe(RUN.HALT);
    expect(m.get()).toMatchObject({ icount: 2 + 7_000_000 + 2 });
    expect(m.get().gpr[0]).toBe(0x1234567n * 1_000_000n);
    expect(counted(m, "regions")).toBe(1);
    // A loop of one region, which the interpreter enters once a budget.
    expect(counted(m, "regionEntries")).toBeLessThan(1000);
    expect(m.compiled / m.get().icount).toBeGreaterThan(0.7);
  });

  it("again, with a function that had been compiled by itself, when that is often entered", () => {
    const m = new TestMachine(core, 0, { heat: 1000 });
    const source = `mov ecx, 3000000\nagain: add rdx, 0x7654321\ncall function\nsub ecx, 1\njne again\nret\ntimes 4096 - ($ - $$) nop\nfunction: add rax, 0x1234567\nret\n`;
    load(m, source);
    m.view.set(VCPU.heat, 0);
    expect(m.compile(CODE + 4096)).toBeDefined();
    const alone = m.jit.last?.length ?? 0;
    m.view.set(VCPU.heat, 1000);
    expect(m.run()).toBe(RUN.HALT);
    expect(m.get().icount).toBe(1 + 6 * 3_000_000 + 2);
    expect(m.get().gpr[0]).toBe(0x1234567n * 3_000_000n);
    expect(counted(m, "modules")).toBeGreaterThan(1);
    expect(m.jit.last?.length).toBeGreaterThan(alone);
    const text = Buffer.from(m.jit.last ?? []).toString("latin1");
    // Both constants, as LEB128: the loop and the function are one.
    for (const bytes of ["\xe7\x8a\x8d\x09", "\xa1\x86\x95\x3b"]) expect(text).toContain(bytes);
  });

  it("at the same instruction in every run", () => {
    const seen = [1, 2].map(() => {
      const m = new TestMachine(core, 0, { heat: 1000 });
      load(m, LOOP(1_000_000));
      m.run(777_777n);
      return { ...m.get(), compiled: m.compiled };
    });
    expect(seen[0]).toEqual(seen[1]);
  });
});

describe("what is alive is bounded", () => {
  const FUNCTIONS = 40;
  const round = Array.from({ length: FUNCTIONS }, (_, i) => `call f${i}\n`).join("");
  const bodies = Array.from(
    { length: FUNCTIONS },
    (_, i) => `times 4096 - ($ - $$) % 4096 nop\nf${i}: add rax, ${i}\nret\n`,
  );
  const source = `mov ebx, 5\nagain: ${round}sub ebx, 1\njne again\nret\n${bodies.join("")}`;
  const sum = BigInt((5 * FUNCTIONS * (FUNCTIONS - 1)) / 2);

  it.each([
    ["modules", { modules: 8, functions: 1000, bytes: 1 << 20 }],
    ["functions", { modules: 1000, functions: 8, bytes: 1 << 20 }],
    ["bytes", { modules: 1000, functions: 1000, bytes: 6000 }],
  ])("in %s", (_, limits) => {
    const m = new TestMachine(core, 0, { heat: 1, limits });
    const before = m.core.table.length;
    load(m, source);
    expect(m.run()).toBe(RUN.HALT);
    expect(m.get().gpr[0]).toBe(sum);
    const plain = new TestMachine(core);
    load(plain, source);
    plain.run();
    expect(m.get()).toEqual(plain.get());
    expect(counted(m, "regionsEvicted")).toBeGreaterThan(FUNCTIONS);
    expect(m.core.table.length - before).toBeLessThan(30);
  });

  it("by what the arena has room for: when it is emptied, every region goes", () => {
    const m = new TestMachine(core, 0, { heat: 1 });
    load(m, source);
    m.run();
    const used = m.core.table.length;
    for (let i = 0; i < 5; i++) {
      m.reset();
      load(m, source);
      m.run();
      expect(m.get().gpr[0]).toBe(sum);
    }
    expect(m.core.table.length).toBe(used);
  });
});
