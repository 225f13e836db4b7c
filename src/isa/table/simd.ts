/**
 * MMX, SSE and SSE2 (SDM vol. 1, 5.4 to 5.6), and what later extensions added to them (5.7 to 5.10). Grammar:
 * ./grammar.ts. `mmx` rows of SSE and SSE2 need no CR4.OSFXSR; `sse` rows do. MOVD's operand size is
 * Ey's, so its MMX register is without one (Pn).
 */

/** An instruction on MMX and, with prefix 66, on XMM registers. `since` is the CPUID feature of the MMX form. */
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
np 0f f7 /r reg | MASKMOVQ Pq,Nq | @maskmovq | mmx cpuid=sse r=di
66 0f f7 /r reg | MASKMOVDQU Vo,Uo | @maskmovdqu | sse cpuid=sse2 r=di
np 0f 6e /r | MOVD Pn,Ey | @movd | mmx cpuid=mmx
66 0f 6e /r | MOVD Vo,Ey | @movd | sse cpuid=sse2
np 0f 7e /r | MOVD Ey,Pn | @movdMmxStore | mmx cpuid=mmx
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
np 0f ae /4 mem | XSAVE Me | @xsave | cpuid=xsave r=ax,dx
np 0f ae /5 mem | XRSTOR Me | @xrstor | mr cpuid=xsave r=ax,dx
np 0f ae /6 mem | XSAVEOPT Me | @xsaveopt | cpuid=xsaveopt r=ax,dx
np 0f c7 /3 mem | XRSTORS Me | @xrstors | mr cpuid=xsaves r=ax,dx
np 0f c7 /4 mem | XSAVEC Me | @xsavec | cpuid=xsavec r=ax,dx
np 0f c7 /5 mem | XSAVES Me | @xsaves | cpuid=xsaves r=ax,dx
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
0f 0d /r mem | PREFETCH Mn | nop |
0f 0d /1 mem | PREFETCHW Mn | nop |
0f 0d /2 mem | PREFETCHWT1 Mn | nop |
np 0f 1c /0 mem | CLDEMOTE Mn | nop |
`;

/** Newer instructions on MMX and on XMM registers, both of one extension. */
const bothOf = (opcode: string, name: string, feature: string, imm = "") => `
np ${opcode} /r | ${name} Pq,Qq${imm} | @${name.toLowerCase()} | mmx cpuid=${feature}
66 ${opcode} /r | ${name} Vo,Wo${imm} | @${name.toLowerCase()} | sse cpuid=${feature}`;

/** An SSE4.1 instruction with prefix 66. */
const sse41 = (opcode: string, name: string, operands = "Vo,Wo") => `
66 ${opcode} /r | ${name} ${operands} | @${name.toLowerCase()} | sse cpuid=sse4_1`;

const SSE3 = `
66 0f d0 /r | ADDSUBPD Vo,Wo | @addsubpd | sse cpuid=sse3
f2 0f d0 /r | ADDSUBPS Vo,Wo | @addsubps | sse cpuid=sse3
66 0f 7c /r | HADDPD Vo,Wo | @haddpd | sse cpuid=sse3
f2 0f 7c /r | HADDPS Vo,Wo | @haddps | sse cpuid=sse3
66 0f 7d /r | HSUBPD Vo,Wo | @hsubpd | sse cpuid=sse3
f2 0f 7d /r | HSUBPS Vo,Wo | @hsubps | sse cpuid=sse3
f3 0f 12 /r | MOVSLDUP Vo,Wo | @movsldup | sse cpuid=sse3
f3 0f 16 /r | MOVSHDUP Vo,Wo | @movshdup | sse cpuid=sse3
f2 0f 12 /r | MOVDDUP Vo,Wq | @movddup | sse cpuid=sse3
f2 0f f0 /r mem | LDDQU Vo,Mo | @movups | sse cpuid=sse3
`;

const SSSE3 = `
${bothOf("0f38 00", "PSHUFB", "ssse3")}
${bothOf("0f38 01", "PHADDW", "ssse3")}
${bothOf("0f38 02", "PHADDD", "ssse3")}
${bothOf("0f38 03", "PHADDSW", "ssse3")}
${bothOf("0f38 04", "PMADDUBSW", "ssse3")}
${bothOf("0f38 05", "PHSUBW", "ssse3")}
${bothOf("0f38 06", "PHSUBD", "ssse3")}
${bothOf("0f38 07", "PHSUBSW", "ssse3")}
${bothOf("0f38 08", "PSIGNB", "ssse3")}
${bothOf("0f38 09", "PSIGNW", "ssse3")}
${bothOf("0f38 0a", "PSIGND", "ssse3")}
${bothOf("0f38 0b", "PMULHRSW", "ssse3")}
${bothOf("0f38 1c", "PABSB", "ssse3")}
${bothOf("0f38 1d", "PABSW", "ssse3")}
${bothOf("0f38 1e", "PABSD", "ssse3")}
${bothOf("0f3a 0f", "PALIGNR", "ssse3", ",Ib")}
`;

const SSE4 = `
${sse41("0f38 38", "PMINSB")}
${sse41("0f38 39", "PMINSD")}
${sse41("0f38 3a", "PMINUW")}
${sse41("0f38 3b", "PMINUD")}
${sse41("0f38 3c", "PMAXSB")}
${sse41("0f38 3d", "PMAXSD")}
${sse41("0f38 3e", "PMAXUW")}
${sse41("0f38 3f", "PMAXUD")}
${sse41("0f38 40", "PMULLD")}
${sse41("0f38 41", "PHMINPOSUW")}
${sse41("0f38 20", "PMOVSXBW", "Vo,Wq")}
${sse41("0f38 21", "PMOVSXBD", "Vo,Wd")}
${sse41("0f38 22", "PMOVSXBQ", "Vo,Ww")}
${sse41("0f38 23", "PMOVSXWD", "Vo,Wq")}
${sse41("0f38 24", "PMOVSXWQ", "Vo,Wd")}
${sse41("0f38 25", "PMOVSXDQ", "Vo,Wq")}
${sse41("0f38 30", "PMOVZXBW", "Vo,Wq")}
${sse41("0f38 31", "PMOVZXBD", "Vo,Wd")}
${sse41("0f38 32", "PMOVZXBQ", "Vo,Ww")}
${sse41("0f38 33", "PMOVZXWD", "Vo,Wq")}
${sse41("0f38 34", "PMOVZXWQ", "Vo,Wd")}
${sse41("0f38 35", "PMOVZXDQ", "Vo,Wq")}
${sse41("0f38 10", "PBLENDVB", "Vo,Wo,XMM0")}
${sse41("0f38 14", "BLENDVPS", "Vo,Wo,XMM0")}
${sse41("0f38 15", "BLENDVPD", "Vo,Wo,XMM0")}
66 0f38 17 /r | PTEST Vo,Wo | @ptest | sse cpuid=sse4_1 fw=oszapc
${sse41("0f38 28", "PMULDQ")}
${sse41("0f38 29", "PCMPEQQ")}
66 0f38 2a /r mem | MOVNTDQA Vo,Mo | @movaps | sse cpuid=sse4_1
${sse41("0f38 2b", "PACKUSDW")}
${sse41("0f3a 08", "ROUNDPS", "Vo,Wo,Ib")}
${sse41("0f3a 09", "ROUNDPD", "Vo,Wo,Ib")}
${sse41("0f3a 0a", "ROUNDSS", "Vo,Wd,Ib")}
${sse41("0f3a 0b", "ROUNDSD", "Vo,Wq,Ib")}
${sse41("0f3a 0c", "BLENDPS", "Vo,Wo,Ib")}
${sse41("0f3a 0d", "BLENDPD", "Vo,Wo,Ib")}
${sse41("0f3a 0e", "PBLENDW", "Vo,Wo,Ib")}
${sse41("0f3a 40", "DPPS", "Vo,Wo,Ib")}
${sse41("0f3a 41", "DPPD", "Vo,Wo,Ib")}
${sse41("0f3a 42", "MPSADBW", "Vo,Wo,Ib")}
66 0f3a 14 /r mem | PEXTRB Mb,Vo,Ib | @pextrb | sse cpuid=sse4_1
66 0f3a 14 /r reg | PEXTRB Rd,Vo,Ib | @pextrb | sse cpuid=sse4_1
66 0f3a 15 /r mem | PEXTRW Mw,Vo,Ib | @pextrwStore | sse cpuid=sse4_1
66 0f3a 15 /r reg | PEXTRW Rd,Vo,Ib | @pextrwStore | sse cpuid=sse4_1
${sse41("0f3a 16", "PEXTRD", "Ey,Vo,Ib")}
${sse41("0f3a 17", "EXTRACTPS", "Ed,Vo,Ib")}
66 0f3a 20 /r mem | PINSRB Vo,Mb,Ib | @pinsrb | sse cpuid=sse4_1
66 0f3a 20 /r reg | PINSRB Vo,Rd,Ib | @pinsrb | sse cpuid=sse4_1
${sse41("0f3a 21", "INSERTPS", "Vo,Wd,Ib")}
${sse41("0f3a 22", "PINSRD", "Vo,Ey,Ib")}
66 0f38 37 /r | PCMPGTQ Vo,Wo | @pcmpgtq | sse cpuid=sse4_2
66 0f3a 60 /r | PCMPESTRM Vo,Wo,Ib | @pcmpestrm | sse cpuid=sse4_2 r=ax,dx fw=oszapc
66 0f3a 61 /r | PCMPESTRI Vo,Wo,Ib | @pcmpestri | sse cpuid=sse4_2 r=ax,dx w=cx fw=oszapc
66 0f3a 62 /r | PCMPISTRM Vo,Wo,Ib | @pcmpistrm | sse cpuid=sse4_2 fw=oszapc
66 0f3a 63 /r | PCMPISTRI Vo,Wo,Ib | @pcmpistri | sse cpuid=sse4_2 w=cx fw=oszapc
f2 0f38 f0 /r | CRC32 Gd,Eb | @crc32b | cpuid=sse4_2
f2 0f38 f1 /r | CRC32 Gn,Ev | @crc32 | cpuid=sse4_2
f3 0f b8 /r | POPCNT Gv,Ev | @popcntV | cpuid=popcnt fw=oszapc
`;

export const SIMD = `${MOVES}${INTEGER}${SHUFFLES}${FLOAT}${STATE}${SSE3}${SSSE3}${SSE4}`;
