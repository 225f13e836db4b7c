/**
 * FEX's unit tests (`npm run fex -- --suite PATH`): user-mode programs with the registers they expect. Only those count
 * that this machine's CPU agrees with and whose features the guest has by default. Needs NASM, gcc and x86-64 Linux.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { FEATURES } from "../../src/isa/features.ts";
import { type EngineKind, HEAT } from "../../src/vcpu/jit.ts";
import { buildNative, FexMachine, runNative } from "./machine.ts";
import { differences, readProgram } from "./program.ts";

const suite = process.env.FEX_SUITE ?? "";
const only = process.env.FEX_ONLY ?? "";
const HOURS = 3_600_000;

/** The suite's names of features, and ours; what is not here the CPU does not have. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  AVX: ["avx", "avx2"],
  BMI1: ["bmi1"],
  BMI2: ["bmi2"],
  RAND: ["rdrand", "rdseed"],
  CLWB: ["clwb"],
  SSSE3: ["ssse3"],
  "SSE4.1": ["sse4_1"],
  "SSE4.2": ["sse4_2"],
  AES: ["aes"],
  PCLMUL: ["pclmulqdq"],
  MOVBE: ["movbe"],
  ADX: ["adx"],
  XSAVE: ["xsave"],
  RDPID: ["rdpid"],
  CLFLOPT: ["clflushopt"],
  FSGSBASE: ["fsgsbase"],
};

const LINUX = "asks Linux, of which there is none here";
const UMIP = "SGDT and SMSW are #GP with CR4.UMIP, which Linux answers with values of its own";
const SHA = "needs SHA, which the CPU does not have, and does not say so";
const CARRYLESS = "needs VPCLMULQDQ, which the CPU does not have, and does not say so";
/** Programs whose result is not the CPU's alone. */
const EXPLAINED: ReadonlyMap<string, string> = new Map([
  ["FEX_bugs/32bit_syscall.asm", LINUX],
  ["TwoByte/0F_02.asm", LINUX],
  ["Secondary/07_XX_00.asm", UMIP],
  ["Secondary/07_XX_04.asm", UMIP],
  ["modrm_oob/SecondaryGroup.asm", UMIP],
  ["modrm_oob/H0F38.asm", SHA],
  ["modrm_oob/H0F3A.asm", SHA],
  ["modrm_oob/VEX.asm", CARRYLESS],
  ["VEX/vpclmulqdq_256.asm", CARRYLESS],
]);

const has = (feature: string): boolean =>
  NEEDS[feature]?.every((name) => ["on", "always"].includes(FEATURES.get(name)?.presence ?? "")) ?? false;

const temporary = mkdtempSync(join(tmpdir(), "fex-"));
afterAll(() => rmSync(temporary, { recursive: true }));

it("agrees with every program that the CPU agrees with", { timeout: 10 * HOURS }, () => {
  const native = buildNative(temporary);
  const module = new WebAssembly.Module(readFileSync("dist/core/core.wasm"));
  const heat = Number(process.env.FEX_THRESHOLD || HEAT[process.env.FEX_ENGINE as EngineKind]);
  const machine = new FexMachine(module, heat);
  const files = readdirSync(suite, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".asm"));
  const unusable: string[] = [];
  const disagreed: string[] = [];
  const lacking = new Map<string, number>();
  const explained: string[] = [];
  const failed: string[] = [];
  let passed = 0;
  for (const name of files.sort()) {
    if (!name.includes(only)) continue;
    const program = readProgram(suite, name, temporary);
    if (typeof program === "string") {
      unusable.push(`${name}: ${program}`);
      continue;
    }
    const real = runNative(native, program);
    const wrong = typeof real === "string" ? [real] : differences(program, real);
    if (wrong.length) {
      disagreed.push(`${name}: ${wrong[0]}`);
      continue;
    }
    const missing = program.features.find((f) => !has(f));
    if (missing) {
      lacking.set(missing, (lacking.get(missing) ?? 0) + 1);
      continue;
    }
    const ours = machine.run(program);
    const found = typeof ours === "string" ? [ours] : differences(program, ours);
    const reason = EXPLAINED.get(name);
    if (!found.length) passed++;
    else if (reason) explained.push(`${name}: ${reason}`);
    else failed.push(`${name}: ${found.slice(0, 3).join("; ")}`);
  }
  const list = (title: string, lines: readonly string[]): string =>
    [`${lines.length} ${title}`, ...lines].join("\n    ");
  console.log(
    [
      `${passed} passed`,
      list("failed", failed),
      list("differ for a reason", explained),
      list("that NASM cannot assemble", unusable),
      list("that the CPU does not agree with", disagreed),
      `skipped for a feature: ${[...lacking].map(([f, n]) => `${f} ${n}`).join(", ") || "none"}`,
    ].join("\n  "),
  );
  expect(failed).toEqual([]);
  expect(passed).toBeGreaterThan(0);
});
