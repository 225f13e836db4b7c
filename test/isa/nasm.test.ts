/** The lines that `npm run nasm` has both assemblers read: each must be ours to read back, whether nasm is there or not. */
import { expect, test } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { disassemble } from "../../src/isa/disassemble.ts";
import { linesOf } from "./nasm.ts";
import { MODES } from "./samples.ts";

const BRANCHES = /^(j[a-z]+|loop[a-z]*|call|lea) /;

test.each(MODES)("branches and addresses from $ are those of the row, in %i-bit mode", (mode) => {
  const lines = linesOf(mode, BRANCHES);
  const relative = lines.filter((l) => l.text.includes("$+"));
  expect(relative.length).toBeGreaterThan(20);
  for (const { text, row } of relative) {
    const { bytes } = assemble(`bits ${mode}\norg 0x1000\n${text}\n`);
    const back = disassemble(bytes, 0, { mode, ip: 0x1000n });
    expect(back.length, text).toBe(bytes.length);
    const target = text.replace(/\$\+(0x[0-9a-f]+)-4096/, "$1");
    expect(back.text, row.text).toBe(target);
  }
});

test("each line is there once, with a row of every map", () => {
  const lines = linesOf(64, /^(add|movzx|pshufb|vaddps|aeskeygenassist) /);
  expect(new Set(lines.map((l) => l.text)).size).toBe(lines.length);
  expect([...new Set(lines.map((l) => l.row.map))].sort()).toEqual([0, 1, 2, 3]);
});
