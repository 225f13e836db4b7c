/**
 * Saving and restoring, one after the other, while every vCPU works: a guest that fills its memory, sums it up and compares
 * goes through machine after machine, by turns on either transport, and never finds anything else than it has written.
 * `npm run soak -- snapshots` does the same with Linux, for longer.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine.ts";
import { DATA, DONE, smpGuest } from "../vcpu/smpGuest.ts";
import { cleanUp, machine, prepare, read32, until } from "../vcpu/threads.ts";

beforeAll(prepare, 300_000);
afterAll(cleanUp);

const machines: Machine[] = [];
afterEach(async () => {
  for (const m of machines.splice(0)) await m.destroy();
});

const CYCLES = 8;
const STOP = DATA;
const BAD = DATA + 4;
const LOCKED = DATA + 8;
const ROUNDS = DATA + 0x40;
const FIELD = 0x20_0000;
const FIELD_WORDS = 0x8000;

/**
 * Each vCPU: a field of numbers from a seed of its own, then their sum twice and what it must be; the round's end is
 * counted in a word of its own and, locked, in one of all.
 */
const working = (vcpus: number): string =>
  smpGuest(
    vcpus,
    `
    sti
    mov eax,ebp
    shl eax,17
    lea edi,[eax+${FIELD}]
    mov [${DATA + 0x200}+ebp*4],edi
    lea edx,[ebp*8+5]
  round:
    mov edi,[${DATA + 0x200}+ebp*4]
    mov ecx,${FIELD_WORDS}
    xor ebx,ebx
  fill:
    imul edx,edx,1664525
    add edx,1013904223
    mov [edi],edx
    add ebx,edx
    add edi,4
    dec ecx
    jnz fill
    call check
    call check
    inc dword [${ROUNDS}+ebp*4]
    lock inc dword [${LOCKED}]
    cmp dword [${STOP}],0
    je round
    jmp end
  check:
    mov esi,[${DATA + 0x200}+ebp*4]
    mov ecx,${FIELD_WORDS}
    mov edi,ebx
  subtract:
    lodsd
    sub edi,eax
    dec ecx
    jnz subtract
    test edi,edi
    jz right
    lock inc dword [${BAD}]
  right:
    ret
  end:`,
  );

describe.each([1, 2, 4])("%d vCPUs", (vcpus) => {
  it("goes through save and restore under load", { timeout: 240_000 }, async () => {
    const make = async (cycle: number): Promise<Machine> => {
      const transport = cycle % 4 < 2 ? "threaded" : "inline";
      const m = await machine(working(vcpus), { vcpus, transport });
      machines.push(m);
      return m;
    };
    const rounds = (m: Machine): number[] => Array.from({ length: vcpus }, (_, id) => read32(m, ROUNDS + id * 4));
    let now = await make(0);
    await now.start();
    for (let cycle = 1; cycle <= CYCLES; cycle++) {
      const before = rounds(now);
      // In the middle of its work: every vCPU has come further since the last time.
      expect(await until(() => rounds(now).every((n, id) => n > before[id]), 60_000), `cycle ${cycle}`).toBe(true);
      const file = await now.save();
      const next = await make(cycle);
      await next.restore(file);
      const restored = rounds(next);
      expect(restored.every((n, id) => n > before[id])).toBe(true);
      await next.resume();
      await now.destroy();
      now = next;
      expect(read32(now, BAD)).toBe(0);
    }
    now.memory.write(STOP, Uint8Array.of(1));
    expect(await until(() => read32(now, DONE) === 1, 60_000)).toBe(true);
    await now.pause();
    expect(read32(now, BAD)).toBe(0);
    expect(read32(now, LOCKED)).toBe(rounds(now).reduce((sum, n) => sum + n, 0));
  });
});
