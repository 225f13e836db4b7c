/**
 * AVX, AVX2, FMA and F16C (SDM vol. 1, chapter 14). Grammar: ./grammar.ts.
 *
 * An instruction that exists in a legacy encoding too is made from its row there: opcode and meaning are the same, the
 * vectors are as long as VEX.L says (x), and most get a first source of their own (H). What is left to say is which
 * operands and lengths it has.
 */
import { BITS } from "./bits.ts";
import { SIMD } from "./simd.ts";

interface Form {
  /** A first source in VEX.vvvv. */
  readonly three: boolean;
  /**
   * Vectors of 128 bits, and with VEX.L of 256, which are of this feature; "l0": VEX.L must be clear; "lig": it is ignored.
   */
  readonly length: "avx" | "avx2" | "l0" | "lig";
}

const FORMS: readonly (readonly [three: boolean, length: Form["length"], mnemonics: string])[] = [
  [
    true,
    "avx2",
    `PADDB PADDW PADDD PADDQ PADDSB PADDSW PADDUSB PADDUSW PSUBB PSUBW PSUBD PSUBQ PSUBSB PSUBSW PSUBUSB PSUBUSW PAVGB
     PAVGW PMINUB PMINSW PMAXUB PMAXSW PCMPEQB PCMPEQW PCMPEQD PCMPGTB PCMPGTW PCMPGTD PAND PANDN POR PXOR PMULLW PMULHW
     PMULHUW PMADDWD PMULUDQ PSADBW PSRLW PSRLD PSRLQ PSRAW PSRAD PSLLW PSLLD PSLLQ PSRLDQ PSLLDQ PUNPCKLBW PUNPCKLWD
     PUNPCKLDQ PUNPCKHBW PUNPCKHWD PUNPCKHDQ PUNPCKLQDQ PUNPCKHQDQ PACKSSWB PACKUSWB PACKSSDW PACKUSDW PSHUFB PHADDW
     PHADDD PHADDSW PMADDUBSW PHSUBW PHSUBD PHSUBSW PSIGNB PSIGNW PSIGND PMULHRSW PALIGNR PMINSB PMINSD PMINUW PMINUD
     PMAXSB PMAXSD PMAXUW PMAXUD PMULLD PMULDQ PCMPEQQ PCMPGTQ PBLENDW MPSADBW`,
  ],
  [false, "avx2", "PABSB PABSW PABSD PSHUFD PSHUFHW PSHUFLW PMOVMSKB MOVNTDQA"],
  [
    true,
    "avx",
    `ADDPS ADDPD SUBPS SUBPD MULPS MULPD DIVPS DIVPD MINPS MINPD MAXPS MAXPD ANDPS ANDPD ANDNPS ANDNPD ORPS ORPD XORPS
     XORPD CMPPS CMPPD UNPCKLPS UNPCKHPS UNPCKLPD UNPCKHPD SHUFPS SHUFPD ADDSUBPS ADDSUBPD HADDPS HADDPD HSUBPS HSUBPD
     BLENDPS BLENDPD DPPS`,
  ],
  [
    false,
    "avx",
    `MOVUPS MOVUPD MOVAPS MOVAPD MOVDQA MOVDQU MOVNTPS MOVNTPD MOVNTDQ LDDQU MOVSLDUP MOVSHDUP MOVMSKPS MOVMSKPD SQRTPS
     SQRTPD RCPPS RSQRTPS ROUNDPS ROUNDPD CVTDQ2PS CVTPS2DQ CVTTPS2DQ PTEST`,
  ],
  [
    true,
    "lig",
    `ADDSS ADDSD SUBSS SUBSD MULSS MULSD DIVSS DIVSD MINSS MINSD MAXSS MAXSD SQRTSS SQRTSD RCPSS RSQRTSS CMPSS CMPSD
     CVTSI2SS CVTSI2SD CVTSS2SD CVTSD2SS ROUNDSS ROUNDSD`,
  ],
  [false, "lig", "UCOMISS UCOMISD COMISS COMISD CVTSS2SI CVTSD2SI CVTTSS2SI CVTTSD2SI"],
  [
    true,
    "l0",
    `MOVLPS MOVLPD MOVHPS MOVHPD MOVHLPS MOVLHPS PINSRB PINSRW PINSRD INSERTPS DPPD AESENC AESENCLAST AESDEC AESDECLAST
     PCLMULQDQ`,
  ],
  [
    false,
    "l0",
    `MOVD MOVQ MASKMOVDQU PEXTRB PEXTRW PEXTRD EXTRACTPS PHMINPOSUW PCMPESTRM PCMPESTRI PCMPISTRM PCMPISTRI AESIMC
     AESKEYGENASSIST LDMXCSR STMXCSR`,
  ],
];
const FORM_OF = new Map<string, Form>(
  FORMS.flatMap(([three, length, names]) => names.split(/\s+/).map((name) => [name, { three, length }] as const)),
);

