/** Writing WebAssembly bytes: opcodes by their names in the core specification (5.4), integers in LEB128. */

export const UNREACHABLE: u32 = 0x00;
export const BLOCK: u32 = 0x02;
export const LOOP: u32 = 0x03;
export const IF: u32 = 0x04;
export const ELSE: u32 = 0x05;
export const END: u32 = 0x0b;
export const BR: u32 = 0x0c;
export const BR_IF: u32 = 0x0d;
export const BR_TABLE: u32 = 0x0e;
export const RETURN: u32 = 0x0f;
export const CALL: u32 = 0x10;
export const RETURN_CALL: u32 = 0x12;
export const RETURN_CALL_INDIRECT: u32 = 0x13;
export const SELECT: u32 = 0x1b;
export const LOCAL_GET: u32 = 0x20;
export const LOCAL_SET: u32 = 0x21;
export const LOCAL_TEE: u32 = 0x22;
export const I32_LOAD: u32 = 0x28;
export const I64_LOAD: u32 = 0x29;
export const F64_LOAD: u32 = 0x2b;
export const I32_LOAD16_U: u32 = 0x2f;
export const I64_LOAD8_S: u32 = 0x30;
export const I64_LOAD16_S: u32 = 0x32;
export const I64_LOAD16_U: u32 = 0x33;
export const I64_LOAD32_S: u32 = 0x34;
export const I64_LOAD32_U: u32 = 0x35;
export const I32_STORE: u32 = 0x36;
export const I64_STORE: u32 = 0x37;
export const F64_STORE: u32 = 0x39;
export const I32_STORE16: u32 = 0x3b;
export const I64_STORE8: u32 = 0x3c;
export const I64_STORE16: u32 = 0x3d;
export const I64_STORE32: u32 = 0x3e;
export const I32_CONST: u32 = 0x41;
export const I64_CONST: u32 = 0x42;
export const I32_EQZ: u32 = 0x45;
export const I32_EQ: u32 = 0x46;
export const I32_LT_U: u32 = 0x49;
export const I32_GE_U: u32 = 0x4f;
export const I64_EQZ: u32 = 0x50;
export const I64_EQ: u32 = 0x51;
export const I64_NE: u32 = 0x52;
export const I64_LT_S: u32 = 0x53;
export const I64_LT_U: u32 = 0x54;
export const I64_GT_S: u32 = 0x55;
export const I64_GT_U: u32 = 0x56;
export const I64_LE_S: u32 = 0x57;
export const I64_LE_U: u32 = 0x58;
export const I64_GE_S: u32 = 0x59;
export const I64_GE_U: u32 = 0x5a;
export const F64_EQ: u32 = 0x61;
export const F64_LT: u32 = 0x63;
export const F64_GE: u32 = 0x66;
export const I32_ADD: u32 = 0x6a;
export const I32_SUB: u32 = 0x6b;
export const I32_MUL: u32 = 0x6c;
export const I32_AND: u32 = 0x71;
export const I32_OR: u32 = 0x72;
export const I32_XOR: u32 = 0x73;
export const I32_SHL: u32 = 0x74;
export const I32_SHR_U: u32 = 0x76;
export const I64_CLZ: u32 = 0x79;
export const I64_CTZ: u32 = 0x7a;
export const I64_POPCNT: u32 = 0x7b;
export const I64_ADD: u32 = 0x7c;
export const I64_SUB: u32 = 0x7d;
export const I64_MUL: u32 = 0x7e;
export const I64_DIV_U: u32 = 0x80;
export const I64_REM_U: u32 = 0x82;
export const I64_AND: u32 = 0x83;
export const I64_OR: u32 = 0x84;
export const I64_XOR: u32 = 0x85;
export const I64_SHL: u32 = 0x86;
export const I64_SHR_S: u32 = 0x87;
export const I64_SHR_U: u32 = 0x88;
export const I64_ROTL: u32 = 0x89;
export const I64_ROTR: u32 = 0x8a;
export const I32_WRAP: u32 = 0xa7;
export const I64_EXTEND_S: u32 = 0xac;
export const I64_EXTEND_U: u32 = 0xad;
export const I64_REINTERPRET: u32 = 0xbd;
export const F64_REINTERPRET: u32 = 0xbf;
/** i64.extend8_s; 16 and 32 follow. */
export const I64_EXTEND8_S: u32 = 0xc2;
export const I64_EXTEND32_S: u32 = 0xc4;
export const EMPTY: u32 = 0x40;
export const I32: u32 = 0x7f;
export const I64: u32 = 0x7e;
export const F64: u32 = 0x7c;

/** Where the next byte goes, and how many may still come. */
export let at: usize = 0;
let limit: usize = 0;
/** Set when the room was not enough: what was written is of no use. */
export let overflow: bool = false;

export function writeTo(start: usize, end: usize): void {
  at = start;
  limit = end;
  overflow = false;
}

/** Takes out what has been written since `from`, to `to`, where there is room up to `end`. Returns where that ends. */
export function takeOut(from: usize, to: usize, end: usize): usize {
  const size = at - from;
  at = from;
  if (to + size > end) { overflow = true; return to; }
  memory.copy(to, from, size);
  return to + size;
}
export function append(from: usize, size: usize): void {
  if (at + size > limit) { overflow = true; return; }
  memory.copy(at, from, size);
  at += size;
}

@inline export function byte(v: u32): void {
  if (at == limit) { overflow = true; return; }
  store<u8>(at, <u8>v);
  at++;
}

export function unsigned(v: u32): void {
  do {
    const low = v & 127;
    v >>= 7;
    byte(v ? low | 128 : low);
  } while (v);
}

export function signed(v: i64): void {
  while (true) {
    const low = <u32>(v & 127);
    v >>= 7;
    if ((v == 0 && !(low & 64)) || (v == -1 && (low & 64))) { byte(low); return; }
    byte(low | 128);
  }
}

export function i32Const(v: i32): void { byte(I32_CONST); signed(v); }
export function i64Const(v: i64): void { byte(I64_CONST); signed(v); }
export function localGet(i: u32): void { byte(LOCAL_GET); unsigned(i); }
export function localSet(i: u32): void { byte(LOCAL_SET); unsigned(i); }
export function localTee(i: u32): void { byte(LOCAL_TEE); unsigned(i); }
export function call(f: u32): void { byte(CALL); unsigned(f); }
/** An instruction of the vector extension. */
export function simd(op: u32): void { byte(0xfd); unsigned(op); }
/** A load or store; the alignment hint is "any". */
export function memory_(op: u32, offset: usize): void { byte(op); byte(0); unsigned(<u32>offset); }

/** Labels that are open in the function being written. */
export let depth: u32 = 0;
export function resetDepth(): void { depth = 0; }
export function setDepth(d: u32): void { depth = d; }
/** Opens a block, loop or if without results and gives its label, to be named in `br`. */
export function open(op: u32): u32 {
  byte(op);
  byte(EMPTY);
  return depth++;
}
export function close(): void { byte(END); depth--; }
export function br(label: u32): void { byte(BR); unsigned(depth - 1 - label); }
export function brIf(label: u32): void { byte(BR_IF); unsigned(depth - 1 - label); }
