/** General-purpose instructions (SDM vol. 1, 5.1). Grammar: ./grammar.ts. */

const alu = (base: number, name: string, attrs: string) => {
  const x = (n: number) => (base + n).toString(16).padStart(2, "0");
  const lock = name === "cmp" ? "" : "lock";
  const digit = base >> 3;
  const hot = name === "adc" || name === "sbb" ? "" : "hot";
  const byteHot = name === "cmp" ? "hot" : "";
  const NAME = name.toUpperCase();
  return `
${x(0)} /r | ${NAME} Eb,Gb | ${name} | ${lock} ${byteHot} ${attrs}
${x(1)} /r | ${NAME} Ev,Gv | ${name} | ${lock} ${hot} ${attrs}
${x(2)} /r | ${NAME} Gb,Eb | ${name} | ${byteHot} ${attrs}
${x(3)} /r | ${NAME} Gv,Ev | ${name} | ${hot} ${attrs}
${x(4)} | ${NAME} AL,Ib | ${name} | ${attrs}
${x(5)} | ${NAME} rAX,Iz | ${name} | ${attrs}
80 /${digit} | ${NAME} Eb,Ib | ${name} | ${lock} ${byteHot} ${attrs}
81 /${digit} | ${NAME} Ev,Iz | ${name} | ${lock} ${hot} ${attrs}
82 /${digit} | ${NAME} Eb,Ib | ${name} | ${lock} i64 ${attrs}
83 /${digit} | ${NAME} Ev,Ib | ${name} | ${lock} ${hot} ${attrs}`;
};

const shift = (digit: number, name: string, attrs: string) => {
  const NAME = name.toUpperCase();
  const hot = name.startsWith("rc") ? "" : "hotr";
  return `
c0 /${digit} | ${NAME} Eb,Ib | ${name} | ${attrs}
c1 /${digit} | ${NAME} Ev,Ib | ${name} | ${hot} ${attrs}
d0 /${digit} | ${NAME} Eb,1 | ${name} | ${attrs}
d1 /${digit} | ${NAME} Ev,1 | ${name} | ${hot} ${attrs}
d2 /${digit} | ${NAME} Eb,CL | ${name} | ${attrs}
d3 /${digit} | ${NAME} Ev,CL | ${name} | ${attrs}`;
};

