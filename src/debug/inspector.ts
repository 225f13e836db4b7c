/**
 * A machine as the page's inspector has it: what it asks for is read in one go while no vCPU runs, and comes as plain data.
 * Beside the machine, in the same worker; nothing of it is there before somebody looks.
 */
import type { Breakpoint, DebugStop, PlaceBreakpoint } from "../machine/debug.ts";
import type { Machine, MachineState, StopReason } from "../machine/machine.ts";
import { heatOf } from "../machine/machineConfig.ts";
import { AREA, VCPU } from "../shared/layout.ts";
import { type Autopsy, autopsy, codeReader, shutDown } from "./autopsy.ts";
import { type CpuState, linearOf, physicalOf, readCpu, type Sight, widthOf } from "./cpuState.ts";
import { apicTable, type ChipTable, hpetTable, ioapicTable, picTable, pitTable } from "./decode/chips.ts";
import { type Access, judge, type Verdict } from "./decode/paging.ts";
import { ExpressionError, evaluate } from "./expression.ts";
import { GdbServer } from "./gdb/server.ts";
import { disassembleAt, type Line, linesAround } from "./listing.ts";
import { parseSymbols, type Symbols, SymbolsError } from "./symbols.ts";
import { handlerName, readTables, type Tables } from "./tables.ts";
import { isDelivery } from "./timeline.ts";
import { type Recorded, type Recording, recordedOf, setRecording, type TraceEvent } from "./trace.ts";
import { type Walk, walk } from "./walk.ts";

/** What is to be read. Places are what a person has written (expression.ts). */
export interface LookRequest {
  readonly vcpu: number;
  readonly code?: { readonly at: string; readonly before: number; readonly after: number };
  readonly memory?: { readonly at: string; readonly length: number; readonly physical: boolean };
  readonly walk?: { readonly at: string; readonly access: Access };
  readonly tables?: boolean;
  readonly chips?: boolean;
  /** Events of each vCPU from this number on. */
  readonly since?: readonly number[];
}

/** A part that could not be read says why. */
export type Part<T> = T | { readonly failed: string };
export const failed = <T extends object>(part: Part<T> | undefined): string | undefined =>
  part && "failed" in part ? (part.failed as string) : undefined;

export interface Memory {
  readonly at: bigint;
  /** As far as it is mapped. */
  readonly bytes: Uint8Array;
}

export interface Look {
  readonly state: MachineState;
  readonly vcpus: number;
  /** Guest time. */
  readonly ns: number;
  readonly cpu: CpuState;
  readonly code?: Part<{ readonly lines: readonly Line[]; readonly at: bigint }>;
  readonly memory?: Part<Memory>;
  readonly walk?: Part<{ readonly told: Walk; readonly verdict: Verdict }>;
  readonly tables?: Tables;
  readonly chips?: readonly ChipTable[];
  readonly events?: readonly NamedEvent[];
  readonly breakpoints: readonly Breakpoint[];
  /** Why it stands still, if it has stopped for its debugger. */
  readonly stop: DebugStop | undefined;
  readonly symbols: { readonly count: number; readonly slide: bigint } | undefined;
  /** A gdb has the machine: it says when it runs and where it stops. */
  readonly gdb: boolean;
}

/** An event with what symbols say of it: where the vCPU was, and the routine that an interrupt or exception calls. */
export interface NamedEvent extends TraceEvent {
  readonly at: string | undefined;
  readonly calls: string | undefined;
}

/** A MessagePort, of a page or of Node. */
export interface Channel {
  postMessage(message: unknown): void;
  addEventListener(type: "message", hear: (event: { readonly data: unknown }) => void): void;
  start(): void;
}

/** Instructions that come back to the one behind them, which is where a step over stops. */
const COMES_BACK = /^(call|int|int1|int3|syscall|sysenter|rep|repe|repne|loop)\b/;
const NEVER = 0xffff_ffff_ffff_ffffn;

