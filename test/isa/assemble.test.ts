import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AssembleError, assemble } from "../../src/isa/assemble.ts";
import { disassemble } from "../../src/isa/disassemble.ts";
import type { Width } from "../../src/isa/operand.ts";

const DATA = join(import.meta.dirname, "data");
const sources = readdirSync(DATA).filter((f) => f.endsWith(".asm"));

const hasNasm = (() => {
  try {
    execFileSync("nasm", ["-v"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
})();

/** What NASM makes of a file; the bytes recorded beside it where NASM is not installed. */
function reference(file: string): Uint8Array {
  const recorded = new Uint8Array(readFileSync(join(DATA, file.replace(/asm$/, "bin"))));
  if (!hasNasm) return recorded;
  const dir = mkdtempSync(join(tmpdir(), "isa-"));
  try {
    execFileSync("nasm", ["-f", "bin", "-o", join(dir, "out"), join(DATA, file)], { stdio: "pipe" });
    const bytes = new Uint8Array(readFileSync(join(dir, "out")));
    expect(Buffer.compare(bytes, recorded), `${file}: the recorded bytes are stale`).toBe(0);
    return bytes;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const bytesOf = (source: string): string => Buffer.from(assemble(source).bytes).toString("hex");
const messageOf = (source: string): string => {
  try {
    assemble(source, { name: "t.asm" });
  } catch (e) {
    expect(e).toBeInstanceOf(AssembleError);
    // Columns have a test of their own.
    return (e as Error).message.replace(/^(\S+:\d+):\d+:/, "$1:");
  }
  return "";
};

describe.each(sources)("%s", (file) => {
  test("gives the bytes that NASM gives", () => {
    const want = reference(file);
    const source = readFileSync(join(DATA, file), "utf8");
    const made = assemble(source, { name: file });
    const lines = source.split("\n");
    const wrong = made.lines.flatMap(({ offset, line }, i) => {
      const end = made.lines[i + 1]?.offset ?? made.bytes.length;
      const [a, b] = [made.bytes, want].map((x) => Buffer.from(x.subarray(offset, end)).toString("hex"));
      return a === b ? [] : [`${file}:${line}: ${lines[line - 1].trim()}: ${a}, NASM ${b}`];
    });
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(made.bytes.length).toBe(want.length);
  });
});

describe("result", () => {
  test("has the origin, the symbols and the lines", () => {
    const made = assemble("org 0x7c00\nSIZE equ end-start\nstart: nop\n.a: dw SIZE\n\nend:\nother:\n.a: nop");
    expect(made.origin).toBe(0x7c00);
    expect(Object.fromEntries(made.symbols)).toEqual({
      SIZE: 3n,
      start: 0x7c00n,
      "start.a": 0x7c01n,
      end: 0x7c03n,
      other: 0x7c03n,
      "other.a": 0x7c03n,
    });
    expect(made.lines).toEqual([
      { offset: 0, line: 3, file: "source" },
      { offset: 1, line: 4, file: "source" },
      { offset: 3, line: 8, file: "source" },
    ]);
  });

  test("has addresses above 2^31", () => {
    const made = assemble("bits 64\norg 0xffffffff80000000\nx: mov rax, x\n");
    expect(Buffer.from(made.bytes).toString("hex")).toBe("48b800000080ffffffff");
    expect(BigInt.asUintN(64, made.symbols.get("x")!)).toBe(0xffffffff80000000n);
  });
});

describe("branches", () => {
  test("are short exactly as far as a byte reaches", () => {
    expect(assemble("bits 32\njmp x\ntimes 127 nop\nx:").bytes.length).toBe(2 + 127);
    expect(assemble("bits 32\njmp x\ntimes 128 nop\nx:").bytes.length).toBe(5 + 128);
    expect(assemble("bits 32\nx: times 126 nop\njz x").bytes.length).toBe(126 + 2);
    expect(assemble("bits 32\nx: times 127 nop\njz x").bytes.length).toBe(127 + 6);
  });

  test("with a size have a displacement of that size, unless they are to be short", () => {
    expect(bytesOf("bits 16\nx: jmp dword x")).toBe("66e9faffffff");
    expect(bytesOf("bits 16\nx: o32 jmp short x")).toBe("66ebfd");
    expect(bytesOf("bits 16\nx: jo dword x")).toBe("660f80f9ffffff");
    expect(bytesOf("bits 32\nx: o16 jo short x")).toBe("6670fd");
    expect(bytesOf("bits 32\nx: loop word x")).toBe("66e2fd");
  });

  test("that push each other out of reach all grow", () => {
    const source = "bits 32\na: jmp y\ntimes 122 nop\nb: jmp z\ny: times 200 nop\nz:";
    expect(bytesOf(source).slice(0, 2)).toBe("eb");
    expect(bytesOf(source.replace("122", "123")).slice(0, 2)).toBe("e9");
  });
});

describe("directives and expressions", () => {
  test.each([
    ["db 1+2*3, (1+2)*3, 7/2, 7%4, 1<<4|1, ~0, -1, 10h, 0b101, 0o17, 1010b, 'a', $0f", "0709030311ffff10050f0a610f"],
    ["dw 'ab', 'a'\ndb 'ab', \"c\", `\\n\\x41\\0`", "616261006162630a4100"],
    ["a equ 5\n%define b a+1\ndb b*2, a", "0705"],
    ["a equ 5\na equ 5\ndb a", "05"],
    ["%define u(x) __utf16__(x)\ndw u('Aé'), 0\ndd __?utf32?__('A')", "4100e900000041000000"],
    ["times 3 db 1,2\nalign 4\ndb 9\nalign 4, db 0\nresb 2\nresw 1", "01020102010290900900000000000000"],
    ["dd 1.5\ndq -0.5", "0000c03f000000000000e0bf"],
    ["nop\nx: db $-x, $-$$, y-x\ny:", "90000103"],
    ["dq 0x123456789abcdef0", "f0debc9a78563412"],
    ["bits 16\nmov ax, 5 ; comment\nbits 32\nmov eax, 5\n[bits 64]\nmov rax, 5", "b80500b805000000b805000000"],
  ])("%s", (source, want) => {
    expect(bytesOf(source)).toBe(want);
  });
});

describe("mistakes", () => {
  test.each([
    ["nop\nmov ax", "t.asm:2: no form of mov takes ax in 16-bit mode"],
    ["mov ax, nothing", "t.asm:1: nothing is not defined"],
    [
      "frobnicate ax",
      "t.asm:1: frobnicate is neither an instruction nor a directive; a label alone on a line ends with a colon",
    ],
    ["x: nop\nx: nop", "t.asm:2: x is defined twice"],
    ["bits 32\ninc [eax]", "t.asm:2: operation size not specified: write byte, word, dword or qword before ["],
    ["db 512", "t.asm:1: 512 does not fit in 8 bits"],
    ["mov al, 0x1234", "t.asm:1: 4660 does not fit in 8 bits"],
    ["x: times 200 nop\njmp short x", "t.asm:2: the target is -202 bytes away, too far for this branch"],
    ["mov eax, [eax+ebx+ecx]", "t.asm:1: an address has at most two registers"],
    ["mov ax, [ax]", "t.asm:1: not a 16-bit address: [bx|bp] + [si|di] + displacement"],
    ["mov rax, 1", "t.asm:1: no form of mov takes rax, an immediate in 16-bit mode"],
    ["bits 32\nmov r8d, 1", "t.asm:2: that register or size exists only in 64-bit mode"],
    ["bits 64\nmov r8b, ah", "t.asm:2: AH, BH, CH and DH cannot be used in an instruction with a REX prefix"],
    ["lock mov [bx], ax", "t.asm:1: LOCK is not allowed here"],
    ["db 'abc", "t.asm:1: string without an end"],
    ["db 1/0", "t.asm:1: division by zero"],
    ["bits 64\nmov eax, [0xfee00000]", "t.asm:2: displacement 4276092928 does not fit in 32 signed bits"],
    ["times -1 db 0", "t.asm:1: the TIMES count is -1"],
    ["%macro x 0", "t.asm:1: this %macro has no %endmacro"],
    ["nop\n%if 1\nnop", "t.asm:2: this %if has no %endif"],
    ["%endif", "t.asm:1: %endif without %if"],
    ["%push x", "t.asm:1: %push is not supported"],
    ["%macro m 1\nnop\nmov al, %1\n%endmacro\nnop\nm 0x1234", "t.asm:6: 4660 does not fit in 8 bits"],
    ["%macro m 1\n%endmacro\nm 1, 2", "t.asm:3: the macro m takes 1 parameters"],
    ["%define f(a) a\ndb f(1, 2)", "t.asm:2: f takes 1 parameters, not 2"],
    ["%rep 3\nnop", "t.asm:1: this %rep has no %endrep"],
    ["%if x\n%endif", "t.asm:1: x is not defined"],
    ["%error no way", "t.asm:1: no way"],
    ['%include "none.inc"', "t.asm:1: none.inc: no such file"],
    ["section .bss\ndb 1", "t.asm:2: section .bss has room and no bytes: only RESB and kin go there"],
    ["section .a start=4\ndd 0\nsection .b start=6\ndd 0", "t.asm:4: section .b overlaps another one"],
    ["nop\norg 5", "t.asm:2: ORG after the first byte"],
    ["bits 64\npush eax", "t.asm:2: no form of push takes eax in 64-bit mode"],
    ["mov [es:di, ax", 't.asm:1: expected ] at ","'],
  ])("%s", (source, want) => {
    expect(messageOf(source)).toBe(want);
  });
});

describe("size of an encoding", () => {
  const text = (source: string, mode: Width): string[] => {
    const { bytes } = assemble(`bits ${mode}\n${source}`);
    return [Buffer.from(bytes).toString("hex"), disassemble(bytes, 0, { mode, ip: 0n }).text];
  };
  test.each<[string, Width, string, string]>([
    ["add ax, 5", 32, "6683c005", "add ax,0x5"],
    ["add eax, strict dword 5", 32, "0505000000", "add eax,0x5"],
    ["and eax, ~(1<<31)", 32, "25ffffff7f", "and eax,0x7fffffff"],
    ["mov [edi], byte 5", 32, "c60705", "mov byte [edi],0x5"],
    ["mov eax, [eax*2]", 32, "8b0400", "mov eax,[eax+eax]"],
    ["mov eax, [nosplit eax*2]", 32, "8b044500000000", "mov eax,[nosplit eax*2]"],
    ["mov eax, [eax+esp]", 32, "8b0404", "mov eax,[esp+eax]"],
    ["mov rax, [rip_free]\nrip_free:", 64, "488b042508000000", "mov rax,[0x8]"],
    ["mov rax, [rel $]", 64, "488b05f9ffffff", "mov rax,[rel 0x0]"],
    ["a32 mov eax, [0x10]", 64, "678b042510000000", "mov eax,[dword 0x10]"],
    ["xchg eax, eax", 64, "87c0", "xchg eax,eax"],
    ["xchg r8, rax", 64, "4990", "xchg r8,rax"],
  ])("%s (%i)", (source, mode, bytes, shown) => {
    expect(text(source, mode)).toEqual([bytes, shown]);
  });
});

describe("places", () => {
  const placeOf = (source: string): string => {
    try {
      assemble(source, { read: (name) => (name === "inc" ? new TextEncoder().encode("nop\n frob\n") : undefined) });
    } catch (e) {
      const { file, line, column } = e as AssembleError;
      return `${file}:${line}:${column}`;
    }
    return "";
  };
  test.each([
    ["  mov ax, nothing", "source:1:11"],
    ["x:  frob ax", "source:1:5"],
    ["  mov ax, [bx", "source:1:12"],
    ["nop\n  mov ax, $$ 5", "source:2:14"],
    ["%define y nothing\n mov ax, y", "source:2:10"],
    ["  db 'abc", "source:1:6"],
    ['nop\n  %include "inc"', "inc:2:2"],
    ["%macro m 0\n      frob\n%endmacro\n\n  m", "source:5:3"],
  ])("%s", (source, want) => {
    expect(placeOf(source)).toBe(want);
  });
});

test("%include and INCBIN take what the reader gives", () => {
  const files = new Map([
    ["a.inc", new TextEncoder().encode('%include "b.inc"\nx: db B\n')],
    ["b.inc", new TextEncoder().encode("%define B 7\n")],
    ["data.bin", Uint8Array.of(1, 2, 3, 4, 5)],
  ]);
  const source = '%include "a.inc"\nincbin "data.bin"\nincbin "data.bin", 1, 2\ndw x';
  const made = assemble(source, { read: (name) => files.get(name) });
  expect(Buffer.from(made.bytes).toString("hex")).toBe("07010203040502030000");
  expect(made.lines[0]).toEqual({ offset: 0, line: 2, file: "a.inc" });
});
