import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from "iced-x86";
import { describe, expect, test } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { disassemble } from "../../src/isa/disassemble.ts";
import type { Width } from "../../src/isa/operand.ts";
import { ROWS } from "../../src/isa/table/index.ts";
import { MODES, samples } from "./samples.ts";

const IP = 0x1000n;
const formatter = new Formatter(FormatterSyntax.Nasm);
formatter.hexPrefix = "0x";
formatter.hexSuffix = "";
formatter.uppercaseHex = false;
formatter.smallHexNumbersInDecimal = false;
formatter.branchLeadingZeros = false;
formatter.showBranchSize = false;
formatter.usePseudoOps = false;

function iced(bytes: Uint8Array, mode: Width): { text: string; length: number } {
  const decoder = new Decoder(mode, bytes, DecoderOptions.None);
  decoder.ip = IP;
  const instruction = decoder.decode();
  const result = { text: formatter.format(instruction), length: instruction.length };
  instruction.free();
  decoder.free();
  return result;
}

const SIZE = /\b(byte|word|dword|qword|tword|oword) (?=\[)/;

/** Takes out what the two write differently for the same instruction. */
function normal(text: string): string {
  let t = text
    // How an address size is written; a segment inside the brackets comes after NASM's keywords.
    .replace(/\[(?:nosplit |word |dword |qword )+/, "[")
    .replace(/^a32 (.*\[)(?:dword )?rel /, "$1rel ")
    // The count of the D0 and D1 forms; the operand size of a branch.
    .replace(/,1$/, ",0x1")
    .replace(/^o(?:16|32) (j|call|loop|push)/, "$1")
    .replace(/^(\S+) (?:word|dword) (?=0x)/, "$1 ")
    .replace(/^sal /, "shl ")
    .replace(/^icebp$/, "int1")
    // The width of a register of which only 16 bits are used.
    .replace(/^((?:lar|lsl) [^,]*,|mov [c-gs]s,)e?(\w\w)$/, "$1$2")
    .replace(/^((?:lar|lsl) [^,]*,|mov [c-gs]s,)r(\d+)[dw]?$/, "$1r$2")
    .replace(/^((?:lar|lsl) [^,]*,|mov [c-gs]s,)r(\w\w)$/, "$1$2")
    // Implied x87 operands.
    .replace(/^(f\w+) to (st\d)$/, "$1 $2,st0")
    .replace(/^(f(?:add|mul|subr?|divr?)p)$/, "$1 st1")
    .replace(/^(fxch|fu?comp?)$/, "$1 st1")
    .replace(/^(f\w+) st0,(st\d)$/, "$1 $2")
    .replace(/^(f\w+p) (st\d),st0$/, "$1 $2")
    // The operand of the reserved NOPs.
    .replace(/^(nop [^,]*),.*/, "$1");
  const xchg = /^((?:lock )?xchg )(.*),(.*)$/.exec(t);
  if (xchg) t = xchg[1] + [xchg[2], xchg[3]].sort().join(",");
  return t;
}

/** The letter of the mode's own operand size, which iced leaves out. */
const OWN_SUFFIX = {
  16: /^(iret|pushf|popf|pusha|popa)w$/,
  32: /^(iret|pushf|popf|pusha|popa)d$/,
  64: /^(iret(?=d)|pushf(?=q)|popf(?=q))[dq]$/,
};

/** NASM takes a far pointer in 64-bit mode for m16:64, in other modes for the mode's own. */
const OWN_FAR = { 16: "word far ", 32: "dword far ", 64: "qword far " };

function same(ours: string, theirs: string, mode: Width): boolean {
  let [a, b] = [ours, theirs].map((t) => normal(t.replace(OWN_SUFFIX[mode], "$1").replace(OWN_FAR[mode], "far ")));
  // Either may leave out a size that the instruction implies; if both write it, it must be the same.
  if (!SIZE.test(a) || !SIZE.test(b)) [a, b] = [a.replace(SIZE, ""), b.replace(SIZE, "")];
  return a === b;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe.each(MODES)("%i-bit mode", (mode) => {
  test("every row decodes as iced-x86 decodes it", () => {
    const wrong: string[] = [];
    let count = 0;
    for (const row of ROWS) {
      for (const bytes of samples(row, mode)) {
        count++;
        const ours = disassemble(bytes, 0, { mode, ip: IP });
        const theirs = iced(bytes, mode);
        if (ours.length !== theirs.length || !same(ours.text, theirs.text, mode)) {
          wrong.push(`${hex(bytes.subarray(0, theirs.length))}: ${ours.text} | ${theirs.text} | row ${row.text}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(1000);
  });

  test("every row's text assembles to the same instruction", () => {
    const wrong: string[] = [];
    for (const row of ROWS) {
      for (const bytes of samples(row, mode)) {
        const { text } = disassemble(bytes, 0, { mode, ip: IP });
        if (text === "(bad)") continue;
        let again: string;
        try {
          const made = assemble(`bits ${mode}\norg ${IP}\n${text}`);
          again = disassemble(made.bytes, 0, { mode, ip: IP }).text;
        } catch (e) {
          again = (e as Error).message;
        }
        // Where the upper half is zero anyway, the shorter form for 32 bits is taken, as in NASM.
        const shortened =
          /^(mov|sldt) r\w+(,0x[0-7]\w{0,7}|,[c-gs]s)?$/.test(text) && /^(mov|sldt) (e|r\d+d)/.test(again);
        if (!same(again, text, mode) && !shortened) wrong.push(`${text} | ${again} | row ${row.text}`);
      }
    }
    expect(wrong).toEqual([]);
    // Some thousand small sources: seconds on a busy machine.
  }, 60_000);
});

describe("what is no instruction", () => {
  const at = (text: string, mode: Width) => {
    const bytes = Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
    const { text: shown, length, row } = disassemble(bytes, 0, { mode, ip: 0n });
    return { shown, length, row: row !== undefined };
  };
  const bad = { shown: "(bad)", length: 1, row: false };

  test.each<[string, string, Width]>([
    ["an opcode without a row", "0f ff", 32],
    ["bytes that end in the immediate", "b8 01 02 03", 32],
    ["bytes that end in the prefixes", "66 67", 32],
    ["nothing", "", 32],
    ["LOCK on a register", "f0 01 c0", 32],
    ["LOCK on MOV", "f0 89 00", 32],
    ["LEA of a register", "8d c0", 32],
    ["an opcode that 64-bit mode dropped", "82 c0 05", 64],
    ["16 bytes", `${"2e ".repeat(14)} 01 c0`, 32],
  ])("%s", (_, bytes, mode) => {
    expect(at(bytes, mode)).toEqual(bad);
  });

  test("15 bytes are an instruction, and so are the same opcodes in another mode", () => {
    expect(at(`${"2e ".repeat(13)} 01 c0`, 32)).toEqual({ shown: "add eax,eax", length: 15, row: true });
    expect(at("82 c0 05", 32).shown).toBe("add al,0x5");
    expect(at("40", 32).shown).toBe("inc eax");
  });

  test("a REX prefix counts only before the opcode", () => {
    expect(at("48 01 c0", 64).shown).toBe("add rax,rax");
    expect(at("48 66 01 c0", 64)).toEqual({ shown: "add ax,ax", length: 4, row: true });
  });

  // samples.ts asks the same function which rows ignore ModRM.mod, so it does not see this.
  test("MOV to a control register ignores ModRM.mod, a shift by CL does not", () => {
    expect(at("0f 22 03", 32)).toEqual({ shown: "mov cr0,ebx", length: 3, row: true });
    expect(at("d2 43 10", 32)).toEqual({ shown: "rol byte [ebx+0x10],cl", length: 3, row: true });
    expect(at("0f a5 03", 32)).toEqual({ shown: "shld [ebx],eax,cl", length: 3, row: true });
  });

  test("starts at the offset and returns the bytes", () => {
    const d = disassemble(Uint8Array.of(0x90, 0xeb, 0xfe, 0x90), 1, { mode: 32, ip: 0x7c01n });
    expect(d.text).toBe("jmp 0x7c01");
    expect([...d.bytes]).toEqual([0xeb, 0xfe]);
  });
});
