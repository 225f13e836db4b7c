/**
 * The floppy disk controller, an 82077AA (Intel datasheet 290166), with one drive.
 *
 *     0x3f0  status A (read)     0x3f1  status B (read)     0x3f3  tape drive
 *     0x3f2  digital output   | MOT3 MOT2 MOT1 MOT0 | /DMAGATE .. DMA+IRQ on | /RESET | DS1 DS0 |
 *     0x3f4  main status      | RQM DIO NDMA CB | seeking 3–0 |      write: data rate select | RESET .. | rate 1:0 |
 *     0x3f5  command, data and result bytes
 *     0x3f7  digital input    | DSKCHG . . . . |      write: configuration control, rate 1:0
 *
 * A command's bytes come in, the transfer goes by DMA channel 2 or through the FIFO, results go out. Transfers end at
 * terminal count, or at the last sector of the track (without terminal count that is "end of cylinder", an error that drivers
 * of FIFO transfers expect). Sectors are 512 bytes; whether a disk can be read at the data rate that is set shows its format.
 *
 * Mechanics take little time: a step 0.1 ms, a sector 20 µs. Not there: tape, other sector sizes, FM, scan commands, media
 * with errors. A read without a disk fails after 0.4 s, where the original waits for the index hole forever.
 */
import { type BlockSource, whenDone } from "../block/block.ts";
import { checkContents } from "../block/contents.ts";
import type { Device, InterruptPin, Log, Timers } from "../shared/device.ts";
import type { DmaChannel } from "./dma8237.ts";
import { Due } from "./due.ts";
import { DRIVE_TYPE, type FloppyFormat, floppyFormat } from "./floppyFormat.ts";
import {
  type Awaited,
  checkFloppy,
  DIR_CHANGED,
  DOR_GATE,
  DOR_NOT_RESET,
  DSR_RESET,
  type FloppyV1,
  LENGTHS,
  MAX_TRACK,
  MSR_BUSY,
  MSR_DIO,
  MSR_NDMA,
  MSR_RQM,
  NO_DISK_NS,
  type Phase,
  SECTOR,
  SECTOR_NS,
  ST0_ABNORMAL,
  ST0_EQUIPMENT,
  ST0_INVALID,
  ST0_POLLED,
  ST0_SEEK_END,
  ST1_CRC,
  ST1_END_OF_CYLINDER,
  ST1_MISSING_MARK,
  ST1_NO_DATA,
  ST1_NOT_WRITABLE,
  STEP_NS,
} from "./floppyState.ts";
import { bytePorts, type PortRange } from "./portRange.ts";
import { SnapshotFields } from "./snapshotFields.ts";

export type { FloppyV1 } from "./floppyState.ts";

export interface FloppyOptions {
  readonly medium: BlockSource | undefined;
  readonly irq: InterruptPin;
  readonly dma: DmaChannel;
  readonly timers: Timers;
  readonly log: Log;
}

export class Floppy implements Device<FloppyV1> {
  readonly name = "floppy";
  readonly handlers: readonly PortRange[];
  readonly #options: FloppyOptions;
  readonly #due: Due;
  #medium: BlockSource | undefined;
  #format: FloppyFormat | undefined;
  /** Type of the drive, for CMOS: what takes the first disk, or 1.44 MB. */
  readonly driveType: number;
  #dor = DOR_NOT_RESET | DOR_GATE;
  #rate = 2;
  #tape = 0;
  #phase: Phase = "command";
  #command: number[] = [];
  #result: number[] = [];
  #awaited: Awaited = "nothing";
  #cylinder = 0;
  #head = 0;
  #record = 0;
  #buffer = new Uint8Array(0);
  #moved = 0;
  #tracks = [0, 0, 0, 0];
  #seeks = [-1, -1, -1, -1];
  #pending = [-1, -1, -1, -1];
  #specified = [0, 0];
  #configured = [0, 0];
  #perpendicular = 0;
  #locked = false;
  #interrupt = false;
  #changed = true;
  #waiting = 0;
  #epoch = 0;

