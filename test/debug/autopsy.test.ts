/**
 * Guests that triple-fault, and what the autopsy says of them: the chain that the core has recorded, and for each delivery
 * that has failed the rule which src/debug/delivery.ts finds by itself. The two must agree, also over random damage to
 * descriptor tables, TSS and page tables.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { type Autopsy, autopsy, autopsyText } from "../../src/debug/autopsy.ts";
import { eventText } from "../../src/debug/decode/exceptions.ts";
import { MachineDebug } from "../../src/machine/debug.ts";
import { instantiateCore } from "../../src/vcpu/core.ts";
import { coreModule } from "../core.ts";
import { type GuestOptions, guestMemory, loadCore, runGuest } from "../sys/guest.ts";
import { longGuest } from "../sys/longGuest.ts";
import { protectedGuest } from "../sys/protectedGuest.ts";

let module: WebAssembly.Module;
beforeAll(async () => {
  await loadCore();
  module = await coreModule();
}, 300_000);

/** Runs a guest; its autopsy, if it ended in a triple fault. */
function examine(source: string, options: GuestOptions = {}): { end: string; found: Autopsy | undefined } {
  const memory = guestMemory();
  const { view, end } = runGuest(source, { ...options, memory });
  const core = instantiateCore(module, memory.memory, () => 0);
  return { end, found: autopsy(new MachineDebug(memory, core, [view], () => true), memory, 0) };
}

/** The chain as text: each event and what was met. */
const chain = ({ links }: Autopsy): string[] =>
  links.map(({ event, met }) => `${eventText(event)} -> ${eventText(met)}`);

/** What is told must be what has happened. */
function agrees({ links }: Autopsy): void {
  for (const { event, met, delivery } of links) {
    expect(delivery.fault, `delivering ${eventText(event)}`).toEqual(met);
    expect(delivery.rule).toBeTruthy();
    expect(delivery.checks.at(-1)?.ok).toBe(false);
  }
}

function fails(source: string): Autopsy {
  const { end, found } = examine(source);
  expect(end).toBe("TRIPLE_FAULT");
  expect(found).toBeDefined();
  agrees(found!);
  return found!;
}

