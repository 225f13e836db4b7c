/** Every row of the instruction table decodes, disassembles, and assembles again to the same bytes. */
import { expect, test } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { disassemble } from "../../src/isa/disassemble.ts";
import { hasName } from "../../src/isa/mnemonics.ts";
import { ROWS } from "../../src/isa/table/index.ts";
import { IP, same } from "./iced.ts";
import { fromHere } from "./nasm.ts";
import { MODES, samples } from "./samples.ts";

/** Rows whose instruction another row has, too, which the assembler takes as NASM does (SDM vol. 2, appendix A). */
const ALIASES: readonly [rows: RegExp, reason: string][] = [
  [/^82 \/\d \|/, "82 is 80 outside 64-bit mode"],
  [/^f[67] \/1 \| TEST/, "TEST has /0 and /1"],
  [/^[cd][0-3] \/6 \| SHL/, "SHL has /4 and /6"],
  [/^0f (0d \/r reg|1[89a-e] \/r) \| NOP/, "reserved NOPs; 0F 1F is the one to write"],
  [/^66 0f3a 15 \/r reg \| PEXTRW/, "0F C5 is shorter"],
  [/^vex\.l0 66 0f3a 15 \/r reg \| VPEXTRW/, "VEX 0F C5 is shorter"],
  [/^vex f[23] 0f 11 \/r reg \| VMOVS[SD]/, "10 moves registers, too"],
  [
    /^(df \/[23] reg \| FSTP|d[df] \/1 reg \| FXCH|d[ce] \/[23] reg \| FCOMP?) STi/,
    "x87 opcodes that repeat D8, D9 and DD",
  ],
];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("every row decodes, disassembles, and assembles again to the same bytes", () => {
  const wrong: string[] = [];
  for (const row of ROWS) {
    if (!hasName(row)) continue;
    let own = 0;
    let identical = 0;
    for (const mode of MODES) {
      for (const bytes of samples(row, mode)) {
        const d = disassemble(bytes, 0, { mode, ip: IP });
        // Some encodings of a general row are more special ones.
        if (d.row === row) own++;
        let made: Uint8Array;
        try {
          made = assemble(`bits ${mode}\norg ${IP}\n${fromHere(d.text, d.row ?? row, IP)}`).bytes;
        } catch (e) {
          wrong.push(`${d.text}: ${(e as Error).message} | row ${row.text}`);
          continue;
        }
        if (hex(made) === hex(d.bytes)) {
          if (d.row === row) identical++;
          continue;
        }
        // Bytes without meaning (unused bits of REX, displacements of zero) are not written again.
        const again = disassemble(made, 0, { mode, ip: IP }).text;
        // Where the upper half is zero anyway, the shorter form for 32 bits is taken, as in NASM.
        const halved =
          /^(mov|sldt) r\w+(,0x[0-7]\w{0,7}|,[c-gs]s)?$/.test(d.text) && /^(mov|sldt) (e|r\d+d)/.test(again);
        if ((!same(again, d.text, mode) && !halved) || made.length > d.length) {
          wrong.push(`${mode} ${hex(d.bytes)} ${d.text}: ${hex(made)} ${again} | row ${row.text}`);
        }
      }
    }
    const isAlias = ALIASES.some(([rows]) => rows.test(row.text));
    if (own === 0) wrong.push(`no sample decodes to row ${row.text}`);
    else if (isAlias !== (identical === 0)) wrong.push(`${identical} of ${own} samples come back: row ${row.text}`);
  }
  expect(wrong).toEqual([]);
  // A hundred thousand small sources: seconds on a busy machine.
}, 120_000);
