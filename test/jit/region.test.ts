/** Regions as things: what they are made of, what ends them, and what must make them invalid. */
import binaryen from "binaryen";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { RUN } from "../../src/shared/exit.ts";
import { ATTENTION, STATS, VCPU } from "../../src/shared/layout.ts";
import { postDrop } from "../../src/vcpu/drop.ts";
import { coreModule } from "../core.ts";
import { CODE, DATA, HANDLERS, P, STACK, TestMachine, W } from "./machine.ts";

let core: WebAssembly.Module;
let m: TestMachine;

beforeAll(async () => {
  core = await coreModule();
}, 300_000);
beforeEach(() => {
  m = new TestMachine(core);
});

/** Assembles `source` at `at` and starts there; rsp has HLT as return address. */
function start(source: string, at = CODE): Map<string, bigint> {
  const { bytes, symbols } = assemble(`bits 64\norg ${at}\n${source}`);
  m.memory.write(at, bytes);
  begin(at);
  return symbols;
}

function begin(at: number | bigint, gpr: Record<number, bigint> = {}): void {
  m.warm(STACK - 0x1000, STACK);
  const all = Array.from({ length: 16 }, (_, i) => gpr[i] ?? 0n);
  all[4] = BigInt(STACK - 8);
  m.put64(STACK - 8, BigInt(HANDLERS));
  m.set({ gpr: all, rflags: 2n, rip: BigInt(at) });
}

/** Runs to HLT; the number of instructions that ran in regions. */
function finish(): number {
  const before = m.compiled;
  expect(m.run()).toBe(RUN.HALT);
  return m.compiled - before;
}

function compile(at: number | bigint): Uint8Array {
  const module = m.compile(at);
  if (!module) throw new Error("not compiled");
  return module;
}

const COUNT = "mov ecx, 1000\nxor eax, eax\nagain: add rax, rcx\nsub rcx, 1\njne again\nret\n";

describe("a region", () => {
  it("runs what it was made of", () => {
    start(COUNT);
    compile(CODE);
    expect(finish()).toBe(2 + 3000 + 1);
    expect(m.get().gpr[0]).toBe(500500n);
    expect(m.get().icount).toBe(3004);
  });

  it("is not made twice, nor of what the backend does not serve", () => {
    const s = start(`${COUNT}other: popfq\nret\n`);
    compile(CODE);
    expect(m.compile(CODE)).toBeUndefined();
    expect(m.compile(s.get("other") as bigint)).toBeUndefined();
  });

  it("ends before an instruction that it does not have, and goes on after it", () => {
    const s = start("mov ecx, 50\nagain: add rbx, rcx\npushfq\npopfq\nsub rcx, 1\njne again\nret\n");
    compile(s.get("again") as bigint);
    const compiled = finish();
    expect(m.get().gpr[3]).toBe(1275n);
    expect(m.get().icount).toBe(1 + 50 * 5 + 2);
    // POPFQ and what follows it are the interpreter's, and so is the first time, which comes from above.
    expect(compiled).toBe(49 * 2);
  });

  it("is the own of the vCPU whose area it names", () => {
    const second = new TestMachine(core, 1);
    const { bytes } = assemble(`bits 64\norg ${CODE}\n${COUNT}`);
    const modules = [m, second].map((machine) => {
      machine.memory.write(CODE, bytes);
      return machine.compile(CODE);
    });
    expect(modules[0]?.length).toBe(modules[1]?.length);
    expect(modules[0]).not.toEqual(modules[1]);
    m = second;
    begin(CODE);
    expect(finish()).toBe(2 + 3000 + 1);
    expect(m.get().gpr[0]).toBe(500500n);
  });

  it("gives way to attention when it is entered, and to the budget in loops", () => {
    start("again: add rax, 1\njmp again\n");
    compile(CODE);
    expect(m.run(10_001n)).toBe(RUN.SLICE);
    expect(m.get()).toMatchObject({ icount: 10_001, rip: BigInt(CODE + 4) });
    m.view.or(VCPU.attention, ATTENTION.STOP);
    expect(m.run()).toBe(RUN.STOP);
  });

  it("goes on in other regions without the interpreter", () => {
    const s = start(
      `mov ecx, 100\nmov rbx, function\nagain: call rbx\nsub rcx, 1\njne again\nret\ntimes 4096 - ($ - $$) nop\nfunction: add rax, 5\nret\n`,
    );
    compile(CODE);
    compile(s.get("function") as bigint);
    const entries = () => m.view.get64(VCPU.stats, STATS.indexOf("regionEntries"));
    expect(finish()).toBe(2 + 100 * 5 + 1);
    expect(m.get().gpr[0]).toBe(500n);
    // The jump cache has to see each place once.
    expect(entries()).toBeLessThan(6n);
  });

  it("leaves a return that goes elsewhere to the interpreter", () => {
    // A function in another page: its return address is not one of the region's.
    start("call function\nret\ntimes 4096 - ($ - $$) nop\nfunction: add rax, 5\nret\n");
    compile(CODE + 4096);
    expect(finish()).toBe(2);
    expect(m.get().gpr[0]).toBe(5n);
  });
});

