/** Random programs for comparing the engines: text for src/isa/assemble.ts. */
import { CODE, DATA, LAST_PAGE, STACK } from "./machine.ts";

/** xorshift32. */
export class Random {
  #s: number;
  constructor(seed: number) {
    this.#s = seed | 1;
  }
  next(n: number): number {
    let s = this.#s;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    this.#s = s;
    return (s >>> 0) % n;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.next(from.length)];
  }
  /** A 64-bit value; often one at an edge. */
  value(): bigint {
    const edge = [
      0n,
      1n,
      2n,
      0x7fn,
      0x80n,
      0xffn,
      0x7fffn,
      0x8000n,
      0x7fff_ffffn,
      0x8000_0000n,
      0xffff_ffffn,
      1n << 63n,
      (1n << 63n) - 1n,
      (1n << 64n) - 1n,
    ];
    if (this.next(3) === 0) return this.pick(edge);
    const v = (BigInt(this.next(2 ** 32)) << 32n) | BigInt(this.next(2 ** 32));
    return this.next(2) ? v : v >> BigInt(this.next(64));
  }
}

const SIZES = [8, 16, 32, 64] as const;
type Size = (typeof SIZES)[number];
/**
 * What programs of a mode have. In 64-bit code rbx, r12 and r13 point at memory, rsp at the stack, r14 bounds the loops
 * and r15 is an index; in 32-bit code ebx and edi point at memory, and esi is the index.
 */
interface Mode {
  readonly bits: 32 | 64;
  readonly sizes: readonly Size[];
  /** Registers that programs may write. */
  readonly free: readonly number[];
  readonly pointer: string;
  /** Points at the end of a page. */
  readonly edge: string;
  readonly nowhere: string;
  readonly index: string;
  readonly counter: string;
  /** Holds targets of computed branches. */
  readonly target: string;
}
export const MODE64: Mode = {
  bits: 64,
  sizes: SIZES,
  free: [0, 1, 2, 5, 6, 7, 8, 9, 10, 11],
  pointer: "rbx",
  edge: "r12",
  nowhere: "r13",
  index: "r15",
  counter: "r14",
  target: "r11",
};
export const MODE32: Mode = {
  bits: 32,
  sizes: [8, 16, 32],
  free: [0, 1, 2],
  pointer: "ebx",
  edge: "edi",
  nowhere: `abs ${LAST_PAGE + 0x2000}`,
  index: "esi",
  counter: `dword [abs ${DATA + 0x1ff0}]`,
  target: "ebp",
};
const LOW = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"];
const WORD = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
export const CC = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];

export const reg = (n: number, size: Size): string => {
  if (n >= 8) return `r${n}${{ 8: "b", 16: "w", 32: "d", 64: "" }[size]}`;
  return size === 8 ? LOW[n] : size === 16 ? WORD[n] : (size === 32 ? "e" : "r") + WORD[n];
};

/** Where the pointers point: the middle of a page, the end of one, and (r13) where nothing is mapped. */
export const POINTERS = { rbx: DATA + 0x800, r12: DATA + 0xffa, r13: LAST_PAGE + 0x2000 };

export class Instructions {
  readonly r: Random;
  /** One instruction in so many touches memory that is not there. */
  readonly wild: number;
  readonly mode: Mode;
  constructor(r: Random, wild: number, mode: Mode) {
    this.r = r;
    this.wild = wild;
    this.mode = mode;
  }

  gpr(size: Size): string {
    if (size === 8 && this.r.next(4) === 0) return this.r.pick(["ah", "ch", "dh"]);
    return reg(this.r.pick(this.mode.free), size);
  }

  mem(size: Size): string {
    const r = this.r;
    const { pointer, edge, nowhere, index, bits } = this.mode;
    const word = { 8: "byte", 16: "word", 32: "dword", 64: "qword" }[size];
    if (this.wild && r.next(this.wild) === 0) return `${word} [${nowhere} + ${r.next(64)}]`;
    switch (r.next(7)) {
      case 0:
        return `${word} [${edge} + ${r.next(6)}]`;
      case 1:
        return `${word} [abs ${DATA + r.next(4000)}]`;
      case 2:
        return `${word} [${pointer} + ${index} * ${r.pick([1, 2, 4, 8])} - ${r.next(100)}]`;
      case 3:
        return `${word} [fs:${r.next(2000)}]`;
      case 4:
        return bits === 64 ? `${word} [ebx + r15d + ${r.next(50)}]` : `${word} [bx + ${r.next(50)}]`;
      default:
        return `${word} [${pointer} + ${r.next(300) - 150}]`;
    }
  }

