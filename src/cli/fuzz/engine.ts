/** What runs cases: the real CPU (./native.ts) and each of our ways to run code, behind one interface. */
import { FEATURES, type Feature, featureWords } from "../../isa/features.ts";
import { VCPU } from "../../shared/layout.ts";
import type { StructView } from "../../vcpu/view.ts";
import { VectorMachine } from "../vectorMachine.ts";
import { place, pristine } from "../vectorMemory.ts";
import { type Case, fillMemory, linearStart, type Result, X, XSAVE_SIZE } from "./case.ts";

export interface Engine {
  readonly name: string;
  /** One result for each case. Those of our own engines share their memory: they are good until the next `run`. */
  run(cases: readonly Case[]): Result[];
}

/** interp: as a guest's code runs; step: one instruction at a time; jit: a second time, in compiled regions. */
export const ENGINES = ["interp", "step", "jit"] as const;
export type EngineName = (typeof ENGINES)[number];

/** Instructions after which a case is given up. */
const LIMIT = 100_000;
const FAULTS_WITH_ERROR = 0x227d00;

/** An instruction that is about to run. */
export interface Step {
  /** Linear address. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** A core of ours. */
export class CoreEngine implements Engine {
  readonly name: EngineName;
  /** Names (src/isa/features.ts) of what its CPU has. */
  readonly features: ReadonlySet<string>;
  readonly #machine: VectorMachine;
  readonly #pristine = pristine();

  /** @param other names of the features that its CPU has, as far as they are implemented; by default all that are. */
  constructor(module: WebAssembly.Module, name: EngineName, other?: ReadonlySet<string>) {
    this.name = name;
    const has = (f: Feature): boolean => f.presence === "always" || (other?.has(f.name) ?? true);
    this.features = new Set([...FEATURES.values()].filter(has).map((f) => f.name));
    // The second engine compiles what has run once.
    this.#machine = new VectorMachine(module, name === "jit" ? 1 : 0, featureWords(has));
  }

  run(cases: readonly Case[]): Result[] {
    return cases.map((c) => {
      const result = this.one(c);
      return cases.length > 1 ? { ...result, memory: (result.memory as Uint8Array).slice() } : result;
    });
  }

  /** One case. The result's memory is the machine's: good until the next one. */
  one(c: Case): Result {
    const m = this.#machine;
    this.#load(c);
    if (this.name === "jit") {
      m.runFree(LIMIT);
      this.#load(c, true);
    }
    const outcome = m.runFree(LIMIT, this.name === "step" ? () => false : undefined);
    return this.#result(outcome);
  }

