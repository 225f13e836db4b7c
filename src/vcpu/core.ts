/** The compiled core: its exports, and instantiating one binary for shared and for unshared memory. */
import { type JitExports, RegionCompiler } from "./jit.ts";
import { PageLoader } from "./pages.ts";

/** Exports of assembly/index.ts. `vcpu` is the address of a vCPU's area. */
export interface CoreExports {
  init(vcpu: number): void;
  refresh(vcpu: number): void;
  rflags(vcpu: number): bigint;
  setRflags(vcpu: number, value: bigint): void;
  answer(vcpu: number): void;
  /** MSRs of a vCPU that does not run, value in exitData[0]: 0 done, 1 #GP, 2 not the core's. */
  getMsr(vcpu: number, msr: number): number;
  setMsr(vcpu: number, msr: number, value: bigint): number;
  /** CPUID of a vCPU that does not run: EAX, EBX, ECX, EDX in exitData. */
  readCpuid(vcpu: number, func: number, index: number): void;
  /** gpa of a linear address for ACCESS_* of assembly/mem/walk.ts; -1n: page fault, its error code in excError. */
  gla2gpa(vcpu: number, linear: bigint, access: number): bigint;
  /** Unpacks bytes at INFLATE.INPUT to INFLATE.OUTPUT; 0 unless that makes exactly `size` (assembly/mem/inflate.ts). */
  inflate(length: number, size: number): number;
  /** Runs at most about `slice` instructions; returns one of RUN (src/shared/exit.ts). */
  run(vcpu: number, slice: bigint): number;
}

/** Host time in milliseconds, as `performance.now()` gives it; one origin for every thread of a machine. */
export type HostNow = () => number;

/** 64 random bits for RDRAND and RDSEED. */
export type HostRandom = () => bigint;

const hostRandom: HostRandom = () => crypto.getRandomValues(new BigInt64Array(1))[0];

/**
 * An instance of the core on a machine's memory. `random` is the host's generator unless a run is to be repeatable,
 * `jit` what compiles regions for its vCPUs, `pages` what fetches pages of a snapshot.
 */
export function instantiateCore(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  now: HostNow,
  random: HostRandom = hostRandom,
  jit: RegionCompiler = new RegionCompiler(memory),
  pages: PageLoader = new PageLoader(memory),
): CoreExports {
  const abort = (_message: number, _file: number, line: number, column: number): never => {
    throw new Error(`the core failed an assertion (line ${line}, column ${column})`);
  };
  const compileRegions = (vcpu: number, at: number, count: number) => jit.compileRegions(vcpu, at, count);
  const forgetRegions = (vcpu: number) => jit.forgetRegions(vcpu);
  const { fetchPage } = pages;
  const env = { memory, abort, now, random, compileRegions, forgetRegions, fetchPage };
  const exports = new WebAssembly.Instance(module, { env }).exports as unknown as CoreExports & JitExports;
  jit.attach(exports);
  pages.attach(exports);
  return exports;
}

/**
 * The core's binary with its memory import declared unshared, for pages without SharedArrayBuffer and for the inline
 * transport: Wasm's atomic instructions validate on both kinds of memory, only the import's flag differs.
 *
 * @throws TypeError if the bytes are not a Wasm module that imports a shared memory.
 */
export function unshared(bytes: Uint8Array): Uint8Array {
  // Not slice(): a Node Buffer would share its memory.
  const out = new Uint8Array(bytes);
  let at = 8;
  const leb = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const b = out[at++];
      value |= (b & 127) << shift;
      if (!(b & 128)) return value >>> 0;
    }
  };
  while (at < out.length) {
    const id = out[at++];
    const size = leb();
    if (id !== 2) {
      at += size;
      continue;
    }
    for (let n = leb(); n > 0; n--) {
      // Not `at += leb()`: that would add to the position before the length was read.
      for (let k = 0; k < 2; k++) {
        const length = leb();
        at += length;
      }
      const kind = out[at++];
      if (kind === 2) {
        // Limits: flag 3 = shared with a maximum, 1 = unshared with one.
        if (out[at] !== 3) throw new TypeError("the core's memory import is not shared");
        out[at] = 1;
        return out;
      }
      if (kind === 0) leb();
      else if (kind === 3) at += 2;
      else throw new TypeError("the core imports something unexpected before its memory");
    }
  }
  throw new TypeError("the core imports no memory");
}
