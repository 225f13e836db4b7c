/**
 * How compiled regions do what frequent handlers do, most of them of MMX/SSE/AVX (assembly/jit/vector.ts), by the handler's
 * name: a kind and, for most, an opcode of Wasm's vector instructions (prefix FD). The handlers stay what these instructions
 * mean; test/jit holds one against the other.
 */

/** Kinds; assembly/gen/emit.ts has them as VECTOR_*. */
export const VECTOR_KINDS = [
  "NONE",
  /** op(left, right) */
  "BINARY",
  /** op(right, left) */
  "SWAPPED",
  /** A whole vector, at any alignment or aligned, to a register and from one. */
  "LOAD",
  "LOAD_ALIGNED",
  "STORE",
  "STORE_ALIGNED",
  /** Interleaves lanes of left and right; op: log2 of a lane's bytes, and 4 for the upper halves. */
  "UNPACK",
  /** By imm8; op is the Wasm shift, counts beyond the lane clear it. */
  "SHIFT",
  "SHIFT_SIGN",
  "SHIFT_BYTES_RIGHT",
  "SHIFT_BYTES_LEFT",
  /** Lanes chosen by imm8. */
  "PSHUFD",
  /** By bytes of the other operand. */
  "PSHUFB",
  "SHUFPS",
  "SHUFPD",
  /** Scalars; op: log2 of bytes. */
  "LOAD_LOW",
  "LOAD_LOW_CLEAR",
  "STORE_LOW",
  "LOAD_HIGH",
  "STORE_HIGH",
  "HIGH_TO_LOW",
  "FROM_GENERAL",
  "TO_GENERAL",
  /** A bit of each lane to a general register. */
  "MASK",
  /** Arithmetic on the lowest lane: op is the f64 or f32 instruction. */
  "DOUBLE",
  "SINGLE",
  /** Conversions with truncation of the lowest lane; from a general register of 32 bits. */
  "TRUNCATE_DOUBLE",
  "FROM_INTEGER",
  /** Of the lowest lanes, to EFLAGS. */
  "COMPARE_DOUBLE",
  /** The lowest 1 << imm8 bytes of operand 1 everywhere. */
  "BROADCAST",
  /** Zeros below (0) or above (1) the lowest or highest 1 of a general register, and ones in it (2). */
  "COUNT",
  /** x87 from here on (assembly/jit/x87.ts); bits 2:0 of the opcode are the operand's form. */
  "X87_ARITH",
  "X87_LOAD",
  "X87_STORE",
  "X87_UNARY",
  "X87_EXCHANGE",
  "X87_COMPARE",
  /** FCW to memory, FSW to memory and to AX. */
  "X87_WORD",
] as const;
export type VectorKind = (typeof VECTOR_KINDS)[number];

const binary = (ops: Record<string, number>): [string, readonly [VectorKind, number]][] =>
  Object.entries(ops).map(([name, op]) => [name, ["BINARY", op]]);

/** Forms of x87 operands; ST(i) as the source, or the destination. */
const FORM = { M32: 0, M64: 1, I16: 2, I32: 3, I64: 4, ST: 5, TO: 6 } as const;
/** In bits 7:3 of a form: */
const POP = 8;
const OPERATIONS = { add: 0, mul: 1, sub: 4, subr: 5, div: 6, divr: 7 };
const arithmetic = Object.entries(OPERATIONS).flatMap(([name, digit]): [string, number][] => [
  [`f${name}M32`, FORM.M32 | (digit << 3)],
  [`f${name}M64`, FORM.M64 | (digit << 3)],
  [`fi${name}M16`, FORM.I16 | (digit << 3)],
  [`fi${name}M32`, FORM.I32 | (digit << 3)],
  [`f${name}`, FORM.ST | (digit << 3)],
  [`f${name}To`, FORM.TO | (digit << 3)],
  [`f${name}p`, FORM.TO | (digit << 3) | (POP << 3)],
]);
/** So many registers are popped; FUCOM; the result goes to EFLAGS. */
const comparison = (form: number, pops: number, quiet = false, flags = false): number =>
  form | (pops << 3) | (quiet ? 1 << 5 : 0) | (flags ? 1 << 6 : 0);