  constructor(options: FloppyOptions) {
    this.#options = options;
    this.#due = new Due(options.timers, "floppy", () => this.#fire());
    this.#medium = options.medium;
    this.#format = options.medium && floppyFormat(options.medium.size);
    this.driveType = this.#format?.drive ?? DRIVE_TYPE.m1_44;
    this.handlers = [
      // 0x3f6 is the IDE controller's.
      bytePorts(0x3f0, 6, {
        read: (offset) => this.#read(offset),
        write: (offset, value) => this.#write(offset, value),
      }),
      bytePorts(0x3f7, 1, {
        read: () => (this.#selected === 0 && this.#motor && this.#changed ? DIR_CHANGED : 0),
        write: (_, value) => {
          this.#rate = value & 3;
        },
      }),
    ];
  }

  /** A medium's answer is awaited. */
  get busy(): boolean {
    return this.#waiting > 0;
  }

  /** Puts another disk in, or takes it out; a transfer in flight fails at its next sector. */
  insert(medium: BlockSource | undefined): void {
    this.#medium = medium;
    this.#format = medium && floppyFormat(medium.size);
    this.#changed = true;
  }

  reset(): void {
    this.#dor = DOR_NOT_RESET | DOR_GATE;
    this.#rate = 2;
    this.#tape = 0;
    this.#tracks = [0, 0, 0, 0];
    this.#specified = [0, 0];
    this.#locked = false;
    this.#restart();
  }

  /** The controller's own reset; with LOCK, the FIFO's configuration stays. */
  #restart(): void {
    this.#epoch++;
    this.#phase = "command";
    this.#command = [];
    this.#result = [];
    this.#buffer = new Uint8Array(0);
    this.#moved = 0;
    this.#pending = [-1, -1, -1, -1];
    this.#seeks = [-1, -1, -1, -1];
    if (!this.#locked) this.#configured = [0, 0];
    this.#perpendicular = 0;
    this.#await("nothing", 0n);
    this.#drive(false);
  }

  get #selected(): number {
    return this.#dor & 3;
  }

  get #motor(): boolean {
    return (this.#dor & (0x10 << this.#selected)) !== 0;
  }

