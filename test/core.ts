/** The core that tests run: the project's own, compiled if sources are newer, or one that TABHYVE_CORE names. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildCore } from "../scripts/build-core.mjs";

export const corePath = process.env.TABHYVE_CORE ?? join(import.meta.dirname, "../dist/core/core.wasm");

export async function prepareCore(): Promise<void> {
  if (!process.env.TABHYVE_CORE) await buildCore();
}

export async function coreBytes(): Promise<Uint8Array<ArrayBuffer>> {
  await prepareCore();
  return new Uint8Array(readFileSync(corePath));
}

export async function coreModule(): Promise<WebAssembly.Module> {
  return new WebAssembly.Module(await coreBytes());
}
