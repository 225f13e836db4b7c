/**
 * MMX, SSE and SSE2 (SDM vol. 1, 5.4 to 5.6), and what later extensions added to them (5.7 to 5.10). Grammar:
 * ./grammar.ts. `mmx` rows of SSE and SSE2 need no CR4.OSFXSR; `sse` rows do.
 */

/** An instruction on MMX registers and, with prefix 66, on XMM registers. `since` names the MMX form's CPUID feature. */
const both = (opcode: string, name: string, since = "mmx", mmxSource = "Qq") => `
np 0f ${opcode} /r | ${name} Pq,${mmxSource} | @${name.toLowerCase()} | mmx cpuid=${since}
66 0f ${opcode} /r | ${name} Vo,Wo | @${name.toLowerCase()} | sse cpuid=sse2`;

/** Floating-point arithmetic: packed and scalar, single and double. */
const float = (opcode: string, name: string) => {
  const meaning = name.toLowerCase();
  return `
np 0f ${opcode} /r | ${name}PS Vo,Wo | @${meaning}ps | sse cpuid=sse
66 0f ${opcode} /r | ${name}PD Vo,Wo | @${meaning}pd | sse cpuid=sse2
f3 0f ${opcode} /r | ${name}SS Vo,Wd | @${meaning}ss | sse cpuid=sse
f2 0f ${opcode} /r | ${name}SD Vo,Wq | @${meaning}sd | sse cpuid=sse2`;
};

/** One meaning for the single (np) and the double (66) name of an operation on whole registers. */
const pair = (opcode: string, ps: string, pd: string, operands: string, meaning: string) => `
np 0f ${opcode} | ${ps} ${operands} | @${meaning} | sse cpuid=sse
66 0f ${opcode} | ${pd} ${operands} | @${meaning} | sse cpuid=sse2`;

/** Shift by imm8. */
const shift = (opcode: string, digit: number, name: string) => `
np 0f ${opcode} /${digit} reg | ${name} Nq,Ib | @${name.toLowerCase()}Imm | mmx cpuid=mmx
66 0f ${opcode} /${digit} reg | ${name} Uo,Ib | @${name.toLowerCase()}Imm | sse cpuid=sse2`;

const MOVES = `
${pair("10 /r", "MOVUPS", "MOVUPD", "Vo,Wo", "movups")}
${pair("11 /r", "MOVUPS", "MOVUPD", "Wo,Vo", "movupsStore")}
f3 0f 10 /r | MOVSS Vo,Wd | @movss | sse cpuid=sse
f3 0f 11 /r | MOVSS Wd,Vo | @movssStore | sse cpuid=sse
f2 0f 10 /r | MOVSD Vo,Wq | @movsdXmm | sse cpuid=sse2
f2 0f 11 /r | MOVSD Wq,Vo | @movsdStore | sse cpuid=sse2
${pair("12 /r mem", "MOVLPS", "MOVLPD", "Vo,Mq", "movlps")}
np 0f 12 /r reg | MOVHLPS Vo,Uo | @movhlps | sse cpuid=sse
${pair("13 /r mem", "MOVLPS", "MOVLPD", "Mq,Vo", "movsdStore")}
${pair("16 /r mem", "MOVHPS", "MOVHPD", "Vo,Mq", "movhps")}
np 0f 16 /r reg | MOVLHPS Vo,Uo | @movhps | sse cpuid=sse
${pair("17 /r mem", "MOVHPS", "MOVHPD", "Mq,Vo", "movhpsStore")}
${pair("28 /r", "MOVAPS", "MOVAPD", "Vo,Wo", "movaps")}
${pair("29 /r", "MOVAPS", "MOVAPD", "Wo,Vo", "movapsStore")}
${pair("2b /r mem", "MOVNTPS", "MOVNTPD", "Mo,Vo", "movapsStore")}
np 0f c3 /r mem | MOVNTI My,Gy | mov | cpuid=sse2
np 0f e7 /r mem | MOVNTQ Mq,Pq | @movqMmxStore | mmx cpuid=sse
66 0f e7 /r mem | MOVNTDQ Mo,Vo | @movapsStore | sse cpuid=sse2
np 0f f7 /r reg | MASKMOVQ Pq,Nq | @maskmovq | mmx cpuid=sse
66 0f f7 /r reg | MASKMOVDQU Vo,Uo | @maskmovdqu | sse cpuid=sse2
np 0f 6e /r | MOVD Pq,Ey | @movd | mmx cpuid=mmx
66 0f 6e /r | MOVD Vo,Ey | @movd | sse cpuid=sse2
np 0f 7e /r | MOVD Ey,Pq | @movdMmxStore | mmx cpuid=mmx
66 0f 7e /r | MOVD Ey,Vo | @movdStore | sse cpuid=sse2
np 0f 6f /r | MOVQ Pq,Qq | @movqMmx | mmx cpuid=mmx
np 0f 7f /r | MOVQ Qq,Pq | @movqMmxStore | mmx cpuid=mmx
f3 0f 7e /r | MOVQ Vo,Wq | @movq | sse cpuid=sse2
66 0f d6 /r | MOVQ Wq,Vo | @movqStore | sse cpuid=sse2
f3 0f d6 /r reg | MOVQ2DQ Vo,Nq | @movq2dq | sse cpuid=sse2
f2 0f d6 /r reg | MOVDQ2Q Pq,Uo | @movdq2q | sse cpuid=sse2
66 0f 6f /r | MOVDQA Vo,Wo | @movaps | sse cpuid=sse2
66 0f 7f /r | MOVDQA Wo,Vo | @movapsStore | sse cpuid=sse2
f3 0f 6f /r | MOVDQU Vo,Wo | @movups | sse cpuid=sse2
f3 0f 7f /r | MOVDQU Wo,Vo | @movupsStore | sse cpuid=sse2
np 0f 50 /r reg | MOVMSKPS Gd,Uo | @movmskps | sse cpuid=sse
66 0f 50 /r reg | MOVMSKPD Gd,Uo | @movmskpd | sse cpuid=sse2
np 0f d7 /r reg | PMOVMSKB Gd,Nq | @pmovmskbMmx | mmx cpuid=sse
66 0f d7 /r reg | PMOVMSKB Gd,Uo | @pmovmskb | sse cpuid=sse2
`;