describe("a region becomes invalid", () => {
  it("when the guest writes to its page from outside", () => {
    const s = start(
      `call function\nmov byte [abs function + 3], 7\ncall function\nret\ntimes 4096 - ($ - $$) nop\nfunction: add rax, 1\nret\n`,
    );
    compile(s.get("function") as bigint);
    const compiled = finish();
    expect(m.get().gpr[0]).toBe(8n);
    expect(compiled).toBe(2);
  });

  it("when it writes to itself", () => {
    const s = start(
      "mov ecx, 3\nagain:\npatched: add rax, 1\nmov byte [rel patched + 3], 100\nsub ecx, 1\njne again\nret\n",
    );
    compile(s.get("again") as bigint);
    finish();
    expect(m.get().gpr[0]).toBe(201n);
  });

  it("when the host writes to its page", () => {
    start(COUNT);
    compile(CODE);
    finish();
    m.memory.onCodeWrite = (page) => postDrop(m.view, page);
    m.memory.write(CODE, assemble("bits 64\nmov eax, 42\nret").bytes);
    begin(CODE);
    m.view.or(VCPU.attention, ATTENTION.DROP);
    expect(finish()).toBe(0);
    expect(m.get().gpr[0]).toBe(42n);
  });

  it("when the arena is emptied", () => {
    start(COUNT);
    compile(CODE);
    m.reset();
    begin(CODE);
    expect(finish()).toBe(0);
    expect(m.get().gpr[0]).toBe(500500n);
  });
});

describe("a region and paging", () => {
  const LINEAR = 0x60_0000;
  const FUNCTION = "lea rax, [rel $]\nmov ecx, 9\nagain: sub ecx, 1\njne again\nret\n";

  it("serves every address at which its page is mapped", () => {
    start(FUNCTION);
    compile(CODE);
    finish();
    m.map(LINEAR, CODE);
    begin(LINEAR);
    expect(finish()).toBe(2 + 18 + 1);
    expect(m.get().gpr[0]).toBe(BigInt(LINEAR));
  });

  it("is not entered where another page is mapped now", () => {
    const at = CODE + 0x1000;
    start(FUNCTION, at);
    m.map(LINEAR, at);
    begin(LINEAR);
    compile(LINEAR);
    expect(finish()).toBe(21);
    // The caller maps another page in and flushes the translation.
    m.memory.write(CODE + 0x2000, assemble("bits 64\nmov eax, 77\nret").bytes);
    const pte = 0x1_0000 + (LINEAR >>> 12) * 8;
    start(`mov qword [abs ${pte}], ${CODE + 0x2003}\ninvlpg [abs ${LINEAR}]\nmov rbx, ${LINEAR}\ncall rbx\nret\n`);
    expect(finish()).toBe(0);
    expect(m.get().gpr[0]).toBe(77n);
  });

  it("sees a changed data mapping after INVLPG", () => {
    m.put64(DATA, 1n);
    m.put64(DATA + 0x1000, 2n);
    const pte = 0x1_0000 + (DATA >>> 12) * 8;
    const s =
      start(`call read\nmov rbx, rax\nmov qword [abs ${pte}], ${DATA + 0x1003}\ninvlpg [abs ${DATA}]\ncall read\nret
read: mov ecx, 5\nxor eax, eax\nagain: add rax, [abs ${DATA}]\nsub ecx, 1\njne again\nret\n`);
    compile(s.get("read") as bigint);
    // The first block of both calls does not find its page in the TLB.
    expect(finish()).toBe(2 * (2 + 15 + 1 - 5));
    expect(m.get().gpr.slice(0, 4)).toEqual([10n, 0n, 0n, 5n]);
  });

  it("reads across a page's end although the page behind it is the one it has read last", () => {
    m.map(LINEAR, DATA + 0x3000);
    m.map(LINEAR + 0x1000, DATA);
    m.put64(DATA + 0x3ff8, 0x1122_3344_5566_7788n);
    m.put64(DATA, 0x99aa_bbcc_ddee_ff00n);
    m.put64(DATA + 8, 0n);
    const read = "add rax, [rsi]\nsub rsi, 4\nsub ecx, 1\njne again\nret\n";
    start(`mov esi, ${LINEAR + 0x1004}\nmov ecx, 3\nxor eax, eax\nagain: ${read}`);
    compile(CODE);
    finish();
    const sum = 0x99aa_bbccn + 0x99aa_bbcc_ddee_ff00n + 0xddee_ff00_1122_3344n;
    expect(m.get().gpr[0]).toBe(sum & 0xffff_ffff_ffff_ffffn);
  });

  it("leaves at an access that faults after one that has written", () => {
    const s = start(
      "mov ebx, 1\nmov [abs 0x500000], rbx\nadd rbx, 5\nfaults: mov rcx, [abs 0x1230000]\nadd rbx, 1\nret\n",
    );
    compile(CODE);
    finish();
    expect(m.get().gpr[3]).toBe(6n);
    const frame = new BigUint64Array(Uint8Array.from(Buffer.from(m.dump(STACK - 16 - 48, 16), "hex")).buffer);
    expect([...frame]).toEqual([0n, s.get("faults")]);
  });

  it("faults with the state of the instruction that faults", () => {
    const s = start("mov rbx, 1\nadd rbx, 5\nfaults: mov [abs 0x1230000], rbx\nadd rbx, 1\nret\n");
    compile(CODE);
    finish();
    expect(m.get().rip).toBe(BigInt(HANDLERS + 14 * 16 + 1));
    expect(m.get().gpr[3]).toBe(6n);
    expect(m.view.get64(VCPU.cr2)).toBe(0x123_0000n);
    // The frame: error code, RIP of the MOV.
    const frame = new BigUint64Array(Uint8Array.from(Buffer.from(m.dump(STACK - 16 - 48, 16), "hex")).buffer);
    expect([...frame]).toEqual([2n, s.get("faults")]);
  });
});

