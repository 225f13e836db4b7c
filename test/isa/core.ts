/** The core's decoder by itself: builds assembly/decode/testing.ts. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import asc from "assemblyscript/asc";
import { ASC_OPTIONS } from "../../scripts/build-core.mjs";
import { DEFAULT, IMPLEMENTED } from "../../src/isa/features.ts";
import type { Width } from "../../src/isa/operand.ts";
import { MODE, VCPU, VCPU_BASE } from "../../src/shared/layout.ts";

export interface Decoded {
  /** 0: the bytes do not suffice. */
  length: number;
  /** Vector of the exception that is all the instruction does, else 0. */
  vector: number;
}

export type CoreDecoder = (bytes: Uint8Array, mode: Width) => Decoded;

const root = resolve(import.meta.dirname, "../..");
const UOPS_AT = VCPU_BASE + 0x10_0000;
const BYTES_AT = UOPS_AT + 0x1_0000;
const WIDTH_BITS: Readonly<Record<Width, number>> = { 16: 0, 32: MODE.CODE32, 64: MODE.CODE64 | MODE.LONG };

/** Compiles the decoder; it is in protected mode with SSE and AVX enabled, and the guest has every feature there is. */
export async function buildDecoder(): Promise<CoreDecoder> {
  const dir = mkdtempSync(join(tmpdir(), "isa-"));
  try {
    const out = join(dir, "decode.wasm");
    const args = ["assembly/decode/testing.ts", "--baseDir", root, "-o", out, ...ASC_OPTIONS];
    const { error, stderr } = await asc.main(args);
    if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
    const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true });
    const never = () => {
      throw new Error("the decoder called its host");
    };
    const env = { memory, abort: never, now: never, random: never, compileRegions: never, forgetRegions: never };
    const { decodeOne } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(out)), { env })
      .exports as unknown as { decodeOne(vcpu: number, from: number, bytes: number, uops: number): number };
    const view = new DataView(memory.buffer);
    const set = (at: number, value: number) => view.setUint32(VCPU_BASE + at, value, true);
    set(VCPU.cr0.offset, 0x8000_0031);
    set(VCPU.cr4.offset, 0x4_0620);
    IMPLEMENTED.forEach((word, i) => {
      set(VCPU.cpuToggle.offset + 4 * i, (word ^ DEFAULT[i]) >>> 0);
    });
    return (bytes, mode) => {
      set(VCPU.mode.offset, WIDTH_BITS[mode] | MODE.PROTECTED | MODE.FLAT | MODE.FLATCS | MODE.STACK32);
      new Uint8Array(memory.buffer).set(bytes, BYTES_AT);
      const result = decodeOne(VCPU_BASE, BYTES_AT, bytes.length, UOPS_AT);
      return { length: result & 255, vector: result >> 8 };
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}
