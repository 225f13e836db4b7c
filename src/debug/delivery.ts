/**
 * How an event is delivered through the IDT, check by check, and which one fails: the rules of SDM vol. 3, 6.10 to 6.14 told
 * over a vCPU that stands still. The core (assembly/sys/deliver.ts) does the same with effects; test/debug/autopsy.test.ts
 * holds the two together.
 */
import { type CpuState, hex, isLong, isReal, linearOf, RFLAGS, type Sight, widthOf } from "./cpuState.ts";
import {
  type Descriptor,
  decodeDescriptor,
  decodeGate,
  descriptorText,
  type Gate,
  gateText,
  selectorText,
} from "./decode/descriptors.ts";
import type { Event } from "./decode/exceptions.ts";
import { type Access, judge, type Verdict } from "./decode/paging.ts";
import { type Walk, walk } from "./walk.ts";

/** One thing that the CPU looks at. */
export interface Check {
  /** What it is: "IDT entry 14". */
  readonly what: string;
  /** What was found there. */
  readonly found: string;
  readonly ok: boolean;
}

/** A delivery told. */
export interface Delivery {
  readonly event: Event;
  readonly checks: readonly Check[];
  /** What was met; undefined: nothing is wrong with it. */
  readonly fault: Event | undefined;
  /** The manual's rule that was broken, and where it stands. */
  readonly rule: string | undefined;
  readonly section: string | undefined;
  /** The page walk that has failed. */
  readonly walk: { readonly told: Walk; readonly verdict: Verdict } | undefined;
}

const GP = 13;
const NP = 11;
const TS = 10;
const SS = 12;

/** The CPU's own accesses to descriptor tables and TSSs. */
const READ: Access = { kind: "read", user: false, implicit: true };

/** Thrown inside when a check fails. */
class Broken {
  readonly fault: Event;
  readonly rule: string;
  readonly section: string;

  constructor(fault: Event, rule: string, section: string) {
    this.fault = fault;
    this.rule = rule;
    this.section = section;
  }
}

class Teller {
  readonly checks: Check[] = [];
  walk: Delivery["walk"];
  readonly #sight: Sight;
  readonly #event: Event;
  readonly #long: boolean;
  /** Linear address of the descriptor that was read last. */
  #descriptorAt = 0n;

  constructor(sight: Sight, event: Event) {
    this.#sight = sight;
    this.#event = event;
    this.#long = isLong(sight.cpu);
  }

