/**
 * A test of FEX's suite (unittests/ASM): a user-mode program in assembly that ends with HLT, and what it expects in the
 * registers then, as JSON at its head.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PAGE_SIZE } from "../../src/shared/layout.ts";

/** Where programs lie, the end of their stack, and what is mapped for all of them besides: [address, bytes]. */
export const CODE = 0x1_0000n;
export const STACK_TOP = 0xc000_8000n;
const FIXED: readonly [bigint, bigint][] = [
  [0xc000_0000n, 0x1_0000n],
  [0xe000_0000n, 0xa000n],
  [0xe800_0000n - 0x1000n, 0x2000n],
];
/** Of a larger region only the ends are mapped. */
const LARGE = 0x100_0000n;
const ENDS = 0x1_0000n;

/** Registers when the program has ended. */
export interface State {
  readonly vector: number;
  readonly rip: bigint;
  readonly gpr: readonly bigint[];
  /** As XSAVE stores x87, SSE and AVX state (SDM vol. 1, 13.4). */
  readonly xsave: Uint8Array;
}

interface Config {
  readonly RegData?: Readonly<Record<string, string | readonly string[]>>;
  readonly MemoryRegions?: Readonly<Record<string, string>>;
  readonly MemoryData?: Readonly<Record<string, string>>;
  readonly HostFeatures?: readonly string[];
}

export interface Program {
  /** Path below the suite's folder. */
  readonly name: string;
  /** Features it needs, as the suite names them. */
  readonly features: readonly string[];
  /** What is mapped, readable, writable and executable. */
  readonly regions: readonly [at: bigint, length: bigint][];
  /** What lies in it; the first is the code. */
  readonly contents: readonly [at: bigint, bytes: Uint8Array][];
  readonly expected: NonNullable<Config["RegData"]>;
}

/** Reads and assembles a test with NASM; a text says why it cannot be used. */
export function readProgram(suite: string, name: string, temporary: string): Program | string {
  const source = readFileSync(join(suite, name), "utf8");
  const head = /%ifdef CONFIG([\s\S]*?)%endif/.exec(source)?.[1].trim();
  let config: Config;
  try {
    config = JSON.parse(head || "{}");
  } catch {
    return "its head is no JSON";
  }
  const object = join(temporary, "program.bin");
  const options = ["-f", "bin", "--before", "bits 64", "-i", join(suite, "Includes/"), "-i", `${suite}/`];
  const nasm = spawnSync("nasm", [...options, "-o", object, join(suite, name)], { encoding: "utf8" });
  if (nasm.error) throw new Error(`NASM cannot be run: ${nasm.error.message}`);
  if (nasm.status !== 0) return `NASM: ${nasm.stderr.split("\n")[0]}`;
  const code = new Uint8Array(readFileSync(object));
  const regions: [bigint, bigint][] = [[CODE, BigInt(code.length)], ...FIXED];
  for (const [at, length] of Object.entries(config.MemoryRegions ?? {})) {
    const [start, size] = [BigInt(at), BigInt(length)];
    if (size <= LARGE) regions.push([start, size]);
    else regions.push([start, ENDS], [start + size - ENDS, ENDS]);
  }
  return {
    name,
    features: (config.HostFeatures ?? []).map((f) => f.toUpperCase()),
    regions: regions.map(([at, length]) => [pageOf(at), pageOf(at + length + BigInt(PAGE_SIZE - 1)) - pageOf(at)]),
    contents: [
      [CODE, code],
      ...Object.entries(config.MemoryData ?? {}).map(([at, text]): [bigint, Uint8Array] => [BigInt(at), numbers(text)]),
    ],
    expected: config.RegData ?? {},
  };
}

const pageOf = (at: bigint): bigint => at - (at % BigInt(PAGE_SIZE));

/** Bytes of hexadecimal numbers, each little-endian and as long as it is written. */
const numbers = (text: string): Uint8Array =>
  Uint8Array.from(
    text
      .trim()
      .split(/\s+/)
      .flatMap((n) => [...Buffer.from(n.replace(/^0x/, ""), "hex")].reverse()),
  );

/** The program as ./native.c reads it. */
export function serialize(p: Program): Uint8Array {
  const words = (...values: readonly (bigint | number)[]): Buffer => {
    const out = Buffer.alloc(8 * values.length);
    values.forEach((v, i) => {
      out.writeBigUInt64LE(BigInt(v), 8 * i);
    });
    return out;
  };
  return Buffer.concat([
    words(CODE, STACK_TOP, p.regions.length, ...p.regions.flat(), p.contents.length),
    ...p.contents.flatMap(([at, bytes]) => [words(at, bytes.length), bytes]),
  ]);
}

const GPRS = "RAX RCX RDX RBX RSP RBP RSI RDI R8 R9 R10 R11 R12 R13 R14 R15".split(" ");
const GP = 13;

/** What differs from what the program expects; HLT in user mode ends it with #GP. */
export function differences(p: Program, s: State): string[] {
  const out: string[] = [];
  if (s.vector !== GP) out.push(`vector ${s.vector} at ${s.rip.toString(16)}`);
  const xsave = new DataView(s.xsave.buffer, s.xsave.byteOffset);
  const at = (offset: number): bigint => xsave.getBigUint64(offset, true);
  const top = (xsave.getUint16(2, true) >> 11) & 7;
  for (const [register, value] of Object.entries(p.expected)) {
    const name = register.toUpperCase();
    [value].flat().forEach((text, i) => {
      let got: bigint | undefined;
      const number = Number(/\d+$/.exec(name)?.[0]);
      if (GPRS.includes(name)) got = s.gpr[GPRS.indexOf(name)];
      else if (name.startsWith("XMM"))
        got = i < 2 ? at(160 + 16 * number + 8 * i) : at(576 + 16 * number + 8 * (i - 2));
      // The suite counts x87 registers as they lie, FXSAVE from the top.
      else if (name.startsWith("MM")) {
        const place = 32 + 16 * ((number - top) & 7);
        got = i ? BigInt(xsave.getUint16(place + 8, true)) : at(place);
      } else if (name === "RIP") got = s.rip;
      if (got === undefined) out.push(`${name}: no such register here`);
      else if (got !== wanted(text)) out.push(`${name}[${i}] is ${got.toString(16)}, not ${wanted(text).toString(16)}`);
    });
  }
  return out;
}

function wanted(text: string): bigint {
  const n = text.trim();
  return BigInt.asUintN(64, n.startsWith("-") ? -BigInt(n.slice(1)) : BigInt(n || "0"));
}
