/** Names of addresses: an ELF file's symbol table, or a System.map (also what /proc/kallsyms shows). */

export interface Symbol {
  readonly address: bigint;
  readonly name: string;
}

/** A file that has no symbols which can be read. The message is one line. */
export class SymbolsError extends Error {}

const SHT_SYMTAB = 2;
const STT_FILE = 4;
const STT_SECTION = 3;
const SHN_UNDEF = 0;
/** Furthest that an address may lie behind the name it is told by. */
const REACH = 0x10_0000n;

/** Symbols in the order of their addresses. */
export class Symbols {
  readonly #list: readonly Symbol[];
  readonly #byName: ReadonlyMap<string, bigint>;
  /** Where the code is, minus where the file says it is (KASLR). */
  slide = 0n;

  constructor(list: readonly Symbol[]) {
    this.#list = [...list].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    this.#byName = new Map(this.#list.map(({ name, address }) => [name, address]));
  }

  get count(): number {
    return this.#list.length;
  }

  /** Where a name is. */
  find(name: string): bigint | undefined {
    const address = this.#byName.get(name);
    return address === undefined ? undefined : BigInt.asUintN(64, address + this.slide);
  }

  /** The last symbol at or before an address, if it is not far away. */
  near(address: bigint): { readonly name: string; readonly offset: bigint } | undefined {
    const at = BigInt.asUintN(64, address - this.slide);
    let low = 0;
    for (let high = this.#list.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#list[middle].address <= at) low = middle + 1;
      else high = middle;
    }
    const found = this.#list[low - 1];
    if (!found || at - found.address > REACH) return undefined;
    return { name: found.name, offset: at - found.address };
  }

  /** "do_sys_open+0x10". */
  text(address: bigint): string | undefined {
    const found = this.near(address);
    return found && (found.offset ? `${found.name}+0x${found.offset.toString(16)}` : found.name);
  }
}

/** Names that are not functions or data but marks of the compiler. */
const isMark = (name: string): boolean =>
  name === "" || name.startsWith(".L") || name.startsWith("__pfx_") || name.startsWith("$");

/** @throws SymbolsError */
export function parseSymbols(file: Uint8Array): Symbols {
  const list = isElf(file) ? elfSymbols(file) : mapSymbols(new TextDecoder("latin1").decode(file));
  if (!list.length)
    throw new SymbolsError(
      "no symbols in it: an ELF file with a symbol table, a System.map or a copy of /proc/kallsyms is needed",
    );
  return new Symbols(list);
}

const isElf = (file: Uint8Array): boolean =>
  file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;

/** Lines of address, type letter and name. */
function mapSymbols(text: string): Symbol[] {
  const out: Symbol[] = [];
  for (const [, address, , name] of text.matchAll(/^([0-9a-f]{8,16}) ([a-z]) ([^\s]+)/gim)) {
    const at = BigInt(`0x${address}`);
    if (at && !isMark(name)) out.push({ address: at, name });
  }
  return out;
}

/** .symtab of a 32-bit or 64-bit little-endian ELF (gABI, chapter 4). */
function elfSymbols(file: Uint8Array): Symbol[] {
  const data = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const wide = file[4] === 2;
  if (file[5] !== 1) throw new SymbolsError("a big-endian ELF file is not x86's");
  const word = (at: number): number => (wide ? Number(data.getBigUint64(at, true)) : data.getUint32(at, true));
  try {
    const sections = word(wide ? 0x28 : 0x20);
    const size = data.getUint16(wide ? 0x3a : 0x2e, true);
    const count = data.getUint16(wide ? 0x3c : 0x30, true);
    const section = (i: number) => {
      const at = sections + i * size;
      const field = (n: number): number => word(at + (wide ? 0x18 + 8 * n : 0x10 + 4 * n));
      // From sh_offset on: offset, size, link (u32), …, entsize.
      return {
        type: data.getUint32(at + 4, true),
        offset: field(0),
        size: field(1),
        link: data.getUint32(at + (wide ? 0x28 : 0x18), true),
      };
    };
    const table = Array.from({ length: count }, (_, i) => section(i)).find(({ type }) => type === SHT_SYMTAB);
    if (!table) return [];
    const names = section(table.link);
    const entry = wide ? 24 : 16;
    const decoder = new TextDecoder("latin1");
    const out: Symbol[] = [];
    for (let at = table.offset; at + entry <= table.offset + table.size; at += entry) {
      const type = data.getUint8(at + (wide ? 4 : 12)) & 15;
      const shndx = data.getUint16(at + (wide ? 6 : 14), true);
      if (type === STT_FILE || type === STT_SECTION || shndx === SHN_UNDEF) continue;
      const from = names.offset + data.getUint32(at, true);
      const name = decoder.decode(file.subarray(from, file.indexOf(0, from)));
      const address = wide ? data.getBigUint64(at + 8, true) : BigInt(data.getUint32(at + 4, true));
      if (!isMark(name)) out.push({ address, name });
    }
    return out;
  } catch (error) {
    if (error instanceof RangeError) throw new SymbolsError("the ELF file is cut off");
    throw error;
  }
}
