/**
 * A machine as a debugger has it: registers and memory of vCPUs that stand still, and the host's breakpoints (STOPS in
 * src/shared/layout.ts), which cost nothing where there are none.
 */
import { EXIT } from "../shared/exit.ts";
import { CAP, CONTROL, STOPS, VCPU } from "../shared/layout.ts";
import type { CoreExports } from "../vcpu/core.ts";
import { getSegment, type StructView } from "../vcpu/view.ts";
import { codeWidth } from "../vmm/cpuMode.ts";
import { ACCESS } from "../vmm/guestCopy.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import { getRegister, setRegister, VM_REG_GUEST, type VmReg } from "../vmm/registers.ts";

/** R/W as DR7 has it (SDM vol. 3, 18.2.4). */
const KINDS = { execute: 0, write: 1, access: 3 } as const;

/** Stops a vCPU before the instruction at an address, or after one that has written or touched some of the bytes from it. */
export interface PlaceBreakpoint {
  readonly kind: keyof typeof KINDS;
  /** Linear, whatever CR3 is. */
  readonly address: bigint;
  /** Bytes, 1 for `execute`. */
  readonly length: number;
}

/**
 * Stops a vCPU when an exception is to be delivered: a fault's instruction has changed nothing yet, and meets it again when the
 * vCPU goes on. Not exceptions that come while another is delivered (an autopsy tells of those).
 */
export interface ExceptionBreakpoint {
  readonly kind: "exception";
  /** 0 to 31; undefined: any. */
  readonly vector: number | undefined;
  /** At CPL 3 alone. */
  readonly user: boolean;
}

export type Breakpoint = PlaceBreakpoint | ExceptionBreakpoint;

/** Why a vCPU has stopped for its debugger. */
export type DebugStop =
  | {
      readonly kind: "breakpoint";
      readonly vcpu: number;
      readonly breakpoint: PlaceBreakpoint;
      readonly address: bigint;
    }
  | {
      readonly kind: "exception";
      readonly vcpu: number;
      readonly vector: number;
      readonly error: number | undefined;
      /** Linear address of a page fault. */
      readonly address: bigint | undefined;
    }
  | { readonly kind: "step"; readonly vcpu: number };

const PAGE_FAULT = 14;
/** Of Control.catches and of events (Vcpu.entryInfo). */
const ALL_VECTORS = 0xffff_ffff;
const HAS_ERROR = 0x800n;

/** A vCPU's registers by the seeds' names; of a segment register the selector. IDTR and GDTR have no single value. */
export type Registers = Readonly<Record<Exclude<keyof typeof VM_REG_GUEST, "IDTR" | "GDTR">, bigint>>;
const NAMED = Object.entries(VM_REG_GUEST).filter(([name]) => name !== "IDTR" && name !== "GDTR");

/** Where a piece of guest memory lies. */
export interface MemoryPiece {
  /** Linear, as the vCPU's page tables have it, or physical. */
  readonly address: bigint | number;
  /** Bytes, 16 MiB at most. */
  readonly length: number;
  /** Default: 0. */
  readonly vcpu?: number;
  /** Default: false, linear. */
  readonly physical?: boolean;
}
const MOST_READ = 16 << 20;

/** Guest physical address of another one; undefined: there is none. */
type ToPhysical = (address: bigint) => number | undefined;
/** No guest has memory beyond. */
const LAST_ADDRESS = 0xffff_ffffn << 8n;
const physicalAddress: ToPhysical = (address) => (address <= LAST_ADDRESS ? Number(address) : undefined);

/** Which vCPUs go on, and how. */
export interface Resumption {
  /** Default: all. */
  readonly vcpus?: readonly number[];
  /** Of these, one that stops after an instruction, or after an event that was delivered. */
  readonly step?: number;
}

/** Most breakpoints that there can be at once. */
export const MAX_BREAKPOINTS = STOPS.MAX;

/** Nothing is set, no fault recorded. */
const QUIETLY = ACCESS.PROBE | ACCESS.QUIET;

/** Of a machine; only while it does not run, unless said otherwise. */
export class MachineDebug {
  readonly #memory: MachineMemory;
  readonly #core: CoreExports;
  readonly #views: readonly StructView[];
  #breakpoints: readonly Breakpoint[] = [];
  /** Those of them that are in the core's table, in its order. */
  #places: readonly PlaceBreakpoint[] = [];
  /** vCPUs whose registers were changed. */
  readonly #changed = new Set<number>();
  /** The vCPU that executes one instruction. */
  #stepping: number | undefined;
  /** Stops of vCPUs that came after the one the machine has been stopped for. */
  #more: DebugStop[] = [];

