/**
 * x87 behaviour that depends on mode and control registers, or that the instruction vectors do not show: exceptions that
 * wait, #NM, the pointers to the last instruction, the images' layouts. Arithmetic: test/fp and the vectors.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { VCPU } from "../../src/shared/layout.ts";
import { loadCore, runGuest } from "../sys/guest.ts";
import { protectedGuest } from "../sys/protectedGuest.ts";
import { realGuest } from "../sys/realGuest.ts";

beforeAll(loadCore, 180_000);

const NE = 0x20;
const TS = 8;
const EM = 4;
const MP = 2;

/**
 * A real-mode guest with CR0 as given. #NM (7) and #MF (16) write their vector and the low byte of the return address's
 * distance from `body` to port 10h and end.
 */
const guest = (cr0: number, body: string): string =>
  realGuest({
    ivt: { 7: "nm", 16: "mf" },
    body: `  fninit
  mov eax,cr0
  or eax,${cr0}
  mov cr0,eax
body:
${body}
  cli
  hlt
nm: mov al,7
  jmp report
mf: mov al,16
report:
  out 0x10,al
  pop ax
  sub ax,body
  out 0x11,al
  cli
  hlt
control: dw 0x37b
one: dd 1.0
buffer: times 8 dd 0`,
  });

const run = (cr0: number, body: string) => runGuest(guest(cr0, body));

describe("pending exceptions", () => {
  /** Leaves an unmasked ZE pending: 4 + 2 + 2 + 2 bytes. */
  const divide = "  fldcw [control]\n  fld1\n  fldz\n  fdivp st1,st0";

  test("are raised by the next waiting instruction, not by the one that found them", () => {
    expect(run(NE, `${divide}\n  mov al,1\n  out 0x12,al\n  fld1`).out).toEqual(["12=1", "10=10", "11=e"]);
  });

  test("leave the operands of an unmasked division by zero where they were", () => {
    const { view } = run(NE, divide);
    expect(view.get(VCPU.fsw)).toBe(0xb084);
    expect(view.get(VCPU.ftw)).toBe(0xc0);
  });

  test("are raised by WAIT", () => {
    expect(run(NE, `${divide}\n  wait`).out).toEqual(["10=10", "11=a"]);
  });

  test("are not looked at by FNSTCW, FNSTSW and FNCLEX", () => {
    const { out } = run(
      NE,
      `${divide}\n  fnstcw [buffer]\n  fnstsw ax\n  out 0x10,ax\n  fnclex\n  fld1\n  out 0x11,al`,
    );
    expect(out).toEqual(["10=b084", "11=84"]);
  });

  test("become pending when FLDCW takes their mask away, and stop when it gives it back", () => {
    const { view, out } = run(
      0,
      "  fld1\n  fldz\n  fdivp st1,st0\n  fldcw [control]\n  fnstsw ax\n  out 0x10,ax\n  fnclex",
    );
    expect(out).toEqual(["10=b884"]);
    expect(view.get(VCPU.fsw)).toBe(0x3800);
  });

  test("raise nothing with CR0.NE clear; what waits then waits for an interrupt (test/sys/ferr.test.ts)", () => {
    expect(run(0, `${divide}\n  fnstsw ax\n  out 0x10,ax\n  fld1\n  out 0x10,ax`).out).toEqual(["10=b084"]);
  });

  test("that are masked let a store write the indefinite and pop", () => {
    const { view, out } = run(NE, "  fistp word [buffer]\n  mov ax,[buffer]\n  out 0x10,ax");
    expect(out).toEqual(["10=8000"]);
    expect(view.get(VCPU.fsw)).toBe(0x0841);
  });

  test("keep a store from writing and popping when they are unmasked", () => {
    const body =
      "  mov word [control],0x37e\n  fldcw [control]\n  fistp word [buffer]\n  mov ax,[buffer]\n  out 0x10,ax";
    const { view, out } = run(NE, body);
    expect(out).toEqual(["10=0"]);
    expect(view.get(VCPU.fsw)).toBe(0x80c1);
  });
});

describe("#NM", () => {
  test.each([
    ["CR0.EM, arithmetic", EM, "fld1", true],
    ["CR0.TS, arithmetic", TS, "fld1", true],
    ["CR0.TS, control without waiting", TS, "fnstsw ax", true],
    ["CR0.TS, WAIT", TS, "wait", false],
    ["CR0.MP, WAIT", MP, "wait", false],
    ["CR0.MP and TS, WAIT", MP | TS, "wait", true],
    ["CR0.EM, WAIT", EM, "wait", false],
  ] as const)("%s", (_, cr0, instruction, raised) => {
    expect(run(cr0, `  ${instruction}`).out).toEqual(raised ? ["10=7", "11=0"] : []);
  });
});

