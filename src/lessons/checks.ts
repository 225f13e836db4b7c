/** Answers a lesson's questions about a program and the machine that has run it, and says what it has seen. */
import { physicalOf, readCpu } from "../debug/cpuState.ts";
import { walk } from "../debug/walk.ts";
import { registerNamed } from "../isa/registers.ts";
import type { Machine } from "../machine/machine.ts";
import { RUN_STATE, VCPU } from "../shared/layout.ts";
import { getSegment } from "../vcpu/view.ts";
import { VM_REG_GUEST, type VmReg } from "../vmm/registers.ts";
import type { Ran } from "./run.ts";
import type { Question } from "./schema.ts";

/** What questions are about. */
export interface Subject {
  readonly source: string;
  readonly image: Uint8Array;
  readonly symbols: ReadonlyMap<string, bigint>;
  readonly ran: Ran;
  /** RFLAGS of each vCPU. */
  readonly rflags: readonly bigint[];
}

export interface Answer {
  readonly holds: boolean;
  /** One sentence: how it is, and how it should be where it does not hold. */
  readonly seen: string;
}

const hex = (n: bigint | number): string => `0x${n.toString(16)}`;
const row = (bytes: Iterable<number>): string => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");
const unhex = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/[0-9a-f]{2}/gi) ?? [], (b) => Number.parseInt(b, 16));

/** A label that a lesson asks for and the source has not got. */
class NoLabel extends Error {}

/** Answers a question. */
export function answer(q: Question, s: Subject): Answer {
  try {
    return ask(q, s);
  } catch (error) {
    if (!(error instanceof NoLabel)) throw error;
    return { holds: false, seen: `The source has no label ${error.message}.` };
  }
}

function ask(q: Question, s: Subject): Answer {
  const { machine, end, serial, screen, vector } = s.ran;
  switch (q.what) {
    case "not": {
      const { holds, seen } = ask(q.of, s);
      return { holds: !holds, seen };
    }
    case "all":
    case "any": {
      const all = q.of.map((one) => answer(one, s));
      const want = q.what === "all";
      const telling = all.find((a) => a.holds !== want) ?? all[0];
      return { holds: all[q.what === "all" ? "every" : "some"]((a) => a.holds), seen: telling?.seen ?? "" };
    }
    case "image": {
      const want = unhex(q.bytes);
      const is = s.image.subarray(q.at, q.at + want.length);
      if (is.length < want.length) {
        return {
          holds: false,
          seen: `The program has ${s.image.length} bytes and ends before byte ${q.at + want.length - 1}.`,
        };
      }
      return compare(`Bytes ${q.at} to ${q.at + want.length - 1} of the program are`, row(is), row(want));
    }
    case "size":
      return {
        holds: s.image.length <= q.max,
        seen: `The program has ${s.image.length} bytes; there is room for ${q.max}.`,
      };
    case "source": {
      const code = s.source.replace(/;.*$/gm, "");
      return { holds: new RegExp(q.matches, "im").test(code), seen: "" };
    }
    case "end":
      return compare("At its end the machine is in the state", ENDS[end], ENDS[q.is]);
    case "fault":
      return {
        holds: vector === q.vector,
        seen: vector === undefined ? "There was no triple fault." : `The triple fault began with exception ${vector}.`,
      };
    case "started":
      return {
        holds: machine.view(q.vcpu).get(VCPU.runState) !== RUN_STATE.WAIT_FOR_SIPI,
        seen: `CPU ${q.vcpu} still waits for its start-up interrupt.`,
      };
    case "register": {
      const { value, bits } = register(machine, s.rflags, q.vcpu, q.register);
      return numberAnswer(`${q.register.toUpperCase()}${ofCpu(q.vcpu)}`, value, bits, q, s);
    }
    case "segment":
      return segment(q, machine);
    case "memory": {
      const at = Number(numberOf(q.at, s));
      const name = typeof q.at === "string" && s.symbols.has(q.at) ? `${q.at} (${hex(at)})` : hex(at);
      if (q.bytes !== undefined || q.text !== undefined) {
        const want = q.text !== undefined ? new TextEncoder().encode(q.text) : unhex(q.bytes ?? "");
        const is = read(machine, at, want.length);
        if (q.text === undefined) return compare(`Memory at ${name} is`, row(is), row(want));
        return compare(
          `Memory at ${name} is`,
          JSON.stringify(new TextDecoder("latin1").decode(is)),
          JSON.stringify(q.text),
        );
      }
      const value = read(machine, at, q.size).reduceRight((n, b) => (n << 8n) | BigInt(b), 0n);
      return numberAnswer(`The ${SIZES[q.size]} at ${name}`, value, q.size * 8, q, s);
    }
    case "page":
      return page(q, s);
    case "serial":
      return {
        holds: serial.includes(q.contains),
        seen: `The serial line has got ${serial ? JSON.stringify(serial.slice(0, 200)) : "nothing"}; ${JSON.stringify(q.contains)} should be in it.`,
      };
    case "screen": {
      const lines = q.row === undefined ? screen : [screen[q.row] ?? ""];
      const where = q.row === undefined ? "The screen" : `Line ${q.row} of the screen`;
      const shown = lines.filter(Boolean).join(" / ");
      return {
        holds: lines.some((line) => line.includes(q.contains)),
        seen: `${where} ${shown ? `shows ${JSON.stringify(shown.slice(0, 200))}` : "is empty"}; it should show ${JSON.stringify(q.contains)}.`,
      };
    }
  }
}

