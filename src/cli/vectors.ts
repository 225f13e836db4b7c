/**
 * Replay of instruction vectors (`tabhyve vectors`): every vector runs on a core of its own machine, and the state
 * afterwards is compared with what a CPU did. See ./vectorFormat.ts for the files, ./vectorMachine.ts for the machine.
 */
import { type EngineKind, HEAT } from "../vcpu/jit.ts";
import { advertised, featureOf } from "./vectorFeatures.ts";
import { readVectors, splitId, tierOf, type Vector } from "./vectorFormat.ts";
import { type Outcome, VectorMachine } from "./vectorMachine.ts";
import { flagsLost, fswTolerable, isTolerant, nearSingle, resultTolerable } from "./vectorTolerance.ts";

export interface ReplayOptions {
  /** Run vectors of features that the core's CPUID does not advertise, too. */
  readonly all?: boolean;
  /** Run whole blocks, as a guest's code runs, rather than one instruction at a time (where a vector allows it). */
  readonly blocks?: boolean;
  /** Default: interp. The others compile at the first execution, and run whole blocks, because regions do. */
  readonly engine?: EngineKind;
  /** Executions after which the others compile; every vector runs so often, and must be right each time. */
  readonly jitThreshold?: number;
  /** Only vectors whose id contains this text. */
  readonly only?: string;
  /** Called before each file. */
  readonly progress?: (file: string) => void;
}

/** One field in which the core's state is not the recorded one; values are hex, `none` where there is no exception. */
export interface Difference {
  readonly field: string;
  readonly expected: string;
  readonly got: string;
}

/** The vectors of one form (an instruction with its kinds of operand) that failed. */
export interface FailedForm {
  readonly form: string;
  readonly ids: string[];
  /** Of the first of them. */
  readonly example: { readonly asm: string; readonly code: string; readonly differences: readonly Difference[] };
}

