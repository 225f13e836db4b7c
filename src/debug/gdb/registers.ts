/**
 * The registers that gdb sees, in the order of its numbers: standard features that it knows by name (gdb's manual, G.4.6
 * "i386 Features"), and the system registers in one of our own. The target description is made of the same list.
 */
import type { MachineDebug } from "../../machine/debug.ts";
import { type Field, VCPU } from "../../shared/layout.ts";
import { getSegment, type StructView, setSegment } from "../../vcpu/view.ts";
import type { SegmentName } from "../../vmm/registers.ts";
import { VM_REG_GUEST } from "../../vmm/registers.ts";

/** Which registers there are: those of a 64-bit CPU, or what a 32-bit gdb takes. */
export type GdbArch = "x86-64" | "i386";

interface Register {
  readonly name: string;
  readonly bytes: number;
  /** Of the target description. */
  readonly type: string;
  readonly get: (debug: MachineDebug, id: number) => bigint;
  readonly set: (debug: MachineDebug, id: number, value: bigint) => void;
}

interface Feature {
  readonly name: string;
  readonly types?: string;
  readonly registers: readonly Register[];
}

const mask = (size: number): bigint => (1n << BigInt(8 * size)) - 1n;

/** A register of the seeds' numbering. */
function seed(name: string, size: number, type: string, reg: keyof typeof VM_REG_GUEST): Register {
  const number = VM_REG_GUEST[reg];
  return {
    ...{ name, bytes: size, type },
    get: (debug, id) => debug.register(id, number) & mask(size),
    set: (debug, id, value) => debug.setRegister(id, number, value),
  };
}

/** A field of the vCPU's page. */
function field(name: string, size: number, type: string, of: Field, index = 0): Register {
  return {
    ...{ name, bytes: size, type },
    get: (debug, id) => (of.type === "u64" ? debug.view(id).get64(of, index) : BigInt(debug.view(id).get(of, index))),
    set: (debug, id, value) => {
      if (of.type === "u64") debug.view(id).set64(of, value, index);
      else debug.view(id).set(of, Number(value), index);
      debug.changed(id);
    },
  };
}

/** The base of a segment register. */
function base(name: string, segment: SegmentName): Register {
  return {
    ...{ name, bytes: 8, type: "int64" },
    get: (debug, id) => getSegment(debug.view(id), segment).base,
    set: (debug, id, value) => {
      const view = debug.view(id);
      setSegment(view, segment, { ...getSegment(view, segment), base: value });
      debug.changed(id);
    },
  };
}

const ST_STRIDE = 16;
const YMM_STRIDE = 32;

/** Bytes of the vCPU's page. */
function bytes(name: string, length: number, type: string, place: (view: StructView) => number): Register {
  const at = (view: StructView): Uint8Array =>
    new Uint8Array(view.data.buffer as ArrayBuffer, view.base + place(view), length);
  return {
    ...{ name, bytes: length, type },
    get: (debug, id) => at(debug.view(id)).reduceRight((value, b) => (value << 8n) | BigInt(b), 0n),
    set: (debug, id, value) => {
      at(debug.view(id)).forEach((_, i, all) => {
        all[i] = Number((value >> BigInt(8 * i)) & 0xffn);
      });
    },
  };
}

const physical = (view: StructView, st: number): number => ((view.get(VCPU.fsw) >> 11) + st) & 7;
const st = (i: number): Register =>
  bytes(`st${i}`, 10, "i387_ext", (view) => VCPU.st.offset + physical(view, i) * ST_STRIDE);
const xmm = (i: number): Register => bytes(`xmm${i}`, 16, "vec128", () => VCPU.ymm.offset + i * YMM_STRIDE);
const ymmHigh = (i: number): Register => bytes(`ymm${i}h`, 16, "uint128", () => VCPU.ymm.offset + i * YMM_STRIDE + 16);