/** Shifts by the low 64 bits of a source of 128 bits, whatever VEX.L says. */
const COUNTED = /^PS(RL|RA|LL)[WDQ]$/;

/** Rows for the legacy row `line`. */
function vexRows(line: string): string[] {
  const [opcode, syntax, meaning, attributes] = line.split("|").map((s) => s.trim());
  const [mnemonic, operandText = ""] = syntax.split(" ");
  const attrs = attributes.split(" ");
  const form = FORM_OF.get(mnemonic);
  const operands = operandText.split(",");
  // MMX rows have the same names.
  if (!form || !attrs.includes("sse") || operands.some((o) => /^[PQN]/.test(o))) return [];
  const vector = form.length === "avx" || form.length === "avx2";
  const sized = operands.map((o) => (vector && !(COUNTED.test(mnemonic) && o === "Wo") ? o.replace(/o$/, "x") : o));
  const first = vector ? "Hx" : "Ho";
  // A shift by imm8 has its destination in VEX.vvvv; a store has no room for a first source.
  if (form.three && sized[0][0] === "U") sized.unshift(first);
  else if (form.three && sized[0][0] === "V") sized.splice(1, 0, first);
  const kept = attrs.filter((a) => a !== "sse" && !/^cpuid=(sse|ssse)/.test(a));
  const row = (length: string, feature: string): string =>
    `vex${length} ${opcode} | V${mnemonic} ${sized.join(",")} | ${meaning} | avx ${[...kept, feature].join(" ")}`;
  const feature = kept.some((a) => a.startsWith("cpuid=")) ? "" : "cpuid=avx";
  // The prefix np of a row that needs none (LDMXCSR) stays; rows of both lengths are two where the features differ.
  if (form.length === "avx2") return [row(".l0", feature), row(".l1", "cpuid=avx2")];
  return [row(form.length === "l0" ? ".l0" : "", feature)];
}

/** Sign extension, zero extension: from the lower half, quarter or eighth of the vector. */
const extend = (opcode: string, name: string, source128: string, source256: string) => `
vex.l0 66 0f38 ${opcode} /r | V${name} Vx,${source128} | @${name.toLowerCase()} | avx cpuid=avx
vex.l1 66 0f38 ${opcode} /r | V${name} Vx,${source256} | @${name.toLowerCase()} | avx cpuid=avx2`;

const EXTENSIONS = ["PMOVSX", "PMOVZX"]
  .flatMap((name, zero) => [
    extend(`${2 + zero}0`, `${name}BW`, "Wq", "Wo"),
    extend(`${2 + zero}1`, `${name}BD`, "Wd", "Wq"),
    extend(`${2 + zero}2`, `${name}BQ`, "Ww", "Wd"),
    extend(`${2 + zero}3`, `${name}WD`, "Wq", "Wo"),
    extend(`${2 + zero}4`, `${name}WQ`, "Wd", "Wq"),
    extend(`${2 + zero}5`, `${name}DQ`, "Wq", "Wo"),
  ])
  .join("");

