/**
 * assembly/mem/inflate.ts against zlib: everything that zlib makes, and streams that are damaged, of which it accepts
 * what zlib accepts and leaves everything but its own buffers alone.
 */
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { CONTROL_BASE, INFLATE } from "../../src/shared/layout.ts";
import { type CoreExports, instantiateCore, unshared } from "../../src/vcpu/core.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";
import { coreBytes } from "../core.ts";
import { random } from "../vcpu/interleave.ts";

const SIZE = 65536;
let core: CoreExports;
let bytes: Uint8Array;

beforeAll(async () => {
  const memory = new MachineMemory({ regions: [{ gpa: 0, length: 0x20_0000 }], vcpus: 1, shared: false });
  const module = new WebAssembly.Module(unshared(await coreBytes()) as BufferSource);
  core = instantiateCore(module, memory.memory, () => 0);
  bytes = memory.bytes;
}, 300_000);

/** What the core makes of a stream; undefined: it refuses. */
function unpack(packed: Uint8Array, size: number): Uint8Array | undefined {
  // What another stream has left behind must not count.
  bytes.fill(0xa5, INFLATE.INPUT, INFLATE.TABLES);
  bytes.set(packed, INFLATE.INPUT);
  return core.inflate(packed.length, size) ? bytes.slice(INFLATE.OUTPUT, INFLATE.OUTPUT + size) : undefined;
}

const next = random(20);
const number = (limit: number): number => Math.floor(next() * limit);

/** Bytes of some kind: noise, few symbols, repetitions near and far, zeros. */
function sample(size: number): Uint8Array {
  const kind = number(5);
  const out = new Uint8Array(size);
  const symbols = 1 + number(kind === 1 ? 4 : 256);
  for (let i = 0; i < size; ) {
    if (kind >= 2 && i > 0 && number(3) > 0) {
      const distance = 1 + number(Math.min(i, kind === 2 ? 9 : 32_768));
      for (let n = 3 + number(300); n > 0 && i < size; n--, i++) out[i] = out[i - distance];
    } else if (kind === 4) i += number(5000);
    else out[i++] = number(symbols);
  }
  return out;
}

const SIZES = [0, 1, 2, 3, 7, 100, 4096, 32_768, 32_769, SIZE - 1, SIZE];
const STRATEGIES = [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY, constants.Z_RLE];

describe("inflate", () => {
  it("unpacks what zlib has packed, at every level and strategy", () => {
    for (const size of SIZES) {
      for (let level = 0; level <= 9; level++) {
        for (const strategy of STRATEGIES) {
          const raw = sample(size);
          const packed = deflateRawSync(raw, { level, strategy, memLevel: 1 + number(9), windowBits: 9 + number(7) });
          if (packed.length > SIZE + 1024) continue;
          const got = unpack(packed, size);
          expect(got && Buffer.compare(got, raw), `${size} bytes, level ${level}, strategy ${strategy}`).toBe(0);
          // Neither more nor less than was asked for.
          expect(unpack(packed, size + 1)).toBeUndefined();
          if (size) expect(unpack(packed, size - 1)).toBeUndefined();
        }
      }
    }
  });

  it("of damaged streams takes what zlib takes, and writes nowhere else", () => {
    const before = bytes.slice(0, CONTROL_BASE + 4096);
    const above = bytes.slice(INFLATE.END, INFLATE.END + 0x10_0000);
    let refused = 0;
    for (let n = 0; n < 3000; n++) {
      const size = 1 + number(3000);
      const packed = Uint8Array.from(
        deflateRawSync(sample(size), { level: 1 + number(9), strategy: STRATEGIES[number(4)] }),
      );
      for (let flips = 1 + number(3); flips > 0; flips--) packed[number(packed.length)] ^= 1 << number(8);
      const cut = number(4) ? packed : packed.subarray(0, number(packed.length));
      let expected: Uint8Array | undefined;
      try {
        expected = inflateRawSync(cut, { maxOutputLength: SIZE });
      } catch {
        expected = undefined;
      }
      if (expected?.length !== size) expected = undefined;
      const got = unpack(cut, size);
      expect(got === undefined, `stream ${n}`).toBe(expected === undefined);
      if (got && expected) expect(Buffer.compare(got, expected)).toBe(0);
      else refused++;
    }
    expect(refused).toBeGreaterThan(1000);
    expect(Buffer.compare(bytes.slice(0, before.length), before)).toBe(0);
    expect(Buffer.compare(bytes.slice(INFLATE.END, INFLATE.END + 0x10_0000), above)).toBe(0);
  });
});
