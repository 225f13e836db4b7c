/** What two machines are compared by: registers after every round of turns, memory and chips now and then. */

import { gprName } from "../../isa/registers.ts";
import type { Machine } from "../../machine/machine.ts";
import { canonical, REGISTERS } from "../../machine/stateHash.ts";
import { AREA, ATTENTION, type Field, PAGE_SIZE, SEG_INDEX, VCPU } from "../../shared/layout.ts";

/** One thing that differs, with both values. */
export interface Difference {
  readonly name: string;
  readonly want: string;
  readonly got: string;
}

/** Bytes of a vCPU's area that hold registers, and whose names they are. */
interface Piece {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

const SEGMENTS = Object.entries(SEG_INDEX).sort(([, a], [, b]) => a - b);

/** `gpr` 3 is rbx, `seg` 1 is cs; a field with one value has its own name. */
function nameOf(name: string, field: Field, i: number): string {
  if (name === "gpr") return gprName(i, 64, true);
  if (name === "seg") return SEGMENTS[i][0].toLowerCase();
  return field.count === 1 ? name : `${name}[${i}]`;
}

const APIC_BYTES = 0x400;
const PIR_BYTES = 32;
const PIECES: readonly Piece[] = [
  ...REGISTERS.flatMap((name) => {
    const field: Field = VCPU[name];
    return Array.from({ length: field.count }, (_, i) => ({
      name: nameOf(name, field, i),
      offset: field.offset + i * field.stride,
      bytes: field.stride,
    }));
  }),
  { name: "apic", offset: AREA.APIC, bytes: APIC_BYTES },
  { name: "posted interrupts", offset: AREA.PIR, bytes: PIR_BYTES },
];

/** Pieces that lie one after the other as one. */
function merged(pieces: readonly Piece[]): Piece[] {
  const out: Piece[] = [];
  for (const p of [...pieces].sort((a, b) => a.offset - b.offset)) {
    const last = out.at(-1);
    if (last && last.offset + last.bytes === p.offset) out[out.length - 1] = { ...last, bytes: last.bytes + p.bytes };
    else out.push(p);
  }
  return out;
}
const SPANS = merged(PIECES);

/** Little-endian bytes as a number. */
const hex = (bytes: Uint8Array): string =>
  `0x${Buffer.from(bytes)
    .reverse()
    .toString("hex")
    .replace(/^0+(?=.)/, "")}`;

/** The first bytes in which two runs of bytes differ. */
function firstDifference(name: string, a: Uint8Array, b: Uint8Array): Difference {
  let at = 0;
  while (a[at] === b[at]) at++;
  const from = at & ~7;
  return {
    name: `${name}+0x${from.toString(16)}`,
    want: hex(a.slice(from, from + 8)),
    got: hex(b.slice(from, from + 8)),
  };
}

/** Views of both machines' memory, made once. */
export class Comparison {
  readonly #want: Machine;
  readonly #got: Machine;
  readonly #spans: (readonly [Buffer, Buffer])[];

  /** Everything the machines have in memory is taken to be equal now. */
  constructor(want: Machine, got: Machine) {
    this.#want = want;
    this.#got = got;
    this.#spans = this.#vcpus().flatMap((id) =>
      SPANS.map((p) => [this.#bytes(want, id, p), this.#bytes(got, id, p)] as const),
    );
    for (const m of [want, got]) m.memory.pageBytes.forEach((_, page) => void m.memory.takeDirty(this.#host(m, page)));
  }

  #vcpus(): number[] {
    return Array.from({ length: this.#want.memory.vcpus }, (_, id) => id);
  }

  #bytes(m: Machine, id: number, p: Piece): Buffer {
    return Buffer.from(m.memory.memory.buffer as ArrayBuffer, m.view(id).base + p.offset, p.bytes);
  }

  #host(m: Machine, page: number): number {
    return m.memory.backing.byteOffset + page * PAGE_SIZE;
  }

  /** Registers of every vCPU. Neither machine runs. */
  async registers(): Promise<Difference[]> {
    let equal = this.#spans.every(([a, b]) => a.equals(b));
    for (const id of this.#vcpus()) equal &&= (await this.#want.rflags(id)) === (await this.#got.rflags(id));
    if (equal) return [];
    const out: Difference[] = [];
    for (const id of this.#vcpus()) {
      const of = (name: string): string => (this.#want.memory.vcpus > 1 ? `vCPU ${id} ${name}` : name);
      const [want, got] = [await this.#want.rflags(id), await this.#got.rflags(id)];
      if (want !== got) out.push({ name: of("rflags"), want: `0x${want.toString(16)}`, got: `0x${got.toString(16)}` });
      for (const p of PIECES) {
        const [a, b] = [this.#bytes(this.#want, id, p), this.#bytes(this.#got, id, p)];
        if (a.equals(b)) continue;
        out.push(p.bytes > 32 ? firstDifference(of(p.name), a, b) : { name: of(p.name), want: hex(a), got: hex(b) });
      }
    }
    return out;
  }

  /**
   * Memory that either machine may have written since this was last asked, and the chips. Every vCPU drops its
   * translations for it, in both machines.
   */
  rest(): Difference[] {
    const out: Difference[] = [];
    const [want, got] = [this.#want.memory, this.#got.memory];
    want.pageBytes.forEach((_, page) => {
      const [a, b] = [this.#host(this.#want, page), this.#host(this.#got, page)];
      const written = [want.takeDirty(a), got.takeDirty(b)];
      if (!written.includes(true)) return;
      const [x, y] = [this.#page(this.#want, page), this.#page(this.#got, page)];
      if (!x.equals(y)) out.push(firstDifference(`memory at 0x${(page * PAGE_SIZE).toString(16)}`, x, y));
    });
    for (const m of [this.#want, this.#got]) {
      for (const id of this.#vcpus()) m.view(id).or(VCPU.attention, ATTENTION.FLUSH);
    }
    this.#want.board.saved.forEach((device, i) => {
      const [a, b] = [device, this.#got.board.saved[i]].map((d) => canonical(d.export()));
      if (a !== b) out.push({ name: device.name, want: a, got: b });
    });
    return out;
  }

  /** A backing page; one that a snapshot still has comes first. */
  #page(m: Machine, page: number): Buffer {
    const host = this.#host(m, page);
    m.memory.present(host);
    return Buffer.from(m.memory.memory.buffer as ArrayBuffer, host, PAGE_SIZE);
  }
}

/** Every register of a machine that does not run, for people to read. */
export async function registersOf(m: Machine): Promise<Record<string, string>> {
  const out: Record<string, string> = {};
  for (let id = 0; id < m.memory.vcpus; id++) {
    const of = (name: string): string => (m.memory.vcpus > 1 ? `vCPU ${id} ${name}` : name);
    out[of("rflags")] = `0x${(await m.rflags(id)).toString(16)}`;
    for (const p of PIECES) {
      if (p.bytes > 32) continue;
      out[of(p.name)] = hex(new Uint8Array(m.memory.memory.buffer, m.view(id).base + p.offset, p.bytes));
    }
  }
  return out;
}