const MOVES = `
vex f3 0f 10 /r mem | VMOVSS Vo,Md | @movss | avx cpuid=avx
vex f3 0f 10 /r reg | VMOVSS Vo,Ho,Uo | @movss | avx cpuid=avx
vex f3 0f 11 /r mem | VMOVSS Md,Vo | @movssStore | avx cpuid=avx
vex f3 0f 11 /r reg | VMOVSS Uo,Ho,Vo | @movssStore | avx cpuid=avx
vex f2 0f 10 /r mem | VMOVSD Vo,Mq | @movsdXmm | avx cpuid=avx
vex f2 0f 10 /r reg | VMOVSD Vo,Ho,Uo | @movsdXmm | avx cpuid=avx
vex f2 0f 11 /r mem | VMOVSD Mq,Vo | @movsdStore | avx cpuid=avx
vex f2 0f 11 /r reg | VMOVSD Uo,Ho,Vo | @movsdStore | avx cpuid=avx
vex.l0 f2 0f 12 /r | VMOVDDUP Vx,Wq | @movddup | avx cpuid=avx
vex.l1 f2 0f 12 /r | VMOVDDUP Vx,Wx | @movddup | avx cpuid=avx
vex.l0 np 0f 77 | VZEROUPPER | @vzeroupper | avx cpuid=avx
vex.l1 np 0f 77 | VZEROALL | @vzeroall | avx cpuid=avx
vex.w0 66 0f38 18 /r mem | VBROADCASTSS Vx,Md | @broadcast | avx cpuid=avx k=2
vex.w0 66 0f38 18 /r reg | VBROADCASTSS Vx,Uo | @broadcast | avx cpuid=avx2 k=2
vex.l1.w0 66 0f38 19 /r mem | VBROADCASTSD Vx,Mq | @broadcast | avx cpuid=avx k=3
vex.l1.w0 66 0f38 19 /r reg | VBROADCASTSD Vx,Uo | @broadcast | avx cpuid=avx2 k=3
vex.l1.w0 66 0f38 1a /r mem | VBROADCASTF128 Vx,Mo | @broadcast | avx cpuid=avx k=4
vex.l1.w0 66 0f38 5a /r mem | VBROADCASTI128 Vx,Mo | @broadcast | avx cpuid=avx2 k=4
vex.w0 66 0f38 78 /r | VPBROADCASTB Vx,Wb | @broadcast | avx cpuid=avx2 k=0
vex.w0 66 0f38 79 /r | VPBROADCASTW Vx,Ww | @broadcast | avx cpuid=avx2 k=1
vex.w0 66 0f38 58 /r | VPBROADCASTD Vx,Wd | @broadcast | avx cpuid=avx2 k=2
vex.w0 66 0f38 59 /r | VPBROADCASTQ Vx,Wq | @broadcast | avx cpuid=avx2 k=3
vex.w0 66 0f38 2c /r mem | VMASKMOVPS Vx,Hx,Mx | @maskLoad | avx own cpuid=avx k=2
vex.w0 66 0f38 2d /r mem | VMASKMOVPD Vx,Hx,Mx | @maskLoad | avx own cpuid=avx k=3
vex.w0 66 0f38 2e /r mem | VMASKMOVPS Mx,Hx,Vx | @maskStore | avx own cpuid=avx k=2
vex.w0 66 0f38 2f /r mem | VMASKMOVPD Mx,Hx,Vx | @maskStore | avx own cpuid=avx k=3
vex.w0 66 0f38 8c /r mem | VPMASKMOVD Vx,Hx,Mx | @maskLoad | avx own cpuid=avx2 k=2
vex.w1 66 0f38 8c /r mem | VPMASKMOVQ Vx,Hx,Mx | @maskLoad | avx own cpuid=avx2 k=3
vex.w0 66 0f38 8e /r mem | VPMASKMOVD Mx,Hx,Vx | @maskStore | avx own cpuid=avx2 k=2
vex.w1 66 0f38 8e /r mem | VPMASKMOVQ Mx,Hx,Vx | @maskStore | avx own cpuid=avx2 k=3
`;