  /** Register or memory; AH and its like do not go with REX, which r8 and up, SPL and 64 bits need. */
  rm(size: Size): string {
    return this.r.next(3) ? this.gpr(size) : this.mem(size);
  }

  imm(size: Size): string {
    const v = this.r.value();
    return String(size === 64 ? BigInt.asIntN(32, v) : BigInt.asIntN(size, v));
  }

  /** Two operands of one size, at most one in memory. */
  pair(size: Size): string {
    const r = this.r;
    switch (r.next(5)) {
      case 0:
        return `${this.mem(size)}, ${this.low(size)}`;
      case 1:
        return `${this.low(size)}, ${this.mem(size)}`;
      case 2:
        return `${this.rm(size)}, ${this.imm(size)}`;
      case 3:
        return size === 8
          ? `${r.pick(["ah", "dh", "al", "cl"])}, ${r.pick(["al", "ch", "dl", "ah"])}`
          : `${this.low(size)}, ${this.low(size)}`;
      default:
        return `${this.low(size)}, ${this.low(size)}`;
    }
  }

  /** A register that goes with any prefix. */
  low(size: Size): string {
    return reg(this.r.pick(this.mode.free), size);
  }

  one(): string {
    const r = this.r;
    const { bits, sizes } = this.mode;
    const size = r.pick(sizes);
    const wide = r.pick(sizes.slice(1));
    const count = () => r.pick([String(r.next(70)), "1", "cl"]);
    switch (r.next(34)) {
      case 30:
      case 31:
      case 32:
      case 33:
        return this.called();
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
        return `${r.pick(["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"])} ${this.pair(size)}`;
      case 6:
        return `test ${this.rm(size)}, ${this.imm(size)}`;
      case 7:
        return `mov ${this.pair(size)}`;
      case 8:
        return `lea ${this.low(wide)}, ${r.pick(
          bits === 64
            ? [`[rax + rcx * 4 + ${r.next(99)}]`, "[edi + esi * 2 - 3]", "[rel $ + 100]", "[rbp + r8]"]
            : ["[eax + ecx * 8 - 5]", "[bx + si]"],
        )}`;
      case 9:
        return `movzx ${this.low(wide)}, ${r.next(2) || wide === 16 ? this.rmLow(8) : this.rmLow(16)}`;
      case 10:
        return `movsx ${this.low(wide)}, ${r.next(2) || wide === 16 ? this.rmLow(8) : this.rmLow(16)}`;
      case 11:
        return bits === 64 ? `movsxd ${this.low(64)}, ${this.rm(32)}` : `inc ${this.low(32)}`;
      case 12:
        return `${r.pick(["inc", "dec", "not", "neg"])} ${this.rm(size)}`;
      case 13:
        return `${r.pick(["mul", "imul"])} ${this.rm(size)}`;
      case 14:
        return `${r.pick(["div", "idiv"])} ${this.rm(size)}`;
      case 15:
        return `imul ${this.low(wide)}, ${this.rm(wide)}`;
      case 16:
        return `imul ${this.low(wide)}, ${this.rm(wide)}, ${this.imm(wide)}`;
      case 17:
      case 18:
        return `${r.pick(["shl", "shr", "sar", "rol", "ror", "rcl", "rcr"])} ${this.rm(size)}, ${count()}`;
      case 19:
        return `${r.pick(["shld", "shrd"])} ${this.rm(wide)}, ${this.low(wide)}, ${r.pick([String(r.next(wide)), "cl"])}`;
      case 20:
        return `${r.pick(["bt", "bts", "btr", "btc"])} ${r.pick([`${this.low(wide)}, ${this.low(wide)}`, `${this.rm(wide)}, ${r.next(wide)}`])}`;
      case 21:
        return `${r.pick(["bsf", "bsr"])} ${this.low(wide)}, ${this.rm(wide)}`;
      case 22:
        return `cmov${r.pick(CC)} ${this.low(wide)}, ${this.rm(wide)}`;
      case 23:
        return `set${r.pick(CC)} ${this.rm(8)}`;
      case 24:
        return `xchg ${this.low(size)}, ${this.low(size)}`;
      case 25:
        return r.pick([
          `bswap ${this.low(bits)}`,
          `bswap ${this.low(32)}`,
          "cbw",
          "cwde",
          bits === 64 ? "cdqe" : "cwde",
          "cwd",
          "cdq",
          bits === 64 ? "cqo" : "cdq",
          "clc",
          "stc",
          "cmc",
          "nop",
        ]);
      case 26:
        return `${r.pick(["cmpxchg", "xadd"])} ${this.rmLow(size)}, ${this.low(size)}`;
      case 27:
        return `push ${r.pick([this.low(bits), this.low(16), this.imm(32), this.mem(bits), bits === 64 ? "rsp" : "esp"])}`;
      case 28:
        return `pop ${this.low(r.next(4) ? bits : 16)}`;
      default:
        return `mov ${this.low(bits)}, ${BigInt.asUintN(bits, r.value())}`;
    }
  }

