/**
 * gdb's remote serial protocol over a machine (gdb's manual, appendix E). Threads are vCPUs: number 1 is vCPU 0. All of them
 * stop together, and addresses are linear ones. A debugger that comes stops the machine; when it goes, its breakpoints go
 * with it, and the guest goes on.
 */
import type { DebugStop, PlaceBreakpoint, Resumption } from "../../machine/debug.ts";
import { MAX_BREAKPOINTS } from "../../machine/debug.ts";
import type { Machine, MachineState, StopReason } from "../../machine/machine.ts";
import { runStateOf } from "../../vmm/vcpuState.ts";
import { monitor } from "./monitor.ts";
import { fromHex, hex, latin1, PacketReader, packet } from "./packets.ts";
import { type GdbArch, GdbRegisters } from "./registers.ts";

/** Bytes of a packet's data, in both directions. */
const PACKET = 0x4000;

/** Signals that gdb knows by these numbers. */
const SIGINT = 2;
const SIGTRAP = 5;
const SIGSEGV = 11;

/** Answers to what could not be done: EINVAL, EFAULT, ENOSPC, ENODEV. */
const INVALID = "E16";
const FAULT = "E0e";
const FULL = "E1c";
const GONE = "E13";

/** The packets Z and z, by type: what they set, and how the stop is told. */
const TYPES = [
  { kind: "execute", told: "swbreak" },
  { kind: "execute", told: "hwbreak" },
  { kind: "write", told: "watch" },
  // No CPU stops at reads alone (SDM vol. 3, 18.2.4); gdb knows whether the value has changed.
  { kind: "access", told: "rwatch" },
  { kind: "access", told: "awatch" },
] as const;

interface Wanted {
  readonly type: number;
  readonly breakpoint: PlaceBreakpoint;
}

const number = (text: string): number => Number.parseInt(text, 16);
const address = (text: string): bigint | undefined =>
  /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : undefined;
/** The thread number of a vCPU, and back. */
const threadOf = (vcpu: number): string => (vcpu + 1).toString(16);

export interface GdbOptions {
  readonly arch: GdbArch;
  /** Sends bytes to gdb. */
  readonly send: (bytes: Uint8Array) => void;
  /** gdb has ended the conversation: it detached, or killed the machine. */
  readonly onEnd: (how: "detached" | "killed") => void;
}

/** One conversation with a gdb. */
export class GdbServer {
  readonly #machine: Machine;
  readonly #options: GdbOptions;
  readonly #registers: GdbRegisters;
  readonly #reader = new PacketReader(PACKET);
  #acks = true;
  #last = packet("");
  /** What is being answered. */
  #queue: Promise<void> = Promise.resolve();
  readonly #wanted = new Map<string, Wanted>();
  /** `wanted` is not what the machine has. */
  #stale = false;
  /** vCPUs that packets are about: registers and memory, and going on. */
  #current = 0;
  /** gdb waits for the machine to stop. */
  #waiting = false;
  #lastStop = `T05thread:${threadOf(0)};`;
  #ended = false;

  /** Stops the machine. It hears of stops through `machine.debug`, and of its end by `onState`. */
  constructor(machine: Machine, options: GdbOptions) {
    this.#machine = machine;
    this.#options = options;
    this.#registers = new GdbRegisters(options.arch);
    machine.debug.onStop = (stop) => this.#stopped(stop);
    this.#queue = machine.pause();
  }

  /** Bytes from gdb. */
  receive(bytes: Uint8Array): void {
    for (const incoming of this.#reader.take(bytes)) {
      if (incoming.kind === "again") this.#options.send(this.#last);
      else if (incoming.kind === "interrupt") void this.#interrupt();
      else {
        if (this.#acks) this.#options.send(latin1(incoming.good ? "+" : "-"));
        if (incoming.good) this.#queue = this.#queue.then(() => this.#take(incoming.data));
      }
    }
  }

  /** The machine has changed its state. */
  onState(state: MachineState, reason?: StopReason): void {
    if (!this.#waiting || !reason || (state !== "off" && state !== "failed")) return;
    this.#waiting = false;
    if (state === "off") {
      this.#say(`The guest has ended: ${reason.kind}.\n`);
      this.#reply(reason.kind === "debug-exit" ? `W${hex(Uint8Array.of(reason.status))}` : "W00");
    } else {
      const { kind } = reason;
      this.#say(
        kind === "engine-error" ? `The engine has failed: ${reason.message}\n` : `The guest has ended: ${kind}.\n`,
      );
      this.#stop(`T${hex(Uint8Array.of(SIGSEGV))}thread:${threadOf(this.#current)};`);
    }
  }

  /** gdb has gone: its breakpoints go, and the guest goes on. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#machine.debug.onStop = () => {};
    await this.#machine.setBreakpoints([]);
    await this.#machine.resume();
  }

  #reply(data: string): void {
    this.#last = packet(data);
    this.#options.send(this.#last);
  }

  /** Text for gdb's console. */
  #say(text: string): void {
    this.#options.send(packet(`O${hex(new TextEncoder().encode(text))}`));
  }

