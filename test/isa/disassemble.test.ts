import { describe, expect, test } from "vitest";
import { disassemble } from "../../src/isa/disassemble.ts";
import type { Width } from "../../src/isa/operand.ts";
import { ROWS } from "../../src/isa/table/index.ts";
import { IP, iced, same } from "./iced.ts";
import { MODES, samples } from "./samples.ts";

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

  test("a short branch says so, and its operand size by a prefix, for a size would mean a near one", () => {
    expect(at("70 10", 16).shown).toBe("jo short 0x12");
    expect(at("66 70 10", 16).shown).toBe("o32 jo short 0x13");
    expect(at("66 eb 10", 32).shown).toBe("o16 jmp short 0x13");
    expect(at("66 0f 80 10 00 00 00", 16).shown).toBe("jo dword 0x17");
    expect(at("e2 10", 64).shown).toBe("loop 0x12");
  });

  test("starts at the offset and returns the bytes", () => {
    const d = disassemble(Uint8Array.of(0x90, 0xeb, 0xfe, 0x90), 1, { mode: 32, ip: 0x7c01n });
    expect(d.text).toBe("jmp short 0x7c01");
    expect([...d.bytes]).toEqual([0xeb, 0xfe]);
  });
});