const ENDS = {
  halted: "halted with interrupts off",
  running: "still running",
  "triple fault": "shut down by a triple fault",
  "power-off": "powered off",
  reset: "reset",
} as const;
const SIZES = { 1: "byte", 2: "word", 4: "double word", 8: "quad word" } as const;

const ofCpu = (id: number): string => (id ? ` of CPU ${id}` : "");

function compare(what: string, is: string, want: string): Answer {
  return { holds: is === want, seen: is === want ? `${what} ${is}.` : `${what} ${is}, not ${want}.` };
}

/** A number, or what a label of the source stands for. */
function numberOf(value: number | string, s: Subject): bigint {
  if (typeof value === "number" || /^\d/.test(value)) return BigInt(value);
  const symbol = s.symbols.get(value);
  if (symbol === undefined) throw new NoLabel(value);
  return BigInt.asUintN(64, symbol);
}

interface Wanted {
  readonly is?: number | string | undefined;
  readonly set?: number | string | undefined;
  readonly clear?: number | string | undefined;
  readonly min?: number | string | undefined;
}

function numberAnswer(what: string, value: bigint, bits: number, q: Wanted, s: Subject): Answer {
  const wrong: string[] = [];
  if (q.is !== undefined) {
    const want = BigInt.asUintN(bits, numberOf(q.is, s));
    if (value !== want)
      wrong.push(`not ${hex(want)}${typeof q.is === "string" && s.symbols.has(q.is) ? ` (${q.is})` : ""}`);
  }
  if (q.set !== undefined && (value & BigInt(q.set)) !== BigInt(q.set))
    wrong.push(`where ${hex(BigInt(q.set))} must be set`);
  if (q.clear !== undefined && value & BigInt(q.clear)) wrong.push(`where ${hex(BigInt(q.clear))} must be clear`);
  if (q.min !== undefined && value < BigInt(q.min)) wrong.push(`less than ${hex(BigInt(q.min))}`);
  return { holds: wrong.length === 0, seen: `${[`${what} is ${hex(value)}`, ...wrong].join(", ")}.` };
}

/** The registers of the two descriptor tables have two parts each. */
const TABLES = new Map([
  ["GDTR.BASE", VCPU.gdtBase],
  ["GDTR.LIMIT", VCPU.gdtLimit],
  ["IDTR.BASE", VCPU.idtBase],
  ["IDTR.LIMIT", VCPU.idtLimit],
]);

