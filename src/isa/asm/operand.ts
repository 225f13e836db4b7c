/** Operands as written in the source. */
import type { Width } from "../operand.ts";
import { type Register, registerNamed } from "../registers.ts";
import { Mistake } from "./error.ts";
import { type Cursor, type Expression, parseExpression } from "./expression.ts";

export interface MemoryOperand {
  k: "mem";
  address: Expression;
  segment: Register | undefined;
  /** Size word before the brackets in bits, 0 if none. */
  bits: number;
  /** FAR was written before the brackets. */
  far: boolean;
  /** Size word inside the brackets in bits, 0 if none: width of the displacement, or of an address without registers. */
  width: number;
  /** REL or ABS inside the brackets. */
  relative: boolean | undefined;
  /** Do not turn x*2 into x+x. */
  nosplit: boolean;
  /** Address size by an a16, a32, a64 inside the brackets. */
  asize: Width | undefined;
}

export type Operand =
  | { k: "reg"; reg: Register }
  | MemoryOperand
  | { k: "imm"; value: Expression; bits: number; strict: boolean; distance: "" | "short" | "near" }
  | { k: "far"; selector: Expression; offset: Expression; bits: number };

export const SIZE_BITS: Readonly<Record<string, number>> = {
  byte: 8,
  word: 16,
  dword: 32,
  qword: 64,
  tword: 80,
  oword: 128,
  yword: 256,
};
const SIZE_NAMES = Object.keys(SIZE_BITS);
const ADDRESS_SIZES: Readonly<Record<string, Width>> = { a16: 16, a32: 32, a64: 64 };

export function parseOperand(c: Cursor): Operand {
  let bits = 0;
  let far = false;
  let strict = false;
  let distance: "" | "short" | "near" = "";
  for (;;) {
    const size = c.takeWord(...SIZE_NAMES);
    if (size) bits = SIZE_BITS[size];
    else if (c.takeWord("far")) far = true;
    else if (c.takeWord("strict")) strict = true;
    else if (c.takeWord("short")) distance = "short";
    else if (c.takeWord("near")) distance = "near";
    else break;
  }
  if (c.takeOp("[")) return parseMemory(c, bits, far);
  const reg = registerNamed(c.word());
  if (reg) {
    c.at++;
    if (c.isOp(":")) throw new Mistake("a segment override is written inside the brackets");
    if (bits && bits !== reg.bits) throw new Mistake(`${reg.name} has ${reg.bits} bits, not ${bits}`);
    return { k: "reg", reg };
  }
  const value = parseExpression(c);
  if (c.takeOp(":")) {
    const size = c.takeWord(...SIZE_NAMES);
    return { k: "far", selector: value, offset: parseExpression(c), bits: size ? SIZE_BITS[size] : bits };
  }
  if (far) throw new Mistake("a far target is written selector:offset");
  return { k: "imm", value, bits, strict, distance };
}

function parseMemory(c: Cursor, bits: number, far: boolean): MemoryOperand {
  let width = 0;
  let relative: boolean | undefined;
  let nosplit = false;
  let segment: Register | undefined;
  let asize: Width | undefined;
  for (;;) {
    const size = c.takeWord(...SIZE_NAMES);
    const address = c.takeWord("a16", "a32", "a64");
    const reg = registerNamed(c.word());
    if (size) width = SIZE_BITS[size];
    else if (address) asize = ADDRESS_SIZES[address];
    else if (c.takeWord("rel")) relative = true;
    else if (c.takeWord("abs")) relative = false;
    else if (c.takeWord("nosplit")) nosplit = true;
    else if (reg?.cls === "seg" && c.isOp(":", 1)) {
      segment = reg;
      c.at += 2;
    } else break;
  }
  const address = parseExpression(c);
  c.expectOp("]");
  return { k: "mem", address, segment, bits, far, width, relative, nosplit, asize };
}
