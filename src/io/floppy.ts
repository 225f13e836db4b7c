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
import type { BlockSource } from "../block/block.ts";
import { checkContents } from "../block/contents.ts";
import type { Device, InterruptPin, Log, Timers } from "../shared/device.ts";
import type { DmaChannel } from "./dma8237.ts";
import { Due } from "./due.ts";
import { DRIVE_TYPE, type FloppyFormat, floppyFormat } from "./floppyFormat.ts";
import { FloppySeeks } from "./floppySeeks.ts";
import {
  type Awaited,
  checkFloppy,
  DIR_CHANGED,
  DOR_GATE,
  DOR_NOT_RESET,
  DSR_RESET,
  type FloppyV1,
  LENGTHS,
  MSR_BUSY,
  MSR_DIO,
  MSR_NDMA,
  MSR_RQM,
  OPERATION,
  type Phase,
  SECTOR_NS,
  ST0_ABNORMAL,
  ST0_INVALID,
  ST1_MISSING_MARK,
} from "./floppyState.ts";
import { FloppyTransfer } from "./floppyTransfer.ts";
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
  readonly #seeks = new FloppySeeks();
  readonly #transfer: FloppyTransfer;
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
  #specified = [0, 0];
  #configured = [0, 0];
  #perpendicular = 0;
  #locked = false;
  #interrupt = false;
  #changed = true;

  constructor(options: FloppyOptions) {
    this.#options = options;
    this.#due = new Due(options.timers, "floppy", () => this.#fire());
    this.#medium = options.medium;
    this.#format = options.medium && floppyFormat(options.medium.size);
    this.#transfer = new FloppyTransfer({
      dma: options.dma,
      log: options.log,
      command: () => this.#command,
      byDma: () => this.#byDma,
      disk: () => ({ medium: this.#medium, format: this.#format }),
      track: () => this.#seeks.tracks[0],
      interrupt: (on) => this.#drive(on),
      await: (what, ns) => this.#await(what, ns),
      finish: (...result) => this.#finish(...result),
    });
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
    return this.#transfer.busy;
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
    this.#seeks.home();
    this.#specified = [0, 0];
    this.#locked = false;
    this.#restart();
  }

  /** The controller's own reset; with LOCK, the FIFO's configuration stays. */
  #restart(): void {
    this.#phase = "command";
    this.#command = [];
    this.#result = [];
    this.#transfer.restart();
    this.#seeks.restart();
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
        return (this.#interrupt ? 0x80 : 0) | 0x40 | (this.#seeks.tracks[this.#selected] === 0 ? 0 : 0x10);
      case 1: // status B: drive 0 select, motors
        return 0xc0 | (this.#selected === 0 ? 0x20 : 0) | ((this.#dor >> 4) & 3);
      case 2:
        return this.#dor;
      case OPERATION.specify:
        return this.#tape;
      case OPERATION.senseDriveStatus:
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
    const seeking = this.#seeks.moving;
    if (this.#phase === "result") return seeking | MSR_RQM | MSR_DIO | MSR_BUSY;
    if (this.#phase === "command") return seeking | MSR_RQM | (this.#command.length ? MSR_BUSY : 0);
    if (this.#byDma || !this.#transfer.ready) return seeking | MSR_BUSY | (this.#byDma ? 0 : MSR_NDMA);
    return seeking | MSR_RQM | MSR_NDMA | MSR_BUSY | (this.#transfer.reads ? MSR_DIO : 0);
  }

  #readData(): number {
    if (this.#byFifo && this.#transfer.reads) return this.#transfer.take();
    if (this.#phase !== "result") return 0;
    // The first byte read takes the interrupt back.
    this.#drive(false);
    const value = this.#result.shift() ?? 0;
    if (!this.#result.length) this.#phase = "command";
    return value;
  }

  #writeData(value: number): void {
    if (!(this.#dor & DOR_NOT_RESET)) return;
    if (this.#byFifo && !this.#transfer.reads) {
      this.#transfer.give(value);
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
    this.#transfer.drop();
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

  get #byDma(): boolean {
    return !(this.#specified[1] & 1) && this.#operation !== OPERATION.verify;
  }

  /** The guest moves bytes of a sector. */
  get #byFifo(): boolean {
    return this.#phase === "execution" && !this.#byDma && this.#transfer.ready;
  }

  #execute(): void {
    const [, first, second, third] = this.#command;
    switch (this.#operation) {
      case OPERATION.specify:
        this.#specified = [first, second];
        this.#finish();
        return;
      case OPERATION.senseDriveStatus:
        this.#finish(this.#status3());
        return;
      case OPERATION.recalibrate:
        this.#seek(0);
        return;
      case OPERATION.seek: // relative with bit 7, up with bit 6
        if (!(this.#command[0] & 0x80)) {
          this.#seek(second);
          return;
        }
        this.#seek(this.#seeks.tracks[first & 3] + (this.#command[0] & 0x40 ? second : -second));
        return;
      case OPERATION.senseInterruptStatus:
        this.#senseInterrupt();
        return;
      case OPERATION.dumpRegisters:
        this.#finish(
          ...this.#seeks.tracks,
          ...this.#specified,
          this.#format?.sectors ?? 0,
          (this.#locked ? 0x80 : 0) | this.#perpendicular,
          ...this.#configured,
        );
        return;
      case OPERATION.version: // an enhanced controller
        this.#finish(0x90);
        return;
      case OPERATION.perpendicularMode: // bits 5–2 count only with OW
        this.#perpendicular = first & 0x80 ? first & 0x3f : (this.#perpendicular & 0x3c) | (first & 3);
        this.#finish();
        return;
      case OPERATION.configure:
        this.#configured = [second, third];
        this.#finish();
        return;
      case OPERATION.lock: // UNLOCK, too
        this.#locked = (this.#command[0] & 0x80) !== 0;
        this.#finish(this.#locked ? 0x10 : 0);
        return;
      default:
        this.#phase = "execution";
        this.#transfer.begin(this.#unit === 0 && this.#motor ? this.#format : undefined, this.#rate);
        return;
    }
  }

  #status3(): number {
    const unit = this.#unit;
    const here = unit === 0;
    const protect = here && this.#medium?.readOnly ? 0x40 : 0;
    return 0x28 | protect | (here && this.#seeks.tracks[0] === 0 ? 0x10 : 0) | (this.#command[1] & 7);
  }

  #seek(track: number): void {
    this.#transfer.head = (this.#command[1] >> 2) & 1;
    const ns = this.#seeks.start(this.#unit, track, this.#operation === OPERATION.recalibrate);
    this.#finish();
    this.#await("seek", ns);
  }

  #senseInterrupt(): void {
    const sensed = this.#seeks.sense();
    if (sensed) this.#drive(false);
    this.#finish(...(sensed ?? [ST0_INVALID]));
  }

  #fire(): void {
    const what = this.#awaited;
    this.#awaited = "nothing";
    if (what === "reset") {
      // Unless polling is off.
      if (!(this.#configured[0] & 0x10)) this.#seeks.polled();
      this.#drive(true);
    } else if (what === "seek") {
      // A step with a disk in the drive takes the change line back.
      if (this.#seeks.arrive(this.#selected, this.#transfer.head) && this.#medium) this.#changed = false;
      this.#drive(true);
    } else if (what === "failure") this.#transfer.results(ST0_ABNORMAL, ST1_MISSING_MARK, 0);
    else if (what === "id") this.#transfer.results(0, 0, 0);
    else if (what === "sector") this.#transfer.sector();
  }

  /** The DMA channel was opened: a transfer may have waited for that. */
  dmaReady(): void {
    if (this.#phase === "execution" && this.#byDma && this.#awaited === "nothing") this.#transfer.dmaReady();
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
      ...this.#transfer.export(),
      ...this.#seeks.export(),
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
    this.#dor = s.dor;
    this.#rate = s.rate;
    this.#tape = s.tape;
    this.#phase = s.phase;
    this.#command = s.command;
    this.#result = s.result;
    this.#transfer.import(s);
    this.#seeks.import(s);
    this.#specified = s.specified;
    this.#configured = s.configured;
    this.#perpendicular = s.perpendicular;
    this.#locked = s.locked;
    this.#changed = s.changed;
    this.#await(s.awaited, s.left);
    this.#drive(s.interrupt);
  }
}