/** The tag word as FNSTENV stores it (SDM vol. 1, 8.1.7), of the tags that only tell empty from not empty. */
const tags: Register = {
  ...{ name: "ftag", bytes: 4, type: "int" },
  get: (debug, id) => {
    const view = debug.view(id);
    let word = 0n;
    for (let p = 0; p < 8; p++) {
      const at = view.base + VCPU.st.offset + p * ST_STRIDE;
      const mantissa = view.data.getBigUint64(at, true);
      const exponent = view.data.getUint16(at + 8, true) & 0x7fff;
      const full = (view.get(VCPU.ftw) >> p) & 1;
      const normal = exponent !== 0 && exponent !== 0x7fff && mantissa >> 63n !== 0n;
      const tag = !full ? 3n : normal ? 0n : exponent === 0 && mantissa === 0n ? 1n : 2n;
      word |= tag << BigInt(2 * p);
    }
    return word;
  },
  set: (debug, id, value) => {
    let abridged = 0;
    for (let p = 0; p < 8; p++) if (((value >> BigInt(2 * p)) & 3n) !== 3n) abridged |= 1 << p;
    debug.view(id).set(VCPU.ftw, abridged);
  },
};

/** A half of a 64-bit pointer of the x87: its selector's place is in `high`, which 64-bit code leaves out. */
const half = (name: string, of: Field): Register => ({
  ...field(name, 4, "int", of),
  get: (debug, id) => debug.view(id).get64(of) & 0xffff_ffffn,
});

const X87: readonly Register[] = [
  ...Array.from({ length: 8 }, (_, i) => st(i)),
  field("fctrl", 4, "int", VCPU.fcw),
  field("fstat", 4, "int", VCPU.fsw),
  tags,
  field("fiseg", 4, "int", VCPU.fcs),
  half("fioff", VCPU.fip),
  field("foseg", 4, "int", VCPU.fds),
  half("fooff", VCPU.fdp),
  field("fop", 4, "int", VCPU.fop),
];

const SEGMENTS = (["CS", "SS", "DS", "ES", "FS", "GS"] as const).map((s) => seed(s.toLowerCase(), 4, "int", s));
const EFLAGS = seed("eflags", 4, "i386_eflags", "RFLAGS");

/** gdb numbers 32-bit registers as instructions encode them, 64-bit ones not. */
const ORDER64 = ["RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP"] as const;
const ORDER32 = ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI"] as const;
const typeOf = (reg: string, integer: string): string => (/[BS]P$/.test(reg) ? "data_ptr" : integer);