export class Inspector {
  readonly #machine: Machine;
  #symbols: Symbols | undefined;
  #breakpoints: readonly Breakpoint[] = [];
  /** Where `runTo` or a step over stops: only this vCPU, and no deeper in the stack. */
  #until: { readonly breakpoint: PlaceBreakpoint; readonly vcpu: number | undefined; readonly rsp: bigint } | undefined;
  #stop: DebugStop | undefined;
  #heard: ((stop: DebugStop) => void) | undefined;
  #gdb: GdbServer | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#listen();
  }

  /** Hears of stops, now that nobody else does. */
  #listen(): void {
    this.#machine.debug.onStop = (stop) => void this.#stopped(stop);
  }

  /**
   * Lets a gdb have the machine whenever one comes: the port carries its bytes, and the words "open" and "close" when it
   * comes and goes; to it, "end" ends it.
   */
  serveGdb(channel: Channel): void {
    channel.addEventListener("message", ({ data }) => {
      if (data instanceof Uint8Array) this.#gdb?.receive(data);
      else if (data === "close") void this.#endGdb();
      else if (!this.#gdb) {
        this.#gdb = new GdbServer(this.#machine, {
          arch: "x86-64",
          send: (bytes) => channel.postMessage(bytes),
          onEnd: (how) => {
            channel.postMessage("end");
            if (how === "killed") void this.#machine.powerOff();
          },
        });
      }
    });
    channel.start();
  }

  async #endGdb(): Promise<void> {
    const gdb = this.#gdb;
    this.#gdb = undefined;
    await gdb?.close();
    this.#listen();
    await this.#arm();
  }

  /** The machine has changed its state. */
  onState(state: MachineState, reason?: StopReason): void {
    this.#gdb?.onState(state, reason);
  }

  /** Everything that is asked for, of one moment. */
  look(request: LookRequest): Promise<Look> {
    return this.#machine.glance(() => this.#look(request));
  }

  #look({ vcpu, code, memory, walk: way, tables, chips, since }: LookRequest): Look {
    const { debug, state, memory: ram } = this.#machine;
    const sight: Sight = { cpu: readCpu(debug, vcpu), physical: physicalOf(ram) };
    const { cpu } = sight;
    this.#findSlide(cpu);
    const symbols = this.#symbols;
    const part = <T>(read: () => T): Part<T> => {
      try {
        return read();
      } catch (error) {
        if (error instanceof ExpressionError) return { failed: error.message };
        throw error;
      }
    };
    if (state === "running") this.#stop = undefined;
    return {
      state,
      vcpus: debug.vcpus,
      ns: Number(this.#machine.now()),
      cpu,
      ...(code && { code: part(() => this.#code(sight, code)) }),
      ...(memory && { memory: part(() => this.#memory(sight, memory)) }),
      ...(way && {
        walk: part(() => {
          const told = walk(cpu, sight.physical, evaluate(way.at, cpu, symbols));
          return { told, verdict: judge(cpu, told, way.access) };
        }),
      }),
      ...(tables && { tables: readTables(sight, symbols) }),
      ...(chips && { chips: this.#chips() }),
      ...(since && {
        events: since.flatMap((from, id) => (id < debug.vcpus ? this.#named(sight, recordedOf(debug, id, from)) : [])),
      }),
      breakpoints: this.#breakpoints,
      stop: this.#stop,
      symbols: symbols && { count: symbols.count, slide: symbols.slide },
      gdb: this.#gdb !== undefined,
    };
  }

  #named(sight: Sight, { events }: Recorded): NamedEvent[] {
    const symbols = this.#symbols;
    const handlers = new Map<number, string | undefined>();
    const calls = (event: TraceEvent): string | undefined => {
      if (!symbols || !isDelivery(event)) return undefined;
      const vector = event.where;
      if (!handlers.has(vector)) handlers.set(vector, handlerName(sight, vector, symbols));
      return handlers.get(vector);
    };
    return events.map((event) => ({ ...event, at: symbols?.text(event.rip), calls: calls(event) }));
  }

  #code(sight: Sight, { at, before, after }: NonNullable<LookRequest["code"]>) {
    const { cpu } = sight;
    const place = at === "" || at === "rip" ? linearOf(cpu, "CS", cpu.rip) : evaluate(at, cpu, this.#symbols);
    return { at: place, lines: linesAround(codeReader(sight), place, widthOf(cpu), before, after, this.#symbols) };
  }

  #memory(sight: Sight, { at, length, physical }: NonNullable<LookRequest["memory"]>): Memory {
    const place = evaluate(at, sight.cpu, this.#symbols);
    if (!physical) return { at: place, bytes: codeReader(sight)(place, length) };
    // As far as there is memory at all.
    const there = Array.from({ length }, (_, i) => sight.physical(Number(place) + i, 1)?.[0]);
    const end = there.indexOf(undefined);
    return { at: place, bytes: Uint8Array.from((end < 0 ? there : there.slice(0, end)) as number[]) };
  }

  #chips(): ChipTable[] {
    const { board, debug } = this.#machine;
    const { ioapic, pic, pit, hpet } = board.chips;
    const now = this.#machine.now();
    const apics = Array.from({ length: debug.vcpus }, (_, id) => {
      const view = debug.view(id);
      const due = view.get64(VCPU.apicTimer);
      return apicTable({
        id,
        register: (offset) => view.data.getUint32(view.base + AREA.APIC + offset, true),
        apicBase: view.get64(VCPU.apicBase),
        timerDue: due === NEVER ? undefined : Number(due - now),
      });
    });
    return [
      ...apics,
      ioapicTable(ioapic.export()),
      picTable(pic.export()),
      pitTable(pit.export()),
      hpetTable(hpet.export()),
    ];
  }

  /** Names for addresses, of an ELF file or a System.map; what was wrong with it, if anything was. */
  loadSymbols(file: Uint8Array): { readonly count: number } | { readonly failed: string } {
    try {
      this.#symbols = parseSymbols(file);
      return { count: this.#symbols.count };
    } catch (error) {
      if (error instanceof SymbolsError) return { failed: error.message };
      throw error;
    }
  }

  /** Linux may lie elsewhere than its symbols say (KASLR); IA32_LSTAR tells where its entry for system calls is. */
  #findSlide({ msrs }: CpuState): void {
    const symbols = this.#symbols;
    if (!symbols || symbols.slide || !msrs.lstar) return;
    const entry = symbols.find("entry_SYSCALL_64");
    if (entry === undefined) return;
    const slide = msrs.lstar - entry;
    if (!(slide & 0x1f_ffffn)) symbols.slide = slide;
  }

  /** From now on these stop the machine. @throws RangeError */
  async setBreakpoints(list: readonly Breakpoint[]): Promise<void> {
    this.#breakpoints = list;
    await this.#arm();
  }

  async #arm(): Promise<void> {
    if (this.#gdb) return;
    const extra = this.#until ? [this.#until.breakpoint] : [];
    await this.#machine.setBreakpoints([...this.#breakpoints, ...extra]);
  }

  /** One instruction, or the delivery of an event, on one vCPU; the others stand still. */
  async step(vcpu: number): Promise<void> {
    const stopped = this.#nextStop();
    await this.#machine.resume({ vcpus: [vcpu], step: vcpu });
    await stopped;
  }

  /** The same, but what a CALL, INT or repeated instruction does counts as one; every vCPU goes on meanwhile. */
  async stepOver(vcpu: number): Promise<void> {
    const { memory, debug } = this.#machine;
    const sight: Sight = { cpu: readCpu(debug, vcpu), physical: physicalOf(memory) };
    const { cpu } = sight;
    const at = linearOf(cpu, "CS", cpu.rip);
    const { text, length } = disassembleAt(codeReader(sight), at, widthOf(cpu));
    if (!COMES_BACK.test(text)) return this.step(vcpu);
    await this.#runUntil(BigInt.asUintN(64, at + BigInt(length)), vcpu, cpu.gpr[4]);
  }

  /** Goes on until some vCPU comes to an address. What is wrong with the address, if anything is. */
  async runTo(vcpu: number, place: string): Promise<string | undefined> {
    try {
      await this.#runUntil(evaluate(place, readCpu(this.#machine.debug, vcpu), this.#symbols), undefined, 0n);
      return undefined;
    } catch (error) {
      if (error instanceof ExpressionError) return error.message;
      throw error;
    }
  }

  async #runUntil(address: bigint, vcpu: number | undefined, rsp: bigint): Promise<void> {
    this.#until = { breakpoint: { kind: "execute", address, length: 1 }, vcpu, rsp };
    await this.#arm();
    await this.#machine.resume();
  }

  #nextStop(): Promise<DebugStop> {
    return new Promise((resolve) => {
      this.#heard = resolve;
    });
  }

  async #stopped(stop: DebugStop): Promise<void> {
    const until = this.#until;
    if (until && stop.kind === "breakpoint" && stop.breakpoint === until.breakpoint) {
      const elsewhere = until.vcpu !== undefined && stop.vcpu !== until.vcpu;
      // A deeper call of the same function.
      if (elsewhere || this.#machine.debug.view(stop.vcpu).get64(VCPU.gpr, 4) < until.rsp)
        return this.#machine.resume();
    }
    this.#stop = stop;
    if (until) {
      this.#until = undefined;
      await this.#arm();
    }
    this.#heard?.(stop);
    this.#heard = undefined;
  }

  /** An address as a person has written it, or what is wrong with it. */
  place(vcpu: number, text: string): bigint | string {
    try {
      return evaluate(text, readCpu(this.#machine.debug, vcpu), this.#symbols);
    } catch (error) {
      if (error instanceof ExpressionError) return error.message;
      throw error;
    }
  }

  /** What is recorded from now on. */
  record(recording: Recording): Promise<void> {
    const { debug, config } = this.#machine;
    return this.#machine.glance(() => setRecording(debug, recording, heatOf(config)));
  }

  /** Of a machine that has triple-faulted. */
  autopsy(): Autopsy | undefined {
    const { debug, memory } = this.#machine;
    const id = shutDown(debug);
    if (id === undefined) return undefined;
    const recorded = recordedOf(debug, id);
    return autopsy(debug, memory, id, { recorded, ...(this.#symbols && { symbols: this.#symbols }) });
  }
}