const INTEGER = `
${both("fc", "PADDB")}
${both("fd", "PADDW")}
${both("fe", "PADDD")}
${both("d4", "PADDQ", "sse2")}
${both("ec", "PADDSB")}
${both("ed", "PADDSW")}
${both("dc", "PADDUSB")}
${both("dd", "PADDUSW")}
${both("f8", "PSUBB")}
${both("f9", "PSUBW")}
${both("fa", "PSUBD")}
${both("fb", "PSUBQ", "sse2")}
${both("e8", "PSUBSB")}
${both("e9", "PSUBSW")}
${both("d8", "PSUBUSB")}
${both("d9", "PSUBUSW")}
${both("e0", "PAVGB", "sse")}
${both("e3", "PAVGW", "sse")}
${both("da", "PMINUB", "sse")}
${both("ea", "PMINSW", "sse")}
${both("de", "PMAXUB", "sse")}
${both("ee", "PMAXSW", "sse")}
${both("74", "PCMPEQB")}
${both("75", "PCMPEQW")}
${both("76", "PCMPEQD")}
${both("64", "PCMPGTB")}
${both("65", "PCMPGTW")}
${both("66", "PCMPGTD")}
${both("db", "PAND")}
${both("df", "PANDN")}
${both("eb", "POR")}
${both("ef", "PXOR")}
${pair("54 /r", "ANDPS", "ANDPD", "Vo,Wo", "pand")}
${pair("55 /r", "ANDNPS", "ANDNPD", "Vo,Wo", "pandn")}
${pair("56 /r", "ORPS", "ORPD", "Vo,Wo", "por")}
${pair("57 /r", "XORPS", "XORPD", "Vo,Wo", "pxor")}
${both("d5", "PMULLW")}
${both("e5", "PMULHW")}
${both("e4", "PMULHUW", "sse")}
${both("f5", "PMADDWD")}
${both("f4", "PMULUDQ", "sse2")}
${both("f6", "PSADBW", "sse")}
${both("d1", "PSRLW")}
${both("d2", "PSRLD")}
${both("d3", "PSRLQ")}
${both("e1", "PSRAW")}
${both("e2", "PSRAD")}
${both("f1", "PSLLW")}
${both("f2", "PSLLD")}
${both("f3", "PSLLQ")}
${shift("71", 2, "PSRLW")}
${shift("71", 4, "PSRAW")}
${shift("71", 6, "PSLLW")}
${shift("72", 2, "PSRLD")}
${shift("72", 4, "PSRAD")}
${shift("72", 6, "PSLLD")}
${shift("73", 2, "PSRLQ")}
${shift("73", 6, "PSLLQ")}
66 0f 73 /3 reg | PSRLDQ Uo,Ib | @psrldq | sse cpuid=sse2
66 0f 73 /7 reg | PSLLDQ Uo,Ib | @pslldq | sse cpuid=sse2
`;

