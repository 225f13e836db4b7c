/**
 * A storm on the chips of a PC that boots its own disks: random accesses to IDE, floppy, DMA, keyboard controller and VGA,
 * biased towards what means something, with resets, changes of media, answers of media that come late or fail, time that
 * passes, saved states and looks at the screen in between. Everything follows from the seed.
 *
 * What must hold: nothing throws, every value read fits its width, media are asked only for what they have, memory that is
 * neither the guest's nor a device's stays as it was, and after a reset the chips answer as new ones do.
 */
import { isDeepStrictEqual } from "node:util";
import type { BlockSource } from "../../src/block/block.ts";
import { Random } from "../../src/cli/fuzz/random.ts";
import { VGA_MEMORY_SIZE } from "../../src/io/vgaMemory.ts";
import { Board } from "../../src/machine/board.ts";
import { VGA_BASE, VGA_END } from "../../src/machine/memoryMap.ts";
import { PcParts } from "../../src/machine/pcParts.ts";
import type { Width } from "../../src/shared/device.ts";
import { CONTROL } from "../../src/shared/layout.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";
import { MachineTimers } from "../../src/vmm/timers.ts";
import { PlanarGuest } from "./planarGuest.ts";
import { sometime } from "./sometime.ts";

const RAM = 2 ** 21;
/** Firmware, at the end of the first 4 GiB and below 1 MiB. */
const ROM = { gpa: 0xffff_0000, length: 0x1_0000, readOnly: true };
const LOW_ROM = 0xf_0000;
const CANARY = 0x5a;
const CANARY_BYTES = 2 ** 16;
/** Memory is given away in multiples of this. */
const GRANULE = 2 ** 21;
const BUS_MASTER = 0xc000;
/** Registers of a channel, as an offset from its first; its control block. */
const IDE = [
  { base: 0x1f0, control: 0x3f6, master: BUS_MASTER },
  { base: 0x170, control: 0x376, master: BUS_MASTER + 8 },
] as const;
const ATA_COMMANDS = [
  ...[0x00, 0x08, 0x10, 0x20, 0x21, 0x24, 0x25, 0x27, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x42, 0x70, 0x90, 0x91],
  ...[0xa0, 0xa1, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe0, 0xe1, 0xe5, 0xe7, 0xea, 0xec, 0xef, 0xf8],
] as const;
const PACKETS = [0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x43, 0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbe] as const;
const FLOPPY_COMMANDS = [
  ...[0x03, 0x04, 0x07, 0x08, 0x0a, 0x0e, 0x0f, 0x10, 0x12, 0x13, 0x14, 0x94, 0x42, 0x45, 0x46, 0x4a, 0x4c, 0x4d, 0x56],
  ...[0xc5, 0xc6, 0xe6, 0x8f, 0xcf],
] as const;
const DISPI_REGISTERS = 11;

export interface StormResult {
  readonly operations: number;
  /** How often each kind of step was done. */
  readonly counts: Readonly<Record<string, number>>;
  /** The longest: its milliseconds of the processor, since a busy host's clock tells of other processes, and its kind. */
  readonly longestMs: number;
  readonly longest?: string;
}

/** A medium that answers at once, or when the storm lets it, or not at all; and that checks what it is asked. */
class StormMedium implements BlockSource {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #random: Random;
  readonly #waiting: (() => void)[];

  constructor(size: number, readOnly: boolean, random: Random, waiting: (() => void)[]) {
    this.size = size;
    this.readOnly = readOnly;
    this.#random = random;
    this.#waiting = waiting;
  }

  read(offset: number, into: Uint8Array): void | Promise<void> {
    return this.#answer(offset, into.length, () => void into.fill(offset / 512));
  }

  write(offset: number, from: Uint8Array): void | Promise<void> {
    if (this.readOnly) throw new Error("write to a medium that cannot be written");
    return this.#answer(offset, from.length, () => {});
  }

  flush(): void | Promise<void> {
    return this.#answer(0, 0, () => {});
  }

  #answer(offset: number, length: number, work: () => void): void | Promise<void> {
    if (!Number.isInteger(offset) || offset < 0 || offset + length > this.size) {
      throw new StormError(`medium of ${this.size} bytes asked for ${length} at ${offset}`);
    }
    return sometime(this.#random, this.#waiting, { many: 8, late: 2 }, work);
  }
}

