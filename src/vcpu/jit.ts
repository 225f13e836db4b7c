/**
 * Compiled regions, the host's part: from the function bodies that the core writes (assembly/jit) to functions in the
 * core's table. A module holds the address of its vCPU's area and none of the core's.
 */
import { JIT_HELPERS, REGION_TYPE, REGION_TYPES } from "../isa/jitHelpers.ts";
import { VCPU_STRIDE } from "../shared/layout.ts";

/** The core's exports that regions need. */
export interface JitExports {
  readonly table: WebAssembly.Table;
  /** Whether regions go on to others by tail calls, which not every host has. */
  setTailCalls(on: number): void;
  /** Writes the body {u32 length, bytes} of chain64 or chain32 (assembly/jit/chain.ts) and gives its address. */
  chainFunction(vcpu: number, wide: number): number;
  /** Compiles the code at `rip` at once; 0 if it cannot be compiled, or is already. */
  compileAt(vcpu: number, rip: bigint): number;
  readonly [helper: string]: unknown;
}

/** What the core calls (assembly/jit/tier.ts). */
export interface JitImports {
  compileRegions(vcpu: number, at: number, count: number): number;
  forgetRegions(vcpu: number): void;
}

/**
 * How guest code runs. `jit`: what can be compiled is, at its first execution. `auto`: what has run often enough to be
 * worth it.
 */
export type EngineKind = "interp" | "jit" | "auto";

/** Executions of a block before it is compiled (Vcpu.heat); 0 = never. */
export const HEAT: Readonly<Record<EngineKind, number>> = { interp: 0, jit: 1, auto: 5_000 };

/**
 * What one vCPU keeps alive at most. A module costs the host some 20 KiB and a function some 7 KiB and more with its
 * code, which is a few times its bytes here; node 20 aborts near 32,500 live modules.
 */
export interface JitLimits {
  readonly modules: number;
  readonly functions: number;
  readonly bytes: number;
}
export const JIT_LIMITS: JitLimits = { modules: 1500, functions: 12_000, bytes: 16 << 20 };

const TYPE: Readonly<Record<string, number>> = { i: 0x7f, l: 0x7e };

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

const TYPES = REGION_TYPES.flatMap((t) => {
  const [params, result] = t.split(">");
  return [0x60, params.length, ...[...params].map((p) => TYPE[p]), 1, TYPE[result]];
});
const typeOf = (params: string, result: string): number => REGION_TYPES.indexOf(`${params}>${result}`);

/** Magic, types and imports (Wasm core specification, 5.5): the memory, which has at least `pages`, and what else there is. */
function head(shared: boolean, pages: number, others: readonly number[][]): number[] {
  const memory = [...name("core"), ...name("memory"), 2, shared ? 3 : 1, ...leb(pages), ...leb(65536)];
  return [
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [REGION_TYPES.length, ...TYPES]),
    ...section(2, [1 + others.length, ...memory, ...others.flat()]),
  ];
}
/** The same for every region's module. The host copies tables into each instance that imports them, so that none does. */
const HELPERS = JIT_HELPERS.map(([n, params, result]) => [...name("core"), ...name(n), 0, typeOf(params, result)]);
const CHAINS = JIT_HELPERS.filter(([n]) => n.startsWith("chain"));

/** Whether the host has tail calls: a module with a function that ends in one. */
function hasTailCalls(): boolean {
  const bytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 6, 1, 4, 0, 0x12, 0, 0x0b];
  try {
    return new WebAssembly.Module(Uint8Array.from(bytes)) !== undefined;
  } catch {
    return false;
  }
}

/**
 * A module around function bodies of the vCPU whose area begins at `vcpu`, which it exports as "0", "1" … That the memory
 * reaches to the area's end tells the host's compilers that accesses at constant addresses in it need no check.
 */
export function regionModule(bodies: readonly Uint8Array[], shared: boolean, vcpu: number): Uint8Array {
  const start = head(shared, Math.ceil((vcpu + VCPU_STRIDE) / 65536), HELPERS);
  return moduleOf(start, JIT_HELPERS.length, bodies, REGION_TYPES.indexOf(REGION_TYPE));
}

/** The module that takes regions to others, of which there is one for all of a core's. */
function chainModule(bodies: readonly Uint8Array[], shared: boolean): Uint8Array {
  const table = [...name("core"), ...name("table"), 1, 0x70, 0, 0];
  return moduleOf(head(shared, 1, [table]), 0, bodies, typeOf(CHAINS[0][1], CHAINS[0][2]));
}

function moduleOf(start: readonly number[], imported: number, bodies: readonly Uint8Array[], type: number): Uint8Array {
  const count = leb(bodies.length);
  const before = [
    ...start,
    ...section(3, [...count, ...bodies.map(() => type)]),
    ...section(7, [...count, ...bodies.flatMap((_, i) => [...name(`${i}`), 0, ...leb(imported + i)])]),
  ];
  const sizes = bodies.map((body) => leb(body.length));
  const code = bodies.reduce((n, body, i) => n + sizes[i].length + body.length, count.length);
  before.push(10, ...leb(code), ...count);
  const out = new Uint8Array(before.length + code - count.length);
  out.set(before);
  let at = before.length;
  bodies.forEach((body, i) => {
    out.set(sizes[i], at);
    out.set(body, at + sizes[i].length);
    at += sizes[i].length + body.length;
  });
  return out;
}