describe("64-bit guests that triple-fault", () => {
  test("through an IDT without room for the gates", () => {
    const found = fails(longGuest("lidt [none]\n ud2\n", "none: dw 0\n dq 0\n"));
    expect(chain(found)).toEqual(["#UD -> #GP(0x33)", "#GP(0x33) -> #GP(0x6b)", "#DF(0) -> #GP(0x43)"]);
    expect(found.summary).toMatch(
      /^It began with #UD \(invalid opcode\) at RIP 0x[0-9a-f]+\. Its handler was not reached: the vector's gate must lie within the limit of the IDT \(SDM vol\. 3, 6\.10\)\.$/,
    );
    expect(found.code[0].text).toBe("ud2");
    expect(found.links[1].becomes).toMatch(/#GP \(contributory\) while #GP \(contributory\) was delivered: #DF/);
    expect(found.links[2].becomes).toMatch(/shuts down/);
    expect(autopsyText(found)).toContain("BAD IDTR: bytes 0x60 to 0x6f of the IDT, limit 0x0");
  });

  test("through gates that are empty", () => {
    const found = fails(longGuest(`${[6, 8, 13].map((v) => `mov qword [0xc000+${v}*16],0`).join("\n")}\n ud2\n`));
    expect(chain(found)).toEqual(["#UD -> #GP(0x33)", "#GP(0x33) -> #GP(0x6b)", "#DF(0) -> #GP(0x43)"]);
    expect(found.links[0].delivery.rule).toBe("the entry must be a 64-bit interrupt or trap gate");
    expect(found.links[0].error).toBeUndefined();
    expect(found.links[1].error).toBe(
      "entry 0x6 of the IDT, met while an interrupt or an earlier exception was delivered (EXT)",
    );
  });

  test("through a gate that is not present, and one to a data segment", () => {
    const found = fails(
      longGuest("mov byte [0xc000+6*16+5],0x0e\n mov word [0xc000+11*16+2],0x10\n mov qword [0xc000+8*16],0\n ud2\n"),
    );
    expect(chain(found)).toEqual(["#UD -> #NP(0x33)", "#NP(0x33) -> #GP(0x11)", "#DF(0) -> #GP(0x43)"]);
    expect(found.links[1].delivery.rule).toBe("a gate must lead to a code segment");
  });

  test("through a TSS whose stack for the handler is not mapped", () => {
    // IST1 of the TSS; every gate that is met uses it.
    const gates = [6, 8, 14].map((v) => `mov byte [0xc000+${v}*16+4],1`).join("\n");
    const found = fails(longGuest(`${gates}\n mov qword [tss+0x24],0x40000000\n ud2\n`));
    expect(chain(found)).toEqual([
      "#UD -> #PF(0x2) at 0x3ffffff8",
      "#PF(0x2) at 0x3ffffff8 -> #PF(0x2) at 0x3ffffff8",
      "#DF(0) -> #PF(0x2) at 0x3ffffff8",
    ]);
    expect(found.links[0].delivery.walk?.verdict.why).toBe("the PDE is not present (bit 0, P, is 0)");
    expect(autopsyText(found)).toMatch(/ok {2}TSS, IST1: 0x0000000040000000\n(.*\n)? {2}BAD stack at 0x3ffffff8: /);
  });

  test("through a TSS that ends before the stack pointer", () => {
    const found = fails(
      longGuest(`mov byte [gdt+0x30+5],0x89
  mov word [gdt+0x30],0x10
  mov ax,0x30
  ltr ax
${[6, 8, 10].map((v) => `mov byte [0xc000+${v}*16+4],2`).join("\n")}
  ud2
`),
    );
    expect(chain(found)).toEqual(["#UD -> #TS(0x31)", "#TS(0x31) -> #TS(0x31)", "#DF(0) -> #TS(0x31)"]);
    expect(found.links[0].delivery.checks.at(-1)?.found).toBe("IST2 is at bytes 0x2c to 0x33 of the TSS, limit 0x10");
  });

  test("through a CR3 that leads to no tables", () => {
    const found = fails(longGuest("mov eax,0x300000\n mov cr3,rax\n nop\n"));
    expect(found.links).toHaveLength(2);
    expect(eventText(found.links[0].event)).toMatch(/^#PF\(0x1?0\) at 0x[0-9a-f]+$/);
    expect(found.links[0].becomes).toMatch(/#PF \(page fault\) while #PF \(page fault\) was delivered: #DF/);
    expect(found.began?.verdict.why).toBe("the PML4E is not present (bit 0, P, is 0)");
    expect(found.began?.told.steps[0].at).toBe(0x30_0000);
    expect(found.summary).toContain("because the PML4E is not present");
    expect(autopsyText(found)).toMatch(/BAD PML4E \[0\] at 0x300000: 0x0000000000000000 {2}not present/);
  });
});

describe("32-bit and 16-bit guests that triple-fault", () => {
  const gdt = "dq 0x00cffb000000ffff,0x00cff3000000ffff\n dw 0x67\n dw tss\n db 0,0x89,0,0\n";
  const user = `
  push dword 0x23
  push dword 0x5000
  push dword 2
  push dword 0x1b
  push dword user
  iretd
user: ud2
tss: dd 0
  dd 0x7000
  dw SS0
  times 0x60 db 0
`;
  test.each([
    ["a null stack selector in the TSS", "0", "#UD -> #TS(0x1)", /the stack's selector must not be null/],
    ["a stack selector of the code segment", "8", "#UD -> #TS(0x9)", /writable data segment/],
    ["a stack selector beyond the GDT", "0x80", "#UD -> #TS(0x81)", /within the limit of its descriptor table/],
  ])("through %s", (_, ss0, first, rule) => {
    const found = fails(protectedGuest({ gdt, tr: 0x28, idt: [], body: user.replace("SS0", ss0) }));
    // Nothing but zeros is in the IDT, so gates are wrong before any stack is.
    expect(chain(found)[0]).toBe("#UD -> #GP(0x33)");
    const withGates = fails(
      protectedGuest({
        gdt,
        tr: 0x28,
        idt: [6, 8, 10].map((v) => `\n mov dword [0x8000+${v}*8],0x80000+handler\n mov dword [0x8000+${v}*8+4],0x8e00`),
        body: `${user.replace("SS0", ss0)}\nhandler: hlt\n`,
      }),
    );
    expect(chain(withGates)[0]).toBe(first);
    expect(withGates.links[0].delivery.rule).toMatch(rule);
  });

  test("through a vector table that is too short, in real mode", () => {
    const found = fails("bits 16\norg 0x1000\n xor ax,ax\n mov ds,ax\n lidt [none]\n ud2\nnone: dw 3\n dd 0\n");
    expect(chain(found)).toEqual(["#UD -> #GP(0x1)", "#GP(0x1) -> #GP(0x1)", "#DF(0) -> #GP(0x1)"]);
    expect(found.mode).toBe("real mode");
  });
});

describe("random damage to tables", () => {
  /** Pseudo-random numbers below `n`. */
  function numbers(seed: number): (n: number) => number {
    let x = seed;
    return (n) => {
      x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((x / 2 ** 32) * n);
    };
  }

  test("ends where it is told to end, in 64-bit mode", () => {
    let ended = 0;
    const met = new Set<string>();
    for (let seed = 1; seed <= 120; seed++) {
      const below = numbers(seed * 7919);
      const places = [
        // Not the handler's address: it must not be where the same fault comes again for ever.
        ...[6, 8, 10, 11, 12, 13, 14].map((v) => () => `0xc000+${v * 16 + 2 + below(4)}`),
        () => `gdt+${8 + below(8)}`,
        () => `tss+${4 + below(8)}`,
        () => `tss+${0x24 + below(8)}`,
        () => "0xa000",
      ];
      const damage = Array.from({ length: 3 + below(5) }, () => {
        const place = places[below(places.length)]();
        return `xor byte [${place}],${1 << below(8)}`;
      });
      const ist = [6, 13, 8].filter(() => below(2)).map((v) => `mov byte [0xc000+${v}*16+4],${below(8)}`);
      const { end, found } = examine(
        longGuest(`${[...ist, ...damage].join("\n")}\n mov rax,cr3\n mov cr3,rax\n ud2\n`),
      );
      if (end !== "TRIPLE_FAULT") continue;
      ended++;
      agrees(found!);
      for (const { delivery } of found!.links) met.add(delivery.rule!);
    }
    expect(ended).toBeGreaterThan(20);
    expect(met.size).toBeGreaterThan(6);
  }, 60_000);
});
