/**
 * x87 floating point (SDM vol. 1, 5.2 and chapter 8), with the encodings that repeat another instruction. Grammar:
 * ./grammar.ts. DB E5 and what else has no row is #UD.
 */

/** The seven forms of a dyadic operation. `to` is the /digit when ST(i) is the destination. */
const dyadic = (digit: number, to: number, name: string) => {
  const lower = name.toLowerCase();
  return `
d8 /${digit} mem | F${name} Md | @f${lower}M32 | fpu mr
dc /${digit} mem | F${name} Mq | @f${lower}M64 | fpu mr
da /${digit} mem | FI${name} Md | @fi${lower}M32 | fpu mr
de /${digit} mem | FI${name} Mw | @fi${lower}M16 | fpu mr
d8 /${digit} reg | F${name} ST0,STi | @f${lower} | fpu
dc /${to} reg | F${name} STi,ST0 | @f${lower}To | fpu
de /${to} reg | F${name}P STi,ST0 | @f${lower}p | fpu`;
};

/** FCOM and FCOMP; `again` are the encodings of the register form. */
const compare = (digit: number, name: string, suffix: string, again: readonly string[]) => {
  const handler = `f${name.toLowerCase()}${suffix}`;
  return `
d8 /${digit} mem | F${name}${suffix.toUpperCase()} Md | @${handler}M32 | fpu mr
dc /${digit} mem | F${name}${suffix.toUpperCase()} Mq | @${handler}M64 | fpu mr
da /${digit} mem | FI${name}${suffix.toUpperCase()} Md | @fi${name.toLowerCase()}${suffix}M32 | fpu mr
de /${digit} mem | FI${name}${suffix.toUpperCase()} Mw | @fi${name.toLowerCase()}${suffix}M16 | fpu mr
${again.map((opcode) => `${opcode} reg | F${name}${suffix.toUpperCase()} STi | @${handler} | fpu`).join("\n")}`;
};

/** Instructions without operands: D9 and ModRM from E0 up. */
const plain = (modrm: number, name: string, opcode = "d9") =>
  `\n${opcode} /${(modrm >> 3) & 7} reg rm=${modrm & 7} | ${name} | @${name.toLowerCase()} | fpu`;

