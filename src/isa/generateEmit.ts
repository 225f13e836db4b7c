/** Text of assembly/gen/emit.ts and helpers.ts: the meanings for the backend that writes Wasm, one instantiation each. */
import { jitCalls } from "./jitCalls.ts";
import { JIT_HELPERS, REGION_TYPE, REGION_TYPES } from "./jitHelpers.ts";
import { JIT_VECTORS, VECTOR_KINDS } from "./jitVectors.ts";
import { SEMANTICS } from "./semantics.ts";
import { type Kind, type MicroOp, specialise } from "./specialise.ts";
import type { Row } from "./table/grammar.ts";

const KINDS: readonly Kind[] = ["Reg", "Mem", "Imm", "Cl"];
/** Bits of a META word; assembly/jit/emit.ts useMeta reads it. */
const META = { SEMANTIC: 0xff, Z: 8, F: 10, D: 12, S: 14, N: 16, CC: 18, CONTROL: 1 << 24 } as const;
/** Further bits: a handler that a region may call. */
const CALL = { CALL: 1 << 25, FLAGS: 1 << 26, CONTEXT: 1 << 27, REPEATS: 1 << 28, ASIDE: 1 << 29 } as const;

const constantName = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase();

function metaOf(op: MicroOp, names: readonly string[]): number {
  const kind = (k: Kind | undefined) => (k ? KINDS.indexOf(k) : 0);
  return (
    ((names.indexOf(op.meaning) + 1) |
      (op.z << META.Z) |
      (op.f << META.F) |
      (kind(op.kinds.D) << META.D) |
      (kind(op.kinds.S) << META.S) |
      (kind(op.kinds.N) << META.N) |
      (Math.max(op.cc, 0) << META.CC) |
      (op.control ? META.CONTROL : 0)) >>>
    0
  );
}

function callText(name: string): string {
  const sem = SEMANTICS[name];
  const types = [...sem.types].map((t) => (t === "T" ? "SizeT" : t === "F" ? "SizeF" : "Dyn"));
  return `${name}<${["Emit", ...types].join(", ")}>(b, u${sem.cc ? ", <i32>((meta >> 18) & 15)" : ""})`;
}

export function emitText(rows: readonly Row[], sem: Map<string, string>): string {
  const { ops } = specialise(rows);
  const served = ops.filter((op) => !op.handler && !op.lockedOf && !SEMANTICS[op.meaning].interpOnly);
  const names = [...new Set(served.map((op) => op.meaning))];
  const byFile = new Map<string, string[]>();
  for (const name of names) {
    const file = sem.get(name);
    if (!file) throw new Error(`no meaning named ${name} under assembly/sem`);
    byFile.set(file, [...(byFile.get(file) ?? []), name]);
  }
  const meta = new Array<number>(Math.max(...ops.map((op) => op.id)) + 1).fill(0);
  for (const op of served) meta[op.id] = metaOf(op, names);
  const registers = new Array<number>(meta.length).fill(0);
  const vectors = new Array<number>(meta.length).fill(0);
  for (const [id, call] of jitCalls(rows)) {
    meta[id] =
      CALL.CALL |
      (call.flags ? CALL.FLAGS : 0) |
      (call.aside ? CALL.ASIDE : 0) |
      (call.context ? CALL.CONTEXT : 0) |
      (call.repeats ? CALL.REPEATS : 0);
    registers[id] = call.reads | (call.writes << 16);
    const [kind, op] = JIT_VECTORS.get(call.handler) ?? ["NONE", 0];
    vectors[id] = VECTOR_KINDS.indexOf(kind) | (op << 8);
  }
  const numbers = (values: readonly number[]): string => {
    const lines: string[] = [];
    for (let i = 0; i < values.length; i += 16) lines.push(`  ${values.slice(i, i + 16).join(", ")},`);
    return lines.join("\n");
  };
  return `import { Emit } from "../jit/emit";
import { Dyn, SizeF, SizeT } from "../sem/kinds";
${[...byFile].map(([file, n]) => `import { ${n.join(", ")} } from "${file}";`).join("\n")}

export const META_SEMANTIC: u32 = ${META.SEMANTIC};
export const META_CONTROL: u32 = ${META.CONTROL};
${names.map((n, i) => `export const SEM_${constantName(n)}: u32 = ${i + 1};`).join("\n")}

${Object.entries(CALL)
  .map(([name, bit]) => `export const META_${name}: u32 = ${bit};`)
  .join("\n")}

/**
 * By micro-op: {meaning 7:0, z 9:8, f 11:10, kinds of D 13:12, S 15:14, N 17:16, condition 21:18, control 24}, or a
 * handler to be called {META_CALL …}; 0: not served.
 */
export const META: StaticArray<u32> = [
${numbers(meta)}
];

/** By micro-op of a handler: general registers it reads beyond its operands, and (<< 16) those it writes. */
export const CALL_REGISTERS: StaticArray<u32> = [
${numbers(registers)}
];

${VECTOR_KINDS.map((n, i) => `export const VECTOR_${n}: u32 = ${i};`).join("\n")}

/** By micro-op of a handler that regions can do without: kind 7:0 and opcode (src/isa/jitVectors.ts), or 0. */
export const VECTORS: StaticArray<u16> = [
${numbers(vectors)}
];

/** Builds the IR of one micro-op. */
export function emitMeaning(b: Emit, u: usize, meta: u32): void {
  switch (meta & META_SEMANTIC) {
${names.map((n, i) => `    case ${i + 1}: ${callText(n)}; return;`).join("\n")}
    default: unreachable();
  }
}
`;
}

export function helpersText(): string {
  return `\n${JIT_HELPERS.map(([name], i) => `export const H_${constantName(name)}: u32 = ${i};`).join("\n")}

/** Type of a region's function. */
export const REGION_TYPE: u32 = ${REGION_TYPES.indexOf(REGION_TYPE)};\n`;
}