  get #cpu(): CpuState {
    return this.#sight.cpu;
  }

  /** The error code of an event that comes from outside, or while one is delivered, has EXT set (SDM vol. 3, 6.13). */
  #raise(vector: number, error: number, rule: string, section: string): never {
    const ext = this.#event.type === "software interrupt" ? 0 : 1;
    const code = vector >= TS && vector <= GP ? error | ext : error;
    throw new Broken({ vector, type: "exception", error: code, address: undefined }, rule, section);
  }

  /** Notes a check; ends the delivery if it fails. */
  #check(what: string, found: string, ok: boolean, vector: number, error: number, rule: string, section: string): void {
    this.checks.push({ what, found, ok });
    if (!ok) this.#raise(vector, error, rule, section);
  }

  /** Looks an access up in the page tables; throws its page fault. */
  #reach(what: string, linear: bigint, access: Access): number {
    const told = walk(this.#cpu, this.#sight.physical, linear);
    const verdict = judge(this.#cpu, told, access);
    if (verdict.ok) return told.gpa as number;
    this.walk = { told, verdict };
    this.checks.push({ what: `${what} at ${hex(linear)}`, found: verdict.why, ok: false });
    const fault: Event = { vector: 14, type: "exception", error: verdict.error, address: linear };
    throw new Broken(fault, `the CPU needs what is at ${hex(linear)} (${what}), but ${verdict.why}`, verdict.section);
  }

  /** Reads bytes as the CPU itself does; memory that is not there reads as all ones. */
  #read(what: string, linear: bigint, length: number): bigint {
    let value = 0n;
    for (let i = 0; i < length; i++) {
      const at = this.#long ? BigInt.asUintN(64, linear + BigInt(i)) : BigInt.asUintN(32, linear + BigInt(i));
      const byte = this.#sight.physical(this.#reach(what, at, READ), 1)?.[0] ?? 0xff;
      value |= BigInt(byte) << BigInt(8 * i);
    }
    return value;
  }

  /** Real mode: four bytes for each vector (SDM vol. 3, 21.1.4). */
  real(): void {
    const { vector } = this.#event;
    const { base, limit } = this.#cpu.idt;
    const says = `bytes ${hex(vector * 4)} to ${hex(vector * 4 + 3)}, limit ${hex(limit)}`;
    const rule = "the vector's four bytes must lie within the limit of the interrupt vector table";
    this.#check("IDTR", says, vector * 4 + 3 <= limit, GP, 0, rule, "21.1.4");
    const target = this.#read(`vector table entry ${hex(vector)}`, base + BigInt(vector * 4), 4);
    this.checks.push({
      what: `vector table entry ${hex(vector)}`,
      found: `to ${hex(target >> 16n, 4)}:${hex(target & 0xffffn, 4)}`,
      ok: true,
    });
    this.#push(this.#cpu.gpr[4], 3, 2, this.#cpu.cpl, false);
  }

  /** Protected and IA-32e mode: gate, code segment, stack. */
  gate(): void {
    const { vector, type } = this.#event;
    const cpu = this.#cpu;
    const size = this.#long ? 16 : 8;
    const about = vector * 8 + 2;
    const end = vector * size + size - 1;
    const idt = `IDT entry ${hex(vector)}`;
    this.#check(
      "IDTR",
      `bytes ${hex(vector * size)} to ${hex(end)} of the IDT, limit ${hex(cpu.idt.limit)}`,
      end <= cpu.idt.limit,
      GP,
      about,
      "the vector's gate must lie within the limit of the IDT",
      "6.10",
    );
    const at = cpu.idt.base + BigInt(vector * size);
    const low = this.#read(idt, at, 8);
    const high = this.#long ? this.#read(idt, at + 8n, 8) : 0n;
    const gate = decodeGate(low, high, this.#long);
    const gates = this.#long ? [14, 15] : [5, 6, 7, 14, 15];
    const known = gates.includes(gate.type);
    const kinds = this.#long ? "a 64-bit interrupt or trap gate" : "an interrupt, trap or task gate";
    const found = `${gateText(gate, this.#long)} (at ${hex(at)}: ${hex(low, 16)}${this.#long ? ` ${hex(high, 16)}` : ""})`;
    this.#check(idt, found, known, GP, about, `the entry must be ${kinds}`, this.#long ? "6.14.1" : "6.11");
    const upper = (high >> 40n) & 31n;
    if (upper) {
      this.#check(
        `${idt}, upper half`,
        `bits 12:8 of its last four bytes are ${hex(upper)}`,
        false,
        GP,
        about,
        "a gate of IA-32e mode has 16 bytes, and bits 12:8 of the last four must be 0; two gates of 8 bytes, as 32-bit code has them, are none",
        "5.8.3.1, of gates; 6.14.1 calls them reserved",
      );
    }
    if (type === "software interrupt") {
      this.#check(
        "gate's DPL",
        `${gate.dpl}, CPL is ${cpu.cpl}`,
        gate.dpl >= cpu.cpl,
        GP,
        about,
        "INT n may use a gate only if its DPL is not below the CPL",
        "6.12.1",
      );
    }
    this.#check(
      "gate's P",
      gate.present ? "present" : "not present",
      gate.present,
      NP,
      about,
      "the gate must be present (bit 47, P)",
      "6.15, interrupt 11",
    );
    if (gate.type === 5) {
      this.#taskGate(gate);
      return;
    }
    const code = this.#codeSegment(gate);
    const codeAt = this.#descriptorAt;
    const cpl = (code.type & 4) !== 0 ? cpu.cpl : code.dpl;
    if (this.#long) this.#long64(gate, code, codeAt, cpl);
    else this.#legacy(gate, code, codeAt, cpl);
  }

  #taskGate(gate: Gate): void {
    const selector = selectorText(gate.selector);
    this.#check(
      "task gate's selector",
      selector,
      (gate.selector & 4) === 0 && (gate.selector & 0xfffc) !== 0,
      GP,
      gate.selector & 0xfffc,
      "a task gate's selector must be of the GDT, and not null",
      "8.3",
    );
    const d = this.#descriptor("task gate's TSS", gate.selector, GP);
    const available = d.system && (d.type === 1 || d.type === 9);
    this.#check(
      "task gate's TSS",
      descriptorText(d, false),
      available,
      GP,
      gate.selector & 0xfffc,
      "a task gate must lead to a TSS that is not busy",
      "8.3",
    );
    this.#check(
      "TSS's P",
      d.present ? "present" : "not present",
      d.present,
      NP,
      gate.selector & 0xfffc,
      "the TSS must be present",
      "8.3",
    );
  }

  #descriptor(what: string, selector: number, vector: number): Descriptor {
    const { gdt, segments } = this.#cpu;
    const local = (selector & 4) !== 0;
    const error = selector & 0xfffc;
    if (local) {
      const usable = !(segments.LDTR.ar & 0x1_0000);
      this.#check(
        "LDTR",
        usable ? "loaded" : "no LDT is loaded",
        usable,
        vector,
        error,
        `${what} is in the LDT, so there must be one`,
        "3.5.1",
      );
    }
    const table = local ? segments.LDTR : gdt;
    const end = (selector & 0xfff8) + 7;
    const place = local ? "LDT" : "GDT";
    this.#check(
      `${place}R`,
      `bytes ${hex(selector & 0xfff8)} to ${hex(end)} of the ${place}, limit ${hex(table.limit)}`,
      end <= table.limit,
      vector,
      error,
      "the selector must be within the limit of its descriptor table",
      "6.15, interrupt 13",
    );
    this.#descriptorAt = table.base + BigInt(selector & 0xfff8);
    return decodeDescriptor(this.#read(`${local ? "LDT" : "GDT"} entry ${selector >> 3}`, this.#descriptorAt, 8));
  }

  /** The CPU sets the accessed bit of a descriptor that it uses (SDM vol. 3, 3.4.5.1). */
  #touch({ type }: Descriptor, at: bigint): void {
    if (!(type & 1))
      this.#reach("accessed bit of the descriptor", at + 5n, { kind: "write", user: false, implicit: true });
  }

  #codeSegment({ selector }: Gate): Descriptor {
    const error = selector & 0xfffc;
    const what = "handler's code segment";
    this.#check(
      "gate's selector",
      selectorText(selector),
      error !== 0,
      GP,
      0,
      "a gate's selector must not be null",
      "6.15, interrupt 13",
    );
    const d = this.#descriptor(what, selector, GP);
    const raw = `${descriptorText(d, this.#long)} (${hex(d.raw, 16)})`;
    this.#check(what, raw, !d.system && (d.type & 8) !== 0, GP, error, "a gate must lead to a code segment", "6.12.1");
    const { cpl } = this.#cpu;
    this.#check(
      "its DPL",
      `${d.dpl}, CPL is ${cpl}`,
      d.dpl <= cpl,
      GP,
      error,
      "a handler must not be less privileged than the code that is interrupted",
      "6.12.1",
    );
    if (this.#long) {
      this.#check(
        "its L and D",
        `L ${d.l ? 1 : 0}, D ${d.db ? 1 : 0}`,
        d.l && !d.db,
        GP,
        error,
        "a handler in IA-32e mode must be 64-bit code (L 1, D 0)",
        "6.14.1",
      );
    }
    this.#check(
      "its P",
      d.present ? "present" : "not present",
      d.present,
      NP,
      error,
      "the handler's code segment must be present",
      "6.15, interrupt 11",
    );
    return d;
  }

  #long64(gate: Gate, code: Descriptor, codeAt: bigint, cpl: number): void {
    const cpu = this.#cpu;
    let rsp = cpu.gpr[4];
    if (gate.ist) rsp = this.#tssStack64(`IST${gate.ist}`, 28 + 8 * gate.ist);
    else if (cpl < cpu.cpl) rsp = this.#tssStack64(`RSP${cpl}`, 4 + 8 * cpl);
    this.#check(
      "handler's address",
      hex(gate.offset),
      this.#canonical(gate.offset),
      GP,
      0,
      "the handler's address must be canonical",
      "6.15, interrupt 13",
    );
    this.#touch(code, codeAt);
    this.#push(rsp & ~15n, this.#event.error === undefined ? 5 : 6, 8, cpl, true);
  }

  #tssStack64(name: string, at: number): bigint {
    const { base, limit, selector } = this.#cpu.segments.TR;
    this.#check(
      "TR",
      `${name} is at bytes ${hex(at)} to ${hex(at + 7)} of the TSS, limit ${hex(limit)}`,
      at + 7 <= limit,
      TS,
      selector & 0xfffc,
      "the stack pointer must lie within the limit of the TSS",
      "6.15, interrupt 10",
    );
    const value = this.#read(`TSS, ${name}`, base + BigInt(at), 8);
    this.checks.push({ what: `TSS, ${name}`, found: hex(value, 16), ok: true });
    return value;
  }

  #legacy(gate: Gate, code: Descriptor, codeAt: bigint, cpl: number): void {
    const cpu = this.#cpu;
    const v86 = (cpu.rflags & RFLAGS.VM) !== 0n;
    if (v86)
      this.#check(
        "handler's level",
        `${cpl}`,
        cpl === 0,
        GP,
        gate.selector & 0xfffc,
        "a handler for virtual-8086 mode must run at level 0",
        "21.3.1",
      );
    const inner = cpl < cpu.cpl;
    const size = gate.type & 8 ? 4 : 2;
    const stack = inner ? this.#innerStack(cpl) : undefined;
    this.#check(
      "handler's address",
      `${hex(gate.offset)}, limit of its segment ${hex(code.limit)}`,
      gate.offset <= BigInt(code.limit),
      GP,
      0,
      "the handler's address must lie within the limit of its code segment",
      "6.15, interrupt 13",
    );
    this.#touch(code, codeAt);
    const words = 3 + (inner ? 2 : 0) + (v86 ? 4 : 0) + (this.#event.error === undefined ? 0 : 1);
    this.#push(stack?.sp ?? cpu.gpr[4], words, size, cpl, false, stack);
  }

  /** SS:ESP for an inner level, from the TSS. */
  #innerStack(dpl: number): { sp: bigint; segment: Descriptor; selector: number } {
    const { base, limit, selector: tr, ar } = this.#cpu.segments.TR;
    const wide = (ar & 8) !== 0;
    const at = wide ? 4 + dpl * 8 : 2 + dpl * 4;
    const end = at + (wide ? 8 : 4) - 1;
    const names = `${wide ? "ESP" : "SP"}${dpl} and SS${dpl}`;
    this.#check(
      "TR",
      `${names} are at bytes ${hex(at)} to ${hex(end)} of the TSS, limit ${hex(limit)}`,
      end <= limit,
      TS,
      tr & 0xfffc,
      "the stack pointer must lie within the limit of the TSS",
      "6.15, interrupt 10",
    );
    const sp = this.#read(`TSS, ${names}`, base + BigInt(at), wide ? 4 : 2);
    const selector = Number(this.#read(`TSS, ${names}`, base + BigInt(at + (wide ? 4 : 2)), 2));
    const error = selector & 0xfffc;
    this.#check(
      `TSS, SS${dpl}`,
      selectorText(selector),
      error !== 0,
      TS,
      0,
      "the stack's selector must not be null",
      "6.15, interrupt 10",
    );
    const segment = this.#descriptor(`TSS, SS${dpl}`, selector, TS);
    const writable = !segment.system && (segment.type & 10) === 2;
    const ok = (selector & 3) === dpl && segment.dpl === dpl && writable;
    this.#check(
      `stack segment for level ${dpl}`,
      `${descriptorText(segment, false)}, RPL ${selector & 3}`,
      ok,
      TS,
      error,
      "it must be a writable data segment, with RPL and DPL of the handler's level",
      "6.15, interrupt 10",
    );
    this.#check(
      "its P",
      segment.present ? "present" : "not present",
      segment.present,
      SS,
      error,
      "the stack segment must be present",
      "6.15, interrupt 12",
    );
    return { sp, segment, selector };
  }

  /** The frame: `words` pushes of `size` bytes with the rights of level `cpl`. */
  #push(
    top: bigint,
    words: number,
    size: number,
    cpl: number,
    wide: boolean,
    stack?: { segment: Descriptor; selector: number },
  ): void {
    const cpu = this.#cpu;
    const ss = cpu.segments.SS;
    const big = stack ? stack.segment.db : (ss.ar & 0x4000) !== 0;
    const mask = wide || (widthOf(cpu) === 64 && !stack) ? (1n << 64n) - 1n : big ? 0xffff_ffffn : 0xffffn;
    const access: Access = { kind: "write", user: cpl === 3 };
    const limit = BigInt(stack ? stack.segment.limit : ss.limit);
    const down = ((stack ? stack.segment.type : ss.ar) & 12) === 4;
    let sp = top;
    for (let i = 0; i < words; i++) {
      const at = (sp - BigInt(size)) & mask;
      const last = at + BigInt(size - 1);
      let linear = at;
      if (wide) {
        this.#canonicalStack(at);
      } else {
        const fits = down
          ? at > limit && last <= (big ? 0xffff_ffffn : 0xffffn)
          : last <= limit || (limit === 0xffff_ffffn && !down);
        const what = `stack at offset ${hex(at)}`;
        if (!fits)
          this.#check(
            what,
            `limit of the stack segment ${hex(limit)}`,
            false,
            SS,
            (stack?.selector ?? 0) & 0xfffc,
            "the frame must fit into the stack segment",
            "6.15, interrupt 12",
          );
        linear = stack ? BigInt.asUintN(32, stack.segment.base + at) : linearOf(cpu, "SS", at);
      }
      this.#reach("stack", linear, access);
      sp = at;
    }
    this.checks.push({
      what: "stack",
      found: `${words} words of ${size} bytes fit below ${hex(top & mask)}`,
      ok: true,
    });
  }

  #canonicalStack(at: bigint): void {
    if (this.#canonical(at)) return;
    this.#check(
      `stack at ${hex(at)}`,
      "not canonical",
      false,
      SS,
      0,
      "the handler's stack must be at a canonical address",
      "6.15, interrupt 12",
    );
  }

  #canonical(at: bigint): boolean {
    const bits = this.#cpu.cr4 & (1n << 12n) ? 57 : 48;
    return BigInt.asUintN(64, BigInt.asIntN(bits, at)) === at;
  }
}

/** Tells the delivery of an event on a vCPU as it stands. */
export function tellDelivery(sight: Sight, event: Event): Delivery {
  const teller = new Teller(sight, event);
  const told = (fault?: Broken): Delivery => ({
    event,
    checks: teller.checks,
    fault: fault?.fault,
    rule: fault?.rule,
    section: fault?.section,
    walk: teller.walk,
  });
  try {
    if (isReal(sight.cpu)) teller.real();
    else teller.gate();
    return told();
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    return told(error);
  }
}
