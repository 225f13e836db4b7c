/** Encodings of every opcode there could be, whether the table has a row for it or not. Deterministic. */
import type { Width } from "../../src/isa/operand.ts";

/** Bytes of xorshift32. */
export function randomBytes(seed: number): () => number {
  let s = seed;
  return () => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 8) & 255;
  };
}

const LEGACY_MAPS = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
const PREFIXES = [[], [0x66], [0xf3], [0xf2], [0xf0], [0x67]];
const MODS = [0x00, 0x40, 0xc0];

/**
 * Every opcode of every map in `mode`, with every prefix that may choose a row, without and with REX, with every
 * ModRM.reg and ModRM.mod, and as VEX with every pp, L and W. 15 bytes each, of which what is left is random.
 */
export function* encodings(mode: Width): Generator<Uint8Array> {
  const random = randomBytes(mode);
  const made = (...start: number[]): Uint8Array => {
    const bytes = Uint8Array.from({ length: 15 }, random);
    bytes.set(start);
    return bytes;
  };
  const modrms = MODS.flatMap((mod) => [0, 1, 2, 3, 4, 5, 6, 7].map((reg) => mod | (reg << 3)));
  const rexes = mode === 64 ? [[], [0x4d]] : [[]];
  for (const map of LEGACY_MAPS) {
    for (const prefix of PREFIXES) {
      for (const rex of rexes) {
        for (let opcode = 0; opcode < 256; opcode++) {
          for (const modrm of modrms) yield made(...prefix, ...rex, ...map, opcode, modrm | (random() & 7));
        }
      }
    }
  }
  for (const map of [1, 2, 3]) {
    for (let wlp = 0; wlp < 16; wlp++) {
      for (let opcode = 0; opcode < 256; opcode++) {
        for (const modrm of modrms) {
          // Inverted: what is all ones is absent. Where C4 and C5 may be LES and LDS, R and X must be.
          const rxb = mode === 64 && random() & 1 ? random() & 0xe0 : 0xe0;
          const vvvv = random() & 1 ? 0x78 : random() & 0x78;
          const last = ((wlp & 8) << 4) | vvvv | (wlp & 7);
          yield made(0xc4, rxb | map, last, opcode, modrm | (random() & 7));
        }
      }
    }
  }
}

/** 15 random bytes, often after some prefixes and escapes. */
export function* randomCode(seed: number, count: number): Generator<Uint8Array> {
  const random = randomBytes(seed);
  const start = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x26, 0x64, 0x48, 0x41, 0x4f, 0x0f, 0x0f, 0x0f, 0xc4, 0xc5];
  for (let i = 0; i < count; i++) {
    const bytes = Uint8Array.from({ length: 15 }, random);
    for (let k = 0; k < 4 && random() < 100; k++) bytes[k] = start[random() & 15];
    yield bytes;
  }
}