/** A register by any of its names: rax, eax, ax, cr0, efer, eip. @throws RangeError: there is none of that name */
function register(
  machine: Machine,
  rflags: readonly bigint[],
  id: number,
  name: string,
): { value: bigint; bits: number } {
  const upper = name.toUpperCase();
  if (/^[RE]FLAGS$/.test(upper)) return { value: rflags[id] ?? 0n, bits: 64 };
  const view = machine.view(id);
  const table = TABLES.get(upper);
  if (table) return { value: BigInt(view.get(table)), bits: 64 };
  const known = VM_REG_GUEST[(upper === "EIP" ? "RIP" : upper) as keyof typeof VM_REG_GUEST] as VmReg | undefined;
  if (known !== undefined) return { value: BigInt.asUintN(64, machine.debug.register(id, known)), bits: 64 };
  const reg = registerNamed(name.toLowerCase());
  if (reg?.cls !== "gpr") throw new RangeError(`there is no register ${name}`);
  const value = view.get64(VCPU.gpr, reg.num);
  return { value: BigInt.asUintN(reg.bits, value), bits: reg.bits };
}

function segment(q: Question & { what: "segment" }, machine: Machine): Answer {
  const view = machine.view(q.vcpu);
  const seg = getSegment(view, q.register.toUpperCase() as "CS");
  const size = seg.ar & 0x2000 && view.get64(VCPU.efer) & 0x400n ? 64 : seg.ar & 0x4000 ? 32 : 16;
  const facts: [string, bigint | number, bigint | number | string | undefined][] = [
    ["selector", seg.selector, q.selector],
    ["base", seg.base, q.base],
    ["limit", seg.limit, q.limit],
  ];
  const name = `${q.register.toUpperCase()}${ofCpu(q.vcpu)}`;
  for (const [what, is, want] of facts) {
    if (want !== undefined && BigInt(is) !== BigInt(want)) {
      return { holds: false, seen: `The ${what} of ${name} is ${hex(is)}, not ${hex(BigInt(want))}.` };
    }
  }
  if (q.size !== undefined && size !== q.size) {
    return { holds: false, seen: `${name} is a segment of ${size}-bit code, not of ${q.size}-bit code.` };
  }
  return { holds: true, seen: `${name} is ${hex(seg.selector)}, from ${hex(seg.base)}, limit ${hex(seg.limit)}.` };
}

function page(q: Question & { what: "page" }, s: Subject): Answer {
  const { machine } = s.ran;
  const linear = numberOf(q.linear, s);
  const found = walk(readCpu(machine.debug, q.vcpu), physicalOf(machine.memory), linear);
  if (found.mode === "none") return { holds: false, seen: "Paging is off." };
  const last = found.steps.at(-1);
  const leads = found.gpa === undefined ? `nowhere: its ${last?.entry} is ${hex(last?.value ?? 0n)}` : hex(found.gpa);
  const seen = `Linear address ${hex(linear)} leads ${found.gpa === undefined ? "" : "to "}${leads}`;
  if (q.leads !== undefined) {
    const want = q.leads === null ? undefined : Number(numberOf(q.leads, s));
    if (found.gpa !== want) {
      return { holds: false, seen: `${seen}; it should lead ${want === undefined ? "nowhere" : `to ${hex(want)}`}.` };
    }
  }
  // A right holds only if every entry on the way gives it.
  const has = (flag: string): boolean =>
    flag === "R/W" || flag === "U/S" || flag === "P"
      ? found.steps.every((step) => step.flags.includes(flag))
      : (last?.flags.includes(flag) ?? false);
  const missing = q.flags?.find((flag) => !has(flag));
  if (missing) return { holds: false, seen: `${seen}, without ${missing}.` };
  const unwanted = q.without?.find(has);
  if (unwanted) return { holds: false, seen: `${seen}, with ${unwanted}.` };
  return { holds: true, seen: `${seen}.` };
}

/** Physical memory; what is no memory reads as zeros. */
function read(machine: Machine, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  if (machine.memory.hostAddress(at) >= 0) machine.memory.read(at, bytes);
  return bytes;
}