/** Gathers; k: log2 of the index's size, and of the element's in bits 3:2. */
const gathers = (opcode: string, letter: string, single: string, double: string) => `
vex.w0 66 0f38 ${opcode} /r mem | V${single} V${letter === "D" ? "x" : "o"},Md,H${letter === "D" ? "x" : "o"} | @gather | avx own vsib=x cpuid=avx2 k=${letter === "D" ? 0b1010 : 0b1011}
vex.w1 66 0f38 ${opcode} /r mem | V${double} Vx,Mq,Hx | @gather | avx own vsib=${letter === "D" ? "o" : "x"} cpuid=avx2 k=${letter === "D" ? 0b1110 : 0b1111}`;

const GATHERS = `
${gathers("90", "D", "PGATHERDD", "PGATHERDQ")}
${gathers("91", "Q", "PGATHERQD", "PGATHERQQ")}
${gathers("92", "D", "GATHERDPS", "GATHERDPD")}
${gathers("93", "Q", "GATHERQPS", "GATHERQPD")}
`;

const SHUFFLES = `
vex.w0 66 0f38 0c /r | VPERMILPS Vx,Hx,Wx | @vpermilps | avx cpuid=avx
vex.w0 66 0f38 0d /r | VPERMILPD Vx,Hx,Wx | @vpermilpd | avx cpuid=avx
vex.w0 66 0f3a 04 /r | VPERMILPS Vx,Wx,Ib | @pshufd | avx cpuid=avx
vex.w0 66 0f3a 05 /r | VPERMILPD Vx,Wx,Ib | @vpermilpdImm | avx cpuid=avx
vex.l1.w0 66 0f3a 06 /r | VPERM2F128 Vx,Hx,Wx,Ib | @vperm2x128 | avx cpuid=avx
vex.l1.w0 66 0f3a 46 /r | VPERM2I128 Vx,Hx,Wx,Ib | @vperm2x128 | avx cpuid=avx2
vex.l1.w0 66 0f3a 18 /r | VINSERTF128 Vx,Hx,Wo,Ib | @vinsert128 | avx cpuid=avx
vex.l1.w0 66 0f3a 38 /r | VINSERTI128 Vx,Hx,Wo,Ib | @vinsert128 | avx cpuid=avx2
vex.l1.w0 66 0f3a 19 /r | VEXTRACTF128 Wo,Vx,Ib | @vextract128 | avx cpuid=avx
vex.l1.w0 66 0f3a 39 /r | VEXTRACTI128 Wo,Vx,Ib | @vextract128 | avx cpuid=avx2
vex.l1.w0 66 0f38 16 /r | VPERMPS Vx,Hx,Wx | @vpermd | avx cpuid=avx2
vex.l1.w0 66 0f38 36 /r | VPERMD Vx,Hx,Wx | @vpermd | avx cpuid=avx2
vex.l1.w1 66 0f3a 00 /r | VPERMQ Vx,Wx,Ib | @vpermq | avx cpuid=avx2
vex.l1.w1 66 0f3a 01 /r | VPERMPD Vx,Wx,Ib | @vpermq | avx cpuid=avx2
vex.w0 66 0f3a 02 /r | VPBLENDD Vx,Hx,Wx,Ib | @blendps | avx cpuid=avx2
vex.w0 66 0f3a 4a /r | VBLENDVPS Vx,Hx,Wx,Lx | @blendvps | avx cpuid=avx
vex.w0 66 0f3a 4b /r | VBLENDVPD Vx,Hx,Wx,Lx | @blendvpd | avx cpuid=avx
vex.l0.w0 66 0f3a 4c /r | VPBLENDVB Vx,Hx,Wx,Lx | @pblendvb | avx cpuid=avx
vex.l1.w0 66 0f3a 4c /r | VPBLENDVB Vx,Hx,Wx,Lx | @pblendvb | avx cpuid=avx2
`;