  #stop(told: string): void {
    this.#lastStop = told;
    this.#reply(told);
  }

  #stopped(stop: DebugStop): void {
    this.#current = stop.vcpu;
    if (!this.#waiting) return;
    this.#waiting = false;
    let why = "";
    if (stop.kind === "breakpoint") {
      const wanted = [...this.#wanted.values()].find((w) => w.breakpoint === stop.breakpoint);
      const told = TYPES[wanted?.type ?? 1].told;
      why = `${told}:${told.endsWith("watch") ? stop.address.toString(16) : ""};`;
    }
    this.#stop(`T${hex(Uint8Array.of(SIGTRAP))}thread:${threadOf(stop.vcpu)};${why}`);
  }

  async #interrupt(): Promise<void> {
    await this.#queue;
    await this.#machine.pause();
    if (!this.#waiting || this.#machine.state !== "paused") return;
    this.#waiting = false;
    this.#stop(`T${hex(Uint8Array.of(SIGINT))}thread:${threadOf(this.#current)};`);
  }

  async #take(data: Uint8Array): Promise<void> {
    if (this.#ended) return;
    try {
      const answer = await this.#answer(String.fromCharCode(...data), data);
      if (answer !== undefined) this.#reply(answer);
    } catch (error) {
      this.#say(`${error instanceof Error ? error.message : error}\n`);
      this.#reply(INVALID);
    }
  }

  /** What a packet is answered with; undefined: nothing now. An empty answer says that it is not known. */
  #answer(text: string, data: Uint8Array): Promise<string | undefined> | string | undefined {
    const rest = text.slice(1);
    switch (text[0]) {
      case "?":
        return this.#lastStop;
      case "g":
        return hex(this.#registers.readAll(this.#machine.debug, this.#current));
      case "G": {
        const all = fromHex(rest);
        return all && this.#registers.writeAll(this.#machine.debug, this.#current, all) ? "OK" : INVALID;
      }
      case "p": {
        const value = this.#registers.read(this.#machine.debug, this.#current, number(rest));
        return value ? hex(value) : INVALID;
      }
      case "P": {
        const [n, value] = rest.split("=");
        const bytes = fromHex(value ?? "");
        return bytes && this.#registers.write(this.#machine.debug, this.#current, number(n), bytes) ? "OK" : INVALID;
      }
      case "m":
        return this.#readMemory(rest);
      case "M":
      case "X":
        return this.#writeMemory(text, data);
      case "H":
      case "T": {
        const thread = text[0] === "T" ? rest : rest.slice(1);
        const vcpu = number(thread) - 1;
        if (thread !== "0" && thread !== "-1" && !(vcpu >= 0 && vcpu < this.#machine.debug.vcpus)) return INVALID;
        // 0 and -1 are any and all.
        if (text.startsWith("Hg") && vcpu >= 0) this.#current = vcpu;
        return "OK";
      }
      case "Z":
      case "z":
        return this.#breakpoint(text[0] === "Z", rest);
      case "D":
        return this.#end("detached");
      case "k":
        return this.#end("killed");
      case "q":
      case "Q":
        return this.#query(text);
      case "v":
        return this.#v(text);
      default:
        return "";
    }
  }

  #readMemory(rest: string): string {
    const [where, length] = rest.split(",");
    const at = address(where);
    const bytes = new Uint8Array(Math.min(number(length ?? ""), (PACKET - 4) / 2) || 0);
    if (at === undefined) return INVALID;
    const done = this.#machine.debug.read(this.#current, at, bytes);
    return done || !bytes.length ? hex(bytes.subarray(0, done)) : FAULT;
  }

  /** M: hexadecimal digits, X: bytes. */
  #writeMemory(text: string, data: Uint8Array): string {
    const colon = text.indexOf(":");
    const [where, length] = text.slice(1, colon).split(",");
    const at = address(where);
    const bytes = text[0] === "X" ? data.subarray(colon + 1) : fromHex(text.slice(colon + 1));
    if (colon < 0 || at === undefined || bytes?.length !== number(length ?? "")) return INVALID;
    return this.#machine.debug.write(this.#current, at, bytes) === bytes.length ? "OK" : FAULT;
  }

  #breakpoint(set: boolean, rest: string): string {
    const [type, where, size] = rest.split(",");
    const known = TYPES[Number(type)];
    const at = address(where ?? "");
    if (!known) return "";
    const length = known.kind === "execute" ? 1 : number(size ?? "");
    if (at === undefined || !(length > 0)) return INVALID;
    const key = `${type},${at},${length}`;
    if (!set) this.#wanted.delete(key);
    else if (!this.#wanted.has(key)) {
      if (this.#wanted.size === MAX_BREAKPOINTS) return FULL;
      this.#wanted.set(key, { type: Number(type), breakpoint: { kind: known.kind, address: at, length } });
    }
    this.#stale = true;
    return "OK";
  }

  async #end(how: "detached" | "killed"): Promise<undefined> {
    if (how === "detached") this.#reply("OK");
    await this.close();
    this.#options.onEnd(how);
  }

  #query(text: string): Promise<string> | string | undefined {
    const { debug } = this.#machine;
    const [name] = text.split(/[:,]/, 1);
    const rest = text.slice(name.length + 1);
    switch (name) {
      case "qSupported":
        return `PacketSize=${PACKET.toString(16)};QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;qXfer:features:read+`;
      case "QStartNoAckMode":
        this.#reply("OK");
        this.#acks = false;
        return undefined;
      case "qXfer": {
        const [object, , annex, range = ""] = rest.split(":");
        if (object !== "features" || annex !== "target.xml") return "E00";
        const [from, length] = range.split(",").map(number);
        const xml = this.#registers.description;
        const part = xml.slice(from, from + Math.min(length, PACKET - 8));
        return `${from + part.length < xml.length ? "m" : "l"}${part}`;
      }
      case "qC":
        return `QC${threadOf(this.#current)}`;
      case "qfThreadInfo":
        return `m${Array.from({ length: debug.vcpus }, (_, id) => threadOf(id)).join(",")}`;
      case "qsThreadInfo":
        return "l";
      case "qThreadExtraInfo": {
        const vcpu = number(rest) - 1;
        if (!(vcpu >= 0 && vcpu < debug.vcpus)) return INVALID;
        const state = ["halted", "waits for SIPI", "running"][runStateOf(debug.view(vcpu)).state];
        return hex(latin1(`vCPU ${vcpu}, ${state}`));
      }
      case "qAttached":
        return "1";
      case "qRcmd": {
        const command = fromHex(rest);
        return command ? this.#monitor(String.fromCharCode(...command).trim()) : INVALID;
      }
      default:
        return "";
    }
  }

  async #monitor(command: string): Promise<string> {
    const said = await monitor(this.#machine, this.#current, command);
    return hex(new TextEncoder().encode(said)) || "OK";
  }

  #v(text: string): Promise<string | undefined> | string | undefined {
    if (text === "vCont?") return "vCont;c;C;s;S";
    if (text.startsWith("vCont;")) return this.#goOn(text.slice(6).split(";"));
    if (text.startsWith("vKill")) {
      this.#reply("OK");
      return this.#end("killed");
    }
    return "";
  }

  /** vCont: an action for each vCPU is the first that names it, or all; without one it stands still. */
  async #goOn(actions: readonly string[]): Promise<string | undefined> {
    const { debug } = this.#machine;
    const going: number[] = [];
    let step: number | undefined;
    for (let id = 0; id < debug.vcpus; id++) {
      const action = actions.find((a) => {
        const [, thread = "-1"] = a.split(":");
        return thread === "-1" || number(thread) - 1 === id;
      });
      if (!action) continue;
      if (!/^[csCS]/.test(action)) return INVALID;
      going.push(id);
      // One steps at a time: the one that is looked at, if several shall.
      if (/^[sS]/.test(action) && (step === undefined || id === this.#current)) step = id;
    }
    const { state } = this.#machine;
    if (state !== "paused" && state !== "ready") return GONE;
    if (this.#stale) {
      await this.#machine.setBreakpoints([...this.#wanted.values()].map((w) => w.breakpoint));
      this.#stale = false;
    }
    this.#waiting = true;
    const whom: Resumption = {
      ...(going.length < debug.vcpus && { vcpus: going }),
      ...(step !== undefined && { step }),
    };
    await this.#machine.resume(whom);
    return undefined;
  }
}
