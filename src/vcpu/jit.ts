/**
 * Compiled regions, the host's part: from the function body that the core writes (assembly/jit/region.ts) to a function
 * in the core's table. A module holds no address of a vCPU or of the core, so one can be given to every vCPU's instance.
 */
import { JIT_HELPERS } from "../isa/jitHelpers.ts";

/** The core's exports that regions need. */
export interface JitExports {
  readonly table: WebAssembly.Table;
  /** Address of {u32 length, function body} for the code at `rip`; 0 if it cannot be compiled. */
  compileRegion(vcpu: number, rip: bigint): number;
  /** Lets the interpreter enter the region compiled last through table entry `index`. */
  installRegion(vcpu: number, index: number): void;
  readonly [helper: string]: unknown;
}

const TYPE: Readonly<Record<string, number>> = { i: 0x7f, l: 0x7e };
/** (vcpu, budget, entry) -> budget that is left. */
const REGION_TYPE = "ili>l";

const leb = (value: number): number[] => {
  const out: number[] = [];
  let v = value;
  do {
    out.push((v & 127) | (v > 127 ? 128 : 0));
    v >>>= 7;
  } while (v);
  return out;
};
const name = (s: string): number[] => [s.length, ...[...s].map((c) => c.charCodeAt(0))];
const section = (id: number, bytes: readonly number[]): number[] => [id, ...leb(bytes.length), ...bytes];

/** Everything before the code section (Wasm core specification, 5.5): the same in every module. */
function head(shared: boolean): Uint8Array {
  const types = [...new Set([...JIT_HELPERS.map(([, params, result]) => `${params}>${result}`), REGION_TYPE])];
  const typeBytes = types.flatMap((t) => {
    const [params, result] = t.split(">");
    return [0x60, params.length, ...[...params].map((p) => TYPE[p]), 1, TYPE[result]];
  });
  const imports = [
    [...name("core"), ...name("memory"), 2, shared ? 3 : 1, ...leb(1), ...leb(65536)],
    ...JIT_HELPERS.map(([n, params, result]) => [...name("core"), ...name(n), 0, types.indexOf(`${params}>${result}`)]),
  ];
  return Uint8Array.from([
    0,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, [types.length, ...typeBytes]),
    ...section(2, [imports.length, ...imports.flat()]),
    ...section(3, [1, types.indexOf(REGION_TYPE)]),
    ...section(7, [1, ...name("region"), 0, JIT_HELPERS.length]),
  ]);
}

/** A module around one function body. */
export function regionModule(body: Uint8Array, shared: boolean): Uint8Array {
  const start = head(shared);
  const size = leb(body.length);
  const before = [10, ...leb(1 + size.length + body.length), 1, ...size];
  const out = new Uint8Array(start.length + before.length + body.length);
  out.set(start);
  out.set(before, start.length);
  out.set(body, start.length + before.length);
  return out;
}

/** A region that the core can enter. */
export interface Region {
  readonly module: WebAssembly.Module;
  /** The module's bytes. */
  readonly bytes: Uint8Array;
  /** Entry of the core's table. */
  readonly index: number;
}

/**
 * Compiles regions for the vCPUs of one core instance. There is no policy here: who calls `compile` decides what is worth
 * it, and must keep the number of live modules well below what the host bears (node 20 aborts near 32,500).
 */
export class RegionCompiler {
  readonly #core: JitExports;
  readonly #memory: WebAssembly.Memory;
  readonly #imports: Record<string, Record<string, never>>;
  /** Entries of the table that regions have, and those that are free again. */
  readonly #live: number[] = [];
  readonly #free: number[] = [];

  constructor(core: JitExports, memory: WebAssembly.Memory) {
    this.#core = core;
    this.#memory = memory;
    const helpers = Object.fromEntries(JIT_HELPERS.map(([n]) => [n, core[n] as never]));
    this.#imports = { core: { memory: memory as never, ...helpers } };
  }

  /**
   * Compiles the code at `rip` of the vCPU at `vcpu` (its area's address) and installs it. undefined: there is no code
   * there that can be compiled, or it is compiled already.
   */
  compile(vcpu: number, rip: bigint): Region | undefined {
    const at = this.#core.compileRegion(vcpu, rip) >>> 0;
    if (!at) return undefined;
    const buffer = this.#memory.buffer;
    const length = new DataView(buffer).getUint32(at, true);
    const shared = !(buffer instanceof ArrayBuffer);
    const bytes = regionModule(new Uint8Array(buffer, at + 4, length), shared);
    const module = new WebAssembly.Module(bytes as BufferSource);
    const instance = new WebAssembly.Instance(module, this.#imports);
    const index = this.#free.pop() ?? this.#core.table.grow(1);
    this.#core.table.set(index, instance.exports.region);
    this.#live.push(index);
    this.#core.installRegion(vcpu, index);
    return { module, bytes, index };
  }

  /** Lets go of every region. Only when no vCPU of the instance has one any more: after `init` of each. */
  forget(): void {
    for (const index of this.#live) this.#core.table.set(index, null);
    this.#free.push(...this.#live.splice(0));
  }
}