const ARITHMETIC = `
vex.w0 66 0f38 0e /r | VTESTPS Vx,Wx | @vtestps | avx cpuid=avx fw=oszapc
vex.w0 66 0f38 0f /r | VTESTPD Vx,Wx | @vtestpd | avx cpuid=avx fw=oszapc
vex.w0 66 0f38 45 /r | VPSRLVD Vx,Hx,Wx | @vpsrlvd | avx cpuid=avx2
vex.w1 66 0f38 45 /r | VPSRLVQ Vx,Hx,Wx | @vpsrlvq | avx cpuid=avx2
vex.w0 66 0f38 46 /r | VPSRAVD Vx,Hx,Wx | @vpsravd | avx cpuid=avx2
vex.w0 66 0f38 47 /r | VPSLLVD Vx,Hx,Wx | @vpsllvd | avx cpuid=avx2
vex.w1 66 0f38 47 /r | VPSLLVQ Vx,Hx,Wx | @vpsllvq | avx cpuid=avx2
vex.l0 np 0f 5a /r | VCVTPS2PD Vx,Wq | @cvtps2pd | avx cpuid=avx
vex.l1 np 0f 5a /r | VCVTPS2PD Vx,Wo | @cvtps2pd | avx cpuid=avx
vex 66 0f 5a /r | VCVTPD2PS Vo,Wx | @cvtpd2ps | avx cpuid=avx
vex 66 0f e6 /r | VCVTTPD2DQ Vo,Wx | @cvttpd2dq | avx cpuid=avx
vex f2 0f e6 /r | VCVTPD2DQ Vo,Wx | @cvtpd2dq | avx cpuid=avx
vex.l0 f3 0f e6 /r | VCVTDQ2PD Vx,Wq | @cvtdq2pd | avx cpuid=avx
vex.l1 f3 0f e6 /r | VCVTDQ2PD Vx,Wo | @cvtdq2pd | avx cpuid=avx
vex.l0.w0 66 0f38 13 /r | VCVTPH2PS Vx,Wq | @vcvtph2ps | avx cpuid=f16c
vex.l1.w0 66 0f38 13 /r | VCVTPH2PS Vx,Wo | @vcvtph2ps | avx cpuid=f16c
vex.l0.w0 66 0f3a 1d /r | VCVTPS2PH Wq,Vx,Ib | @vcvtps2ph | avx cpuid=f16c
vex.l1.w0 66 0f3a 1d /r | VCVTPS2PH Wo,Vx,Ib | @vcvtps2ph | avx cpuid=f16c
`;

/**
 * Fused multiply-add. The opcode's upper digit orders the operands, its lower one says what is negated; k has both:
 * 1:0 order (0 132, 1 213, 2 231), 2 and 3 the addend is negated in even and odd elements, 4 the product is.
 */
const FMA_KINDS: readonly (readonly [digit: number, name: string, signs: number, scalar: boolean])[] = [
  [0x6, "VFMADDSUB", 0b00100, false],
  [0x7, "VFMSUBADD", 0b01000, false],
  [0x8, "VFMADD", 0b00000, true],
  [0xa, "VFMSUB", 0b01100, true],
  [0xc, "VFNMADD", 0b10000, true],
  [0xe, "VFNMSUB", 0b11100, true],
];
const FMA = ["132", "213", "231"]
  .flatMap((order, i) =>
    FMA_KINDS.flatMap(([digit, name, signs, scalar]) => {
      const opcode = (n: number) => (0x90 + 0x10 * i + n).toString(16);
      const tail = `avx cpuid=fma k=${signs | i}`;
      const packed = ["PS", "PD"].map(
        (type, w) => `vex.w${w} 66 0f38 ${opcode(digit)} /r | ${name}${order}${type} Vx,Hx,Wx | @fma${type} | ${tail}`,
      );
      const single = ["SS Vo,Ho,Wd", "SD Vo,Ho,Wq"].map(
        (rest, w) =>
          `vex.w${w} 66 0f38 ${opcode(digit + 1)} /r | ${name}${order}${rest} | @fma${rest.slice(0, 2)} | ${tail}`,
      );
      return scalar ? [...packed, ...single] : packed;
    }),
  )
  .join("\n");

const FROM_LEGACY = `${SIMD}\n${BITS}`
  .split("\n")
  .filter((line) => line.includes("|"))
  .flatMap(vexRows)
  .join("\n");

export const VEX = `${FROM_LEGACY}\n${MOVES}${EXTENSIONS}\n${GATHERS}${SHUFFLES}${ARITHMETIC}${FMA}\n`;