export const INTEGER = `
# Arithmetic and logic
${alu(0x00, "add", "fw=oszapc")}
${alu(0x08, "or", "fw=oszpc fu=a")}
${alu(0x10, "adc", "fr=c fw=oszapc")}
${alu(0x18, "sbb", "fr=c fw=oszapc")}
${alu(0x20, "and", "fw=oszpc fu=a")}
${alu(0x28, "sub", "fw=oszapc")}
${alu(0x30, "xor", "fw=oszpc fu=a")}
${alu(0x38, "cmp", "fw=oszapc")}
84 /r | TEST Eb,Gb | test | hot fw=oszpc fu=a
85 /r | TEST Ev,Gv | test | hot fw=oszpc fu=a
a8 | TEST AL,Ib | test | fw=oszpc fu=a
a9 | TEST rAX,Iz | test | fw=oszpc fu=a
f6 /0 | TEST Eb,Ib | test | hot fw=oszpc fu=a
f6 /1 | TEST Eb,Ib | test | fw=oszpc fu=a
f7 /0 | TEST Ev,Iz | test | fw=oszpc fu=a
f7 /1 | TEST Ev,Iz | test | fw=oszpc fu=a
fe /0 | INC Eb | inc | lock fr=c fw=oszap
ff /0 | INC Ev | inc | lock hot fr=c fw=oszap
40+r | INC Zv | inc | i64 fr=c fw=oszap
fe /1 | DEC Eb | dec | lock fr=c fw=oszap
ff /1 | DEC Ev | dec | lock hot fr=c fw=oszap
48+r | DEC Zv | dec | i64 fr=c fw=oszap
f6 /2 | NOT Eb | not | lock
f7 /2 | NOT Ev | not | lock
f6 /3 | NEG Eb | neg | lock fw=oszapc
f7 /3 | NEG Ev | neg | lock fw=oszapc
f6 /4 | MUL Eb | mul | r=ax w=ax fw=oc fu=szap
f7 /4 | MUL Ev | mul | r=ax w=ax,dx fw=oc fu=szap
f6 /5 | IMUL Eb | imul | r=ax w=ax fw=oc fu=szap
f7 /5 | IMUL Ev | imul | r=ax w=ax,dx fw=oc fu=szap
f6 /6 | DIV Eb | div | r=ax w=ax fu=oszapc
f7 /6 | DIV Ev | div | r=ax,dx w=ax,dx fu=oszapc
f6 /7 | IDIV Eb | idiv | r=ax w=ax fu=oszapc
f7 /7 | IDIV Ev | idiv | r=ax,dx w=ax,dx fu=oszapc
0f af /r | IMUL Gv,Ev | imul2 | hotr fw=oc fu=szap
69 /r | IMUL Gv,Ev,Iz | imul3 | fw=oc fu=szap
6b /r | IMUL Gv,Ev,Ib | imul3 | fw=oc fu=szap

# Shifts and rotates
${shift(0, "rol", "fr=c fw=oc fu=o")}
${shift(1, "ror", "fr=c fw=oc fu=o")}
${shift(2, "rcl", "fr=c fw=oc fu=o")}
${shift(3, "rcr", "fr=c fw=oc fu=o")}
${shift(4, "shl", "fr=oszapc fw=oszpc fu=ao")}
${shift(5, "shr", "fr=oszapc fw=oszpc fu=ao")}
${shift(6, "shl", "fr=oszapc fw=oszpc fu=ao")}
${shift(7, "sar", "fr=oszapc fw=oszpc fu=ao")}
0f a4 /r | SHLD Ev,Gv,Ib | shld | fr=oszapc fw=oszpc fu=ao
0f a5 /r | SHLD Ev,Gv,CL | shld | r=cx fr=oszapc fw=oszpc fu=ao
0f ac /r | SHRD Ev,Gv,Ib | shrd | fr=oszapc fw=oszpc fu=ao
0f ad /r | SHRD Ev,Gv,CL | shrd | r=cx fr=oszapc fw=oszpc fu=ao

# Moves
88 /r | MOV Eb,Gb | mov | hot
89 /r | MOV Ev,Gv | mov | hot
8a /r | MOV Gb,Eb | mov | hot
8b /r | MOV Gv,Ev | mov | hot
c6 /0 | MOV Eb,Ib | mov | hot
c7 /0 | MOV Ev,Iz | mov | hot
b0+r | MOV Zb,Ib | mov |
b8+r | MOV Zv,Iv | movi | hot
a0 | MOV AL,Ob | mov |
a1 | MOV rAX,Ov | mov |
a2 | MOV Ob,AL | mov |
a3 | MOV Ov,rAX | mov |
8d /r mem | LEA Gv,Mn | lea | hot
0f b6 /r | MOVZX Gv,Eb | movzx | hot
0f b7 /r | MOVZX Gv,Ew | movzx | hot
0f be /r | MOVSX Gv,Eb | movsx | hot
0f bf /r | MOVSX Gv,Ew | movsx |
63 /r | MOVSXD Gv,Ez | movsx | o64 hot
86 /r | XCHG Eb,Gb | xchg | lock locked
87 /r | XCHG Ev,Gv | xchg | lock locked
90+r | XCHG Zv,rAX | xchg90 |
0f c8+r | BSWAP Zv | bswap |
0f 40+cc /r | CMOVcc Gv,Ev | cmov | hotr cpuid=cmov fr=oszapc
0f 90+cc /r | SETcc Eb | setcc | hotr fr=oszapc
98 | CBW | cbw | r=ax w=ax
99 | CWD | cwd | r=ax w=dx
0f b0 /r | CMPXCHG Eb,Gb | cmpxchg | lock r=ax w=ax fw=oszapc
0f b1 /r | CMPXCHG Ev,Gv | cmpxchg | lock r=ax w=ax fw=oszapc
0f c0 /r | XADD Eb,Gb | xadd | lock fw=oszapc
0f c1 /r | XADD Ev,Gv | xadd | lock fw=oszapc

# Bits
0f a3 /r reg | BT Ev,Gv | bt | fw=c fu=osap
0f ab /r reg | BTS Ev,Gv | bts | fw=c fu=osap
0f b3 /r reg | BTR Ev,Gv | btr | fw=c fu=osap
0f bb /r reg | BTC Ev,Gv | btc | fw=c fu=osap
0f ba /4 | BT Ev,Ib | bt | fw=c fu=osap
0f ba /5 | BTS Ev,Ib | bts | lock fw=c fu=osap
0f ba /6 | BTR Ev,Ib | btr | lock fw=c fu=osap
0f ba /7 | BTC Ev,Ib | btc | lock fw=c fu=osap
0f bc /r | BSF Gv,Ev | bsf | fw=z fu=osapc
0f bd /r | BSR Gv,Ev | bsr | fw=z fu=osapc

# Stack
50+r | PUSH Zv | push | d64 hot r=sp w=sp
58+r | POP Zv | pop | d64 hot r=sp w=sp
ff /6 | PUSH Ev | push | d64 r=sp w=sp

6a | PUSH Ib | push | d64 r=sp w=sp
68 | PUSH Iz | push | d64 r=sp w=sp

# Control transfer within the segment
70+cc | Jcc Jb | jcc | br f64 hot fr=oszapc
0f 80+cc | Jcc Jz | jcc | br f64 hot fr=oszapc
eb | JMP Jb | jmp | br f64 hot
e9 | JMP Jz | jmp | br f64 hot
ff /4 | JMP Ev | jmpE | br f64 hot
e8 | CALL Jz | call | br f64 hot r=sp w=sp
ff /2 | CALL Ev | callE | br f64 hot r=sp w=sp
c3 | RET | ret | br f64 hot r=sp w=sp
c2 | RET Iw | ret | br f64 r=sp w=sp

# Flags
f8 | CLC | clc | fw=c
f9 | STC | stc | fw=c
f5 | CMC | cmc | fr=c fw=c

0f 1f /r | NOP Ev | nop |
`;
