/** Segments and privilege: expand-down, LDT, conforming code, I/O permission bitmap, what IRET checks (SDM vol. 3, 5). */
import { beforeAll, describe, expect, test } from "vitest";
import { ATTENTION, VCPU } from "../../src/shared/layout.ts";
import { type GuestOptions, loadCore, runGuest } from "./guest.ts";
import { idtGate, protectedGuest } from "./protectedGuest.ts";

beforeAll(loadCore, 180_000);

const VECTORS = Array.from({ length: 32 }, (_, v) => v);

/**
 * A 32-bit guest in ring 0. Selectors: 08 code, 10 data, 1b user code, 23 user data, 28 TSS, 30 LDT (of 16 bytes),
 * 38 conforming code of ring 0, 40 expand-down data from 3000h (32-bit), 48 the same (16-bit), 50 call gate to `gate`.
 * Exceptions note vector and error code at port 10h, CS at 11h, and go on at [resume] with the frame's ESP, ring 0's data.
 */
const guest = (body: string, user = "", gate = ""): string =>
  protectedGuest({
    gdt: `  dq 0x00cffb000000ffff,0x00cff3000000ffff
  dw 0x6a,tss
  db 0,0x89,0,0
  dw 15,ldt
  db 0,0x82,0,0
  dq 0x00cf9f000000ffff,0x004097000000ffff,0x000097000000ffff
  dw gate,8
  db 0,0xec,0,0`,
    tr: 0x28,
    idt: VECTORS.map((v) => idtGate(v, `e${v}`)),
    body: `  mov word [gdt+0x40],0x2fff
  mov word [gdt+0x48],0x2fff
  mov dword [tss+4],0x7000
  mov dword [tss+8],0x10
  mov word [tss+0x66],0x68
${body}
finish:
  mov eax,0x10
  mov ds,eax
  cli
  hlt
put:
  out 0x10,eax
  ret
to_user:
  push 0x23
  push 0x5000
  push dword [flags]
  push 0x1b
  push user
  mov dword [resume],finish
  mov eax,0x23
  mov ds,eax
  mov es,eax
  iretd
user:
${user}
  ud2
gate:
${gate}
  jmp finish
common:
  pop eax
  call put
  pop eax
  call put
  mov eax,[esp+4]
  out 0x11,eax
  mov eax,0x10
  mov ds,eax
  mov es,eax
  mov eax,[resume]
  jmp eax
align 4
resume: dd finish
flags: dd 2
tss: times 0x68 db 0
  db 0,0xff,0xff
ldt: dq 0x00cf93000000ffff,0x00cff3000000ffff
${VECTORS.map((v) => `e${v}: ${[8, 10, 11, 12, 13, 14, 17].includes(v) ? "" : "push byte 0"}\n  push byte ${v}\n  jmp common`).join("\n")}`,
  });

const out = (body: string, user = "", gate = "", options: GuestOptions = {}): string[] => {
  const r = runGuest(guest(body, user, gate), options);
  return [...r.out.map((o) => o.slice(o.indexOf("=") + 1)), ...(r.end === "HALT" ? [] : [r.end])];
};
const put = (what: string): string => `  mov eax,${what}\n  call put\n`;
const GP0 = ["d", "0", "8"];
const SS0 = ["c", "0", "8"];

