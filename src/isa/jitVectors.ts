/**
 * How compiled regions do what frequent MMX/SSE/AVX handlers do (assembly/jit/vector.ts), by the handler's name: a kind and,
 * for most, an opcode of Wasm's vector instructions (prefix FD). The handlers of assembly/simd stay what these instructions
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
] as const;
export type VectorKind = (typeof VECTOR_KINDS)[number];

const binary = (ops: Record<string, number>): [string, readonly [VectorKind, number]][] =>
  Object.entries(ops).map(([name, op]) => [name, ["BINARY", op]]);

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
]);
