/**
 * As much of a Wasm binary as tests of the core look at (WebAssembly core specification 2.0 and the threads proposal,
 * section 5, Binary Format): data segments, and the `br_table`s of each function.
 */

export interface DataSegment {
  readonly offset: number;
  readonly length: number;
}

class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  u8(): number {
    return this.bytes[this.at++];
  }

  /** An unsigned or (as long as it fits 32 bits) signed LEB128 number's bits. */
  leb(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const b = this.u8();
      if (shift < 32) value |= (b & 127) << shift;
      if (!(b & 128)) return value >>> 0;
    }
  }

  skip(n: number): void {
    this.at += n;
  }
}

/** The sections with number `id`: a reader at the start of each. */
function* sections(bytes: Uint8Array, id: number): Generator<Reader> {
  const r = new Reader(bytes, 8);
  while (r.at < bytes.length) {
    const found = r.u8();
    const size = r.leb();
    if (found === id) yield new Reader(bytes, r.at);
    r.skip(size);
  }
}

/** The active data segments, which instantiation writes to memory. */
export function dataSegments(bytes: Uint8Array): DataSegment[] {
  const out: DataSegment[] = [];
  for (const r of sections(bytes, 11)) {
    for (let n = r.leb(); n > 0; n--) {
      const kind = r.leb();
      if (kind !== 0) throw new Error(`data segment of kind ${kind}: not active`);
      if (r.u8() !== 0x41) throw new Error("data segment whose offset is no i32.const");
      const offset = r.leb();
      if (r.u8() !== 0x0b) throw new Error("data segment whose offset is no constant");
      const length = r.leb();
      r.skip(length);
      out.push({ offset, length });
    }
  }
  return out;
}

/** For each function of the module, the number of targets (the default not counted) of each of its `br_table`s. */
export function branchTables(bytes: Uint8Array): number[][] {
  const out: number[][] = [];
  for (const r of sections(bytes, 10)) {
    for (let n = r.leb(); n > 0; n--) {
      const size = r.leb();
      const end = r.at + size;
      for (let groups = r.leb(); groups > 0; groups--) {
        r.leb();
        r.u8();
      }
      const tables: number[] = [];
      while (r.at < end) {
        const targets = instruction(r);
        if (targets !== undefined) tables.push(targets);
      }
      if (r.at !== end) throw new Error("a function's instructions do not end where it does");
      out.push(tables);
    }
  }
  return out;
}

/** Steps over one instruction; the number of targets if it is a `br_table`. */
function instruction(r: Reader): number | undefined {
  const op = r.u8();
  if (op === 0x0e) {
    const targets = r.leb();
    for (let i = 0; i <= targets; i++) r.leb();
    return targets;
  }
  if (op === 0xfc) {
    // Saturating conversions have no operands; bulk memory and table instructions have one or two.
    const sub = r.leb();
    if (sub >= 8) for (let i = [9, 11, 13, 15, 16, 17].includes(sub) ? 1 : 2; i > 0; i--) r.leb();
  } else if (op === 0xfd) vector(r);
  else if (op === 0xfe) {
    if (r.leb() === 3) r.u8();
    else memory(r);
  } else if (op === 0x02 || op === 0x03 || op === 0x04 || op === 0x0c || op === 0x0d || op === 0x10) r.leb();
  else if (op === 0x11) {
    r.leb();
    r.leb();
  } else if (op === 0x1c) for (let n = r.leb(); n > 0; n--) r.u8();
  else if (op >= 0x20 && op <= 0x26) r.leb();
  else if (op >= 0x28 && op <= 0x3e) memory(r);
  else if (op >= 0x3f && op <= 0x42) r.leb();
  else if (op === 0x43) r.skip(4);
  else if (op === 0x44) r.skip(8);
  else if (op === 0xd0 || op === 0xd2) r.leb();
  else if (!PLAIN(op)) throw new Error(`opcode 0x${op.toString(16)} is not known`);
  return undefined;
}

/** Opcodes without operands. */
const PLAIN = (op: number): boolean =>
  op <= 0x01 ||
  op === 0x05 ||
  op === 0x0b ||
  op === 0x0f ||
  op === 0x1a ||
  op === 0x1b ||
  (op >= 0x45 && op <= 0xc4) ||
  op === 0xd1;

/** Alignment and offset. */
function memory(r: Reader): void {
  r.leb();
  r.leb();
}

function vector(r: Reader): void {
  const op = r.leb();
  if (op <= 11 || op === 92 || op === 93) memory(r);
  else if (op === 12 || op === 13) r.skip(16);
  else if (op >= 21 && op <= 34) r.u8();
  else if (op >= 84 && op <= 91) {
    memory(r);
    r.u8();
  }
}