  /** Hears of every stop, when the machine stands still. */
  onStop: (stop: DebugStop) => void = () => {};
  /** Tells a stop; false: another one is being told. */
  readonly #tell: (stop: DebugStop) => boolean;

  constructor(
    memory: MachineMemory,
    core: CoreExports,
    views: readonly StructView[],
    tell: (stop: DebugStop) => boolean,
  ) {
    this.#memory = memory;
    this.#core = core;
    this.#views = views;
    this.#tell = tell;
  }

  get vcpus(): number {
    return this.#views.length;
  }

  register(id: number, reg: VmReg): bigint {
    return getRegister(this.#core, this.#views[id], reg);
  }

  /** @throws RangeError: no such vCPU */
  registers(id: number): Registers {
    if (!this.#views[id]) throw new RangeError(`there is no vCPU ${id}`);
    return Object.fromEntries(NAMED.map(([name, reg]) => [name, this.register(id, reg)])) as Registers;
  }

  /** @throws VmError EINVAL: no such register, or a value that has more bits */
  setRegister(id: number, reg: VmReg, value: bigint): void {
    setRegister(this.#core, this.#views[id], reg, value);
    this.changed(id);
  }

  /** Registers of a vCPU were changed in its page. */
  changed(id: number): void {
    this.#changed.add(id);
  }

  /** The vCPU's page: everything else that it has. */
  view(id: number): StructView {
    return this.#views[id];
  }

  /** Guest physical address of a linear one, whoever may use it; undefined: the page is not present. */
  translate(id: number, address: bigint): number | undefined {
    const { base } = this.#views[id];
    for (const access of [QUIETLY, QUIETLY | ACCESS.USER]) {
      const gpa = BigInt.asUintN(64, this.#core.gla2gpa(base, address, access));
      if (gpa <= LAST_ADDRESS) return Number(gpa);
    }
    return undefined;
  }

  /** Reads RAM by linear address: the number of bytes, as far as they are there. */
  read(id: number, address: bigint, into: Uint8Array): number {
    return this.#read(this.#linear(id), address, into);
  }

  /**
   * A piece of guest memory, by linear or physical address; shorter where a page is not present, or is no memory.
   *
   * @throws RangeError: no such vCPU, or more than MOST_READ bytes
   */
  piece({ address, length, vcpu = 0, physical = false }: MemoryPiece): Uint8Array<ArrayBuffer> {
    if (!this.#views[vcpu]) throw new RangeError(`there is no vCPU ${vcpu}`);
    if (!(Number.isInteger(length) && length >= 0 && length <= MOST_READ)) {
      throw new RangeError(`${length} is not a number of bytes from 0 to ${MOST_READ}`);
    }
    const into = new Uint8Array(length);
    return into.subarray(0, this.#read(physical ? physicalAddress : this.#linear(vcpu), BigInt(address), into));
  }

  /** Writes RAM and ROM by linear address, whatever the page says of writing: the number of bytes. */
  write(id: number, address: bigint, bytes: Uint8Array): number {
    return this.#pieces(this.#linear(id), address, bytes.length, (gpa, from, to) =>
      this.#memory.write(gpa, bytes.subarray(from, to)),
    );
  }

  #linear(id: number): ToPhysical {
    return (address) => this.translate(id, address);
  }

  #read(where: ToPhysical, address: bigint, into: Uint8Array): number {
    return this.#pieces(where, address, into.length, (gpa, from, to) =>
      this.#memory.read(gpa, into.subarray(from, to)),
    );
  }

  #pieces(
    where: ToPhysical,
    address: bigint,
    length: number,
    use: (gpa: number, from: number, to: number) => void,
  ): number {
    for (let done = 0; done < length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const gpa = where(at);
      if (gpa === undefined || this.#memory.hostAddress(gpa) < 0) return done;
      const to = Math.min(length, done + 4096 - Number(at & 0xfffn));
      use(gpa, done, to);
      done = to;
    }
    return length;
  }

  /** The code bytes at a vCPU's RIP, 15 at most and as far as they are mapped. */
  codeAtRip(id: number): Uint8Array {
    const view = this.#views[id];
    const width = codeWidth(view);
    const base = width === 64 ? 0n : getSegment(view, "CS").base;
    const bytes = new Uint8Array(15);
    const from = BigInt.asUintN(width === 64 ? 64 : 32, base + view.get64(VCPU.rip));
    return bytes.subarray(0, this.read(id, from, bytes));
  }

  /** @internal The table that the core looks at. @throws RangeError: too many, or a length that is none */
  setBreakpoints(list: readonly Breakpoint[]): void {
    const places = list.filter((b) => b.kind !== "exception");
    if (places.length > STOPS.MAX) throw new RangeError(`${places.length} breakpoints; there can be ${STOPS.MAX}`);
    for (const { address, length } of places) {
      if (!(Number.isInteger(length) && length > 0 && length <= 0xffff_ffff)) {
        throw new RangeError(`a breakpoint at 0x${address.toString(16)} with ${length} bytes`);
      }
    }
    const catches = [0, 0];
    for (const b of list) {
      if (b.kind !== "exception") continue;
      if (b.vector !== undefined && !(Number.isInteger(b.vector) && b.vector >= 0 && b.vector < 32)) {
        throw new RangeError(`exception ${b.vector}; they are 0 to 31`);
      }
      catches[b.user ? 1 : 0] |= b.vector === undefined ? ALL_VECTORS : 1 << b.vector;
    }
    this.#breakpoints = [...list];
    this.#places = places;
    const { data } = this.#views[0];
    places.forEach(({ kind, address, length }, i) => {
      const at = STOPS.BASE + i * STOPS.ENTRY;
      data.setBigUint64(at, BigInt.asUintN(64, address), true);
      data.setUint32(at + 8, length, true);
      data.setUint32(at + 12, KINDS[kind], true);
    });
    const { control } = this.#memory;
    control.set(CONTROL.stops, places.length);
    catches.forEach((bits, i) => {
      control.set(CONTROL.catches, bits >>> 0, i);
    });
    this.#more = this.#more.filter((stop) =>
      stop.kind === "exception" ? catches.some(Boolean) : stop.kind === "breakpoint" && list.includes(stop.breakpoint),
    );
  }

  get breakpoints(): readonly Breakpoint[] {
    return this.#breakpoints;
  }

  /** @internal vCPUs that the engine must look at again. */
  takeChanged(): number[] {
    const ids = [...this.#changed];
    this.#changed.clear();
    return ids;
  }

  /** @internal Before vCPUs go on: the stop that has not been told yet, if there is one. */
  prepare({ step }: Resumption): DebugStop | undefined {
    const next = this.#more.shift();
    if (!next && step !== undefined) {
      this.#stepping = step;
      this.#views[step].or(VCPU.caps, CAP.MTRAP_EXIT);
    }
    return next;
  }

  /** @internal The vCPUs have stopped. */
  stopped(): void {
    if (this.#stepping === undefined) return;
    this.#views[this.#stepping].and(VCPU.caps, ~CAP.MTRAP_EXIT);
    this.#stepping = undefined;
  }

  /** @internal Whether a vCPU's exit was for the debugger. */
  serve(id: number): boolean {
    const view = this.#views[id];
    const code = view.get(VCPU.exitCode);
    if (code !== EXIT.STOP && code !== EXIT.MTRAP) return false;
    if (code === EXIT.STOP) {
      const entry = view.get(VCPU.exitA);
      const address = view.get64(VCPU.exitData);
      if (entry === STOPS.EXCEPTION) this.#stop(exceptionOf(id, view.get64(VCPU.exitData, 1), address));
      else this.#stop({ kind: "breakpoint", vcpu: id, breakpoint: this.#places[entry], address });
    } else if (this.#stepping === id) this.#stop({ kind: "step", vcpu: id });
    // A snapshot was taken in the middle of a step.
    else view.and(VCPU.caps, ~CAP.MTRAP_EXIT);
    return true;
  }

  #stop(stop: DebugStop): void {
    if (!this.#tell(stop)) this.#more.push(stop);
  }
}

/** The exception that a vCPU has been stopped for. */
function exceptionOf(vcpu: number, info: bigint, address: bigint): DebugStop {
  const vector = Number(info & 0xffn);
  return {
    kind: "exception",
    vcpu,
    vector,
    error: info & HAS_ERROR ? Number(info >> 32n) : undefined,
    address: vector === PAGE_FAULT ? address : undefined,
  };
}
