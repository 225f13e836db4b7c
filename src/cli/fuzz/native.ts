/** The real CPU as an engine: compiles ./native.c with gcc, once, and runs batches of cases in it. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FEATURE_WORDS, FEATURES } from "../../isa/features.ts";
import { UsageError } from "../options.ts";
import { type Case, parseResults, type Result, serialize } from "./case.ts";
import type { Engine } from "./engine.ts";
import source from "./native.c?raw";

const FLAGS = "-O2 -Wall -static-pie -fPIE -fno-stack-protector -fcf-protection=none -mgeneral-regs-only".split(" ");

/**
 * Path of the compiled runner, in a folder of the user's own below the system's for temporary files.
 *
 * @throws UsageError if this is no x86-64 Linux, or gcc cannot compile it.
 */
function build(): string {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new UsageError("the native CPU can be asked on x86-64 Linux only; compare engines with --against");
  }
  const name = createHash("sha256").update(source).update(FLAGS.join(" ")).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), `tabhyve-fuzz-${process.getuid?.() ?? 0}`);
  const path = join(folder, name);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.c`, source);
  const made = `${path}.${process.pid}`;
  try {
    execFileSync("gcc", [...FLAGS, "-o", made, `${path}.c`], { stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    throw new UsageError(`the native runner cannot be compiled: ${(error as Error).message.split("\n")[0]}`);
  }
  renameSync(made, path);
  return path;
}

export class NativeEngine implements Engine {
  readonly name = "native";
  readonly #runner = build();

  run(cases: readonly Case[]): Result[] {
    if (!cases.length) return [];
    const { status, signal, stdout, stderr } = spawnSync(this.#runner, [], {
      input: serialize(cases),
      maxBuffer: 2 ** 30,
    });
    if (status !== 0) throw new UsageError(`the native runner ended with ${status ?? signal}: ${stderr}`);
    return parseResults(stdout, cases.length);
  }

  /** Names (src/isa/features.ts) of what the CPU has. */
  features(): Set<string> {
    const leaves = new Map<number, Record<string, number>>();
    for (const line of execFileSync(this.#runner, ["cpuid"], { encoding: "utf8" }).trim().split("\n")) {
      const [leaf, eax, ebx, ecx, edx] = line.split(" ").map(Number);
      leaves.set(leaf, { eax, ebx, ecx, edx });
    }
    const found = new Set<string>();
    for (const { name, word, bit } of FEATURES.values()) {
      const { leaf, register } = FEATURE_WORDS[word];
      if (((leaves.get(leaf)?.[register] ?? 0) >>> bit) & 1) found.add(name);
    }
    return found;
  }
}
