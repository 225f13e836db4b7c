/** Bit manipulation, big-endian moves, carry chains, random numbers and cache hints (SDM vol. 1, 5.1.16 on). Grammar: ./grammar.ts. */
export const BITS = `
f3 0f bc /r | TZCNT Gv,Ev | @tzcnt | alias cpuid=bmi1 fw=zc fu=osap
f3 0f bd /r | LZCNT Gv,Ev | @lzcnt | alias cpuid=lzcnt fw=zc fu=osap
0f38 f0 /r mem | MOVBE Gv,Mv | @movbe | cpuid=movbe
f3 0f38 f0 /r | MOVBE Gv,Mv | #UD |
0f38 f1 /r mem | MOVBE Mv,Gv | @movbeStore | cpuid=movbe
f3 0f38 f1 /r | MOVBE Mv,Gv | #UD |

# BMI1
vex.l0 np 0f38 f2 /r | ANDN Gy,By,Ey | @andn | prot cpuid=bmi1 fw=oszc fu=ap
vex.l0 np 0f38 f3 /1 | BLSR By,Ey | @blsr | prot cpuid=bmi1 fw=oszc fu=ap
vex.l0 np 0f38 f3 /2 | BLSMSK By,Ey | @blsmsk | prot cpuid=bmi1 fw=oszc fu=ap
vex.l0 np 0f38 f3 /3 | BLSI By,Ey | @blsi | prot cpuid=bmi1 fw=oszc fu=ap
vex.l0 np 0f38 f7 /r | BEXTR Gy,Ey,By | @bextr | prot cpuid=bmi1 fw=ozc fu=sap

# BMI2
vex.l0 np 0f38 f5 /r | BZHI Gy,Ey,By | @bzhi | prot cpuid=bmi2 fw=oszc fu=ap
vex.l0 f2 0f38 f5 /r | PDEP Gy,By,Ey | @pdep | prot cpuid=bmi2
vex.l0 f3 0f38 f5 /r | PEXT Gy,By,Ey | @pext | prot cpuid=bmi2
vex.l0 f2 0f38 f6 /r | MULX Gy,By,Ey | @mulx | prot cpuid=bmi2 r=dx
vex.l0 66 0f38 f7 /r | SHLX Gy,Ey,By | @shlx | prot cpuid=bmi2
vex.l0 f2 0f38 f7 /r | SHRX Gy,Ey,By | @shrx | prot cpuid=bmi2
vex.l0 f3 0f38 f7 /r | SARX Gy,Ey,By | @sarx | prot cpuid=bmi2
vex.l0 f2 0f3a f0 /r | RORX Gy,Ey,Ib | @rorx | prot cpuid=bmi2

# ADX
66 0f38 f6 /r | ADCX Gy,Ey | @adcx | cpuid=adx fr=c fw=c
f3 0f38 f6 /r | ADOX Gy,Ey | @adox | cpuid=adx fr=o fw=o

# Random numbers; F3 0F C7 /7 is RDPID
0f c7 /6 reg | RDRAND Rv | @rdrand | cpuid=rdrand fw=oszapc
f3 0f c7 /6 reg | RDRAND Rv | #UD |
f2 0f c7 /6 reg | RDRAND Rv | #UD |
0f c7 /7 reg | RDSEED Rv | @rdrand | cpuid=rdseed fw=oszapc
f2 0f c7 /7 reg | RDSEED Rv | #UD |

# Hints for caches
66 0f ae /7 mem | CLFLUSHOPT Mb | @clflush | mr cpuid=clflushopt
66 0f ae /6 mem | CLWB Mb | @clflush | mr cpuid=clwb

# AES and carry-less multiplication
66 0f38 db /r | AESIMC Vo,Wo | @aesimc | sse cpuid=aes
66 0f38 dc /r | AESENC Vo,Wo | @aesenc | sse cpuid=aes
66 0f38 dd /r | AESENCLAST Vo,Wo | @aesenclast | sse cpuid=aes
66 0f38 de /r | AESDEC Vo,Wo | @aesdec | sse cpuid=aes
66 0f38 df /r | AESDECLAST Vo,Wo | @aesdeclast | sse cpuid=aes
66 0f3a df /r | AESKEYGENASSIST Vo,Wo,Ib | @aeskeygenassist | sse cpuid=aes
66 0f3a 44 /r | PCLMULQDQ Vo,Wo,Ib | @pclmulqdq | sse cpuid=pclmulqdq
`;
