/** iced-x86, with which the disassembler is compared: how it is called, and what the two write differently. */
import { CpuidFeature, Decoder, DecoderOptions, Formatter, FormatterSyntax } from "iced-x86";
import type { Width } from "../../src/isa/operand.ts";

/** Where the instructions lie. */
export const IP = 0x1000n;
const formatter = new Formatter(FormatterSyntax.Nasm);
formatter.hexPrefix = "0x";
formatter.hexSuffix = "";
formatter.uppercaseHex = false;
formatter.smallHexNumbersInDecimal = false;
formatter.branchLeadingZeros = false;
formatter.showBranchSize = false;
formatter.usePseudoOps = false;

export interface Iced {
  text: string;
  /** 0: no instruction. */
  length: number;
  /** The CPUID features it needs, as iced-x86 names them. */
  features: string[];
}

/** What iced-x86 makes of an instruction; without `wanted` there is no text, which costs most of the time. */
export function iced(bytes: Uint8Array, mode: Width, wanted = true): Iced {
  const decoder = new Decoder(mode, bytes, DecoderOptions.None);
  decoder.ip = IP;
  const instruction = decoder.decode();
  const invalid = instruction.isInvalid;
  const result = {
    text: wanted ? formatter.format(instruction) : "",
    length: invalid ? 0 : instruction.length,
    features: invalid ? [] : [...instruction.cpuidFeatures()].map((f) => CpuidFeature[f]),
  };
  instruction.free();
  decoder.free();
  return result;
}

const SIZE = /\b(byte|word|dword|qword|tword|oword) (?=\[)/;

/** Takes out what the two write differently for the same instruction. */
function normal(text: string): string {
  let t = text
    // How an address size is written; a segment inside the brackets comes after NASM's keywords.
    .replace(/\[(?:nosplit |word |dword |qword )+/, "[")
    .replace(/^a32 (.*\[)(?:dword )?rel /, "$1rel ")
    // The count of the D0 and D1 forms; the operand size of a branch.
    .replace(/,1$/, ",0x1")
    .replace(/^o(?:16|32) (j|call|loop|push)/, "$1")
    .replace(/^(\S+) (?:word|dword|short) (?=0x)/, "$1 ")
    .replace(/^sal /, "shl ")
    .replace(/^icebp$/, "int1")
    // The width of a register of which only 16 bits are used.
    .replace(/^((?:lar|lsl) [^,]*,|mov [c-gs]s,)e?(\w\w)$/, "$1$2")
    .replace(/^((?:lar|lsl) [^,]*,|mov [c-gs]s,)r(\d+)[dw]?$/, "$1r$2")
    .replace(/^((?:lar|lsl) [^,]*,|mov [c-gs]s,)r(\w\w)$/, "$1$2")
    // Implied x87 operands.
    .replace(/^(f\w+) to (st\d)$/, "$1 $2,st0")
    .replace(/^(f(?:add|mul|subr?|divr?)p)$/, "$1 st1")
    .replace(/^(fxch|fu?comp?)$/, "$1 st1")
    .replace(/^(f\w+) st0,(st\d)$/, "$1 $2")
    .replace(/^(f\w+p) (st\d),st0$/, "$1 $2")
    // The operand of the reserved NOPs.
    .replace(/^(nop [^,]*),.*/, "$1");
  const xchg = /^((?:lock )?xchg )(.*),(.*)$/.exec(t);
  if (xchg) t = xchg[1] + [xchg[2], xchg[3]].sort().join(",");
  return t;
}

/** The letter of the mode's own operand size, which iced leaves out. */
const OWN_SUFFIX = {
  16: /^(iret|pushf|popf|pusha|popa)w$/,
  32: /^(iret|pushf|popf|pusha|popa)d$/,
  64: /^(iret(?=d)|pushf(?=q)|popf(?=q))[dq]$/,
};

/** NASM takes a far pointer in 64-bit mode for m16:64, in other modes for the mode's own. */
const OWN_FAR = { 16: "word far ", 32: "dword far ", 64: "qword far " };

/** Whether two texts are the same instruction. */
export function same(ours: string, theirs: string, mode: Width): boolean {
  let [a, b] = [ours, theirs].map((t) => normal(t.replace(OWN_SUFFIX[mode], "$1").replace(OWN_FAR[mode], "far ")));
  // Either may leave out a size that the instruction implies; if both write it, it must be the same.
  if (!SIZE.test(a) || !SIZE.test(b)) [a, b] = [a.replace(SIZE, ""), b.replace(SIZE, "")];
  return a === b;
}