const x87 = (kind: VectorKind, ops: Record<string, number>): [string, readonly [VectorKind, number]][] =>
  Object.entries(ops).map(([name, op]) => [name, [kind, op]]);
const CHOP = 16;

const JIT_X87: [string, readonly [VectorKind, number]][] = [
  ...x87("X87_ARITH", Object.fromEntries(arithmetic)),
  ...x87("X87_LOAD", { fldM32: FORM.M32, fldM64: FORM.M64, fildM16: FORM.I16, fildM32: FORM.I32, fildM64: FORM.I64 }),
  ...x87("X87_LOAD", { fld: FORM.ST, fld1: 6, fldz: 7 }),
  ...x87("X87_STORE", { fstM32: FORM.M32, fstM64: FORM.M64, fistM16: FORM.I16, fistM32: FORM.I32, fst: FORM.ST }),
  ...x87("X87_STORE", {
    ...{ fstpM32: FORM.M32 | POP, fstpM64: FORM.M64 | POP, fstp: FORM.ST | POP },
    ...{ fistpM16: FORM.I16 | POP, fistpM32: FORM.I32 | POP, fistpM64: FORM.I64 | POP },
    ...{ fisttpM16: FORM.I16 | POP | CHOP, fisttpM32: FORM.I32 | POP | CHOP, fisttpM64: FORM.I64 | POP | CHOP },
  }),
  ...x87("X87_UNARY", { fchs: 0, fabs: 1, fsqrt: 2 }),
  ["fxch", ["X87_EXCHANGE", 0]],
  ...x87("X87_WORD", { fnstcw: 0, fnstsw: 1, fnstswAx: 2 }),
  ...x87("X87_COMPARE", {
    ...{ fcomM32: comparison(FORM.M32, 0), fcompM32: comparison(FORM.M32, 1) },
    ...{ fcomM64: comparison(FORM.M64, 0), fcompM64: comparison(FORM.M64, 1) },
    ...{ ficomM16: comparison(FORM.I16, 0), ficompM16: comparison(FORM.I16, 1) },
    ...{ ficomM32: comparison(FORM.I32, 0), ficompM32: comparison(FORM.I32, 1) },
    ...{ fcom: comparison(FORM.ST, 0), fcomp: comparison(FORM.ST, 1), fcompp: comparison(FORM.ST, 2) },
    ...{ fucom: comparison(FORM.ST, 0, true), fucomp: comparison(FORM.ST, 1, true) },
    ...{ fucompp: comparison(FORM.ST, 2, true), fcomi: comparison(FORM.ST, 0, false, true) },
    ...{ fcomip: comparison(FORM.ST, 1, false, true), fucomi: comparison(FORM.ST, 0, true, true) },
    fucomip: comparison(FORM.ST, 1, true, true),
  }),
];