describe("a region of several pages", () => {
  const LINEAR = 0x60_0000;
  const PAD = "times 4096 - ($ - $$) % 4096 nop\n";
  const CALLS = `mov ecx, 100\nagain: call function\nsub ecx, 1\njne again\nret\n${PAD}`;
  const ADD = "function: lea rdx, [rel $]\nadd rax, rcx\nlahf\nret\n";

  it("goes from page to page", () => {
    const s = start(CALLS + ADD);
    compile(CODE);
    expect(finish()).toBe(1 + 100 * 7 + 1);
    expect(m.get().gpr[2]).toBe(s.get("function"));
    expect(m.get().icount).toBe(703);
  });

  it("goes on into the next page", () => {
    start(`jmp last\n${"nop\n".repeat(4000)}times 4094 - ($ - $$) nop\nlast: mov al, 5\nadd al, 2\nret\n`);
    compile(CODE);
    expect(finish()).toBe(4);
    expect(m.get().gpr[0]).toBe(7n);
  });

  it("serves every address at which its pages are mapped side by side", () => {
    const s = start(CALLS + ADD);
    compile(CODE);
    finish();
    m.map(LINEAR, CODE);
    m.map(LINEAR + 0x1000, CODE + 0x1000);
    begin(LINEAR);
    // The first time round, the TLB does not know the second page.
    expect(finish()).toBeGreaterThan(690);
    expect(m.get().gpr[2]).toBe(BigInt(LINEAR - CODE) + (s.get("function") as bigint));
    expect(m.get().icount).toBe(703);
  });

  it("does not go where another page is mapped", () => {
    start(CALLS + ADD);
    m.memory.write(CODE + 0x3000, assemble("bits 64\nsub rax, rcx\nret").bytes);
    m.map(LINEAR, CODE);
    m.map(LINEAR + 0x1000, CODE + 0x3000);
    compile(CODE);
    finish();
    begin(LINEAR);
    finish();
    expect(BigInt.asIntN(64, m.get().gpr[0])).toBe(-5050n);
    expect(m.get().icount).toBe(1 + 100 * 5 + 1 + 1);
  });

  it("is not entered when one of its pages has been written to", () => {
    const s = start(
      `mov ecx, 4\nagain: call function\nmov byte [abs function + 3], 7\nsub ecx, 1\njne again\nret\n${PAD}function: add rax, 1\nret\n`,
    );
    compile(CODE);
    const compiled = finish();
    expect(m.get().gpr[0]).toBe(1n + 3n * 7n);
    expect(compiled).toBe(4);
    expect(m.compile(s.get("again") as bigint)).toBeDefined();
  });

  it("faults with the state of the instruction that faults", () => {
    const s = start(
      `mov rbx, 1\ncall function\nret\n${PAD}function: add rbx, 5\nfaults: mov [abs 0x1230000], rbx\nret\n`,
    );
    compile(CODE);
    finish();
    expect(m.get().gpr[3]).toBe(6n);
    const frame = new BigUint64Array(Uint8Array.from(Buffer.from(m.dump(STACK - 24 - 40, 16), "hex")).buffer);
    expect(frame).toContain(s.get("faults"));
  });
});