describe("expand-down segments", () => {
  /** Loads ES with the selector, then runs `access`; 1 comes out if it does not fault. */
  const es = (selector: number, access: string): string[] =>
    out(`  mov eax,${selector}\n  mov es,eax\n  ${access}\n${put("1")}`);
  test("begin above the limit", () => {
    expect(es(0x40, "mov al,[es:0x3000]")).toEqual(["1"]);
    expect(es(0x40, "mov al,[es:0x2fff]")).toEqual(GP0);
    expect(es(0x40, "mov eax,[es:0x2ffe]")).toEqual(GP0);
    expect(es(0x40, "mov [es:0x3000],eax")).toEqual(["1"]);
    expect(es(0x40, "mov al,[es:0]")).toEqual(GP0);
  });
  test("end where B says", () => {
    expect(es(0x48, "mov al,[es:0xffff]")).toEqual(["1"]);
    expect(es(0x48, "mov ax,[es:0xffff]")).toEqual(GP0);
    expect(es(0x48, "mov al,[es:0x10000]")).toEqual(GP0);
    expect(es(0x40, "mov al,[es:0x10000]")).toEqual(["1"]);
    expect(es(0x40, "mov eax,[es:0xfffffffd]")).toEqual(GP0);
  });
  test("as a stack: #SS; LSL gives the limit", () => {
    const stack = (esp: number): string =>
      `  mov eax,0x40\n  mov ss,eax\n  mov esp,${esp}\n  mov dword [resume],after\n`;
    const after = `  jmp finish\nafter:\n  mov eax,0x10\n  mov ss,eax\n  mov esp,0x6000\n`;
    expect(out(`${stack(0x3004)}  push eax\n${put("esp").replace("call put", "out 0x10,eax")}${after}`)).toEqual([
      "3000",
    ]);
    // Where there is no room for the operand there is none for the handler's frame either.
    expect(out(`${stack(0x3002)}  push eax\n${after}`)).toEqual(["TRIPLE_FAULT"]);
    expect(out(`${stack(0x4000)}  pop eax\n  mov eax,[ss:0x2ffd]\n${after}`)).toEqual(SS0);
    expect(out(`  mov eax,0x40\n  lsl ebx,eax\n${put("ebx")}`)).toEqual(["2fff"]);
  });
});

describe("the LDT", () => {
  const LOAD = "  mov eax,0x30\n  lldt ax\n";
  test("has segments of its own, as many as its limit says", () => {
    expect(out(`${LOAD}  mov eax,4\n  mov es,eax\n${put("es")}`)).toEqual(["4"]);
    expect(out(`${LOAD}  mov eax,0x14\n  mov es,eax\n`)).toEqual(["d", "14", "8"]);
    expect(out(`${LOAD}  mov word [gdt+0x30],14\n  lldt ax\n  mov eax,0xc\n  mov es,eax\n`)).toEqual(["d", "c", "8"]);
  });
  test("may be null: then it has none", () => {
    expect(out("  mov eax,4\n  mov es,eax\n")).toEqual(["d", "4", "8"]);
    expect(out(`${LOAD}  xor eax,eax\n  lldt ax\n  mov eax,4\n  mov es,eax\n`)).toEqual(["d", "4", "8"]);
    expect(out(`  mov eax,4\n  verr ax\n  setz al\n  movzx eax,al\n  call put`)).toEqual(["0"]);
  });
  test("is an LDT in the GDT, present", () => {
    expect(out("  mov eax,0x10\n  lldt ax\n")).toEqual(["d", "10", "8"]);
    expect(out("  mov eax,0x34\n  lldt ax\n")).toEqual(["d", "34", "8"]);
    expect(out("  mov byte [gdt+0x35],2\n  mov eax,0x30\n  lldt ax\n")).toEqual(["b", "30", "8"]);
  });
});

describe("conforming code", () => {
  test("of ring 0 runs in ring 3 with ring 3's rights", () => {
    const user = "  jmp 0x38:inside\ninside:\n  mov eax,cs\n  mov ebx,eax\n  cli\n";
    expect(out("  jmp to_user", user)).toEqual(["d", "0", "3b"]);
    expect(out("  jmp to_user", "  call 0x3a:inside\ninside:\n  hlt\n")).toEqual(["d", "0", "3b"]);
  });
  test("as an exception's handler keeps the level and the stack", () => {
    const body = "  mov word [0x8000+6*8],inside\n  mov word [0x8000+6*8+2],0x38\n  jmp to_user";
    const user = "  ud2\ninside:\n  mov eax,[esp+12]\n  mov ebx,esp\n  cli\n";
    expect(out(body, user)).toEqual(["d", "0", "3b"]);
  });
  test("of ring 3 cannot be entered from ring 0, by a gate neither", () => {
    expect(out("  mov byte [gdt+0x3d],0xff\n  jmp 0x38:finish")).toEqual(["d", "38", "8"]);
    expect(out("  mov byte [gdt+0x3d],0xff\n  mov word [gdt+0x52],0x38\n  call 0x50:0")).toEqual(["d", "38", "8"]);
  });
});