const SHUFFLES = `
${both("60", "PUNPCKLBW", "mmx", "Qd")}
${both("61", "PUNPCKLWD", "mmx", "Qd")}
${both("62", "PUNPCKLDQ", "mmx", "Qd")}
${both("68", "PUNPCKHBW")}
${both("69", "PUNPCKHWD")}
${both("6a", "PUNPCKHDQ")}
66 0f 6c /r | PUNPCKLQDQ Vo,Wo | @punpcklqdq | sse cpuid=sse2
66 0f 6d /r | PUNPCKHQDQ Vo,Wo | @punpckhqdq | sse cpuid=sse2
np 0f 14 /r | UNPCKLPS Vo,Wo | @punpckldq | sse cpuid=sse
np 0f 15 /r | UNPCKHPS Vo,Wo | @punpckhdq | sse cpuid=sse
66 0f 14 /r | UNPCKLPD Vo,Wo | @punpcklqdq | sse cpuid=sse2
66 0f 15 /r | UNPCKHPD Vo,Wo | @punpckhqdq | sse cpuid=sse2
${both("63", "PACKSSWB")}
${both("67", "PACKUSWB")}
${both("6b", "PACKSSDW")}
np 0f 70 /r | PSHUFW Pq,Qq,Ib | @pshufw | mmx cpuid=sse
66 0f 70 /r | PSHUFD Vo,Wo,Ib | @pshufd | sse cpuid=sse2
f3 0f 70 /r | PSHUFHW Vo,Wo,Ib | @pshufhw | sse cpuid=sse2
f2 0f 70 /r | PSHUFLW Vo,Wo,Ib | @pshuflw | sse cpuid=sse2
np 0f c6 /r | SHUFPS Vo,Wo,Ib | @shufps | sse cpuid=sse
66 0f c6 /r | SHUFPD Vo,Wo,Ib | @shufpd | sse cpuid=sse2
np 0f c4 /r mem | PINSRW Pq,Mw,Ib | @pinsrw | mmx cpuid=sse
np 0f c4 /r reg | PINSRW Pq,Rd,Ib | @pinsrw | mmx cpuid=sse
66 0f c4 /r mem | PINSRW Vo,Mw,Ib | @pinsrw | sse cpuid=sse2
66 0f c4 /r reg | PINSRW Vo,Rd,Ib | @pinsrw | sse cpuid=sse2
np 0f c5 /r reg | PEXTRW Gd,Nq,Ib | @pextrwMmx | mmx cpuid=sse
66 0f c5 /r reg | PEXTRW Gd,Uo,Ib | @pextrw | sse cpuid=sse2
`;

