/** What no vector can judge: delivery, rings, gates, system registers; run by small guests. */
import { beforeAll, describe, expect, test } from "vitest";
import { ATTENTION, VCPU } from "../../src/shared/layout.ts";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 180_000);

const values = (source: string, port = 0x10): string[] =>
  runGuest(source)
    .out.filter((o) => o.startsWith(`${port.toString(16)}=`))
    .map((o) => o.slice(o.indexOf("=") + 1));

describe("real mode", () => {
  const real = (body: string): string => `
bits 16
org 0x1000
${body}
  cli
  hlt
put: out 0x10,ax
  ret`;

  test("INT goes through the vector table and IRET comes back with flags", () => {
    expect(
      values(
        real(`
  mov word [0x21*4],handler
  mov word [0x21*4+2],0
  sti
  stc
  int 0x21
  pushf
  pop ax
  and ax,0x201
  call put
  jmp done
handler:
  pushf
  pop ax
  and ax,0x201
  call put
  iret
done:`),
      ),
    ).toEqual(["1", "201"]);
  });

  test("a fault pushes the RIP of the instruction, and no error code", () => {
    expect(
      values(
        real(`
  mov word [0],handler
  mov word [2],0
  xor cx,cx
bad: div cx
handler: pop ax
  sub ax,bad
  call put
  pop ax
  call put`),
      ),
    ).toEqual(["0", "0"]);
  });

  test("REP INSB and OUTSB go element by element", () => {
    const r = runGuest(
      real(`
  mov dx,0x60
  mov di,0x3000
  mov cx,3
  cld
  rep insb
  mov si,0x3000
  mov cx,3
  mov dl,0x61
  rep outsb
  mov ax,cx
  call put
  mov ax,si
  call put`),
      {
        input: (() => {
          let n = 7;
          return () => n++;
        })(),
      },
    );
    expect(r.out).toEqual(["61=7", "61=8", "61=9", "10=0", "10=3003"]);
  });

  test("an interrupt waits for the instruction after STI", () => {
    const r = runGuest(
      real(`
  cli
  xor bx,bx
  in al,0x60
  sti
  inc bx
  inc bx
  inc bx`),
      {
        input: (_port, _size, view) => {
          view.set(VCPU.extint, 1);
          return 0;
        },
      },
    );
    expect(r.end).toBe("exit 32"); // the interrupt acknowledge cycle
    expect(r.view.get64(VCPU.gpr, 3)).toBe(1n);
  });

  test("an interrupt ends HLT, and IRET goes on after it", () => {
    const source = real(`
  mov word [2*4],handler
  mov word [2*4+2],0
  sti
  hlt
  mov ax,1
  call put
  jmp done
handler: mov ax,2
  call put
  iret
done:`);
    const r = runGuest(source, {
      halted: (view) => {
        if (view.get(VCPU.runState) !== 1) return false;
        if (view.get(VCPU.icount) > 8) return false;
        view.set(VCPU.nmiPosted, 1);
        view.set(VCPU.attention, ATTENTION.NMI);
        return true;
      },
    });
    expect(r.out).toEqual(["10=2", "10=1"]);
  });
});