  /**
   * Runs a case instruction by instruction.
   *
   * @param each called before each instruction with a way to take the state as it is then; true ends the run.
   */
  trace(c: Case, each: (step: Step, snapshot: () => Result) => boolean): void {
    const m = this.#machine;
    this.#load(c);
    m.runFree(LIMIT, () => {
      const rip = m.view.get64(VCPU.rip);
      const at = Number(rip) + (c.mode === 16 ? linearStart(c) - c.rip : 0);
      const snapshot = (): Result => ({
        ...this.#registers(),
        status: "done",
        vector: -1,
        error: 0,
        cr2: 0n,
        rip,
        rflags: m.rflags,
        memory: m.pages.slice(),
      });
      return each({ at, bytes: this.#code(at) }, snapshot);
    });
  }

  #code(linear: number): Uint8Array {
    const out = new Uint8Array(15);
    for (let i = 0; i < 15; i++) out[i] = byteAt(this.#machine.pages, linear + i);
    return out;
  }

  #load(c: Case, again = false): void {
    const m = this.#machine;
    const v = m.view;
    m.pages.set(this.#pristine);
    fillMemory(c, m.pages);
    loadRegisters(v, c);
    m.process(c.mode, again);
    m.setRflags(BigInt(c.rflags));
  }

  #registers(): Pick<Result, "gpr" | "xsave"> {
    const v = this.#machine.view;
    const gpr = new BigUint64Array(16);
    for (let i = 0; i < 16; i++) gpr[i] = v.get64(VCPU.gpr, i);
    const xsave = new Uint8Array(XSAVE_SIZE);
    const to = new DataView(xsave.buffer);
    const bytes = new Uint8Array(v.data.buffer);
    const fsw = v.get(VCPU.fsw);
    to.setUint16(X.fcw, v.get(VCPU.fcw), true);
    to.setUint16(X.fsw, fsw, true);
    xsave[X.ftw] = v.get(VCPU.ftw);
    to.setUint16(X.fop, v.get(VCPU.fop), true);
    to.setBigUint64(X.fip, v.get64(VCPU.fip), true);
    to.setBigUint64(X.fdp, v.get64(VCPU.fdp), true);
    to.setUint32(X.mxcsr, v.get(VCPU.mxcsr), true);
    const st = v.base + VCPU.st.offset;
    const ymm = v.base + VCPU.ymm.offset;
    for (let i = 0; i < 8; i++) {
      const from = st + (((fsw >> 11) + i) & 7) * 16;
      xsave.set(bytes.subarray(from, from + 10), X.st + i * 16);
    }
    for (let i = 0; i < 16; i++) {
      xsave.set(bytes.subarray(ymm + i * 32, ymm + i * 32 + 16), X.xmm + i * 16);
      xsave.set(bytes.subarray(ymm + i * 32 + 16, ymm + i * 32 + 32), X.ymmHigh + i * 16);
    }
    return { gpr, xsave };
  }

  #result(outcome: ReturnType<VectorMachine["runFree"]>): Result {
    const registers = this.#registers();
    registers.gpr[4] = outcome?.rsp ?? 0n;
    const { vector, err, cr2 } = outcome?.exception ?? { vector: -1, cr2: 0n };
    return {
      ...registers,
      status: !outcome ? "hung" : outcome.broken ? "crashed" : "done",
      vector,
      error: err ?? 0,
      cr2,
      rip: outcome?.rip ?? 0n,
      rflags: outcome?.rflags ?? 0n,
      memory: this.#machine.pages,
    };
  }
}

/** A case's registers, but for RFLAGS. */
export function loadRegisters(v: StructView, c: Pick<Case, "gpr" | "rip" | "xsave">): void {
  for (let i = 0; i < 16; i++) v.set64(VCPU.gpr, c.gpr[i], i);
  v.set64(VCPU.rip, BigInt(c.rip));
  const bytes = new Uint8Array(v.data.buffer);
  const from = new DataView(c.xsave.buffer, c.xsave.byteOffset, XSAVE_SIZE);
  const fsw = from.getUint16(X.fsw, true);
  v.set(VCPU.fcw, from.getUint16(X.fcw, true));
  v.set(VCPU.fsw, summarized(from.getUint16(X.fcw, true), fsw));
  v.set(VCPU.ftw, c.xsave[X.ftw]);
  v.set(VCPU.fcs, 0);
  v.set(VCPU.fds, 0);
  v.set(VCPU.fop, from.getUint16(X.fop, true));
  v.set64(VCPU.fip, from.getBigUint64(X.fip, true));
  v.set64(VCPU.fdp, from.getBigUint64(X.fdp, true));
  v.set(VCPU.mxcsr, from.getUint32(X.mxcsr, true));
  const st = v.base + VCPU.st.offset;
  const ymm = v.base + VCPU.ymm.offset;
  for (let i = 0; i < 8; i++) {
    bytes.set(c.xsave.subarray(X.st + i * 16, X.st + i * 16 + 16), st + (((fsw >> 11) + i) & 7) * 16);
  }
  for (let i = 0; i < 16; i++) {
    bytes.set(c.xsave.subarray(X.xmm + i * 16, X.xmm + i * 16 + 16), ymm + i * 32);
    bytes.set(c.xsave.subarray(X.ymmHigh + i * 16, X.ymmHigh + i * 16 + 16), ymm + i * 32 + 16);
  }
}

/** FSW as loading it leaves it: ES and B follow from the flags and the masks (SDM vol. 1, 8.1.3.3). */
const summarized = (fcw: number, fsw: number): number => (fsw & ~fcw & 0x3f ? fsw | 0x8080 : fsw & ~0x8080);

/** True if the exception pushes an error code (SDM vol. 3, table 6-1). */
export const hasError = (vector: number): boolean => ((FAULTS_WITH_ERROR >> vector) & 1) === 1;

function byteAt(pages: Uint8Array, linear: number): number {
  const at = place(linear);
  return at < 0 ? 0 : pages[at];
}