  /** What regions call handlers for, or write as vector code. */
  called(): string {
    const r = this.r;
    const { bits } = this.mode;
    const wide = r.pick(this.mode.sizes.slice(1));
    const y = bits === 64 ? r.pick([32, 64] as const) : 32;
    const x = () => `xmm${r.next(6)}`;
    const st = () => `st${r.next(8)}`;
    const packed = (names: string) => `${r.pick(names.split(" "))} ${x()}, ${x()}`;
    const scalar = (names: string, size: Size) =>
      `${r.pick(names.split(" "))} ${x()}, ${r.next(2) ? x() : this.mem(size)}`;
    switch (r.next(22)) {
      case 0:
        return `movups ${x()}, ${this.mem(64).replace("qword ", "")}`;
      case 1:
        return `movups ${this.mem(64).replace("qword ", "")}, ${x()}`;
      case 2:
        return `movd ${x()}, ${this.rmLow(32)}`;
      case 3:
        return `movd ${this.rmLow(32)}, ${x()}`;
      case 4:
        return packed("movaps movdqa pxor por pand pandn paddb paddw paddd paddq psubb psubd psubq pcmpeqb pcmpgtd");
      case 5:
        return packed("pminub pmaxub pminsw pmaxsw pmulld pmullw pmuludq punpcklbw punpckhdq punpcklqdq packuswb");
      case 6:
        return packed("addps mulps subpd divpd addpd mulpd sqrtpd minps maxpd unpcklps movhlps");
      case 7:
        return `${r.pick(["pshufd", "shufps", "pshuflw", "pshufhw", "shufpd"])} ${x()}, ${x()}, ${r.next(256)}`;
      case 8:
        return `${r.pick(["psrld", "pslld", "psrlq", "psllq", "psraw", "psrldq", "pslldq"])} ${x()}, ${r.next(40)}`;
      case 9:
        return scalar("addsd subsd mulsd divsd sqrtsd minsd maxsd movsd cvtsd2ss comisd ucomisd", 64);
      case 10:
        return scalar("addss subss mulss divss sqrtss minss maxss movss cvtss2sd comiss ucomiss", 32);
      case 11:
        return `${r.pick(["cvtsi2sd", "cvtsi2ss"])} ${x()}, ${this.rmLow(y)}`;
      case 12:
        return `${r.pick(["cvttsd2si", "cvtsd2si", "cvttss2si", "pmovmskb", "movmskps"])} ${this.low(32)}, ${x()}`;
      case 13:
        return r.pick([
          `movsd ${this.mem(64)}, ${x()}`,
          `movss ${this.mem(32)}, ${x()}`,
          `movq ${this.mem(64)}, ${x()}`,
        ]);
      case 14:
        return `fld ${this.mem(r.pick([32, 64]))}\n${r.pick(["fadd st0, st1", "fmul st0, st2", "fsub st0, st1", "fdiv st0, st1", "fxch st1", "fcomi st0, st1"])}`;
      case 15:
        return `fstp ${this.mem(r.pick([32, 64]))}`;
      case 16:
        return r.pick([`fild ${this.mem(32)}`, "fld1", "fldz", `fld ${st()}`, "fchs", "fabs", "fnstsw ax", "fsqrt"]);
      case 17:
        return r.pick(["lahf", "sahf", "cld", "cpuid", "fnstsw ax", `ldmxcsr [${this.plain()}]`]);
      case 18:
        return `${r.pick(["bt", "bts", "btr"])} ${this.mem(wide).replace(/^\w+ /, "")}, ${this.low(wide)}`;
      case 19:
        return `${r.pick(["tzcnt", "lzcnt", "popcnt"])} ${this.low(wide)}, ${this.rmLow(wide)}`;
      case 20:
        return bits === 64
          ? `lea rdi, [rbx + ${r.next(64)}]\nlea rsi, [rbx + ${r.next(64)}]\nmov ecx, ${r.next(40)}\n${this.string()}`
          : "pushfd\npop eax";
      default:
        return bits === 64
          ? `${r.pick(["andn", "pdep", "shlx"])} ${this.low(y)}, ${this.low(y)}, ${this.low(y)}`
          : "lahf";
    }
  }