describe("where linear addresses end", () => {
  /** The last page of the lower half, which goes to the same page as CODE. */
  const LAST = 0x7fff_ffff_f000n;

  it("a branch to an address that is not canonical faults, though its region has run elsewhere", () => {
    const s = start(`add rbx, 5\nleaves: jmp ${CODE + 0x1100}\n`);
    m.memory.write(CODE + 0x1100, Uint8Array.of(0xf4));
    compile(CODE);
    expect(finish()).toBe(2);
    for (const [at, to] of [
      [0x1000 + 255 * 8, 0x6_0000],
      [0x6_0000 + 511 * 8, 0x6_1000],
      [0x6_1000 + 511 * 8, 0x6_2000],
      [0x6_2000 + 511 * 8, CODE],
    ])
      m.put64(at, BigInt(to) | P | W);
    begin(LAST, { 3: 1n });
    expect(finish()).toBe(0);
    expect(m.get()).toMatchObject({ rip: BigInt(HANDLERS + 13 * 16 + 1) });
    expect(m.get().gpr[3]).toBe(6n);
    const frame = new BigUint64Array(Uint8Array.from(Buffer.from(m.dump(STACK - 16 - 48, 16), "hex")).buffer);
    expect([...frame]).toEqual([0n, LAST + (s.get("leaves") as bigint) - BigInt(CODE)]);
  });
});

describe("the Wasm of a region", () => {
  const SNIPPETS: Readonly<Record<string, string>> = {
    loop: "again: movzx ecx, byte [rsi]\nadd rsi, 1\nxor eax, ecx\ncmp rsi, rdx\njne again\nhlt\n",
    registers: "add rax, rbx\nlea rcx, [rax + rbx * 4 + 8]\nmov edx, ecx\nhlt\n",
    loads: "mov rax, [rbx]\nmov ecx, [rbx + 8]\nadd rax, rcx\nhlt\n",
    storeThenLoad: "add rdx, 1\nmov [rbx], rdx\nadd rdx, 1\nmov rcx, [rsi]\nhlt\n",
    modify: "add qword [rbx], 1\nhlt\n",
    compare: "cmp eax, 5\njb below\nmov ecx, 1\nhlt\nbelow: mov ecx, 2\nhlt\n",
    flags: "add eax, ebx\nadc edx, 0\nsetc cl\nhlt\n",
    rotate: "rol eax, 5\nshr ebx, cl\nhlt\n",
    divide: "xor edx, edx\ndiv rcx\nhlt\n",
    call: "call function\nhlt\nfunction: push rbx\npop rbx\nret\n",
    indirect: "jmp [rbx + rax * 8]\n",
    handler: "bswap eax\nblsi rax, rax\nrdtsc\nhlt\n",
    count: "tzcnt eax, [rsi]\njz done\nadd eax, 1\ndone: hlt\n",
    vector: "movdqu xmm0, [rsi]\npxor xmm0, xmm1\npsrld xmm0, 3\nmovd eax, xmm0\nhlt\n",
    double: "movsd xmm0, [rsi]\nmulsd xmm0, xmm1\naddsd xmm0, [rsi + 8]\nhlt\n",
  };
  it.each(Object.keys(SNIPPETS))("%s: is what it was (test/jit/golden)", async (name) => {
    start(SNIPPETS[name]);
    const module = binaryen.readBinary(compile(CODE));
    const text = module.emitText();
    module.dispose();
    await expect(text.slice(text.indexOf(" (export"))).toMatchFileSnapshot(`golden/${name}.wat`);
  });
});
