/**
 * A small AML assembler: each function returns the bytes of one construct of the ACPI machine language (ACPI 6.5,
 * chapter 20), and they nest. Only what this board's DSDT needs. Names are given as ASL writes them: "\_SB.PCI0",
 * "_HID", "^ISA".
 */

import { joinBytes } from "../shared/bytes.ts";

export type Aml = Uint8Array;

/** Concatenates. */
export function join(...parts: readonly (Uint8Array | readonly number[])[]): Aml {
  return joinBytes(parts);
}

const ascii = (text: string): number[] => [...text].map((char) => char.charCodeAt(0));

/**
 * PkgLength (20.2.4): counts itself. One byte up to 63; else the lead byte holds the number of following bytes in
 * 7:6 and the low four bits of the length.
 */
function packageLength(body: number): number[] {
  if (body + 1 < 0x40) return [body + 1];
  const extra = body + 2 < 0x1000 ? 1 : body + 3 < 0x10_0000 ? 2 : 3;
  const total = body + 1 + extra;
  const out = [(extra << 6) | (total & 0x0f)];
  for (let i = 0; i < extra; i++) out.push((total >>> (4 + 8 * i)) & 0xff);
  return out;
}

function sized(opcode: readonly number[], ...body: readonly (Uint8Array | readonly number[])[]): Aml {
  const inside = join(...body);
  return join(opcode, packageLength(inside.length), inside);
}

/** A NameString (20.2.2): segments of four characters, padded with underscores. */
export function path(name: string): Aml {
  const [, prefix, rest] = /^(\\|\^*)(.*)$/.exec(name)!;
  const segments = rest === "" ? [] : rest.split(".");
  for (const segment of segments) {
    if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw new RangeError(`aml: name "${name}"`);
  }
  const body = segments.flatMap((segment) => ascii(segment.padEnd(4, "_")));
  const lead =
    segments.length === 0
      ? [0x00]
      : segments.length === 1
        ? []
        : segments.length === 2
          ? [0x2e]
          : [0x2f, segments.length];
  return join(ascii(prefix), lead, body);
}

/** An integer in its shortest form (20.2.3). */
export function int(value: number | bigint): Aml {
  const wide = BigInt(value);
  if (wide < 0n || wide >> 64n) throw new RangeError(`aml: integer ${value}`);
  if (wide < 2n) return join([Number(wide)]);
  const [opcode, size] = wide < 0x100n ? [0x0a, 1] : wide < 0x1_0000n ? [0x0b, 2] : wide >> 32n ? [0x0e, 8] : [0x0c, 4];
  return join(
    [opcode],
    Array.from({ length: size }, (_, i) => Number((wide >> BigInt(8 * i)) & 0xffn)),
  );
}

/** A compressed EISA id such as "PNP0501" (ACPI 6.5, 19.3.4): three letters of five bits, then four hex digits. */
export function eisaId(id: string): Aml {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) throw new RangeError(`aml: EISA id "${id}"`);
  const [a, b, c] = ascii(id.slice(0, 3)).map((code) => code - 0x40);
  const letters = (a << 10) | (b << 5) | c;
  const digits = Number.parseInt(id.slice(3), 16);
  // The four bytes in this order make a little-endian integer.
  const bytes = [letters >> 8, letters & 0xff, digits >> 8, digits & 0xff];
  return int(bytes.reduceRight((value, byte) => value * 256 + byte, 0));
}

export function text(value: string): Aml {
  return join([0x0d], ascii(value), [0]);
}

export function scope(name: string, ...body: readonly Aml[]): Aml {
  return sized([0x10], path(name), ...body);
}

export function device(name: string, ...body: readonly Aml[]): Aml {
  return sized([0x5b, 0x82], path(name), ...body);
}

/** The Processor object of ACPI 1–5, which older guests want; no P_BLK. */
export function processor(name: string, id: number): Aml {
  return sized([0x5b, 0x83], path(name), [id, 0, 0, 0, 0, 0]);
}

export function name(object: string, value: Aml): Aml {
  return join([0x08], path(object), value);
}

export function packageOf(...elements: readonly Aml[]): Aml {
  return sized([0x12], [elements.length], ...elements);
}

export function method(object: string, args: number, ...body: readonly Aml[]): Aml {
  return sized([0x14], path(object), [args], ...body);
}

export function arg(n: number): Aml {
  return join([0x68 + n]);
}

export function returns(value: Aml): Aml {
  return join([0xa4], value);
}

export function store(value: Aml, target: string): Aml {
  return join([0x70], value, path(target));
}

export function when(condition: Aml, ...body: readonly Aml[]): Aml {
  return sized([0xa0], condition, ...body);
}

/** Buffer holding a resource template (6.4): the descriptors and an end tag whose checksum is not used. */
export function resources(...descriptors: readonly Aml[]): Aml {
  const bytes = join(...descriptors, [0x79, 0x00]);
  return sized([0x11], int(bytes.length), bytes);
}

const word = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
const dword = (value: number): number[] => [...word(value), ...word(value >>> 16)];
const qword = (value: bigint): number[] => [
  ...dword(Number(BigInt.asUintN(32, value))),
  ...dword(Number(BigInt.asUintN(32, value >> 32n))),
];

/** Fixed I/O ports, 16-bit decode (6.4.2.5). */
export function io(base: number, length: number): Aml {
  return join([0x47, 0x01], word(base), word(base), [1, length]);
}

/** Edge-triggered ISA interrupt (6.4.2.1). */
export function irq(n: number): Aml {
  return join([0x22], word(1 << n));
}

/** Fixed 32-bit memory range (6.4.3.4). */
export function memory32(base: number, length: number, writable: boolean): Aml {
  return join([0x86], word(9), [writable ? 1 : 0], dword(base), dword(length));
}

/** What a bridge passes on to its other side (6.4.3.5): both ends fixed. `end` is the last address. */
type WindowKind = { readonly type: 0 | 1 | 2; readonly flags: number };
const MEMORY: WindowKind = { type: 0, flags: 0x01 };
const CACHEABLE: WindowKind = { type: 0, flags: 0x03 };
const IO: WindowKind = { type: 1, flags: 0x03 };
const BUS: WindowKind = { type: 2, flags: 0x00 };
/** Producer, both minimum and maximum fixed, positive decode. */
const WINDOW_FLAGS = 0x0c;

function wordWindow({ type, flags }: WindowKind, base: number, end: number): Aml {
  const fields = [0, base, end, 0, end - base + 1].flatMap(word);
  return join([0x88], word(fields.length + 3), [type, WINDOW_FLAGS, flags], fields);
}

function dwordWindow({ type, flags }: WindowKind, base: number, end: number): Aml {
  const fields = [0, base, end, 0, end - base + 1].flatMap(dword);
  return join([0x87], word(fields.length + 3), [type, WINDOW_FLAGS, flags], fields);
}

export const busWindow = (first: number, last: number): Aml => wordWindow(BUS, first, last);
export const ioWindow = (base: number, end: number): Aml => wordWindow(IO, base, end);
export const memoryWindow = (base: number, end: number): Aml => dwordWindow(MEMORY, base, end);
/** Memory that may be cached, such as the VGA frame buffer window. */
export const cacheableWindow = (base: number, end: number): Aml => dwordWindow(CACHEABLE, base, end);
export function memoryWindow64(base: bigint, end: bigint): Aml {
  const fields = [0n, base, end, 0n, end - base + 1n].flatMap(qword);
  return join([0x8a], word(fields.length + 3), [MEMORY.type, WINDOW_FLAGS, MEMORY.flags], fields);
}