  #drive(interrupt: boolean): void {
    this.#interrupt = interrupt;
    this.#options.irq.set(interrupt && (this.#dor & DOR_GATE) !== 0);
  }

  #await(what: Awaited, ns: bigint): void {
    this.#awaited = what;
    this.#due.setIn(what === "nothing" ? undefined : ns);
  }

  #read(offset: number): number {
    switch (offset) {
      case 0: // status A: INT pending, no second drive, track 0 (active low)
        return (this.#interrupt ? 0x80 : 0) | 0x40 | (this.#tracks[this.#selected] === 0 ? 0 : 0x10);
      case 1: // status B: drive 0 select, motors
        return 0xc0 | (this.#selected === 0 ? 0x20 : 0) | ((this.#dor >> 4) & 3);
      case 2:
        return this.#dor;
      case 3:
        return this.#tape;
      case 4:
        return this.#mainStatus();
      default:
        return this.#readData();
    }
  }

  #write(offset: number, value: number): void {
    if (offset === 2) this.#writeDor(value);
    else if (offset === 3) this.#tape = value & 3;
    else if (offset === 4) {
      this.#rate = value & 3;
      if (value & DSR_RESET) {
        this.#restart();
        this.#await("reset", SECTOR_NS);
      }
    } else if (offset === 5) this.#writeData(value);
  }

  #writeDor(value: number): void {
    const before = this.#dor;
    this.#dor = value;
    if (!(value & DOR_NOT_RESET)) this.#restart();
    else if (!(before & DOR_NOT_RESET)) this.#await("reset", SECTOR_NS);
    this.#drive(this.#interrupt);
  }

  #mainStatus(): number {
    if (!(this.#dor & DOR_NOT_RESET) || this.#awaited === "reset") return 0;
    const seeking = this.#seeks.reduce((bits, to, n) => (to >= 0 ? bits | (1 << n) : bits), 0);
    if (this.#phase === "result") return seeking | MSR_RQM | MSR_DIO | MSR_BUSY;
    if (this.#phase === "command") return seeking | MSR_RQM | (this.#command.length ? MSR_BUSY : 0);
    if (this.#byDma || !this.#buffer.length) return seeking | MSR_BUSY | (this.#byDma ? 0 : MSR_NDMA);
    return seeking | MSR_RQM | MSR_NDMA | MSR_BUSY | (this.#reads ? MSR_DIO : 0);
  }

  #readData(): number {
    if (this.#phase === "execution" && this.#reads && !this.#byDma && this.#buffer.length) {
      const value = this.#buffer[this.#moved++];
      if (this.#moved === this.#buffer.length) this.#sectorDone(false);
      return value;
    }
    if (this.#phase !== "result") return 0;
    // The first byte read takes the interrupt back.
    this.#drive(false);
    const value = this.#result.shift() ?? 0;
    if (!this.#result.length) this.#phase = "command";
    return value;
  }

  #writeData(value: number): void {
    if (!(this.#dor & DOR_NOT_RESET)) return;
    if (this.#phase === "execution" && !this.#reads && !this.#byDma && this.#buffer.length) {
      this.#buffer[this.#moved++] = value;
      if (this.#moved === this.#buffer.length) this.#put();
      return;
    }
    if (this.#phase !== "command") return;
    this.#command.push(value);
    const length = LENGTHS[this.#command[0] & 0x1f];
    if (length === undefined) this.#invalid();
    else if (this.#command.length === length) this.#execute();
  }

  #finish(...result: number[]): void {
    this.#command = [];
    this.#result = result;
    this.#phase = result.length ? "result" : "command";
    this.#buffer = new Uint8Array(0);
    this.#moved = 0;
  }

  #invalid(): void {
    if (this.#command[0]) this.#options.log(`floppy: command 0x${this.#command[0].toString(16)} is not there`);
    this.#finish(ST0_INVALID);
  }

  /** The command byte's operation. */
  get #operation(): number {
    return this.#command[0] & 0x1f;
  }

  get #unit(): number {
    return this.#command[1] & 3;
  }

  /** Data goes from the disk. */
  get #reads(): boolean {
    return [2, 6, 12, 22].includes(this.#operation);
  }

  get #byDma(): boolean {
    return !(this.#specified[1] & 1) && this.#operation !== 22;
  }

  #execute(): void {
    const [, first, second, third] = this.#command;
    switch (this.#operation) {
      case 3: // SPECIFY
        this.#specified = [first, second];
        this.#finish();
        return;
      case 4: // SENSE DRIVE STATUS
        this.#finish(this.#status3());
        return;
      case 7: // RECALIBRATE
        this.#seek(0);
        return;
      case 15: // SEEK; relative with bit 7, up with bit 6
        if (!(this.#command[0] & 0x80)) {
          this.#seek(second);
          return;
        }
        this.#seek(this.#tracks[first & 3] + (this.#command[0] & 0x40 ? second : -second));
        return;
      case 8:
        this.#senseInterrupt();
        return;
      case 14: // DUMPREG
        this.#finish(
          ...this.#tracks,
          ...this.#specified,
          this.#format?.sectors ?? 0,
          (this.#locked ? 0x80 : 0) | this.#perpendicular,
          ...this.#configured,
        );
        return;
      case 16: // VERSION: an enhanced controller
        this.#finish(0x90);
        return;
      case 18: // PERPENDICULAR MODE: bits 5–2 count only with OW
        this.#perpendicular = first & 0x80 ? first & 0x3f : (this.#perpendicular & 0x3c) | (first & 3);
        this.#finish();
        return;
      case 19: // CONFIGURE
        this.#configured = [second, third];
        this.#finish();
        return;
      case 20: // LOCK, UNLOCK
        this.#locked = (this.#command[0] & 0x80) !== 0;
        this.#finish(this.#locked ? 0x10 : 0);
        return;
      default:
        this.#data();
        return;
    }
  }

  #status3(): number {
    const unit = this.#unit;
    const here = unit === 0;
    const protect = here && this.#medium?.readOnly ? 0x40 : 0;
    return 0x28 | protect | (here && this.#tracks[0] === 0 ? 0x10 : 0) | (this.#command[1] & 7);
  }

  #seek(track: number): void {
    const unit = this.#unit;
    const to = Math.min(Math.max(track, 0), MAX_TRACK);
    this.#seeks[unit] = to;
    const steps = BigInt(Math.abs(to - this.#tracks[unit]) + 1);
    this.#head = (this.#command[1] >> 2) & 1;
    const recalibrates = this.#operation === 7;
    this.#finish();
    // Remembered in what is pending: a drive that is not there never finds track 0.
    this.#pending[unit] = recalibrates && unit !== 0 ? ST0_ABNORMAL | ST0_SEEK_END | ST0_EQUIPMENT | unit : -1;
    this.#await("seek", steps * STEP_NS);
  }

  #senseInterrupt(): void {
    const unit = this.#pending.findIndex((status, n) => status >= 0 && this.#seeks[n] < 0);
    if (unit < 0) {
      this.#finish(ST0_INVALID);
      return;
    }
    const status = this.#pending[unit];
    this.#pending[unit] = -1;
    this.#drive(false);
    this.#finish(status, this.#tracks[unit]);
  }

  #fire(): void {
    const what = this.#awaited;
    this.#awaited = "nothing";
    if (what === "reset") {
      // Polling finds that every drive's ready line has changed, unless it is off.
      if (!(this.#configured[0] & 0x10)) this.#pending = [0, 1, 2, 3].map((n) => ST0_POLLED | n);
      this.#drive(true);
    } else if (what === "seek") {
      this.#seeks.forEach((to, unit) => {
        if (to < 0) return;
        // A step with a disk in the drive takes the change line back.
        if (unit === 0 && this.#medium) this.#changed = false;
        this.#tracks[unit] = to;
        if (this.#pending[unit] < 0)
          this.#pending[unit] = ST0_SEEK_END | unit | (unit === this.#selected ? this.#head << 2 : 0);
        this.#seeks[unit] = -1;
      });
      this.#drive(true);
    } else if (what === "failure") this.#results(ST0_ABNORMAL, ST1_MISSING_MARK, 0);
    else if (what === "id") this.#results(0, 0, 0);
    else if (what === "sector") this.#sector();
  }

  // Data commands

  #data(): void {
    const [, drive, cylinder, head, record] = this.#command;
    this.#phase = "execution";
    const format = this.#unit === 0 && this.#motor ? this.#format : undefined;
    const operation = this.#operation;
    this.#cylinder = operation === 10 || operation === 13 ? this.#tracks[0] : cylinder;
    this.#head = operation === 10 || operation === 13 ? (drive >> 2) & 1 : head & 1;
    this.#record = operation === 10 || operation === 13 || operation === 2 ? 1 : record;
    const readable =
      format && format.rate === this.#rate && ((drive >> 2) & 1) < format.heads && this.#tracks[0] < format.cylinders;
    if (!readable) {
      this.#await("failure", NO_DISK_NS);
      return;
    }
    if (operation === 10) {
      this.#await("id", SECTOR_NS);
      return;
    }
    if ((operation === 5 || operation === 9 || operation === 13) && this.#medium?.readOnly) {
      this.#results(ST0_ABNORMAL, ST1_NOT_WRITABLE, 0);
      return;
    }
    this.#await("sector", SECTOR_NS);
  }

  /** Offset of the current sector; undefined: there is none of that name under the head. */
  #place(): number | undefined {
    const format = this.#format;
    if (!format || this.#cylinder !== this.#tracks[0] || this.#cylinder >= format.cylinders) return undefined;
    if (this.#head >= format.heads || this.#record < 1 || this.#record > format.sectors) return undefined;
    if (this.#operation !== 13 && this.#command[5] !== 2) return undefined;
    return ((this.#cylinder * format.heads + this.#head) * format.sectors + this.#record - 1) * SECTOR;
  }

  /** The next sector comes under the head. */
  #sector(): void {
    const medium = this.#medium;
    if (this.#operation === 13) {
      this.#formatSector();
      return;
    }
    const place = this.#place();
    if (!medium || place === undefined) {
      this.#results(ST0_ABNORMAL, medium ? ST1_NO_DATA : ST1_MISSING_MARK, 0);
      return;
    }
    if (!this.#reads) {
      this.#buffer = new Uint8Array(SECTOR);
      this.#moved = 0;
      if (!this.#byDma) this.#drive(true);
      else if (this.#options.dma.ready(false)) this.#take();
      return;
    }
    const buffer = new Uint8Array(SECTOR);
    this.#wait(
      () => medium.read(place, buffer),
      () => {
        this.#moved = 0;
        this.#buffer = buffer;
        if (this.#operation === 22) this.#sectorDone(false);
        else if (!this.#byDma) this.#drive(true);
        else if (this.#options.dma.ready(true)) this.#give();
      },
    );
  }

  /** The DMA channel was opened: a transfer may have waited for that. */
  dmaReady(): void {
    if (this.#phase !== "execution" || !this.#byDma || this.#awaited !== "nothing" || !this.#buffer.length) return;
    if (this.#operation === 13) this.#formatSector();
    else if (this.#reads) {
      if (this.#options.dma.ready(true)) this.#give();
    } else if (this.#options.dma.ready(false)) this.#take();
  }

  #give(): void {
    const { dma } = this.#options;
    const count = Math.min(dma.ready(true), this.#buffer.length - this.#moved);
    const end = dma.write(this.#buffer.subarray(this.#moved, this.#moved + count));
    this.#moved += count;
    if (end || this.#moved === this.#buffer.length) this.#sectorDone(end);
  }

  #take(): void {
    const { dma } = this.#options;
    const count = Math.min(dma.ready(false), this.#buffer.length - this.#moved);
    const end = dma.read(this.#buffer.subarray(this.#moved, this.#moved + count));
    this.#moved += count;
    // A sector that terminal count cuts is filled with zeros.
    if (end || this.#moved === this.#buffer.length) this.#put(end);
  }

  /** Writes the sector in the buffer. */
  #put(end = false): void {
    const place = this.#place();
    const buffer = this.#buffer;
    const medium = this.#medium;
    this.#buffer = new Uint8Array(0);
    if (!medium || place === undefined) {
      this.#results(ST0_ABNORMAL, ST1_NO_DATA, 0);
      return;
    }
    this.#wait(
      () => medium.write(place, buffer),
      () => this.#sectorDone(end),
    );
  }

  #sectorDone(end: boolean): void {
    this.#buffer = new Uint8Array(0);
    this.#moved = 0;
    if (!this.#byDma) this.#drive(false);
    const last = this.#record >= this.#command[6];
    if (this.#operation === 2) {
      // READ TRACK counts sectors, whatever they are called.
      this.#record++;
      if (end || last) this.#results(end ? 0 : ST0_ABNORMAL, end ? 0 : ST1_END_OF_CYLINDER, 0);
      else this.#await("sector", SECTOR_NS);
      return;
    }
    const both = (this.#command[0] & 0x80) !== 0;
    const other = last && both && this.#head === 0;
    // What the results name: the sector after the last one (datasheet, table 5-2).
    if (!last) this.#record++;
    else {
      this.#record = 1;
      if (!both || this.#head === 1) this.#cylinder++;
      if (both) this.#head ^= 1;
    }
    if (end) this.#results(0, 0, 0);
    else if (last && !other) {
      const verified = this.#operation === 22;
      this.#results(verified ? 0 : ST0_ABNORMAL, verified ? 0 : ST1_END_OF_CYLINDER, 0);
    } else this.#await("sector", SECTOR_NS);
  }

  /** FORMAT TRACK: four bytes name each sector, which is filled with the last byte of the command. */
  #formatSector(): void {
    const [, , size, count, , filler] = this.#command;
    const { dma } = this.#options;
    const names = new Uint8Array(4);
    if (this.#byDma) {
      this.#buffer = names;
      if (dma.ready(false) < 4) return;
    }
    const end = this.#byDma ? dma.read(names) : false;
    const [cylinder, head, record] = names;
    const saved = { cylinder: this.#cylinder, head: this.#head, record: this.#record };
    this.#cylinder = cylinder;
    this.#head = head & 1;
    this.#record = record;
    const place = size === 2 ? this.#place() : undefined;
    this.#cylinder = saved.cylinder;
    this.#head = saved.head;
    this.#record = saved.record;
    const medium = this.#medium;
    if (!medium || place === undefined) {
      this.#results(ST0_ABNORMAL, ST1_NO_DATA, 0);
      return;
    }
    this.#wait(
      () => medium.write(place, new Uint8Array(SECTOR).fill(filler)),
      () => {
        this.#buffer = new Uint8Array(0);
        if (end || this.#record++ >= count) this.#results(0, 0, 0);
        else this.#await("sector", SECTOR_NS);
      },
    );
  }

  #wait(work: () => void | Promise<void>, then: () => void): void {
    const epoch = this.#epoch;
    this.#waiting++;
    whenDone(work, (error) => {
      this.#waiting--;
      if (epoch !== this.#epoch) return;
      if (!error) {
        then();
        return;
      }
      this.#options.log(`floppy: ${error instanceof Error ? error.message : String(error)}`);
      this.#results(ST0_ABNORMAL, ST1_CRC, ST1_CRC);
    });
  }

  /** The seven result bytes of a data command. */
  #results(status0: number, status1: number, status2: number): void {
    const unit = this.#command[1] & 7;
    this.#finish(status0 | unit, status1, status2, this.#cylinder, this.#head, this.#record, 2);
    this.#drive(true);
  }

  export(): FloppyV1 {
    return {
      version: 1,
      dor: this.#dor,
      rate: this.#rate,
      tape: this.#tape,
      phase: this.#phase,
      command: [...this.#command],
      result: [...this.#result],
      awaited: this.#awaited,
      left: this.#due.left ?? 0n,
      at: [this.#cylinder, this.#head, this.#record],
      buffer: this.#buffer.slice(),
      moved: this.#moved,
      tracks: [...this.#tracks],
      seeks: [...this.#seeks],
      pending: [...this.#pending],
      specified: [...this.#specified],
      configured: [...this.#configured],
      perpendicular: this.#perpendicular,
      locked: this.#locked,
      interrupt: this.#interrupt,
      changed: this.#changed,
      contents: this.#medium?.export?.(),
    };
  }

  import(state: FloppyV1): void {
    const s = checkFloppy(new SnapshotFields(this.name, state));
    checkContents(new SnapshotFields(this.name, state), state.contents, this.#medium)();
    this.#epoch++;
    this.#dor = s.dor;
    this.#rate = s.rate;
    this.#tape = s.tape;
    this.#phase = s.phase;
    this.#command = s.command;
    this.#result = s.result;
    [this.#cylinder, this.#head, this.#record] = s.at;
    this.#buffer = s.buffer;
    this.#moved = s.moved;
    this.#tracks = s.tracks;
    this.#seeks = s.seeks;
    this.#pending = s.pending;
    this.#specified = s.specified;
    this.#configured = s.configured;
    this.#perpendicular = s.perpendicular;
    this.#locked = s.locked;
    this.#changed = s.changed;
    this.#await(s.awaited, s.left);
    this.#drive(s.interrupt);
  }
}
