/**
 * One number for everything a guest can see: registers, local APICs, every chip, and memory: RAM, what lies hidden beneath
 * ROM, and the VGA's. Two machines with equal hashes go on alike. It does not say what a machine has cached, nor when it runs.
 */
import { AREA, type Field, PAGE_SIZE, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import type { Machine } from "./machine.ts";

/** Architectural state in the vCPU's page; RFLAGS is asked of the core, which keeps its arithmetic flags lazily. */
export const REGISTERS = [
  "gpr", "rip", "seg", "gdtBase", "gdtLimit", "idtBase", "idtLimit", "cr0", "cr2", "cr3", "cr4", "efer", "xcr0", "dr",
  "pdpte", "shadow", "nmiBlocked", "nmiPending", "extint", "runState", "star", "lstar", "cstar", "sfmask", "kernelGsBase",
  "sysenterCs", "sysenterEsp", "sysenterEip", "pat", "tscAdjust", "tscOffset", "tscAux", "miscEnable", "apicBase", "specCtrl",
  "tscDeadline", "mtrrDefType", "mtrrFixed", "mtrrVar", "apicTimer", "apicTimerPeriod", "st", "fcw", "fsw", "ftw", "fop",
  "fip", "fdp", "fcs", "fds", "mxcsr", "ymm", "icount", "pkru", "xss",
] as const; // biome-ignore format: a list of names

const APIC_BYTES = 0x400;
const PIR_BYTES = 32;

/** Two lanes of 32 bits, each a multiply-and-rotate over words. */
class Hash {
  #a = 0x9747_b28c;
  #b = 0x3c6e_f372;

  word(value: number): void {
    this.#a = Math.imul(((this.#a ^ value) << 13) | ((this.#a ^ value) >>> 19), 0x9e37_79b1);
    this.#b = (Math.imul(this.#b, 0x85eb_ca6b) + value) | 0;
    this.#b ^= this.#b >>> 15;
  }

  words(words: Int32Array): void {
    for (let i = 0; i < words.length; i++) this.word(words[i]);
  }

  bytes(bytes: Uint8Array): void {
    const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    whole.set(bytes);
    this.words(new Int32Array(whole.buffer));
    this.word(bytes.length);
  }

  text(text: string): void {
    this.bytes(new TextEncoder().encode(text));
  }

  digest(): string {
    const lane = (v: number) => (v >>> 0).toString(16).padStart(8, "0");
    this.word(0);
    return lane(this.#a) + lane(this.#b);
  }
}

/** Plain data in one way of writing: keys in order, bigints and typed arrays told apart from numbers and arrays. */
export function canonical(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}${JSON.stringify([...(value as Uint8Array)])}`;
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1));
    return `{${entries.map(([k, v]) => `${k}:${canonical(v)}`).join()}}`;
  }
  return String(JSON.stringify(value));
}

function hashVcpu(hash: Hash, view: StructView, buffer: ArrayBufferLike): void {
  for (const name of REGISTERS) {
    const field: Field = VCPU[name];
    for (let i = 0; i < field.count; i++) {
      const at = view.base + field.offset + i * field.stride;
      hash.bytes(new Uint8Array(buffer, at, field.stride));
    }
  }
  hash.bytes(new Uint8Array(buffer, view.base + AREA.APIC, APIC_BYTES));
  hash.bytes(new Uint8Array(buffer, view.base + AREA.PIR, PIR_BYTES));
}

/** Pages that are not all zeros, by their place. Only those that were ever written can be. */
function hashMemory(hash: Hash, memory: MachineMemory): void {
  const { backing, pageBytes } = memory;
  for (let i = 0; i < pageBytes.length; i++) {
    if (!pageBytes[i]) continue;
    const host = backing.byteOffset + i * PAGE_SIZE;
    memory.present(host);
    const page = new Int32Array(backing.buffer, host, PAGE_SIZE / 4);
    if (page.every((word) => word === 0)) continue;
    hash.word(i);
    hash.words(page);
  }
}

/**
 * The state of a machine that does not run, as 16 hexadecimal digits.
 *
 * @throws Error if the machine runs
 */
export async function stateHash(machine: Machine): Promise<string> {
  if (machine.state === "running") throw new Error("the state of a running machine has no hash: pause it");
  const hash = new Hash();
  const { buffer } = machine.memory.memory;
  for (let id = 0; id < machine.memory.vcpus; id++) {
    hashVcpu(hash, machine.view(id), buffer);
    hash.text(canonical(await machine.rflags(id)));
  }
  for (const device of machine.board.saved) hash.text(`${device.name}=${canonical(device.export())}`);
  hashMemory(hash, machine.memory);
  return hash.digest();
}