/** A live module: its functions' places in the core's table. */
interface Batch {
  readonly indices: readonly number[];
  readonly bytes: number;
}

/** What one vCPU has alive, oldest first. */
interface Live {
  batches: Batch[];
  functions: number;
  bytes: number;
}

/** Compiles regions for the vCPUs of one core instance. */
export class RegionCompiler implements JitImports {
  protected readonly memory: WebAssembly.Memory;
  readonly #limits: JitLimits;
  readonly #live = new Map<number, Live>();
  /** Entries of the core's table that are free again. */
  readonly #free: number[] = [];
  #core!: JitExports;
  #imports: { core: Record<string, never> } | undefined;
  /** The module made last. */
  last: Uint8Array | undefined;

  constructor(memory: WebAssembly.Memory, limits: JitLimits = JIT_LIMITS) {
    this.memory = memory;
    this.#limits = limits;
  }

  /** What is alive for all vCPUs together; no more than the limits for each of them. */
  get alive(): JitLimits {
    const all = [...this.#live.values()];
    return {
      modules: all.reduce((n, live) => n + live.batches.length, 0),
      functions: all.reduce((n, live) => n + live.functions, 0),
      bytes: all.reduce((n, live) => n + live.bytes, 0),
    };
  }

  /** Before anything runs: the instance whose imports these are. */
  attach(core: JitExports): void {
    this.#core = core;
    core.setTailCalls(hasTailCalls() ? 1 : 0);
  }

  /** What regions import. `vcpu`: one whose compiler's area may be written. */
  #link(vcpu: number): { core: Record<string, never> } {
    const core = this.#core;
    const { buffer } = this.memory;
    const bodies = CHAINS.map(([n]) => {
      const at = core.chainFunction(vcpu, n === "chain64" ? 1 : 0) >>> 0;
      return new Uint8Array(buffer, at + 4, new DataView(buffer).getUint32(at, true)).slice();
    });
    const module = new WebAssembly.Module(chainModule(bodies, !(buffer instanceof ArrayBuffer)) as BufferSource);
    const own = { core: { memory: this.memory, table: core.table } };
    const chains = new WebAssembly.Instance(module, own).exports;
    const helpers = Object.fromEntries(JIT_HELPERS.map(([n]) => [n, core[n] as never]));
    CHAINS.forEach(([n], i) => {
      helpers[n] = chains[i] as never;
    });
    return { core: { memory: this.memory as never, ...helpers } };
  }

  compileRegions(vcpu: number, at: number, count: number): number {
    const buffer = this.memory.buffer;
    const view = new DataView(buffer);
    const bodies: Uint8Array[] = [];
    for (let from = at >>> 0; bodies.length < count; ) {
      const length = view.getUint32(from, true);
      bodies.push(new Uint8Array(buffer, from + 4, length));
      from += 4 + length;
    }
    const bytes = regionModule(bodies, !(buffer instanceof ArrayBuffer), vcpu >>> 0);
    const live = this.#of(vcpu);
    let exports: Record<string, unknown>;
    let evicted = 0;
    try {
      evicted = this.#makeRoom(live, count, bytes.length);
      this.#imports ??= this.#link(vcpu);
      exports = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), this.#imports).exports;
    } catch (error) {
      // Out of memory for code. A module that does not validate is a mistake of ours.
      if (error instanceof RangeError && !evicted) return -1;
      throw error;
    }
    const { table } = this.#core;
    const missing = count - this.#free.length;
    if (missing > 0) {
      const first = table.grow(missing);
      for (let i = missing; i-- > 0; ) this.#free.push(first + i);
    }
    const indices = bodies.map((_, i) => {
      const index = this.#free.pop() as number;
      table.set(index, exports[i]);
      return index;
    });
    indices.forEach((index, i) => {
      view.setUint32((at >>> 0) + i * 4, index, true);
    });
    live.batches.push({ indices, bytes: bytes.length });
    live.functions += count;
    live.bytes += bytes.length;
    this.last = bytes;
    return evicted;
  }

  /** Lets go of the oldest modules, a quarter of them at a time; the number of their functions. */
  #makeRoom(live: Live, functions: number, bytes: number): number {
    const most = this.#limits;
    if (
      live.batches.length < most.modules &&
      live.functions + functions <= most.functions &&
      live.bytes + bytes <= most.bytes
    ) {
      return 0;
    }
    const gone = live.batches.splice(0, Math.ceil(live.batches.length / 4));
    return this.#release(live, gone);
  }

  #release(live: Live, gone: readonly Batch[]): number {
    let functions = 0;
    for (const batch of gone) {
      for (const index of batch.indices) this.#core.table.set(index, null);
      this.#free.push(...batch.indices);
      functions += batch.indices.length;
      live.bytes -= batch.bytes;
    }
    live.functions -= functions;
    return functions;
  }

  forgetRegions(vcpu: number): void {
    const live = this.#of(vcpu);
    this.#release(live, live.batches.splice(0));
  }

  #of(vcpu: number): Live {
    let live = this.#live.get(vcpu);
    if (!live) {
      live = { batches: [], functions: 0, bytes: 0 };
      this.#live.set(vcpu, live);
    }
    return live;
  }
}
