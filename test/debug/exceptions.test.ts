/** Stops at exceptions before they are delivered: nothing of them has happened, and when the guest goes on it notices nothing. */
import { describe, expect, it, vi } from "vitest";
import { Inspector } from "../../src/debug/inspector.ts";
import { assemble } from "../../src/isa/assemble.ts";
import type { Breakpoint, DebugStop } from "../../src/machine/debug.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { keeping, machine, multibootOpening, multibootTables, read32, SHARED, until } from "../vcpu/threads.ts";

vi.setConfig({ testTimeout: 60_000 });
const keep = keeping();

const [DE, DB, BP, UD, PF] = [0, 1, 3, 6, 14];
/** A page that is not there until the handler of page faults has seen to it. */
const ABSENT = 0x30_0000;
const [DIRECTORY, TABLE, IDT] = [0x11_0000, 0x11_1000, 0x12_0000];

/** Meets #UD at CPL 0, then #PF, #BP, #DE and a single step's #DB at CPL 3; each handler counts in SHARED + 4 * vector. */
const PROGRAM = `${multibootOpening}
  mov ecx,1024
  mov edi,${TABLE}
  mov eax,7
pages:
  mov [edi],eax
  add eax,0x1000
  add edi,4
  loop pages
  and dword [${TABLE + (ABSENT >> 10)}],~1
  mov dword [${DIRECTORY}],${TABLE + 7}
  mov eax,${DIRECTORY}
  mov cr3,eax
  mov eax,cr0
  or eax,0x80010000
  mov cr0,eax
%macro gate 1
  mov eax,handle%1
  mov [${IDT}+8*%1],ax
  mov dword [${IDT}+8*%1+2],0xee000008 & 0xffff0000 | 8
  mov word [${IDT}+8*%1+4],0xee00
  shr eax,16
  mov [${IDT}+8*%1+6],ax
%endmacro
  gate ${DE}
  gate ${DB}
  gate ${BP}
  gate ${UD}
  gate ${PF}
  lidt [idtr]
  lgdt [own]
  mov ax,0x28
  ltr ax
kernel:
  ud2
  push dword 0x23
  push dword 0x88000
  push dword 0x2
  push dword 0x1b
  push dword user
  iretd
user:
  mov ax,0x23
  mov ds,ax
  mov eax,0x1234
read:
  mov eax,[${ABSENT}]
breaks:
  int3
  mov eax,7
  xor edx,edx
  xor ecx,ecx
divides:
  div ecx
  pushfd
  or dword [esp],0x100
  popfd
  nop
stepped:
  nop
forever:
  inc dword [${SHARED + 0x100}]
  jmp forever
handle${DE}:
  add dword [esp],2
  inc dword [ss:${SHARED + 4 * DE}]
  iretd
handle${DB}:
  and dword [esp+8],~0x100
  inc dword [ss:${SHARED + 4 * DB}]
  iretd
handle${BP}:
  inc dword [ss:${SHARED + 4 * BP}]
  iretd
handle${UD}:
  add dword [esp],2
  inc dword [ss:${SHARED + 4 * UD}]
  iretd
handle${PF}:
  or dword [ss:${TABLE + (ABSENT >> 10)}],1
  inc dword [ss:${SHARED + 4 * PF}]
  add esp,4
  iretd
align 8
gdt2: dd 0,0, 0xffff,0xcf9b00, 0xffff,0xcf9300, 0xffff,0xcffb00, 0xffff,0xcff300
  dw 0x67, tss-header
  db 0x10,0x89,0,0
own: dw 0x2f
  dd gdt2
align 4
tss: dd 0,0x80000,0x10
  times 0x5a db 0
  dw 0x68
${multibootTables(() => "iretd")}`;
const { symbols } = assemble(PROGRAM);
const at = (label: string): bigint => BigInt(symbols.get(label)!);

describe.each([
  ["threaded", "interp"],
  ["inline", "interp"],
  ["inline", "jit"],
] as const)("%s, %s", (transport, engine) => {
  /** A machine that stops at these, before its first instruction. */
  async function stopping(list: readonly Breakpoint[]): Promise<{ m: Machine; next: () => Promise<DebugStop> }> {
    const m = keep(await machine(PROGRAM, { transport, engine }));
    await m.setBreakpoints(list);
    const stops: DebugStop[] = [];
    m.debug.onStop = (stop) => stops.push(stop);
    const next = async (): Promise<DebugStop> => {
      await m.resume();
      expect(await until(() => stops.length > 0)).toBe(true);
      return stops.shift()!;
    };
    return { m, next };
  }
  const counts = (m: Machine): number[] => [UD, PF, BP, DE, DB].map((vector) => read32(m, SHARED + 4 * vector));
  const goesOn = async (m: Machine): Promise<void> => {
    await m.resume();
    const before = read32(m, SHARED + 0x100);
    expect(await until(() => read32(m, SHARED + 0x100) > before + 100)).toBe(true);
    expect(m.state).toBe("running");
    expect(counts(m)).toEqual([1, 1, 1, 1, 1]);
  };

  it("stops at each of user code, in its order, with nothing done yet", async () => {
    const { m, next } = await stopping([{ kind: "exception", vector: undefined, user: true }]);
    const first = await next();
    expect(first).toEqual({ kind: "exception", vcpu: 0, vector: PF, error: 4, address: BigInt(ABSENT) });
    const { RIP, RAX, CR2 } = m.debug.registers(0);
    expect([RIP, RAX, CR2]).toEqual([at("read"), 0x1234n, 0n]);
    expect(counts(m)).toEqual([1, 0, 0, 0, 0]);
    const rest: [number, bigint][] = [];
    for (let i = 0; i < 3; i++) {
      const stop = await next();
      rest.push([stop.kind === "exception" ? stop.vector : -1, m.debug.registers(0).RIP]);
    }
    // The trap comes after its instruction.
    expect(rest).toEqual([
      [BP, at("breaks")],
      [DE, at("divides")],
      [DB, at("stepped")],
    ]);
    expect(counts(m)).toEqual([1, 1, 1, 1, 0]);
    await goesOn(m);
  });

  it("stops at one vector alone, whoever meets it", async () => {
    const { m, next } = await stopping([
      { kind: "exception", vector: UD, user: false },
      { kind: "exception", vector: DE, user: false },
    ]);
    expect(await next()).toMatchObject({ vector: UD, error: undefined, address: undefined });
    expect(m.debug.registers(0).RIP).toBe(at("kernel"));
    expect(await next()).toMatchObject({ vector: DE });
    await goesOn(m);
  });

  it("stops at an instruction that was stepped to, and a step from there ends in the handler", async () => {
    const { m, next } = await stopping([{ kind: "execute", address: at("divides"), length: 1 }]);
    expect(await next()).toMatchObject({ kind: "breakpoint" });
    await m.setBreakpoints([{ kind: "exception", vector: DE, user: true }]);
    expect(await next()).toMatchObject({ kind: "exception", vector: DE });
    const inspector = new Inspector(m);
    await inspector.step(0);
    const { cpu } = await inspector.look({ vcpu: 0 });
    expect([cpu.rip, cpu.cpl]).toEqual([at(`handle${DE}`), 0]);
    await goesOn(m);
  });

  it("refuses what is no exception", async () => {
    const { m } = await stopping([]);
    await expect(m.setBreakpoints([{ kind: "exception", vector: 32, user: false }])).rejects.toThrow(
      "exception 32; they are 0 to 31",
    );
  });
});