const FLOAT = `
${float("51", "SQRT")}
${float("58", "ADD")}
${float("59", "MUL")}
${float("5c", "SUB")}
${float("5d", "MIN")}
${float("5e", "DIV")}
${float("5f", "MAX")}
np 0f 52 /r | RSQRTPS Vo,Wo | @rsqrtps | sse cpuid=sse
f3 0f 52 /r | RSQRTSS Vo,Wd | @rsqrtss | sse cpuid=sse
np 0f 53 /r | RCPPS Vo,Wo | @rcpps | sse cpuid=sse
f3 0f 53 /r | RCPSS Vo,Wd | @rcpss | sse cpuid=sse
np 0f c2 /r | CMPPS Vo,Wo,Ib | @cmpps | sse cpuid=sse
66 0f c2 /r | CMPPD Vo,Wo,Ib | @cmppd | sse cpuid=sse2
f3 0f c2 /r | CMPSS Vo,Wd,Ib | @cmpss | sse cpuid=sse
f2 0f c2 /r | CMPSD Vo,Wq,Ib | @cmpsdXmm | sse cpuid=sse2
np 0f 2e /r | UCOMISS Vo,Wd | @ucomiss | sse cpuid=sse fw=oszapc
66 0f 2e /r | UCOMISD Vo,Wq | @ucomisd | sse cpuid=sse2 fw=oszapc
np 0f 2f /r | COMISS Vo,Wd | @comiss | sse cpuid=sse fw=oszapc
66 0f 2f /r | COMISD Vo,Wq | @comisd | sse cpuid=sse2 fw=oszapc
np 0f 2a /r | CVTPI2PS Vo,Qq | @cvtpi2ps | sse cpuid=sse
66 0f 2a /r | CVTPI2PD Vo,Qq | @cvtpi2pd | sse cpuid=sse2
f3 0f 2a /r | CVTSI2SS Vo,Ey | @cvtsi2ss | sse cpuid=sse
f2 0f 2a /r | CVTSI2SD Vo,Ey | @cvtsi2sd | sse cpuid=sse2
np 0f 2c /r | CVTTPS2PI Pq,Wq | @cvttps2pi | sse cpuid=sse
66 0f 2c /r | CVTTPD2PI Pq,Wo | @cvttpd2pi | sse cpuid=sse2
f3 0f 2c /r | CVTTSS2SI Gy,Wd | @cvttss2si | sse cpuid=sse
f2 0f 2c /r | CVTTSD2SI Gy,Wq | @cvttsd2si | sse cpuid=sse2
np 0f 2d /r | CVTPS2PI Pq,Wq | @cvtps2pi | sse cpuid=sse
66 0f 2d /r | CVTPD2PI Pq,Wo | @cvtpd2pi | sse cpuid=sse2
f3 0f 2d /r | CVTSS2SI Gy,Wd | @cvtss2si | sse cpuid=sse
f2 0f 2d /r | CVTSD2SI Gy,Wq | @cvtsd2si | sse cpuid=sse2
np 0f 5a /r | CVTPS2PD Vo,Wq | @cvtps2pd | sse cpuid=sse2
66 0f 5a /r | CVTPD2PS Vo,Wo | @cvtpd2ps | sse cpuid=sse2
f3 0f 5a /r | CVTSS2SD Vo,Wd | @cvtss2sd | sse cpuid=sse2
f2 0f 5a /r | CVTSD2SS Vo,Wq | @cvtsd2ss | sse cpuid=sse2
np 0f 5b /r | CVTDQ2PS Vo,Wo | @cvtdq2ps | sse cpuid=sse2
66 0f 5b /r | CVTPS2DQ Vo,Wo | @cvtps2dq | sse cpuid=sse2
f3 0f 5b /r | CVTTPS2DQ Vo,Wo | @cvttps2dq | sse cpuid=sse2
66 0f e6 /r | CVTTPD2DQ Vo,Wo | @cvttpd2dq | sse cpuid=sse2
f2 0f e6 /r | CVTPD2DQ Vo,Wo | @cvtpd2dq | sse cpuid=sse2
f3 0f e6 /r | CVTDQ2PD Vo,Wq | @cvtdq2pd | sse cpuid=sse2
`;

const STATE = `
np 0f 77 | EMMS | @emms | mmx cpuid=mmx
np 0f ae /0 mem | FXSAVE Me | @fxsave | fpu cpuid=fxsr
np 0f ae /1 mem | FXRSTOR Me | @fxrstor | fpu mr cpuid=fxsr
np 0f ae /2 mem | LDMXCSR Md | @ldmxcsr | sse mr cpuid=sse
np 0f ae /3 mem | STMXCSR Md | @stmxcsr | sse cpuid=sse
np 0f ae /7 mem | CLFLUSH Mb | @clflush | mr cpuid=clflush
np 0f ae /5 reg | LFENCE | @fence | cpuid=sse2
np 0f ae /6 reg | MFENCE | @mfence | cpuid=sse2
np 0f ae /7 reg | SFENCE | @fence | cpuid=sse
0f 18 /0 mem | PREFETCHNTA Mn | nop |
0f 18 /1 mem | PREFETCHT0 Mn | nop |
0f 18 /2 mem | PREFETCHT1 Mn | nop |
0f 18 /3 mem | PREFETCHT2 Mn | nop |
0f 0d /1 mem | PREFETCHW Mn | nop |
0f 0d /2 mem | PREFETCHWT1 Mn | nop |
`;

export const SIMD = `${MOVES}${INTEGER}${SHUFFLES}${FLOAT}${STATE}`;
