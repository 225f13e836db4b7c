/** System instructions and the general-purpose ones that ./integer.ts leaves out (SDM vol. 2). Grammar: ./grammar.ts. */

/** MOVS and its like: byte form and operand-size form. */
const string = (op: number, name: string, operands: string, handler: string, attrs: string, wide = "v") => {
  const x = (n: number) => n.toString(16).padStart(2, "0");
  return `
${x(op)} | ${name} ${operands.replaceAll("*", "b").replace("rAX", "AL")} | @${handler} | rep ${attrs}
${x(op + 1)} | ${name} ${operands.replaceAll("*", wide)} | @${handler} | rep ${attrs}`;
};

export const SYSTEM = `
# Segment registers
8c /r reg | MOV Rv,Sw | @movRS |
8c /r mem | MOV Mw,Sw | @movMS |
8c /6 reg | MOV Rv,Sw | #UD |
8c /6 mem | MOV Mw,Sw | #UD |
8c /7 reg | MOV Rv,Sw | #UD |
8c /7 mem | MOV Mw,Sw | #UD |
8e /r | MOV Sw,Ew | @movSE | end
8e /1 | MOV Sw,Ew | #UD |
8e /6 | MOV Sw,Ew | #UD |
8e /7 | MOV Sw,Ew | #UD |
06 | PUSH ES | @pushS | i64 r=sp w=sp
0e | PUSH CS | @pushS | i64 r=sp w=sp
16 | PUSH SS | @pushS | i64 r=sp w=sp
1e | PUSH DS | @pushS | i64 r=sp w=sp
0f a0 | PUSH FS | @pushS | d64 r=sp w=sp
0f a8 | PUSH GS | @pushS | d64 r=sp w=sp
07 | POP ES | @popS | end i64 r=sp w=sp
17 | POP SS | @popS | end i64 r=sp w=sp
1f | POP DS | @popS | end i64 r=sp w=sp
0f a1 | POP FS | @popS | end d64 r=sp w=sp
0f a9 | POP GS | @popS | end d64 r=sp w=sp
c4 /r mem | LES Gv,Mp | @les | end i64
c5 /r mem | LDS Gv,Mp | @lds | end i64
0f b2 /r mem | LSS Gv,Mp | @lss | end
0f b4 /r mem | LFS Gv,Mp | @lfs | end
0f b5 /r mem | LGS Gv,Mp | @lgs | end

# Far transfers and interrupts
9a | CALL Ap | @callFarA | br i64 r=sp w=sp
ea | JMP Ap | @jmpFarA | br i64
ff /3 mem | CALL Mp | @callFarM | br mr r=sp w=sp
ff /5 mem | JMP Mp | @jmpFarM | br mr
cb | RETF | @retFar | br r=sp w=sp
ca | RETF Iw | @retFar | br r=sp w=sp
cf | IRET | @iret | br r=sp w=sp fw=oszapc
cc | INT3 | @int3 | br
cd | INT Ib | @intn | br
ce | INTO | @into | br i64 fr=o
f1 | INT1 | @int1 | br
62 /r mem | BOUND Gv,Mn | @bound | i64
0f 05 | SYSCALL | @syscall | br
0f 07 | SYSRET | @sysret | br
0f 34 | SYSENTER | @sysenter | br cpuid=sep
0f 35 | SYSEXIT | @sysexit | br cpuid=sep
e0 | LOOPNE Jb | @loopne | br f64 r=cx w=cx fr=z
e1 | LOOPE Jb | @loope | br f64 r=cx w=cx fr=z
e2 | LOOP Jb | @loop | br f64 r=cx w=cx
e3 | JCXZ Jb | @jcxz | br f64 r=cx

# The stack
8f /0 | POP Ev | @popE | d64 r=sp w=sp
60 | PUSHA | @pusha | i64 r=ax,cx,dx,bx,sp,bp,si,di w=sp
61 | POPA | @popa | i64 r=sp w=ax,cx,dx,bx,sp,bp,si,di
c8 | ENTER Iw,Ib | @enterFrame | d64 r=sp,bp w=sp,bp
c9 | LEAVE | @leave | d64 r=bp w=sp,bp
9c | PUSHF | @pushf | d64 r=sp w=sp fr=oszapc
9d | POPF | @popf | end d64 r=sp w=sp fw=oszapc

# Flags
9e | SAHF | @sahf | i64 r=ax fw=szapc
9e | SAHF | @sahf | o64 cpuid=lahf_lm r=ax fw=szapc
9f | LAHF | @lahf | i64 w=ax fr=szapc
9f | LAHF | @lahf | o64 cpuid=lahf_lm w=ax fr=szapc
fc | CLD | @cld | fw=d
fd | STD | @std | fw=d
fa | CLI | @cli | fw=i
fb | STI | @sti | end fw=i

# Decimal arithmetic
27 | DAA | @daa | i64 r=ax w=ax fr=ac fw=szapc fu=o
2f | DAS | @das | i64 r=ax w=ax fr=ac fw=szapc fu=o
37 | AAA | @aaa | i64 r=ax w=ax fr=a fw=ac fu=oszp
3f | AAS | @aas | i64 r=ax w=ax fr=a fw=ac fu=oszp
d4 | AAM Ib | @aam | i64 r=ax w=ax fw=szp fu=oac
d5 | AAD Ib | @aad | i64 r=ax w=ax fw=szp fu=oac
d6 | SALC | @salc | i64 w=ax fr=c

# Bit strings in memory, wide compare and exchange
0f a3 /r mem | BT Mn,Gv | @btMem | mr fw=c fu=osap
0f ab /r mem | BTS Mn,Gv | @btsMem | lock fw=c fu=osap
0f b3 /r mem | BTR Mn,Gv | @btrMem | lock fw=c fu=osap
0f bb /r mem | BTC Mn,Gv | @btcMem | lock fw=c fu=osap
0f c7 /1 mem | CMPXCHG8B Mn | @cmpxchg8b | lock r=ax,cx,dx,bx w=ax,dx fw=z

# Strings
${string(0xa4, "MOVS", "Y*,X*", "movs", "r=cx,si,di w=cx,si,di fr=d")}
${string(0xa6, "CMPS", "X*,Y*", "cmps", "r=cx,si,di w=cx,si,di fr=d fw=oszapc")}
${string(0xaa, "STOS", "Y*,rAX", "stos", "r=ax,cx,di w=cx,di fr=d")}
${string(0xac, "LODS", "rAX,X*", "lods", "r=cx,si w=ax,cx,si fr=d")}
${string(0xae, "SCAS", "rAX,Y*", "scas", "r=ax,cx,di w=cx,di fr=d fw=oszapc")}
${string(0x6c, "INS", "Y*,DX", "ins", "r=cx,dx,di w=cx,di fr=d", "z")}
${string(0x6e, "OUTS", "DX,X*", "outs", "r=cx,dx,si w=cx,si fr=d", "z")}
d7 | XLATB Xb | @xlat | r=ax,bx w=ax

# Ports
e4 | IN AL,Ib | @inImm | w=ax
e5 | IN eAX,Ib | @inImm | w=ax
e6 | OUT Ib,AL | @outImm | r=ax
e7 | OUT Ib,eAX | @outImm | r=ax
ec | IN AL,DX | @inDx | r=dx w=ax
ed | IN eAX,DX | @inDx | r=dx w=ax
ee | OUT DX,AL | @outDx | r=ax,dx
ef | OUT DX,eAX | @outDx | r=ax,dx

# Descriptor tables, task register
0f 00 /0 reg | SLDT Rv | @sldt | prot
0f 00 /0 mem | SLDT Mw | @sldt | prot
0f 00 /1 reg | STR Rv | @str | prot
0f 00 /1 mem | STR Mw | @str | prot
0f 00 /2 | LLDT Ew | @lldt | prot mr
0f 00 /3 | LTR Ew | @ltr | prot mr
0f 00 /4 | VERR Ew | @verr | prot mr fw=z
0f 00 /5 | VERW Ew | @verw | prot mr fw=z
0f 01 /0 mem | SGDT Ms | @sgdt |
0f 01 /1 mem | SIDT Ms | @sidt |
0f 01 /2 mem | LGDT Ms | @lgdt | mr
0f 01 /3 mem | LIDT Ms | @lidt | mr
0f 01 /4 reg | SMSW Rv | @smsw |
0f 01 /4 mem | SMSW Mw | @smsw |
0f 01 /6 | LMSW Ew | @lmsw | mr end
0f 01 /7 mem | INVLPG Mn | @invlpg | mr end
66 0f38 82 /r mem | INVPCID Gy,Mo | @invpcid | f64 end cpuid=invpcid
0f 02 /r | LAR Gv,Ew | @lar | prot fw=z
0f 03 /r | LSL Gv,Ew | @lsl | prot fw=z
63 /r | ARPL Ew,Gw | @arpl | i64 prot mr fw=z

# Control registers and the state of the processor
0f 20 /r | MOV Ry,Cy | @movFromCr | f64
0f 21 /r | MOV Ry,Dy | @movFromDr | f64
0f 22 /r | MOV Cy,Ry | @movToCr | f64 end
0f 23 /r | MOV Dy,Ry | @movToDr | f64 end
0f 06 | CLTS | @clts | end
0f 08 | INVD | @wbinvd |
0f 09 | WBINVD | @wbinvd |
f4 | HLT | @hlt | end ev
0f a2 | CPUID | @cpuid | r=ax,cx w=ax,bx,cx,dx
0f 30 | WRMSR | @wrmsr | end r=ax,cx,dx
0f 31 | RDTSC | @rdtsc | w=ax,dx
0f 32 | RDMSR | @rdmsr | r=cx w=ax,dx
0f 33 | RDPMC | @rdpmc | r=cx w=ax,dx
np 0f 01 /1 reg rm=0 | MONITOR | @monitor | cpuid=monitor r=ax,cx,dx
np 0f 01 /1 reg rm=1 | MWAIT | @mwait | cpuid=monitor r=ax,cx
np 0f 01 /1 reg rm=2 | CLAC | @clac | cpuid=smap
np 0f 01 /1 reg rm=3 | STAC | @stac | cpuid=smap
np 0f 01 /2 reg rm=0 | XGETBV | @xgetbv | cpuid=xsave r=cx w=ax,dx
np 0f 01 /2 reg rm=1 | XSETBV | @xsetbv | end cpuid=xsave r=ax,cx,dx
np 0f 01 /5 reg rm=6 | RDPKRU | @rdpkru | cpuid=pku r=cx w=ax,dx
np 0f 01 /5 reg rm=7 | WRPKRU | @wrpkru | end cpuid=pku r=ax,cx,dx
0f 01 /7 reg rm=0 | SWAPGS | @swapgs | o64
0f 01 /7 reg rm=1 | RDTSCP | @rdtscp | cpuid=rdtscp w=ax,cx,dx
f3 0f ae /0 reg | RDFSBASE Ry | @rdfsbase | o64 cpuid=fsgsbase
f3 0f ae /1 reg | RDGSBASE Ry | @rdgsbase | o64 cpuid=fsgsbase
f3 0f ae /2 reg | WRFSBASE Ry | @wrfsbase | o64 cpuid=fsgsbase
f3 0f ae /3 reg | WRGSBASE Ry | @wrgsbase | o64 cpuid=fsgsbase
f3 0f c7 /7 reg | RDPID Ry | @rdpid | f64 cpuid=rdpid

# Undefined by definition, and doing nothing
0f 0b | UD2 | @ud |
0f aa | RSM | @ud |
0f b9 /r | UD1 Gv,Ev | @ud |
0f ff /r | UD0 Gv,Ev | @ud |
f3 90 | PAUSE | @pause | ev
f3 0f 1e /7 reg rm=2 | ENDBR64 | nop |
f3 0f 1e /7 reg rm=3 | ENDBR32 | nop |
0f 0d /r reg | NOP Ev | nop |
0f 18 /r | NOP Ev | nop |
0f 19 /r | NOP Ev | nop |
0f 1a /r | NOP Ev | nop |
0f 1b /r | NOP Ev | nop |
0f 1c /r | NOP Ev | nop |
0f 1d /r | NOP Ev | nop |
0f 1e /r | NOP Ev | nop |
`;