  /** Memory that holds zeros where MXCSR has reserved bits. */
  plain(): string {
    return `abs ${DATA + 0x1fe0}`;
  }

  string(): string {
    return this.r.pick([
      "rep movsb",
      "rep movsd",
      "rep stosb",
      "rep stosq",
      "repe cmpsb",
      "repne scasb",
      "movsb",
      "lodsd",
    ]);
  }

  rmLow(size: Size): string {
    return this.r.next(3) ? this.low(size) : this.mem(size);
  }
}

const head = (mode: Mode): string => `bits ${mode.bits}\norg ${CODE}\n`;

/** Straight code of `length` instructions, some of them under a forward branch, and then HLT. */
export function straight(r: Random, length: number, wild: number, mode = MODE64): string {
  const some = new Instructions(r, wild, mode);
  const lines: string[] = [];
  for (let i = 0; i < length; i++) {
    if (length > 2 && r.next(5) === 0) {
      lines.push(`j${r.pick(CC)} skip${i}`, some.one(), `skip${i}:`);
    }
    lines.push(some.one());
  }
  return `${head(mode)}${lines.join("\n")}\nhlt\n`;
}

/** Nested loops, calls, returns and computed branches around straight code. */
export function structured(r: Random, wild: number, mode = MODE64): string {
  const some = new Instructions(r, wild, mode);
  const target = (label: string) => (mode.bits === 64 ? `lea r11, [rel ${label}]` : `mov ebp, ${label}`);
  const parts = 4 + r.next(6);
  const functions = 1 + r.next(3);
  // Functions and what calls them in one page, or in two.
  const apart = r.next(2) === 0;
  const lines: string[] = ["jmp part0"];
  const body = () => {
    for (let i = r.next(4); i >= 0; i--) lines.push(balanced(some));
  };
  for (let f = 0; f < functions; f++) {
    lines.push(`function${f}:`);
    body();
    if (f && r.next(2)) lines.push(`call function${r.next(f)}`);
    body();
    lines.push("ret");
  }
  if (apart) lines.push("times 4096 - ($ - $$) % 4096 nop");
  for (let p = 0; p < parts; p++) {
    lines.push(`part${p}:`);
    body();
    switch (r.next(5)) {
      case 0:
        lines.push(`call function${r.next(functions)}`);
        break;
      case 1:
        lines.push(target(`function${r.next(functions)}`), `call ${mode.target}`);
        break;
      case 2:
        lines.push(target(`part${Math.min(p + 1 + r.next(2), parts)}`), `jmp ${mode.target}`);
        break;
      default:
        break;
    }
    // Backward, and forward into the middle of what a backward branch may make a loop.
    if (r.next(2)) lines.push(`sub ${mode.counter}, 1`, "js end", `j${r.pick(CC)} part${r.next(p + 1)}`);
    if (r.next(2)) lines.push(`j${r.pick(CC)} part${Math.min(p + 1 + r.next(3), parts)}`);
  }
  return `${head(mode)}${lines.join("\n")}\npart${parts}:\nend:\nhlt\n`;
}

/** An instruction that leaves the stack as it found it. */
function balanced(some: Instructions): string {
  for (;;) {
    const text = some.one();
    if (!/^(push|pop)/.test(text)) return text;
    if (/^push (r|e|qword|-?[0-9])/.test(text))
      return `${text}\npop ${reg(some.r.pick(some.mode.free), some.mode.bits)}`;
  }
}

/** Registers at the start of a program. */
export function registers(r: Random, mode = MODE64): bigint[] {
  const gpr = Array.from({ length: 16 }, () => BigInt.asUintN(mode.bits, r.value()));
  gpr[3] = BigInt(POINTERS.rbx);
  gpr[4] = BigInt(STACK - 0x100);
  gpr[12] = BigInt(POINTERS.r12);
  gpr[13] = BigInt(POINTERS.r13);
  gpr[14] = BigInt(3 + r.next(40));
  gpr[15] = BigInt(r.next(20));
  if (mode.bits === 32) {
    gpr[6] = gpr[15];
    gpr[7] = gpr[12];
    gpr.fill(0n, 8);
  }
  return gpr;
}
