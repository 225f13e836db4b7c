/**
 * Lengths, and what is an instruction at all: the disassembler, the core's decoder and iced-x86 agree on every opcode
 * there could be and on random bytes.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { disassemble } from "../../src/isa/disassemble.ts";
import type { Width } from "../../src/isa/operand.ts";
import { buildDecoder, type CoreDecoder } from "./core.ts";
import { encodings, randomCode } from "./encodings.ts";
import { IP, iced } from "./iced.ts";
import { MODES } from "./samples.ts";

/**
 * Extensions that iced-x86 knows and no `--cpu` has: #UD here. Those in reserved NOPs (SDM vol. 2, 4.3, NOP: 0F 18 to
 * 0F 1F do nothing) and WBNOINVD, which is WBINVD with a prefix without meaning, are instructions all the same.
 */
const FOREIGN = new Set(
  `AESKLE AMX_BF16 AMX_COMPLEX AMX_FP16 AMX_INT8 AMX_TILE AVX512BW AVX512DQ AVX512F AVX_IFMA AVX_NE_CONVERT AVX_VNNI
  AVX_VNNI_INT16 AVX_VNNI_INT8 CET_IBT CET_SS CLDEMOTE CLZERO CMPCCXADD D3NOW D3NOWEXT ENQCMD FMA4 FRED GFNI HLE_or_RTM
  HRESET INVLPGB KL LKGS MCOMMIT MONITORX MOVDIR64B MOVDIRI MPX MSRLIST OSS PADLOCK_ACE PADLOCK_GMI PADLOCK_PHE PADLOCK_PMM
  PADLOCK_RNG PADLOCK_UNDOC PCONFIG PREFETCHITI PREFETCHWT1 PTWRITE RAO_INT RDPRU RTM SERIALIZE SEV_ES SEV_SNP SGX1 SHA
  SHA512 SKINIT_or_SVM SM3 SM4 SMX SSE4A SVM TDX TSE TSXLDTRK UINTR VAES VMX VPCLMULQDQ WAITPKG WBNOINVD WRMSRNS XOP`.split(
    /\s+/,
  ),
);
const HARMLESS = /^(nop|@wbinvd)$/;

/** A control register that does not exist: the core refuses it when the instruction is executed, not when it is decoded. */
const MOV_CR = /^(?:2e|26|36|3e|6[4-7]|f[023]|4.)*0f2[0-3]/;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

let core: CoreDecoder;
beforeAll(async () => {
  core = await buildDecoder();
}, 120_000);

function disagreement(bytes: Uint8Array, mode: Width): string | undefined {
  const ours = disassemble(bytes, 0, { mode, ip: IP });
  const theirs = iced(bytes, mode, false);
  const decoded = core(bytes, mode);
  const foreign = theirs.features.some((f) => FOREIGN.has(f));
  const same = ours.row
    ? ours.length === theirs.length && (!foreign || HARMLESS.test(ours.row.meaning))
    : theirs.length === 0 || foreign;
  const runs = decoded.length > 0 && decoded.vector === 0;
  const coreSame = ours.row ? runs && decoded.length === ours.length : !runs || MOV_CR.test(hex(bytes));
  if (same && coreSame) return undefined;
  return `${hex(bytes)}: ${ours.text} ${ours.length} | iced ${theirs.length} ${theirs.features} | core ${decoded.length}, ${decoded.vector}`;
}

describe.each(MODES)("%i-bit mode", (mode) => {
  test("every opcode", () => {
    const wrong: string[] = [];
    let count = 0;
    for (const bytes of encodings(mode)) {
      count++;
      const d = disagreement(bytes, mode);
      if (d) wrong.push(d);
    }
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(400_000);
  });

  test("100,000 times random bytes", () => {
    const wrong: string[] = [];
    for (const bytes of randomCode(mode * 77_777, 100_000)) {
      const d = disagreement(bytes, mode);
      if (d) wrong.push(d);
    }
    expect(wrong).toEqual([]);
  });
});