describe("the I/O permission bitmap", () => {
  /** In ring 3 with IOPL 0; `set` changes the TSS, whose bitmap is at 68h: 3 bytes up to its limit, the last two all ones. */
  const port = (access: string, set = ""): string[] => {
    const r = runGuest(guest(`${set}\n  jmp to_user`, `  ${access}\n`), { input: () => 0 });
    return r.out
      .filter((o) => !o.startsWith("11="))
      .map((o) => o.slice(o.indexOf("=") + 1))
      .slice(0, 2);
  };
  const ALLOWED = ["6", "0"];
  const REFUSED = ["d", "0"];
  test("has a bit for each byte of the access", () => {
    expect(port("in al,7")).toEqual(ALLOWED);
    expect(port("in al,8")).toEqual(REFUSED);
    expect(port("in ax,6")).toEqual(ALLOWED);
    expect(port("in ax,7")).toEqual(REFUSED);
    expect(port("in eax,4")).toEqual(ALLOWED);
    expect(port("in eax,5")).toEqual(REFUSED);
  });
  test("two bytes of it are read always, within the TSS's limit", () => {
    const limit = (n: number): string =>
      `  mov byte [gdt+0x28],${n}\n  mov byte [gdt+0x2d],0x89\n  mov eax,0x28\n  ltr ax\n`;
    expect(port("in al,7", limit(0x69))).toEqual(ALLOWED);
    expect(port("in al,7", limit(0x68))).toEqual(REFUSED);
  });
  test("may lie beyond the limit: no port then", () => {
    expect(port("in al,0", "  mov word [tss+0x66],0x6a\n")).toEqual(REFUSED);
    expect(port("in al,0", "  mov word [tss+0x66],0xffff\n")).toEqual(REFUSED);
  });
  test("is not asked with IOPL 3, and not there in a 16-bit TSS", () => {
    expect(port("in al,0x80", "  mov dword [flags],0x3002\n")).toEqual(ALLOWED);
    expect(
      port(
        "in al,7",
        "  mov byte [gdt+0x2d],0x81\n  mov eax,0x28\n  ltr ax\n  mov word [tss+2],0x7000\n  mov word [tss+4],0x10\n",
      ),
    ).toEqual(REFUSED);
  });
});

describe("IRET", () => {
  test("to virtual-8086 mode: EIP must be within 64 KiB", () => {
    const frame = (eip: string): string =>
      `  push 0\n  push 0\n  push 0\n  push 0\n  push 0\n  push 0x5000\n  push 0x23002\n  push 0\n  push ${eip}\n  iretd\n`;
    expect(out(frame("0x11000"))).toEqual(GP0);
    expect(out(`${frame("v86")}v86:\n  hlt\n`).slice(0, 2)).toEqual(["d", "0"]);
  });
  test("that faults has let NMIs in again", () => {
    const body = `
  mov dword [0x8000+2*8],0x80000+nmi
  mov dword [resume],after
  in al,0x20
  nop
  jmp finish
nmi:
  inc dword [count]
  mov eax,[count]
  call put
  cmp eax,2
  je finish
  in al,0x20
  nop
  mov word [esp+4],0
  iretd ; null CS
after:
  mov eax,3
  call put
  jmp finish
align 4
count: dd 0`;
    // The second comes while the first is handled; it is taken when IRET's fault is delivered.
    const r = runGuest(guest(body), {
      input: (_port, _size, view) => {
        view.set(VCPU.nmiPosted, view.get(VCPU.nmiPosted) + 1);
        view.or(VCPU.attention, ATTENTION.NMI);
        return 0;
      },
    });
    expect([r.end, ...r.out.map((o) => o.slice(3))]).toEqual(["HALT", "1", "2"]);
  });
});

describe("a far return to an outer level", () => {
  test("checks SS before the instruction pointer", () => {
    const ret = (ss: string, eip: string): string =>
      `  mov word [gdt+0x18],0xfff\n  mov byte [gdt+0x1e],0x40\n  push ${ss}\n  push 0x5000\n  push 0x1b\n  push ${eip}\n  retf\n`;
    expect(out(ret("0x10", "0x2000"))).toEqual(["d", "10", "8"]);
    expect(out(ret("0x23", "0x2000"))).toEqual(GP0);
  });
});
