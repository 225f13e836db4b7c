/** What the jump cache knows, and for how long: by the lookups that had to be made because it did not. */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { RUN } from "../../src/shared/exit.ts";
import { STATS, VCPU } from "../../src/shared/layout.ts";
import { coreModule } from "../core.ts";
import { CODE, HANDLERS, P, STACK, TestMachine, W } from "./machine.ts";

let core: WebAssembly.Module;
let m: TestMachine;

beforeAll(async () => {
  core = await coreModule();
}, 300_000);
beforeEach(() => {
  m = new TestMachine(core);
});

const G = 0x100n;
const OTHER = CODE + 0x1000;
const PGE = 0x80n;
const misses = (): number => Number(m.view.get64(VCPU.stats, STATS.indexOf("jumpMisses")));

/** 1,000 times: another context, and a call to another page. */
const SWITCHES = `mov ecx, 1000
mov rbx, ${OTHER}
mov rdx, cr3
again: mov cr3, rdx
call rbx
sub ecx, 1
jne again
ret
`;

/** Runs `SWITCHES` with its pages' PTEs having `flags`; how often the jump cache did not know where to go. */
function run(flags: bigint, cr4: bigint): number {
  const { bytes } = assemble(`bits 64\norg ${CODE}\n${SWITCHES}`);
  m.memory.write(CODE, bytes);
  m.memory.write(OTHER, Uint8Array.of(0x83, 0xc0, 1, 0xc3));
  for (const page of [CODE, OTHER]) m.map(page, page, P | W | flags);
  m.view.set64(VCPU.cr4, m.view.get64(VCPU.cr4) | cr4);
  m.reset();
  m.put64(STACK - 8, BigInt(HANDLERS));
  const gpr = Array<bigint>(16).fill(0n);
  gpr[4] = BigInt(STACK - 8);
  m.set({ gpr, rflags: 2n, rip: BigInt(CODE) });
  const before = misses();
  expect(m.run()).toBe(RUN.HALT);
  expect(m.get().gpr[0]).toBe(1000n);
  return misses() - before;
}

describe("a supervisor's code", () => {
  it("in global pages is known in every context", () => {
    expect(run(G, PGE)).toBeLessThan(20);
  });
  it("in other pages is known in the context that it was found in", () => {
    expect(run(0n, PGE)).toBeGreaterThan(2000);
    m = new TestMachine(core);
    expect(run(G, 0n)).toBeGreaterThan(2000);
  });
});