export const JIT_VECTORS: ReadonlyMap<string, readonly [VectorKind, number]> = new Map([
  ...binary({
    ...{ pand: 0x4e, por: 0x50, pxor: 0x51 },
    ...{ pcmpeqb: 0x23, pcmpeqw: 0x2d, pcmpeqd: 0x37, pcmpeqq: 0xd6 },
    ...{ pcmpgtb: 0x27, pcmpgtw: 0x31, pcmpgtd: 0x3b, pcmpgtq: 0xd9 },
    ...{ packsswb: 0x65, packuswb: 0x66, packssdw: 0x85, packusdw: 0x86 },
    ...{ paddb: 0x6e, paddsb: 0x6f, paddusb: 0x70, psubb: 0x71, psubsb: 0x72, psubusb: 0x73 },
    ...{ pminsb: 0x76, pminub: 0x77, pmaxsb: 0x78, pmaxub: 0x79, pavgb: 0x7b },
    ...{ paddw: 0x8e, paddsw: 0x8f, paddusw: 0x90, psubw: 0x91, psubsw: 0x92, psubusw: 0x93, pmullw: 0x95 },
    ...{ pminsw: 0x96, pminuw: 0x97, pmaxsw: 0x98, pmaxuw: 0x99, pavgw: 0x9b },
    ...{
      paddd: 0xae,
      psubd: 0xb1,
      pmulld: 0xb5,
      pminsd: 0xb6,
      pminud: 0xb7,
      pmaxsd: 0xb8,
      pmaxud: 0xb9,
      pmaddwd: 0xba,
    },
    ...{ paddq: 0xce, psubq: 0xd1 },
  }),
  ["pandn", ["SWAPPED", 0x4f]],
  ["movups", ["LOAD", 0]],
  ["movaps", ["LOAD_ALIGNED", 0]],
  ["movupsStore", ["STORE", 0]],
  ["movapsStore", ["STORE_ALIGNED", 0]],
  ["punpcklbw", ["UNPACK", 0]],
  ["punpcklwd", ["UNPACK", 1]],
  ["punpckldq", ["UNPACK", 2]],
  ["punpcklqdq", ["UNPACK", 3]],
  ["punpckhbw", ["UNPACK", 4]],
  ["punpckhwd", ["UNPACK", 5]],
  ["punpckhdq", ["UNPACK", 6]],
  ["punpckhqdq", ["UNPACK", 7]],
  ["psllwImm", ["SHIFT", 0x8b]],
  ["psrlwImm", ["SHIFT", 0x8d]],
  ["pslldImm", ["SHIFT", 0xab]],
  ["psrldImm", ["SHIFT", 0xad]],
  ["psllqImm", ["SHIFT", 0xcb]],
  ["psrlqImm", ["SHIFT", 0xcd]],
  ["psrawImm", ["SHIFT_SIGN", 0x8c]],
  ["psradImm", ["SHIFT_SIGN", 0xac]],
  ["psrldq", ["SHIFT_BYTES_RIGHT", 0]],
  ["pslldq", ["SHIFT_BYTES_LEFT", 0]],
  ["pshufd", ["PSHUFD", 0]],
  ["pshufb", ["PSHUFB", 0]],
  ["broadcast", ["BROADCAST", 0]],
  ["tzcnt", ["COUNT", 0]],
  ["lzcnt", ["COUNT", 1]],
  ["popcntV", ["COUNT", 2]],
  ["shufps", ["SHUFPS", 0]],
  ["shufpd", ["SHUFPD", 0]],
  ["movss", ["LOAD_LOW", 2]],
  ["movsdXmm", ["LOAD_LOW", 3]],
  ["movq", ["LOAD_LOW_CLEAR", 3]],
  ["movssStore", ["STORE_LOW", 2]],
  ["movsdStore", ["STORE_LOW", 3]],
  ["movqStore", ["STORE_LOW", 4]],
  ["movhps", ["LOAD_HIGH", 3]],
  ["movhpsStore", ["STORE_HIGH", 3]],
  ["movhlps", ["HIGH_TO_LOW", 3]],
  ["movlps", ["LOAD_LOW", 5]],
  ["movd", ["FROM_GENERAL", 0]],
  ["movdStore", ["TO_GENERAL", 0]],
  ["pmovmskb", ["MASK", 0x64]],
  ["movmskps", ["MASK", 0xa4]],
  ["movmskpd", ["MASK", 0xc4]],
  ["addsd", ["DOUBLE", 0xa0]],
  ["subsd", ["DOUBLE", 0xa1]],
  ["mulsd", ["DOUBLE", 0xa2]],
  ["divsd", ["DOUBLE", 0xa3]],
  ["sqrtsd", ["DOUBLE", 0x9f]],
  ["addss", ["SINGLE", 0x92]],
  ["subss", ["SINGLE", 0x93]],
  ["mulss", ["SINGLE", 0x94]],
  ["divss", ["SINGLE", 0x95]],
  ["sqrtss", ["SINGLE", 0x91]],
  ["cvttsd2si", ["TRUNCATE_DOUBLE", 0]],
  ["cvtsi2sd", ["FROM_INTEGER", 0]],
  ["comisd", ["COMPARE_DOUBLE", 0]],
  ["ucomisd", ["COMPARE_DOUBLE", 0]],
  ...JIT_X87,
]);