/** Something that must hold did not. */
export class StormError extends Error {}

export class ChipStorm {
  readonly #random: Random;
  readonly #memory: MachineMemory;
  /** Before and behind the VGA's memory. */
  readonly #canaries: number[] = [];
  readonly #timers: MachineTimers;
  readonly #board: Board;
  readonly #pc: PcParts;
  readonly #guest: PlanarGuest;
  readonly #waiting: (() => void)[] = [];
  readonly #counts: Record<string, number> = {};
  readonly #kinds: readonly [weight: number, name: string, work: () => void | Promise<void>][];
  readonly #total: number;
  /** The first thing that a medium was asked for and does not have; a drive takes errors of media as such. */
  #broken: StormError | undefined;
  #now = 0n;
  /** Accesses to ports, and what else is done to the chips. */
  #done = 0;

  /** @param core for unshared memory: what executes a guest that uses the VGA's window */
  constructor(seed: number, core: WebAssembly.Module) {
    this.#random = new Random(seed);
    const reserve = VGA_MEMORY_SIZE + 2 * GRANULE;
    this.#memory = new MachineMemory({ regions: [{ gpa: 0, length: RAM }, ROM], vcpus: 1, shared: false, reserve });
    this.#memory.write(ROM.gpa, new Uint8Array(ROM.length).fill(CANARY));
    this.#guard();
    this.#memory.unmap(VGA_BASE, VGA_END - VGA_BASE);
    this.#timers = new MachineTimers(() => this.#now);
    const disk = (size: number, readOnly = false) => this.#medium(size, readOnly);
    const drives = {
      disks: [disk(512 * 1000), disk(512 * 0x20_0000)],
      cdrom: disk(2048 * 500, true),
      floppy: disk(1_474_560),
    };
    this.#board = new Board({
      memory: this.#memory,
      timers: this.#timers,
      vcpus: 1,
      ramSize: RAM,
      wallClockSeconds: 1e9,
      ...{ serial: () => {}, serialRoom: () => {}, debugPort: () => {}, onPowerOff: () => {}, kick: () => {} },
      ...{
        onInit: () => {},
        onStartup: () => {},
        onReset: () => {},
        onA20: () => {},
        onMoved: () => this.#guest?.moved(),
      },
      random: () => {},
      parts: { pc: (board) => new PcParts({ romSize: ROM.length, drives }, board) },
      log: () => () => {},
    });
    this.#pc = this.#board.pc as PcParts;
    this.#guest = new PlanarGuest(this.#memory, core);
    this.#guard();
    this.#configure();
    this.#kinds = [
      [300, "ide", () => this.#ide()],
      [80, "ide data", () => this.#ideData()],
      [60, "bus master", () => this.#busMaster()],
      [30, "packet", () => this.#packet()],
      [160, "floppy", () => this.#floppy()],
      [50, "floppy command", () => this.#floppyCommand()],
      [50, "dma", () => this.#dma()],
      [80, "i8042", () => this.#i8042()],
      [20, "input", () => this.#input()],
      [240, "vga", () => this.#vga()],
      [40, "memory", () => this.#fill()],
      [40, "window", () => this.#window()],
      [80, "time", () => this.#pass()],
      [60, "answer", () => this.#answer()],
      [10, "media", () => this.#change()],
      [2, "reset", () => this.#reset()],
      [3, "save", () => this.#save()],
      [3, "screen", () => this.#look()],
      [10, "published", () => this.#published()],
      [10, "coalesced", () => this.#coalesced()],
    ];
    this.#total = this.#kinds.reduce((sum, [weight]) => sum + weight, 0);
  }

  /** @throws StormError or what a chip has thrown, with the number of the step in the message */
  async run(operations: number): Promise<StormResult> {
    let longestMs = 0;
    let longest = "";
    for (let n = 0; this.#done < operations; n++) {
      this.#done++;
      const from = process.cpuUsage();
      let what = "";
      try {
        let left = this.#random.below(this.#total);
        const kind =
          this.#kinds.find(([weight]) => {
            left -= weight;
            return left < 0;
          }) ?? this.#kinds[0];
        what = kind[1];
        this.#counts[what] = (this.#counts[what] ?? 0) + 1;
        const pending = kind[2]();
        if (pending) await pending;
        if (this.#broken) throw this.#broken;
      } catch (error) {
        throw new StormError(`step ${n} (${what}): ${error instanceof Error ? error.stack : error}`);
      }
      const { user, system } = process.cpuUsage(from);
      const ms = (user + system) / 1000;
      if (ms > longestMs) [longestMs, longest] = [ms, what];
    }
    await this.#settle();
    this.#check();
    return { operations: this.#done, counts: this.#counts, longestMs, longest };
  }

  #medium(size: number, readOnly: boolean): BlockSource {
    const medium = new StormMedium(size, readOnly, this.#random, this.#waiting);
    const told = (work: () => void | Promise<void>) => {
      try {
        return work();
      } catch (error) {
        if (error instanceof StormError) this.#broken = error;
        throw error;
      }
    };
    return {
      ...{ size, readOnly },
      read: (offset, into) => told(() => medium.read(offset, into)),
      write: (offset, from) => told(() => medium.write(offset, from)),
      flush: () => medium.flush(),
    };
  }

  /** The next memory that is given away is nobody's. */
  #guard(): void {
    const at = this.#memory.allocate(CANARY_BYTES);
    this.#memory.bytes.fill(CANARY, at, at + CANARY_BYTES);
    this.#canaries.push(at);
  }

  /** The IDE function's channels are decoded; its bus master gets ports, and may use them. */
  #configure(): void {
    this.#config(0x40, 0x8000_8000);
    this.#config(0x20, BUS_MASTER | 1);
    this.#config(0x04, 5);
  }

  #config(register: number, value: number): void {
    this.#board.ports.write(0xcf8, 4, (0x8000_0000 | (1 << 11) | (1 << 8) | register) >>> 0);
    this.#board.ports.write(0xcfc, 4, value);
  }

  #in(port: number, size: Width = 1): number {
    this.#done++;
    const value = this.#board.ports.read(port, size);
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
      throw new StormError(`port 0x${port.toString(16)} read ${value}`);
    }
    return value;
  }

  #out(port: number, value: number, size: Width = 1): void {
    this.#done++;
    this.#board.ports.write(port, size, value);
  }

  #byte(): number {
    const r = this.#random;
    return r.percent(40) ? r.pick([0, 1, 2, 0x7f, 0x80, 0xff, 0xfe, 0xa0, 0xb0, 0xe0, 0xf0]) : r.below(256);
  }

  #width(): Width {
    return this.#random.pick([1, 1, 1, 2, 4] as const);
  }

  #ide(): void {
    const r = this.#random;
    const { base, control } = r.pick(IDE);
    const where = r.below(9);
    if (where === 8) {
      if (r.percent(50)) this.#in(control);
      else this.#out(control, r.percent(90) ? r.pick([0, 2, 0x80, 8]) : this.#byte());
    } else if (r.percent(25)) this.#in(base + where, where ? 1 : this.#width());
    else if (where === 7) this.#out(base + 7, r.percent(80) ? r.pick(ATA_COMMANDS) : this.#byte());
    else if (where === 6) this.#out(base + 6, r.pick([0xa0, 0xb0, 0xe0, 0xf0, 0x40, 0x50, this.#byte()]));
    else this.#out(base + where, this.#byte(), where ? 1 : this.#width());
  }

  /** What is in a drive's buffer, or is to go there. */
  #ideData(): void {
    const r = this.#random;
    const { base } = r.pick(IDE);
    const size = r.pick([2, 4] as const);
    const reads = r.percent(50);
    for (let i = r.below(300); i >= 0; i--) {
      if (reads) this.#in(base, size);
      else this.#out(base, r.u32() & (size === 2 ? 0xffff : 0x7fff_ffff), size);
    }
  }

  #busMaster(): void {
    const r = this.#random;
    const { master } = r.pick(IDE);
    switch (r.below(4)) {
      case 0: {
        // A table of three: anywhere, more than there is, at the end of RAM.
        const table = new DataView(new ArrayBuffer(24));
        const at = r.below(RAM / 4) * 4;
        for (let i = 0; i < 24; i += 8) {
          table.setUint32(i, r.pick([r.below(RAM), RAM - 512, r.u32(), 0xa_0000, LOW_ROM, ROM.gpa, 0xffff_fffe]), true);
          table.setUint32(
            i + 4,
            r.pick([0, 512, 0x1_0000 - 2, r.below(0x1_0000)]) | (r.percent(40) ? 0x8000_0000 : 0),
            true,
          );
        }
        this.#memory.bus.write(at, new Uint8Array(table.buffer));
        this.#out(master + 4, at, 4);
        return;
      }
      case 1:
        this.#out(master, r.pick([0, 1, 8, 9]));
        return;
      case 2:
        this.#out(master + r.below(8), this.#byte(), this.#width());
        return;
      default:
        this.#in(master + r.below(8), this.#width());
    }
  }

  #packet(): void {
    const r = this.#random;
    const { base } = IDE[1];
    this.#out(base + 6, 0xa0);
    this.#out(base + 1, r.below(2));
    this.#out(base + 4, this.#byte());
    this.#out(base + 5, r.below(9));
    this.#out(base + 7, 0xa0);
    const packet = r.bytes(12);
    packet[0] = r.percent(90) ? r.pick(PACKETS) : packet[0];
    if (r.percent(70)) packet.set([0, 0, r.below(2), r.below(256), 0, 0, r.below(4)], 2);
    for (let i = 0; i < 12; i += 2) this.#out(base, packet[i] | (packet[i + 1] << 8), 2);
  }

  #floppy(): void {
    const r = this.#random;
    const port = 0x3f0 + r.pick([0, 1, 2, 3, 4, 5, 5, 5, 5, 7]);
    if (r.percent(50)) this.#in(port);
    else if (port === 0x3f2) this.#out(port, r.percent(80) ? r.pick([0x1c, 0x0c, 0x14, 0x3d, 0x18]) : this.#byte());
    else if (port === 0x3f4) this.#out(port, r.percent(90) ? r.below(4) : this.#byte());
    else this.#out(port, port === 0x3f5 && r.percent(40) ? r.pick(FLOPPY_COMMANDS) : this.#byte());
  }

  /** A whole command, most of them possible. */
  #floppyCommand(): void {
    const r = this.#random;
    if (r.percent(80)) this.#out(0x3f2, 0x1c);
    this.#out(0x3f7, r.percent(90) ? 0 : r.below(4));
    for (let i = 0; i < 10 && this.#in(0x3f4) & 0x40; i++) this.#in(0x3f5);
    const track = r.below(82);
    const head = r.below(2);
    const words = [r.pick(FLOPPY_COMMANDS), head << 2, track, head, 1 + r.below(19), 2, 18, 0x1b, 0xff];
    for (const word of words.slice(0, 1 + r.below(9))) this.#out(0x3f5, r.percent(95) ? word : this.#byte());
  }

  #dma(): void {
    const r = this.#random;
    const port = r.pick([0x04, 0x05, 0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x81, 0x82, r.below(16)]);
    if (r.percent(25)) this.#in(port);
    else if (port === 0x0a) this.#out(port, r.pick([2, 6, this.#byte()]));
    else if (port === 0x0b) this.#out(port, r.pick([0x46, 0x4a, 0x56, 0x5a, this.#byte()]));
    else if (port === 0x81) this.#out(port, r.pick([0, 1, 0x0f, 0x1f, 0xff]));
    else this.#out(port, this.#byte());
  }

  #i8042(): void {
    const r = this.#random;
    const port = r.pick([0x60, 0x60, 0x64]);
    if (r.percent(50)) this.#in(port);
    else if (port === 0x60)
      this.#out(port, r.percent(40) ? r.pick([0xed, 0xf0, 0xf2, 0xf3, 0xf4, 0xf5, 0xff]) : this.#byte());
    else
      this.#out(
        port,
        r.percent(70) ? r.pick([0x20, 0x60, 0xa7, 0xa8, 0xaa, 0xad, 0xae, 0xd1, 0xd3, 0xd4]) : this.#byte(),
      );
  }

  #input(): void {
    const r = this.#random;
    const { keyboard, mouse, typist } = this.#pc;
    switch (r.below(3)) {
      case 0:
        keyboard.key(r.pick(["KeyA", "Enter", "ControlRight", "Pause", "PrintScreen", "Nowhere"]), r.percent(50));
        return;
      case 1:
        mouse.move(r.below(2000) - 1000, r.below(2000) - 1000, r.below(5) - 2, r.below(8));
        return;
      default:
        typist.type(r.pick(["aB~\n", "\u00e4", "\t\b"]));
    }
  }

  #vga(): void {
    const r = this.#random;
    switch (r.below(5)) {
      case 0:
        if (r.percent(50)) this.#in(0x3b0 + r.below(0x30), this.#width());
        else this.#out(0x3b0 + r.below(0x30), this.#byte(), this.#width());
        return;
      case 1:
        this.#out(r.pick([0x3c4, 0x3ce, 0x3d4]), r.below(32) | (this.#byte() << 8), 2);
        return;
      case 2:
        this.#in(0x3da);
        this.#out(0x3c0, r.below(64));
        this.#out(0x3c0, this.#byte());
        return;
      case 3:
        this.#out(0x1ce, r.below(DISPI_REGISTERS + 1), 2);
        this.#out(
          0x1cf,
          r.pick([0, 1, 0x41, 0xe1, 4, 8, 15, 16, 24, 32, 320, 640, 1024, 1920, 0xb0c5, r.below(0x1_0000)]),
          2,
        );
        return;
      default:
        this.#in(r.pick([0x1ce, 0x1cf]), 2);
    }
  }

  /** The guest uses the window, mostly after it has chosen one with planes behind it: 12h, mode X, some set of registers. */
  #window(): void {
    const r = this.#random;
    const index = (port: number, register: number, value: number) => this.#out(port, register | (value << 8), 2);
    if (r.percent(80)) {
      this.#out(0x1ce, 4, 2);
      this.#out(0x1cf, 0, 2);
      this.#out(0x3c2, 0x63);
      index(0x3c4, 2, r.percent(50) ? 15 : r.below(16));
      index(0x3c4, 4, r.pick([6, 6, 6, 2, 14]));
      index(0x3ce, 6, r.pick([5, 5, 1, 7, 13]));
      index(0x3ce, 5, r.below(4) | (r.percent(30) ? 8 : 0) | r.pick([0, 0, 0x10, 0x40]));
      index(0x3ce, 3, r.percent(50) ? 0 : r.below(32));
      index(0x3ce, 8, r.percent(50) ? 0xff : r.below(256));
      index(0x3ce, r.pick([0, 1, 2, 4, 7]), r.below(16));
    }
    const planar = this.#guest.run(this.#pc.vga, this.#pc.vgaMemory, r);
    if (planar) this.#counts.planar = (this.#counts.planar ?? 0) + 1;
  }

  /** The guest writes to its memory, the VGA's included. */
  #fill(): void {
    const r = this.#random;
    this.#memory.bus.write(r.percent(50) ? r.below(RAM) : 0xa_0000 + r.below(0x2_0000), r.bytes(1 + r.below(64)));
  }

  #pass(): void {
    const r = this.#random;
    this.#now += BigInt(r.percent(90) ? r.below(200_000) : r.u32());
    this.#timers.fire();
  }

  async #answer(): Promise<void> {
    this.#waiting.splice(this.#random.below(this.#waiting.length || 1), 1)[0]?.();
    for (let i = 0; i < 4; i++) await undefined;
  }

  /** Another medium, or none; one may be of a size that the drive cannot use. */
  #change(): void {
    const r = this.#random;
    if (r.percent(50)) {
      const sizes = [undefined, 2048 * 20, 2048 * 0x4_0000, 1000];
      const size = r.pick(sizes);
      this.#pc.cd?.insert(size === undefined ? undefined : this.#medium(size, true));
    } else {
      const size = r.pick([undefined, 163_840, 368_640, 737_280, 1_474_560, 2_949_120, 5000]);
      this.#pc.floppy?.insert(size === undefined ? undefined : this.#medium(size, r.percent(30)));
    }
  }

  #reset(): void {
    if (this.#random.percent(50)) this.#random.pick(this.#pc.devices).reset();
    else this.#board.reset();
    this.#configure();
  }

  /** A saved state is taken back, and is the same then. */
  #save(): void {
    if (this.#pc.busy) return;
    for (const device of this.#pc.devices) {
      const state = structuredClone(device.export());
      device.import(state);
      const again = device.export();
      if (!isDeepStrictEqual(again, state)) throw new StormError(`${device.name} is not as it was saved`);
    }
  }

  /** What is published of a port is what it reads as. */
  #published(): void {
    const { control } = this.#memory;
    const first = control.index(CONTROL.portHooks);
    for (const hook of control.words.subarray(first, first + CONTROL.portHooks.count)) {
      if (!(hook & 0x2_0000)) continue;
      const [port, value] = [hook & 0xffff, hook >>> 24];
      const read = this.#in(port);
      if (read !== value)
        throw new StormError(`port 0x${port.toString(16)} is published as ${value}, and reads ${read}`);
    }
  }

  /** A write that nobody waits for changes nothing that is published. */
  #coalesced(): void {
    const r = this.#random;
    const { control } = this.#memory;
    const first = control.index(CONTROL.portHooks);
    const hooks = control.words.subarray(first, first + CONTROL.portHooks.count);
    const published = (): number[] => [...hooks].filter((hook) => hook & 0x2_0000).map((hook) => hook >>> 0);
    const before = published();
    const writes = [...hooks].filter((hook) => hook & 0x1_0000);
    const hook = r.pick(writes);
    const port = (hook & 0xffff) + r.below(((hook >> 20) & 7) + 1);
    const bits = hook >>> 24;
    let value = hook & 0x80_0000 ? r.u32() : (r.below(0x100) & ~bits) | (hook & 0x4_0000 ? bits : 0);
    if (hook & 0x8_0000) {
      const same = before.find((other) => (other & 0xffff) === port);
      if (same === undefined) return;
      value = same >>> 24;
    }
    this.#out(port, value, hook & 0x80_0000 ? 4 : 1);
    if (!isDeepStrictEqual(published(), before)) {
      throw new StormError(
        `0x${value.toString(16)} to port 0x${port.toString(16)} went unseen, and published values changed`,
      );
    }
  }

  #look(): void {
    const { display } = this.#pc;
    const { width, height, pixels, top, bottom } = display.picture();
    if (pixels.length !== width * height || top > bottom || bottom > height) {
      throw new StormError(`picture of ${width}x${height} with ${pixels.length} pixels, ${top} to ${bottom} changed`);
    }
    display.text();
  }

  /** All answers come, and nothing is on its way any more. */
  async #settle(): Promise<void> {
    for (let i = 0; i < 10_000 && (this.#waiting.length || this.#pc.busy); i++) await this.#answer();
    if (this.#pc.busy) throw new StormError("a drive waits for an answer that nobody owes it");
    if (this.#broken) throw this.#broken;
  }

  /** Memory that is nobody's, and chips that are reset. */
  #check(): void {
    const { bytes } = this.#memory;
    for (const at of this.#canaries) {
      if (bytes.subarray(at, at + CANARY_BYTES).some((byte) => byte !== CANARY)) {
        throw new StormError("memory beside the VGA's has changed");
      }
    }
    const rom = new Uint8Array(ROM.length);
    this.#memory.read(ROM.gpa, rom);
    if (rom.some((byte) => byte !== CANARY)) throw new StormError("the firmware's ROM has changed");
    this.#board.reset();
    this.#configure();
    this.#out(0x1f6, 0xa0);
    this.#out(0x1f7, 0xec);
    const identity = this.#in(0x1f7) === 0x58 ? this.#in(0x1f0, 2) : -1;
    this.#out(0x64, 0xaa);
    const answers = { identity, i8042: this.#in(0x60), floppy: this.#in(0x3f4), vga: this.#in(0x3cc) };
    if (identity !== 0x40 || answers.i8042 !== 0x55 || answers.floppy !== 0x80) {
      throw new StormError(`after a reset: ${JSON.stringify(answers)}`);
    }
  }
}