export const X87 = `
# Data transfer
d9 /0 mem | FLD Md | @fldM32 | fpu mr
dd /0 mem | FLD Mq | @fldM64 | fpu mr
db /5 mem | FLD Mt | @fldM80 | fpu mr
d9 /0 reg | FLD STi | @fld | fpu
df /0 mem | FILD Mw | @fildM16 | fpu mr
db /0 mem | FILD Md | @fildM32 | fpu mr
df /5 mem | FILD Mq | @fildM64 | fpu mr
df /4 mem | FBLD Mt | @fbld | fpu mr
d9 /2 mem | FST Md | @fstM32 | fpu
dd /2 mem | FST Mq | @fstM64 | fpu
dd /2 reg | FST STi | @fst | fpu
d9 /3 mem | FSTP Md | @fstpM32 | fpu
dd /3 mem | FSTP Mq | @fstpM64 | fpu
db /7 mem | FSTP Mt | @fstpM80 | fpu
dd /3 reg | FSTP STi | @fstp | fpu
df /2 reg | FSTP STi | @fstp | fpu
df /3 reg | FSTP STi | @fstp | fpu
d9 /3 reg | FSTPNCE STi | @fstpnce | fpu
df /2 mem | FIST Mw | @fistM16 | fpu
db /2 mem | FIST Md | @fistM32 | fpu
df /3 mem | FISTP Mw | @fistpM16 | fpu
db /3 mem | FISTP Md | @fistpM32 | fpu
df /7 mem | FISTP Mq | @fistpM64 | fpu
df /1 mem | FISTTP Mw | @fisttpM16 | fpu cpuid=sse3
db /1 mem | FISTTP Md | @fisttpM32 | fpu cpuid=sse3
dd /1 mem | FISTTP Mq | @fisttpM64 | fpu cpuid=sse3
df /6 mem | FBSTP Mt | @fbstp | fpu
d9 /1 reg | FXCH STi | @fxch | fpu
dd /1 reg | FXCH STi | @fxch | fpu
df /1 reg | FXCH STi | @fxch | fpu
da /0 reg | FCMOVB ST0,STi | @fcmovb | fpu cpuid=cmov fr=c
da /1 reg | FCMOVE ST0,STi | @fcmove | fpu cpuid=cmov fr=z
da /2 reg | FCMOVBE ST0,STi | @fcmovbe | fpu cpuid=cmov fr=zc
da /3 reg | FCMOVU ST0,STi | @fcmovu | fpu cpuid=cmov fr=p
db /0 reg | FCMOVNB ST0,STi | @fcmovnb | fpu cpuid=cmov fr=c
db /1 reg | FCMOVNE ST0,STi | @fcmovne | fpu cpuid=cmov fr=z
db /2 reg | FCMOVNBE ST0,STi | @fcmovnbe | fpu cpuid=cmov fr=zc
db /3 reg | FCMOVNU ST0,STi | @fcmovnu | fpu cpuid=cmov fr=p
# Arithmetic
${dyadic(0, 0, "ADD")}
${dyadic(1, 1, "MUL")}
${dyadic(4, 5, "SUB")}
${dyadic(5, 4, "SUBR")}
${dyadic(6, 7, "DIV")}
${dyadic(7, 6, "DIVR")}
# Comparison
${compare(2, "COM", "", ["d8 /2", "dc /2"])}
${compare(3, "COM", "p", ["d8 /3", "dc /3", "de /2"])}
dd /4 reg | FUCOM STi | @fucom | fpu
dd /5 reg | FUCOMP STi | @fucomp | fpu
db /5 reg | FUCOMI ST0,STi | @fucomi | fpu fw=oszapc
db /6 reg | FCOMI ST0,STi | @fcomi | fpu fw=oszapc
df /5 reg | FUCOMIP ST0,STi | @fucomip | fpu fw=oszapc
df /6 reg | FCOMIP ST0,STi | @fcomip | fpu fw=oszapc
${plain(0xd9, "FCOMPP", "de")}${plain(0xe9, "FUCOMPP", "da")}
# Instructions on the top of the stack
${[
  [0xe0, "FCHS"],
  [0xe1, "FABS"],
  [0xe4, "FTST"],
  [0xe5, "FXAM"],
  [0xe8, "FLD1"],
  [0xe9, "FLDL2T"],
  [0xea, "FLDL2E"],
  [0xeb, "FLDPI"],
  [0xec, "FLDLG2"],
  [0xed, "FLDLN2"],
  [0xee, "FLDZ"],
  [0xf0, "F2XM1"],
  [0xf1, "FYL2X"],
  [0xf2, "FPTAN"],
  [0xf3, "FPATAN"],
  [0xf4, "FXTRACT"],
  [0xf5, "FPREM1"],
  [0xf6, "FDECSTP"],
  [0xf7, "FINCSTP"],
  [0xf8, "FPREM"],
  [0xf9, "FYL2XP1"],
  [0xfa, "FSQRT"],
  [0xfb, "FSINCOS"],
  [0xfc, "FRNDINT"],
  [0xfd, "FSCALE"],
  [0xfe, "FSIN"],
  [0xff, "FCOS"],
]
  .map(([modrm, name]) => plain(Number(modrm), String(name)))
  .join("")}
# Control
9b | WAIT | @fwait |
d9 /2 reg rm=0 | FNOP | @fnop | fpu
dd /0 reg | FFREE STi | @ffree | fpu
df /0 reg | FFREEP STi | @ffreep | fpu
db /4 reg rm=0 | FNENI | @fneni | fpu
db /4 reg rm=1 | FNDISI | @fneni | fpu
db /4 reg rm=2 | FNCLEX | @fnclex | fpu
db /4 reg rm=3 | FNINIT | @fninit | fpu
db /4 reg rm=4 | FNSETPM | @fneni | fpu
d9 /5 mem | FLDCW Mw | @fldcw | fpu mr
d9 /7 mem | FNSTCW Mw | @fnstcw | fpu
dd /7 mem | FNSTSW Mw | @fnstsw | fpu
df /4 reg rm=0 | FNSTSW AX | @fnstswAx | fpu
d9 /4 mem | FLDENV Me | @fldenv | fpu mr
d9 /6 mem | FNSTENV Me | @fnstenv | fpu
dd /4 mem | FRSTOR Me | @frstor | fpu mr
dd /6 mem | FNSAVE Me | @fnsave | fpu
`;
