/** Several vCPUs over one memory: what each must see of the others, on both transports. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Machine } from "../../src/machine/machine.ts";
import { DATA, DONE, eoi, smpGuest } from "./smpGuest.ts";
import { cleanUp, machine, prepare, read32, until } from "./threads.ts";

vi.setConfig({ testTimeout: 120_000 });
beforeAll(prepare, 120_000);
afterAll(cleanUp);

let running: Machine | undefined;
afterEach(async () => {
  await running?.destroy();
  running = undefined;
});

const CASES = (["threaded", "inline"] as const).flatMap((transport) =>
  [2, 4, 8].map((vcpus) => ({ transport, vcpus })),
);

/** Runs a guest on every vCPU to its end. */
async function run(transport: "threaded" | "inline", vcpus: number, source: string): Promise<Machine> {
  running = await machine(source, { transport, vcpus });
  await running.start();
  expect(await until(() => read32(running as Machine, DONE) === 1, 60_000), "the guest has come to its end").toBe(true);
  await running.pause();
  return running;
}

const TIMES = 500;
const lots = (body: string, label: string): string => `
  mov ecx,${TIMES}
${label}:
${body}
  dec ecx
  jnz ${label}
`;

describe.each(CASES)("$vcpus vCPUs, $transport", ({ transport, vcpus }) => {
  it("lose no locked operation, aligned or not", async () => {
    const total = vcpus * TIMES;
    const at = (i: number) => DATA + i * 0x100;
    // Within a line, across a line, across a page.
    const places = [at(0), at(1) + 1, at(2) + 0x3e, DATA + 0x1ffe];
    const m = await run(
      transport,
      vcpus,
      smpGuest(
        vcpus,
        [
          ...places.map((p, i) => lots(`lock add dword [${p}],3\n lock inc dword [${p}]`, `add${i}`)),
          lots(`mov eax,1\n lock xadd [${at(4)}],eax`, "xadd"),
          lots(`again:\n mov eax,[${at(5)}]\n lea edx,[eax+1]\n lock cmpxchg [${at(5)}],edx\n jne again`, "cmpxchg"),
          // 64 bits, at a place that no host operation covers.
          lots(
            `mov eax,[${at(6) + 3}]\n mov edx,[${at(6) + 7}]\nonce:\n mov ebx,eax\n mov esi,edx\n add ebx,1\n adc esi,0
             push ecx\n mov ecx,esi\n lock cmpxchg8b [${at(6) + 3}]\n pop ecx\n jne once`,
            "cmpxchg8b",
          ),
          // A lock of one's own around a plain addition.
          lots(
            `mov eax,1\nspin:\n pause\n mov eax,1\n xchg [${at(7)}],eax\n test eax,eax\n jnz spin
             inc dword [${at(8)}]\n mov dword [${at(7)}],0`,
            "xchg",
          ),
          lots(
            `take:\n lock bts dword [${at(9)}],5\n jc busy\n inc dword [${at(10)}]\n lock btr dword [${at(9)}],5\n jmp taken
            busy:\n pause\n jmp take\ntaken:`,
            "bts",
          ),
          lots(`lock dec dword [${at(11)}]\n lock sub dword [${at(11)}],1\n lock sbb dword [${at(11)}],0`, "dec"),
          lots(`lock adc byte [${at(12)}],0\n lock neg dword [${at(13)}]\n lock not dword [${at(13)}]`, "neg"),
        ].join("\n"),
      ),
    );
    for (const p of places) expect(read32(m, p), `at 0x${p.toString(16)}`).toBe(total * 4);
    expect(read32(m, at(4))).toBe(total);
    expect(read32(m, at(5))).toBe(total);
    expect(read32(m, at(6) + 3)).toBe(total);
    expect(read32(m, at(8))).toBe(total);
    expect(read32(m, at(10))).toBe(total);
  });

  it("hear every IPI: to one, to a set, to all others; and NMIs", async () => {
    const ROUNDS = 20;
    const count = (vector: number) => DATA + (vector - 0x30) * 4;
    const counting = (vector: number) => `lock inc dword [${count(vector)}]\n ${eoi}\n iretd`;
    const wait = (vector: number, expected: number, label: string) =>
      `${label}:\n pause\n cmp dword [${count(vector)}],${expected}\n jne ${label}`;
    const NMIS = DATA + 0x800;
    const others = vcpus - 1;
    // vCPU 0 sends, everybody takes; each kind in turn, and each time it waits for all of them.
    const rounds = Array.from({ length: ROUNDS }, (_, round) => {
      const send = (low: number, high = 0) => `mov dword [0xfee00310],${high}\n mov dword [0xfee00300],${low}`;
      return `
        ${send(0xc4040)}
        ${wait(0x40, (round + 1) * others, `all${round}`)}
        ${Array.from({ length: others }, (__, i) => send(0x4041, ((i + 1) << 24) >>> 0)).join("\n")}
        ${wait(0x41, (round + 1) * others, `one${round}`)}
        ${send(0x84042)}
        ${wait(0x42, (round + 1) * vcpus, `self${round}`)}
        ${send(0x4843, ((0xff & ((1 << vcpus) - 2)) << 24) >>> 0)}
        ${wait(0x43, (round + 1) * others, `set${round}`)}
        ${send(0xc4400)}
        nmi${round}:
        pause
        cmp dword [${NMIS}],${(round + 1) * others}
        jne nmi${round}`;
    }).join("\n");
    const m = await run(
      transport,
      vcpus,
      smpGuest(
        vcpus,
        `
        ; Logical ids: one bit each
        mov ecx,ebp
        mov eax,0x1000000
        shl eax,cl
        mov [0xfee000d0],eax
        call barrier
        sti
        test ebp,ebp
        jnz receive
        ${rounds}
        mov dword [${DATA + 0x900}],1
        mov dword [0xfee00300],0xc4044
        jmp received
      receive:
        hlt
        cmp dword [${DATA + 0x900}],0
        je receive
      received:
        cli`,
        counting,
        `lock inc dword [${NMIS}]\n iretd`,
      ),
    );
    expect(read32(m, count(0x40))).toBe(ROUNDS * others);
    expect(read32(m, count(0x42))).toBe(ROUNDS * vcpus);
    expect(m.stats().counters.ipis).toBeGreaterThanOrEqual(ROUNDS * 5);
  });

  it("see page tables as they are after a shootdown", async () => {
    const ROUNDS = 25;
    const ENTRY = 0x20_0000 + 0x3000 + 0x3ff * 4;
    const LINEAR = 0x3f_f000 + 0; // the last page of the table
    const NOW = DATA + 0x10;
    const ACKS = DATA + 0x14;
    const BAD = DATA + 0x18;
    const m = await run(
      transport,
      vcpus,
      smpGuest(
        vcpus,
        `
        test ebp,ebp
        jnz ready
        ; One 32-bit page table for the first 4 MiB, large pages above; pages 600000h and 700000h hold 6 and 7.
        mov dword [0x600000],6
        mov dword [0x700000],7
        mov dword [0x202000],0x203007
        mov dword [0x202000+0x3fb*4],0xfec00087
        mov edi,0x203000
        mov eax,7
        mov ecx,1024
      fill:
        stosd
        add eax,0x1000
        dec ecx
        jnz fill
        mov dword [${ENTRY}],0x600007
        mov dword [${NOW}],6
      ready:
        call barrier
        mov eax,cr4
        or eax,0x10
        mov cr4,eax
        mov eax,0x202000
        mov cr3,eax
        mov eax,cr0
        or eax,0x80000000
        mov cr0,eax
        call barrier
        sti
        test ebp,ebp
        jnz use
        mov ecx,${ROUNDS}
      shoot:
        mov eax,[${ENTRY}]
        and eax,0xfffff000
        xor eax,0x100000
        or eax,7
        mov dword [${ACKS}],0
        mov dword [${NOW}],0
        xor edx,edx
        xchg [${ENTRY}],edx
        xchg [${ENTRY}],eax
        ; What comes back is what was written: the walks of others have put no A or D bit into it.
        test eax,eax
        jz still
        inc dword [${BAD}]
      still:
        mov eax,edx
        and eax,0xfffff000
        xor eax,0x100000
        or eax,7
        mov [${ENTRY}],eax
        invlpg [${LINEAR}]
        mov dword [0xfee00300],0xc4040
      acked:
        pause
        cmp dword [${ACKS}],${vcpus - 1}
        jne acked
        mov eax,[${LINEAR}]
        mov [${NOW}],eax
        mov edx,30
      linger:
        pause
        dec edx
        jnz linger
        dec ecx
        jnz shoot
        mov dword [${NOW}],99
        jmp shot
      use:
        pause
        ; With interrupts off the page is what was said last.
        cli
        mov eax,[${NOW}]
        cmp eax,99
        je shot
        test eax,eax
        jz none
        cmp eax,[${LINEAR}]
        je none
        cmp dword [${NOW}],eax
        jne none
        inc dword [${BAD}]
      none:
        sti
        jmp use
      shot:
        cli`,
        () => `push eax\n invlpg [${LINEAR}]\n lock inc dword [${ACKS}]\n ${eoi}\n pop eax\n iretd`,
      ),
    );
    expect(read32(m, BAD)).toBe(0);
  });

  it("execute what another vCPU has written, after a flag and a serialising instruction", async () => {
    const ROUNDS = 60;
    const CODE = 0x14_0000;
    const FLAG = DATA;
    const ACKS = DATA + 4;
    const BAD = DATA + 8;
    const m = await run(
      transport,
      vcpus,
      smpGuest(
        vcpus,
        `
        test ebp,ebp
        jnz follow
        mov ecx,1
      rewrite:
        ; MOV EAX, n; RET: all of it the first time, then the immediate, then all of it elsewhere in the page.
        mov dword [${ACKS}],0
        mov byte [${CODE}],0xb8
        mov [${CODE + 1}],ecx
        mov byte [${CODE + 5}],0xc3
        mov [${FLAG}],ecx
      others:
        pause
        cmp dword [${ACKS}],${vcpus - 1}
        jne others
        inc ecx
        cmp ecx,${ROUNDS}
        jbe rewrite
        jmp over
      follow:
        mov edi,1
      next:
        pause
        cmp [${FLAG}],edi
        jne next
        push edi
        xor eax,eax
        cpuid
        pop edi
        mov eax,${CODE}
        call eax
        cmp eax,edi
        je good
        lock inc dword [${BAD}]
      good:
        lock inc dword [${ACKS}]
        inc edi
        cmp edi,${ROUNDS}
        jbe next
      over:`,
      ),
    );
    expect(read32(m, BAD)).toBe(0);
    expect(m.stats().counters.unwrites).toBeGreaterThan(0);
  });

  it("read one time, which never goes back", async () => {
    const m = await run(
      transport,
      vcpus,
      smpGuest(
        vcpus,
        lots(
          `turn:
           pause
           mov eax,1
           xchg [${DATA}],eax
           test eax,eax
           jnz turn
           rdtsc
           cmp edx,[${DATA + 12}]
           jb back
           ja fine
           cmp eax,[${DATA + 8}]
           ja fine
         back:
           inc dword [${DATA + 4}]
         fine:
           mov [${DATA + 8}],eax
           mov [${DATA + 12}],edx
           mov dword [${DATA}],0`,
          "tsc",
        ),
      ),
    );
    expect(read32(m, DATA + 4)).toBe(0);
    expect(read32(m, DATA + 8) + read32(m, DATA + 12)).toBeGreaterThan(0);
  });
});
