/** Sections of a flat binary, laid behind one another as `nasm -f bin` does. */
import { Mistake } from "./error.ts";

/** A source that makes more than this has a mistake in a TIMES or ALIGN. */
export const MAX_BYTES = 1 << 26;

/** Alignment of a section that says nothing of it; the first one is where ORG puts it. */
const ALIGNMENT = 4n;

export class Section {
  readonly name: string;
  readonly number: number;
  /** Addresses in it move with the origin. False: after ABSOLUTE, where they are plain numbers. */
  readonly relocates: boolean;
  /** It reserves room and has no bytes. */
  nobits: boolean;
  align: bigint;
  /** Where it lies, where it says so itself. */
  start: bigint | undefined;
  /** The address that its first byte has for its labels, where that is another one. */
  vstart: bigint | undefined;
  /** Address of its first byte by the last pass. */
  address = 0n;
  bytes: number[] = [];
  #reserved = 0;

  constructor(name: string, number: number, relocates = true) {
    this.name = name;
    this.number = number;
    this.relocates = relocates;
    this.nobits = name === ".bss" || !relocates;
    this.align = number === 0 ? 1n : ALIGNMENT;
  }

  get length(): number {
    return this.nobits ? this.#reserved : this.bytes.length;
  }

  get here(): bigint {
    return this.address + BigInt(this.length);
  }

  push(bytes: ArrayLike<number>): void {
    if (!bytes.length) return;
    if (this.nobits) throw new Mistake(`section ${this.name} has room and no bytes: only RESB and kin go there`);
    if (this.bytes.length + bytes.length > MAX_BYTES) throw new Mistake("too many bytes");
    for (let i = 0; i < bytes.length; i++) this.bytes.push(bytes[i]);
  }

  reserve(length: number): void {
    if (this.length + length > MAX_BYTES) throw new Mistake("too many bytes");
    if (this.nobits) this.#reserved += length;
    else for (let i = 0; i < length; i++) this.bytes.push(0);
  }

  /** Before another pass. */
  empty(): void {
    this.bytes = [];
    this.#reserved = 0;
  }
}

/** Where the bytes of a section go in the file. */
export interface Placed {
  readonly section: Section;
  readonly offset: number;
}

/**
 * Gives each section its address: .text first, those with bytes in the order in which the source begins them, then those
 * without. Returns those with bytes, and whether an address has changed.
 */
export function layOutSections(sections: readonly Section[], origin: bigint): { placed: Placed[]; moved: boolean } {
  const placed: Placed[] = [];
  let moved = false;
  let end = origin;
  for (const nobits of [false, true]) {
    for (const section of sections) {
      if (section.nobits !== nobits) continue;
      const { align } = section;
      const start = section.start ?? (section.number === 0 ? origin : ((end + align - 1n) / align) * align);
      const address = section.vstart ?? start;
      if (address !== section.address) moved = true;
      section.address = address;
      if (!nobits) placed.push({ section, offset: Number(start - origin) });
      end = start + BigInt(section.length);
    }
    // What has no bytes follows the last one's addresses, not its place in the file.
    const last = placed.at(-1)?.section;
    if (last && !nobits) end = last.here;
  }
  return { placed, moved };
}
