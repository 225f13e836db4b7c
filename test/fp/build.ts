/** Builds assembly/fp/testing.ts and gives its exports; u64 is bigint (signed as Wasm returns it), u32 a number. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import asc from "assemblyscript/asc";

export type FpFunction = (...args: (bigint | number)[]) => bigint | number;
export type Fp = Record<string, FpFunction>;

const root = resolve(import.meta.dirname, "../..");

/** Compiles the library's test entry with the flags the core uses. Throws with asc's messages on an error. */
export async function buildFp(): Promise<Fp> {
  const dir = mkdtempSync(join(tmpdir(), "fp-"));
  try {
    const out = join(dir, "fp.wasm");
    const args = ["assembly/fp/testing.ts", "-o", out, "-O3", "--noAssert", "--runtime", "stub", "--enable", "simd"];
    const { error, stderr } = await asc.main([...args, "--baseDir", root]);
    if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
    const module = new WebAssembly.Module(readFileSync(out));
    const instance = new WebAssembly.Instance(module, {
      env: {
        abort: () => {
          throw new Error("abort");
        },
      },
    });
    return instance.exports as unknown as Fp;
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