export interface TierResult {
  readonly tier: string;
  readonly file: string;
  readonly total: number;
  readonly passed: number;
  readonly failed: number;
  /** Number of vectors that were not run, by the feature that the core lacks. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly failures: readonly FailedForm[];
}

/** RFLAGS bits that are compared: the recording has TF, which it used, and RF, which a fault's frame has set, clear. */
const RFLAGS_MASK = ~0x1_0100n;
/** Linux's TASK_SIZE_MAX: 2^47 less a page. */
const KERNEL_ONLY = 0x7fff_ffff_f000n;
const GPR64 = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
const gprName = (i: number, mode: number): string =>
  i >= 8 ? `r${i}` : mode === 64 ? GPR64[i] : `e${GPR64[i].slice(1)}`;
const RFLAGS = "CF,,PF,,AF,,ZF,SF,TF,IF,DF,OF,,,NT,,RF,,AC".split(",");

/**
 * Replays files of vectors on a core.
 *
 * @param core the compiled core (dist/core/core.wasm).
 * @returns one result for each file, in order.
 * @throws Error if a file cannot be read as vectors.
 */
export function replayVectors(
  core: WebAssembly.Module,
  files: readonly string[],
  options: ReplayOptions = {},
): TierResult[] {
  const compiled = options.engine !== undefined && options.engine !== "interp";
  const machine = new VectorMachine(core, compiled ? (options.jitThreshold ?? HEAT.jit) : 0);
  const features = advertised(machine);
  return files.map((file) => {
    options.progress?.(file);
    return replayFile(machine, features, file, options);
  });
}

function replayFile(
  machine: VectorMachine,
  features: ReadonlySet<string>,
  file: string,
  options: ReplayOptions,
): TierResult {
  const skipped: Record<string, number> = {};
  const forms = new Map<string, FailedForm>();
  let total = 0;
  let passed = 0;
  let failed = 0;
  for (const vector of readVectors(file)) {
    if (options.only && !vector.id.includes(options.only)) continue;
    total++;
    const feature = featureOf(vector);
    if (feature && !options.all && !features.has(feature)) {
      skipped[feature] = (skipped[feature] ?? 0) + 1;
      continue;
    }
    let differences: Difference[] = [];
    for (let n = 0; n < Math.max(1, machine.heat) && !differences.length; n++) {
      machine.load(vector, n > 0);
      differences = compare(machine, vector, machine.run(vector, options.blocks || machine.heat > 0));
    }
    if (!differences.length) {
      passed++;
      continue;
    }
    failed++;
    const { form } = splitId(vector.id);
    const known = forms.get(form);
    if (known) known.ids.push(vector.id);
    else
      forms.set(form, { form, ids: [vector.id], example: { asm: vector.asm ?? "", code: vector.code, differences } });
  }
  return { tier: tierOf(file), file, total, passed, failed, skipped, failures: [...forms.values()] };
}

const hex = (n: number | bigint): string => n.toString(16);

function flagNames(flags: bigint): string {
  return RFLAGS.filter((name, bit) => name && (flags >> BigInt(bit)) & 1n).join(" ") || "-";
}

/** What differs from the recording, in the order in which one looks for the cause. */
export function compare(machine: VectorMachine, vector: Vector, outcome: Outcome): Difference[] {
  const out: Difference[] = [];
  const check = (field: string, expected: string, got: string): void => {
    if (expected !== got) out.push({ field, expected, got });
  };
  const { before, after } = vector;
  if (outcome.broken) {
    return [{ field: "run", expected: vector.exception ? `#${vector.exception.vector}` : "done", got: outcome.broken }];
  }
  compareException(vector, outcome, check);
  check("rip", after.rip, hex(outcome.rip));
  const flagsMask = RFLAGS_MASK & ~BigInt(`0x${vector.flagsUndefined ?? 0}`) & ~flagsLost(vector, outcome.rflags);
  const wantFlags = BigInt(`0x${after.rflags}`) & flagsMask;
  const gotFlags = outcome.rflags & flagsMask;
  if (wantFlags !== gotFlags) {
    const differ = wantFlags ^ gotFlags;
    const names = (flags: bigint): string => `${hex(flags)} (${flagNames(flags & differ)})`;
    check("rflags", names(wantFlags), names(gotFlags));
  }
  const gprMask = vector.mode === 64 ? ~0n : 0xffff_ffffn;
  for (let i = 0; i < before.gpr.length; i++) {
    const got = (i === 4 ? outcome.rsp : machine.gpr(i)) & gprMask;
    check(gprName(i, vector.mode), after.gpr?.[i] ?? before.gpr[i], hex(BigInt.asUintN(64, got)));
  }
  compareVectors(machine, vector, check);
  compareFpu(machine, vector, check);
  const memory = machine.memoryDifference(vector);
  if (memory) check(`memory ${hex(memory.address)}`, memory.expected, memory.got);
  return out;
}

type Check = (field: string, expected: string, got: string) => void;

function compareException(vector: Vector, outcome: Outcome, check: Check): void {
  const want = vector.exception;
  const got = outcome.exception;
  check("exception", want ? `${want.vector}` : "none", got ? `${got.vector}` : "none");
  if (!want || !got || want.vector !== got.vector) return;
  let err = got.err;
  let wantErr = want.err;
  if (want.cr2 !== undefined) {
    check("cr2", want.cr2, hex(got.cr2));
    // Linux reports P for every address that no process can have: at and above 2^47 the recording has it cleared, and
    // for the page below it stands as Linux had it.
    if (got.cr2 >= KERNEL_ONLY) {
      wantErr = (wantErr ?? 0) & ~1;
      err = (err ?? 0) & ~1;
    }
  }
  check("error code", wantErr === undefined ? "none" : hex(wantErr), err === undefined ? "none" : hex(err));
}

const xmmDefault = (i: number): string =>
  hex(i * 0x11)
    .padStart(2, "0")
    .repeat(16);

function compareVectors(machine: VectorMachine, vector: Vector, check: Check): void {
  const { before, after } = vector;
  for (let i = 0; i < 16; i++) {
    const old = before.xmm?.[i] ?? xmmDefault(i);
    const want = (after.xmm?.[i] ?? old).padStart(64, "0");
    const got = machine.ymm(i);
    if (want === got) continue;
    if (vector.approx && near(want, got, old.padStart(64, "0"))) continue;
    const wide = want.slice(0, 32) !== got.slice(0, 32);
    check(`${wide ? "ymm" : "xmm"}${i}`, wide ? want : want.slice(32), wide ? got : got.slice(32));
  }
  check("mxcsr", hex(after.mxcsr ?? before.mxcsr ?? 0x1f80), hex(machine.mxcsr));
}

/** True if single-precision lanes that the instruction wrote are as near as RCP and RSQRT must be, and all others equal. */
function near(want: string, got: string, old: string): boolean {
  for (let at = 0; at < 64; at += 8) {
    const w = want.slice(at, at + 8);
    const g = got.slice(at, at + 8);
    if (w === g) continue;
    if (w === old.slice(at, at + 8) || !nearSingle(Number.parseInt(w, 16), Number.parseInt(g, 16))) return false;
  }
  return true;
}

const ZERO_ST = "0".repeat(20);

function compareFpu(machine: VectorMachine, vector: Vector, check: Check): void {
  const before = { fcw: 0x37f, fsw: 0, ftw: 0, ...vector.before.fpu };
  const after = vector.after.fpu;
  const registers = Array.from({ length: 8 }, (_, p) => p);
  const want = {
    fcw: after?.fcw ?? before.fcw,
    fsw: after?.fsw ?? before.fsw,
    r: registers.map((p) => after?.r?.[p] ?? before.r?.[p] ?? ZERO_ST),
  };
  const got = { ...machine.fpu, r: registers.map((p) => machine.st(p)) };
  const tolerant = isTolerant(vector);
  const { form } = splitId(vector.id);
  const fswMask = 0xffff & ~(vector.fswUndefined ?? 0) & ~(tolerant ? fswTolerable(form, want, got) : 0);
  check("fcw", hex(want.fcw), hex(got.fcw));
  check("fsw", hex(want.fsw & fswMask), hex(got.fsw & fswMask));
  check("ftw", hex(after?.ftw ?? before.ftw), hex(got.ftw));
  for (const p of registers) {
    if (!(tolerant && resultTolerable(form, p, want, got))) check(`r${p} (x87)`, want.r[p], got.r[p]);
  }
}

/** Result of one tier as lines of text: a summary, then each form that failed with its first example. */
export function describeTier(result: TierResult, examples = Number.POSITIVE_INFINITY): string[] {
  const run = result.passed + result.failed;
  const rate = run ? `${((100 * result.passed) / run).toFixed(result.failed ? 2 : 0)} %` : "-";
  const skips = Object.entries(result.skipped).map(([feature, n]) => `${n} (CPUID lacks ${feature})`);
  const lines = [
    `${result.tier.padEnd(10)} passed ${result.passed}, failed ${result.failed}, ` +
      `skipped ${skips.length ? skips.join(", ") : "0"}: ${rate}`,
  ];
  const forms = [...result.failures].sort((a, b) => b.ids.length - a.ids.length);
  for (const { form, ids, example } of forms.slice(0, examples)) {
    lines.push(`  ${form}: ${ids.length} failed; ${ids[0]}: ${example.asm || "?"} [${example.code}]`);
    for (const d of example.differences.slice(0, 6)) {
      lines.push(`      ${d.field}: expected ${d.expected}, got ${d.got}`);
    }
  }
  if (forms.length > examples) lines.push(`  … and ${forms.length - examples} more forms`);
  return lines;
}