describe("64-bit mode", () => {
  test("reaches long mode; an undefined opcode is #UD with RF set", () => {
    const r = runGuest(
      longGuest(`
  mov qword [resume],finish
there: ud2`),
    );
    expect(r.out.slice(0, 2)).toEqual(["10=6", "10=0"]);
    expect(r.out.slice(3)).toEqual(["12=8", "13=100"]);
    expect(r.end).toBe("HALT");
  });

  test("#PF: error code, CR2, and IST with an aligned stack", () => {
    const r = runGuest(
      longGuest(`
  mov qword [resume],after
  mov byte [0xc000+14*16+4],1
  mov rsp,0x6005
  mov byte [abs qword 0x12345678],al
after:
  mov rax,cr2
  call put
  mov rax,rsp
  call put`),
    );
    expect(r.out[0]).toBe("10=e");
    expect(r.out[1]).toBe("10=2");
    expect(r.out.slice(-2)).toEqual(["10=12345678", "10=6005"]);
  });

  const ring3 = (body: string): string => `
  mov qword [resume],back
  push 0x23
  push 0x5000
  push 0x202
  push 0x2b
  push user
  iretq
user:
${body}
back:`;

  test("ring 3: a software interrupt needs the gate's DPL; privileged instructions are #GP(0)", () => {
    const r = runGuest(longGuest(ring3("  int 0x40")));
    expect(r.out.slice(0, 2)).toEqual(["10=d", "10=202"]);
    expect(r.out.slice(3)).toEqual(["12=2b", "13=102"]);
    expect(runGuest(longGuest(ring3("  cli"))).out.slice(0, 2)).toEqual(["10=d", "10=0"]);
    const allowed = longGuest(`  mov byte [0xc000+0x40*16+5],0xee${ring3("  int 0x40")}`);
    expect(runGuest(allowed).out.slice(0, 2)).toEqual(["10=40", "10=0"]);
    expect(runGuest(allowed).out.slice(3)).toEqual(["12=2b", "13=2"]);
  });

  test("ring 3: the I/O bitmap", () => {
    const denied = runGuest(longGuest(ring3("  in al,0x10")));
    expect(denied.out.slice(0, 2)).toEqual(["10=d", "10=0"]);
    const granted = runGuest(longGuest(`  mov byte [tss+0x68+2],0xfe${ring3("  in al,0x10\n  out 0x10,al\n  ud2")}`), {
      input: () => 0x5a,
    });
    expect(granted.out.slice(0, 2)).toEqual(["10=5a", "10=6"]);
  });

  test("SYSCALL, SYSRET, SWAPGS", () => {
    expect(
      values(
        longGuest(`
  mov ecx,0xc0000081
  xor eax,eax
  mov edx,0x00180008
  wrmsr
  inc ecx
  mov eax,entry
  xor edx,edx
  wrmsr
  mov ecx,0xc0000084
  mov eax,0x200
  wrmsr
  mov ecx,0xc0000102
  mov eax,0x1234
  wrmsr
${ring3(`
  mov eax,1
  syscall
  mov bx,cs
  mov r9d,2
  mov eax,ebx
  ud2
entry:
  call put
  swapgs
  push rcx
  mov ecx,0xc0000101
  rdmsr
  call put
  swapgs
  pop rcx
  mov ax,cs
  movzx eax,ax
  call put
  mov eax,r11d
  and eax,0x200
  call put
  mov rsp,0x5000
  o64 sysret`)}
  mov eax,ebx
  and eax,0xffff
  call put`),
      ),
    ).toEqual(["1", "1234", "8", "200", "6", "0", "2b"]);
  });

  test("a fault that cannot be delivered is a double fault, and that one a triple fault", () => {
    // #PF whose gate is not present: #NP during #PF.
    const double = runGuest(
      longGuest(`
  mov qword [resume],finish
  mov byte [0xc000+14*16+5],0x0e
  mov eax,[abs qword 0x12345678]`),
    );
    expect(double.out.slice(0, 2)).toEqual(["10=8", "10=0"]);
    const triple = runGuest(
      longGuest(`
  mov byte [0xc000+14*16+5],0x0e
  mov byte [0xc000+8*16+5],0x0e
  mov eax,[abs qword 0x12345678]`),
    );
    expect(triple.end).toBe("TRIPLE_FAULT");
  });

  test("a benign exception in whose delivery another occurs is followed by that one", () => {
    const r = runGuest(
      longGuest(`
  mov qword [resume],finish
  mov byte [0xc000+6*16+5],0x0e
  ud2`),
    );
    expect(r.out.slice(0, 2)).toEqual(["10=b", "10=33"]);
  });

  test("compatibility mode: 32-bit code in ring 3", () => {
    expect(
      values(
        longGuest(`
  mov qword [resume],back
  push 0x23
  push 0x5000
  push 0x2
  push 0x1b
  push user
  iretq
bits 32
user:
  mov eax,-1
  inc eax
  mov ebx,cs
  ud2
bits 64
back:
  mov eax,ebx
  call put`),
      ),
    ).toEqual(["6", "0", "1b"]);
  });

  test("system registers: what is reserved is #GP", () => {
    const gp = (body: string): string[] => runGuest(longGuest(`  mov qword [resume],finish\n${body}`)).out.slice(0, 2);
    const GP0 = ["10=d", "10=0"];
    expect(gp("  mov ecx,0x12345\n  rdmsr")).toEqual(GP0);
    expect(gp("  mov eax,0x20\n  mov cr4,rax")).toEqual([]);
    expect(gp("  xor eax,eax\n  mov cr4,rax")).toEqual(GP0);
    expect(gp("  mov eax,0x80000000\n  mov cr0,rax")).toEqual(GP0);
    expect(gp("  mov rax,1<<50\n  mov cr3,rax")).toEqual(GP0);
    expect(gp("  mov ecx,0xc0000082\n  mov edx,0x8000\n  wrmsr")).toEqual(GP0);
    expect(gp("  mov ax,0x48\n  mov ds,ax")).toEqual(["10=d", "10=48"]);
    expect(gp("  mov eax,1\n  mov cr1,rax").slice(0, 1)).toEqual(["10=6"]);
  });

  test("CPUID names the vendor, the clocks and the hypervisor; RDTSC counts up", () => {
    expect(
      values(
        longGuest(`
  xor eax,eax
  cpuid
  mov eax,ebx
  call put
  mov eax,0x15
  cpuid
  imul eax,ebx,1
  mul ecx
  call put
  mov eax,0x40000000
  cpuid
  mov eax,ebx
  call put
  rdtsc
  mov ebx,eax
  rdtsc
  sub eax,ebx
  cmp eax,0
  setg al
  movzx eax,al
  call put`),
      ),
    ).toEqual(["756e6547", "3b9aca00", "68626154", "1"]);
  });
});