/** Flags of RFLAGS by their bits (SDM vol. 1, 3.4.3). */
const FLAG_BITS = {
  ...{ CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, TF: 8, IF: 9, DF: 10, OF: 11, NT: 14, RF: 16, VM: 17, AC: 18, VIF: 19 },
  ...{ VIP: 20, ID: 21 },
};
const FLAG_TYPE = `<flags id="i386_eflags" size="4">${Object.entries(FLAG_BITS)
  .map(([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`)
  .join("")}</flags>`;

/** What an XMM register may hold: gdb's names of the parts, their types and numbers. */
const PARTS = [
  ["v4_float", "ieee_single", 4],
  ["v2_double", "ieee_double", 2],
  ["v16_int8", "int8", 16],
  ["v8_int16", "int16", 8],
  ["v4_int32", "int32", 4],
  ["v2_int64", "int64", 2],
] as const;
const VECTOR_TYPE = `${PARTS.map(([name, type, n]) => `<vector id="${name}_t" type="${type}" count="${n}"/>`).join("")}<union id="vec128">${PARTS.map(([name]) => `<field name="${name}" type="${name}_t"/>`).join("")}<field name="uint128" type="uint128"/></union>`;

const sse = (count: number): Feature => ({
  name: "org.gnu.gdb.i386.sse",
  types: VECTOR_TYPE,
  registers: [...Array.from({ length: count }, (_, i) => xmm(i)), field("mxcsr", 4, "int", VCPU.mxcsr)],
});

const SYSTEM: Feature = {
  name: "org.tabhyve.system",
  registers: [
    seed("cr0", 8, "int64", "CR0"),
    seed("cr2", 8, "int64", "CR2"),
    seed("cr3", 8, "int64", "CR3"),
    seed("cr4", 8, "int64", "CR4"),
    seed("efer", 8, "int64", "EFER"),
    ...[0, 1, 2, 3, 6, 7].map((n) => field(`dr${n}`, 8, "int64", VCPU.dr, n)),
    ...[field("gdt_base", 8, "int64", VCPU.gdtBase), field("gdt_limit", 4, "int", VCPU.gdtLimit)],
    ...[field("idt_base", 8, "int64", VCPU.idtBase), field("idt_limit", 4, "int", VCPU.idtLimit)],
    field("k_gs_base", 8, "int64", VCPU.kernelGsBase),
  ],
};

const FEATURES: Record<GdbArch, readonly Feature[]> = {
  "x86-64": [
    {
      name: "org.gnu.gdb.i386.core",
      types: FLAG_TYPE,
      registers: [
        ...ORDER64.map((r) => seed(r.toLowerCase(), 8, typeOf(r, "int64"), r)),
        ...([8, 9, 10, 11, 12, 13, 14, 15] as const).map((n) => seed(`r${n}`, 8, "int64", `R${n}`)),
        seed("rip", 8, "code_ptr", "RIP"),
        ...[EFLAGS, ...SEGMENTS, ...X87],
      ],
    },
    sse(16),
    { name: "org.gnu.gdb.i386.avx", registers: Array.from({ length: 16 }, (_, i) => ymmHigh(i)) },
    { name: "org.gnu.gdb.i386.segments", registers: [base("fs_base", "FS"), base("gs_base", "GS")] },
    SYSTEM,
  ],
  i386: [
    {
      name: "org.gnu.gdb.i386.core",
      types: FLAG_TYPE,
      registers: [
        ...ORDER32.map((r) => seed(r.toLowerCase().replace("r", "e"), 4, typeOf(r, "int32"), r)),
        seed("eip", 4, "code_ptr", "RIP"),
        ...[EFLAGS, ...SEGMENTS, ...X87],
      ],
    },
    sse(8),
    SYSTEM,
  ],
};

/** A CPU's registers, by gdb's numbers. */
export class GdbRegisters {
  readonly #features: readonly Feature[];
  readonly #registers: readonly Register[];
  readonly #arch: GdbArch;

  constructor(arch: GdbArch) {
    this.#arch = arch;
    this.#features = FEATURES[arch];
    this.#registers = this.#features.flatMap((f) => f.registers);
  }

  get count(): number {
    return this.#registers.length;
  }

  /** target.xml (gdb's manual, appendix G). */
  get description(): string {
    const features = this.#features.map(
      ({ name, types = "", registers }) =>
        `<feature name="${name}">${types}${registers
          .map((r) => `<reg name="${r.name}" bitsize="${8 * r.bytes}" type="${r.type}"/>`)
          .join("")}</feature>`,
    );
    const architecture = this.#arch === "i386" ? "i386" : "i386:x86-64";
    return `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target><architecture>${architecture}\
</architecture>${features.join("")}</target>`;
  }

  /** A register's bytes, in the CPU's order; undefined: there is no such register. */
  read(debug: MachineDebug, id: number, n: number): Uint8Array | undefined {
    const r = this.#registers[n];
    if (!r) return undefined;
    const value = r.get(debug, id);
    return Uint8Array.from({ length: r.bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
  }

  /** False: there is no such register, or it has another size. */
  write(debug: MachineDebug, id: number, n: number, value: Uint8Array): boolean {
    const r = this.#registers[n];
    if (!r || value.length !== r.bytes) return false;
    r.set(
      debug,
      id,
      value.reduceRight((all, b) => (all << 8n) | BigInt(b), 0n),
    );
    return true;
  }

  /** All of them, one after another: what the packets g and G carry. */
  readAll(debug: MachineDebug, id: number): Uint8Array {
    const parts = this.#registers.map((_, n) => this.read(debug, id, n) as Uint8Array);
    return Uint8Array.from(parts.flatMap((part) => [...part]));
  }

  writeAll(debug: MachineDebug, id: number, all: Uint8Array): boolean {
    const size = this.#registers.reduce((n, r) => n + r.bytes, 0);
    if (all.length !== size) return false;
    let at = 0;
    this.#registers.forEach(({ bytes: length }, n) => {
      this.write(debug, id, n, all.subarray(at, at + length));
      at += length;
    });
    return true;
  }
}