describe("pointers to the last instruction", () => {
  const pointers = (body: string) => {
    const { view } = run(0, body);
    return { fip: view.get64(VCPU.fip), fdp: view.get64(VCPU.fdp), fop: view.get(VCPU.fop) };
  };
  /** Offset of `body`, and of `one` with nothing but one instruction before it. */
  const start = () => run(0, "  mov ax,body\n  out 0x10,ax").out[0].slice(3);

  test("FIP follows every instruction but control ones; FDP and FOP stay without an unmasked exception", () => {
    const at = BigInt(`0x${start()}`);
    expect(pointers("  fld1\n  fadd dword [one]\n  fnstcw [buffer]\n  wait")).toEqual({
      fip: at + 2n,
      fdp: 0n,
      fop: 0,
    });
  });

  test("an unmasked exception sets FDP and FOP; FIP is at the first prefix", () => {
    const at = BigInt(`0x${start()}`);
    const body = "  fldcw [control]\n  fld1\n  mov bx,buffer\n  ds fdiv dword [bx]";
    const { fip, fdp, fop } = pointers(body);
    expect(fip).toBe(at + 4n + 2n + 3n);
    expect(fop).toBe(0x037); // D8 /6 [bx]
    expect(fdp).toBeGreaterThan(at);
  });

  test("FDP is the offset in the segment", () => {
    const body =
      "  fldcw [control]\n  mov ax,0x300\n  mov es,ax\n  mov dword [0x3010],0\n  fld1\n  fdiv dword [es:0x10]";
    expect(pointers(body).fdp).toBe(0x10n);
  });

  test("selectors are zero, whatever FXRSTOR was given, and CPUID says so", () => {
    const image = `  fxsave [0x3000]\n  mov dword [0x3008],0x11223344\n  mov word [0x300c],0x1234\n  mov word [0x3014],0x4321
  fxrstor [0x3000]\n  fxsave [0x3200]\n`;
    const words = [0x3208, 0x320a, 0x320c, 0x3214].map((at) => `  mov ax,[${at}]\n  out 0x10,ax`).join("\n");
    const cpuid = "\n  mov eax,7\n  xor ecx,ecx\n  cpuid\n  and bx,0x2040\n  mov ax,bx\n  out 0x11,ax";
    expect(run(0, image + words + cpuid).out).toEqual(["10=3344", "10=1122", "10=0", "10=0", "11=2040"]);
  });

  test("FNINIT clears them", () => {
    expect(pointers("  fld1\n  fninit")).toEqual({ fip: 0n, fdp: 0n, fop: 0 });
  });
});

describe("images", () => {
  const words = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => `  mov ax,[${from + i * 2}]\n  out 0x10,ax`).join("\n");
  const values = (out: string[]) => out.map((s) => s.slice(3));

  test("FNSTENV stores full tags by content", () => {
    const body = `  fld1\n  fldz\n  fldpi\n  fmul st0,st1\n  fldpi\n  fnstenv [0x3000]\n${words(0x3000, 3)}`;
    // Physical 7: 1, 6: 0, 5: 0, 4: pi.
    expect(values(run(0, body).out)).toEqual(["37f", "2000", "14ff"]);
  });

  test("FNSTENV masks every exception after it has stored, and clears ES", () => {
    const divide = "  fldcw [control]\n  fld1\n  fldz\n  fdivp st1,st0";
    const { out, view } = run(NE, `${divide}\n  fnstenv [0x3000]\n${words(0x3000, 3)}\n  fld1`);
    expect(values(out)).toEqual(["37b", "b084", "1fff"]);
    expect(view.get(VCPU.fcw)).toBe(0x37f);
    expect(view.get(VCPU.fsw)).toBe(0x2804);
  });

  test("in real mode FIP and FDP are split, FOP beside FIP's upper part", () => {
    const put =
      "  mov dword [0x3000],0xffff037f\n  mov dword [0x3004],0\n  mov dword [0x3008],0xffff\n  mov dword [0x300c],0x5678\n" +
      "  mov dword [0x3010],0x012347ff\n  mov dword [0x3014],0xdef0\n  mov dword [0x3018],0x09abc000\n  o32 fldenv [0x3000]\n";
    const { view } = run(0, put);
    expect(view.get64(VCPU.fip)).toBe(0x12345678n);
    expect(view.get64(VCPU.fdp)).toBe(0x9abcdef0n);
    expect(view.get(VCPU.fop)).toBe(0x7ff);
    const wide = run(0, `${put}  o32 fnstenv [0x3100]\n${words(0x3106, 1)}\n${words(0x310c, 8)}`);
    expect(values(wide.out)).toEqual(["ffff", "5678", "ffff", "47ff", "123", "def0", "ffff", "c000", "9ab"]);
    const short = run(0, `${put}  fnstenv [0x3100]\n${words(0x3106, 4)}`);
    expect(values(short.out)).toEqual(["5678", "47ff", "def0", "c000"]);
  });

  test("in protected mode the long one has FOP; to load the short one, which has none, clears it", () => {
    const body = (load: string): string => `  fninit
  fnstenv [0x3000]
  mov dword [0x3010],0x05550000
  fldenv [0x3000]
  o16 fnstenv [0x3100]
${load}
  hlt`;
    const fop = (load: string): number => runGuest(protectedGuest({ idt: [], body: body(load) })).view.get(VCPU.fop);
    expect(fop("  nop")).toBe(0x555);
    expect(fop("  o16 fldenv [0x3100]")).toBe(0);
  });

  test("FNSAVE and FRSTOR keep the registers, also across a page", () => {
    const body = (at: number) =>
      `  fldpi\n  fld1\n  fld1\n  fnsave [${at}]\n  fnstsw ax\n  out 0x11,ax\n  frstor [${at}]\n  fstp st0\n  fstp st0\n  fstp tword [buffer]
  mov ax,[buffer]\n  out 0x10,ax\n  mov ax,[buffer+8]\n  out 0x10,ax`;
    for (const at of [0x3000, 0x3fd1, 0x3ff3]) {
      expect(run(0, body(at)).out).toEqual(["11=0", "10=c235", "10=4000"]);
    }
  });
});

test("FSTPNCE takes an empty register without an exception", () => {
  const { view } = run(NE, "  mov word [control],0x37e\n  fldcw [control]\n  fld1\n  ffree st0\n  db 0xd9,0xda");
  expect(view.get(VCPU.fsw)).toBe(0);
  expect(view.get(VCPU.ftw)).toBe(0);
});
