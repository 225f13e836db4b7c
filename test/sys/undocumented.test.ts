/** Opcodes that manuals leave out or only mention, and that Intel's CPUs have (SDM vol. 2, appendix A; vol. 3, 23.15). */
import { beforeAll, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

/** 16-bit code in real mode: exceptions 1, 6 and 7 write their vector to port 12h and go on at [resume]. */
const real = (body: string): string[] => {
  const source = realGuest({
    ivt: { 1: "h1", 6: "h6", 7: "h7" },
    body: `${body}
finish:
  cli
  hlt
put:
  out 0x10,ax
  ret
h1: mov dx,1
  jmp common
h6: mov dx,6
  jmp common
h7: mov dx,7
common:
  mov ax,dx
  out 0x12,ax
  add sp,6
  jmp [resume]
resume: dw finish
data: dw 0x0180,0`,
  });
  const r = runGuest(source);
  return [...r.out.map((o) => o.slice(o.indexOf("=") + 1)), ...(r.end === "HALT" ? [] : [r.end])];
};
const long = (body: string): string[] => {
  const r = runGuest(longGuest(body));
  return r.out.filter((o) => o.startsWith("10=")).map((o) => o.slice(3));
};

test("SALC sets AL by CF; it is #UD in 64-bit mode", () => {
  expect(real("  mov ax,0x1234\n  stc\n  db 0xd6\n  call put\n  clc\n  db 0xd6\n  call put")).toEqual(["12ff", "1200"]);
  expect(long("  db 0xd6\n")).toEqual(["6", "0"]);
});

test("82 is 80; it is #UD in 64-bit mode", () => {
  expect(
    real("  mov ax,5\n  db 0x82,0xc0,0xff\n  call put\n  db 0x82,0x2e\n  dw data\n  db 1\n  mov ax,[data]\n  call put"),
  ).toEqual(["4", "17f"]);
  expect(long("  db 0x82,0xc0,5\n")).toEqual(["6", "0"]);
});

test("shifts have SHL a second time, as /6; TEST is /1, too", () => {
  expect(
    real("  mov ax,0x81\n  db 0xc0,0xf0,1\n  call put\n  db 0xd3,0xf0\n  mov cl,4\n  db 0xd3,0xf0\n  call put"),
  ).toEqual(["2", "20"]);
  expect(
    real("  mov ax,0x10\n  db 0xf6,0xc8,0x10\n  setnz al\n  call put\n  db 0xf7,0xc8,0,0x10\n  setz al\n  call put"),
  ).toEqual(["1", "1"]);
  expect(real("  db 0xf6,0x0e\n  dw data\n  db 0x80\n  setnz al\n  mov ah,0\n  call put")).toEqual(["1"]);
});

test("INT1 comes without a bit in DR6", () => {
  expect(real("  mov word [resume],back\n  db 0xf1\nback:\n  mov eax,dr6\n  and ax,0xe00f\n  call put")).toEqual([
    "1",
    "0",
  ]);
});

test("UD0, UD1 and UD2 are #UD, before their operand is looked at", () => {
  for (const code of ["0x0f,0x0b", "0x0f,0xb9,0x03", "0x0f,0xff,0x03"]) {
    expect(long(`  mov rbx,0x400000\n  db ${code}\n`)).toEqual(["6", "0"]);
  }
});

test("reserved NOPs and prefetches with an operand do not touch it", () => {
  const codes = [
    "0x0d,0x03",
    "0x0d,0x1b",
    "0x0d,0xc3",
    ...[0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f].flatMap((op) => [`${op},0x03`, `${op},0x3b`, `${op},0xc3`]),
  ];
  const body = codes.map((code) => `  db 0x0f,${code}\n`).join("");
  expect(long(`  mov rbx,0x400000\n${body}  mov eax,1\n  call put\n`)).toEqual(["1"]);
});

test("FFREEP, and the x87 opcodes that repeat another", () => {
  const start = "  fninit\n  fldz\n  fld1\n";
  const top = "  fnstsw ax\n  and ax,0x3800\n  call put\n";
  // FFREEP ST(0): the register is empty, and the stack popped.
  expect(real(`${start}  db 0xdf,0xc0\n${top}  fxam\n  fnstsw ax\n  and ax,0x4500\n  call put`)).toEqual([
    "3800",
    "4000",
  ]);
  const st0 = "  fist word [data]\n  mov ax,[data]\n  call put\n";
  for (const fxch of ["0xd9,0xc9", "0xdd,0xc9", "0xdf,0xc9"])
    expect(real(`${start}  db ${fxch}\n${st0}`)).toEqual(["0"]);
  for (const fstp of ["0xdd,0xd9", "0xdf,0xd1", "0xdf,0xd9", "0xd9,0xd9"])
    expect(real(`${start}  db ${fstp}\n${st0}${top}`)).toEqual(["1", "3800"]);
  for (const fcomp of ["0xd8,0xd9", "0xdc,0xd9", "0xde,0xd1"]) {
    expect(real(`${start}  db ${fcomp}\n${top}`)).toEqual(["3800"]);
  }
  for (const fcom of ["0xd8,0xd1", "0xdc,0xd1"]) expect(real(`${start}  db ${fcom}\n${top}`)).toEqual(["3000"]);
});

test("instructions of other makers' x87s do nothing: FNENI, FNDISI, FNSETPM", () => {
  expect(real("  fninit\n  fld1\n  db 0xdb,0xe0,0xdb,0xe1,0xdb,0xe4\n  fnstsw ax\n  call put")).toEqual(["3800"]);
});
