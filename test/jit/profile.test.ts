/** Counters in compiled code: they say what has run, and code without them is what it was. */
import { beforeAll, describe, expect, it } from "vitest";
import { profile } from "../../src/debug/profile.ts";
import { assemble } from "../../src/isa/assemble.ts";
import { RUN } from "../../src/shared/exit.ts";
import { VCPU } from "../../src/shared/layout.ts";
import { coreModule } from "../core.ts";
import { CODE, DATA, TestMachine } from "./machine.ts";

let core: WebAssembly.Module;
beforeAll(async () => {
  core = await coreModule();
}, 300_000);

/** 500 rounds of 6 instructions, of which LAHF and FLD1 and FSTP are calls. */
const LOOP = `
        bits 64
        org ${CODE}
        mov ecx, 500
again:  add rax, rcx
        lahf
        fldpi
        fstp qword [abs ${DATA}]
        dec ecx
        jnz again
        hlt
`;

function run(source: string, counting: boolean): TestMachine {
  const m = new TestMachine(core, 0, { heat: 1 });
  m.view.set(VCPU.profile, counting ? 1 : 0);
  m.memory.write(CODE, assemble(source).bytes);
  m.view.set(VCPU.fcw, 0x37f);
  m.set({ gpr: Array<bigint>(16).fill(0n), rip: BigInt(CODE) });
  expect(m.run()).toBe(RUN.HALT);
  return m;
}

describe("a profile", () => {
  it("has every instruction once: emitted, called or interpreted", () => {
    const m = run(LOOP, true);
    const { instructions, calls, blocks, regionExits } = profile(
      [m.view],
      (host) => host - m.memory.backing.byteOffset,
    );
    const { emitted, called, interpreted } = instructions;
    expect(emitted + called + interpreted).toBe(m.get().icount);
    expect(m.get().icount).toBe(1 + 500 * 6 + 1);
    expect(interpreted).toBeLessThan(20);
    expect(called).toBe(calls.reduce((n, { count }) => n + count, 0));
    const of = (row: string): number => calls.find((c) => c.row.split("/").includes(row))?.count ?? 0;
    for (const row of ["LAHF", "FLDPI"]) expect(of(row), row).toBeGreaterThan(495);
    expect(of("LAHF")).toBeLessThanOrEqual(500);
    expect(blocks[0].instructions).toBe(6);
    expect(blocks[0].executions).toBeGreaterThan(495);
    expect(blocks[0].share).toBeGreaterThan(0.98);
    expect(Object.values(regionExits).reduce((a, b) => a + b, 0)).toBeGreaterThan(0);
  });

  it("counts nothing, and changes no code, unless it is asked for", () => {
    const without = run(LOOP, false);
    const { calls, blocks, flagsComputed } = profile([without.view], (host) => host);
    expect({ calls, blocks, flagsComputed }).toEqual({ calls: [], blocks: [], flagsComputed: 0 });
    expect(run(LOOP, true).jit.last!.length).toBeGreaterThan(without.jit.last!.length);
  });
});
