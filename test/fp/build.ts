/** Builds assembly/fp/testing.ts and gives its exports; u64 is bigint (signed as Wasm returns it), u32 a number. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import asc from "assemblyscript/asc";

export type FpFunction = (...args: (bigint | number)[]) => bigint | number;
export type Fp = Record<string, FpFunction>;

/** The part of the WebAssembly API used here (Node's types do not declare it). */
interface WasmApi {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: object };
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;

const root = resolve(import.meta.dirname, "../..");

/** Compiles the library's test entry with the flags the core uses. Throws with asc's messages on an error. */
export async function buildFp(): Promise<Fp> {
  const dir = mkdtempSync(join(tmpdir(), "fp-"));
  try {
    const out = join(dir, "fp.wasm");
    const args = ["assembly/fp/testing.ts", "-o", out, "-O3", "--noAssert", "--runtime", "stub", "--enable", "simd"];
    const { error, stderr } = await asc.main([...args, "--baseDir", root]);
    if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
    const instance = new Instance(new Module(readFileSync(out)), {
      env: {
        abort: () => {
          throw new Error("abort");
        },
      },
    });
    return instance.exports as Fp;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** A 64-bit argument of the data files is a "0x" string, a 32-bit one a number. */
export function value(v: string | number): bigint | number {
  return typeof v === "string" ? BigInt(v) : v;
}

/** Results compared without regard to how Wasm's sign convention shows them. */
export function unsigned(v: bigint | number): bigint {
  return typeof v === "bigint" ? BigInt.asUintN(64, v) : BigInt(v >>> 0);
}
