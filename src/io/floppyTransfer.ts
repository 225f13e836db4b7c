/**
 * A floppy controller's data commands: sectors between the disk and memory, by DMA or through the FIFO (82077AA, 5.1).
 *
 * A command begins at the sector that it names and goes on until terminal count, or the track's last sector.
 */
import { type BlockSource, whenDone } from "../block/block.ts";
import type { Log } from "../shared/device.ts";
import type { DmaChannel } from "./dma8237.ts";
import type { FloppyFormat } from "./floppyFormat.ts";
import {
  type Awaited,
  NO_DISK_NS,
  OPERATION,
  SECTOR,
  SECTOR_NS,
  ST0_ABNORMAL,
  ST1_CRC,
  ST1_END_OF_CYLINDER,
  ST1_MISSING_MARK,
  ST1_NO_DATA,
  ST1_NOT_WRITABLE,
} from "./floppyState.ts";

/** Commands whose data comes from the disk. */
const READS: readonly number[] = [OPERATION.readTrack, OPERATION.read, OPERATION.readDeleted, OPERATION.verify];

/** The rest of the controller, as a transfer needs it. */
export interface FloppyParts {
  readonly dma: DmaChannel;
  readonly log: Log;
  /** Bytes of the command that is executed. */
  command(): readonly number[];
  /** Data goes by DMA. */
  byDma(): boolean;
  disk(): { readonly medium: BlockSource | undefined; readonly format: FloppyFormat | undefined };
  /** Where drive 0's head is. */
  track(): number;
  interrupt(on: boolean): void;
  await(what: Awaited, ns: bigint): void;
  /** Ends the command. */
  finish(...result: number[]): void;
}

export class FloppyTransfer {
  readonly #parts: FloppyParts;
  /** Sector being moved; the head is where SEEK leaves it, too. */
  #cylinder = 0;
  head = 0;
  #record = 0;
  /** The sector itself, and how much of it has been moved. */
  #buffer = new Uint8Array(0);
  #moved = 0;
  #waiting = 0;
  #epoch = 0;

  constructor(parts: FloppyParts) {
    this.#parts = parts;
  }

  /** A medium's answer is awaited. */
  get busy(): boolean {
    return this.#waiting > 0;
  }

  /** Bytes are in the FIFO, or wanted there. */
  get ready(): boolean {
    return this.#buffer.length > 0;
  }

  get reads(): boolean {
    return READS.includes(this.#operation);
  }

  /** Answers that are on their way are not for what comes now. */
  restart(): void {
    this.#epoch++;
    this.drop();
  }

  /** Nothing is in the FIFO any more. */
  drop(): void {
    this.#buffer = new Uint8Array(0);
    this.#moved = 0;
  }

  /** The guest takes a byte from the FIFO. */
  take(): number {
    const value = this.#buffer[this.#moved++];
    if (this.#moved === this.#buffer.length) this.#sectorDone(false);
    return value;
  }

  /** The guest puts a byte into the FIFO. */
  give(value: number): void {
    this.#buffer[this.#moved++] = value;
    if (this.#moved === this.#buffer.length) this.#put();
  }

  get #operation(): number {
    return this.#parts.command()[0] & 0x1f;
  }

  /** Begins the command. @param format of the disk under a turning motor, if there is one; @param rate that is set */
  begin(format: FloppyFormat | undefined, rate: number): void {
    const [, drive, cylinder, head, record] = this.#parts.command();
    const operation = this.#operation;
    const track = this.#parts.track();
    const side = (drive >> 2) & 1;
    const unnamed = operation === OPERATION.readId || operation === OPERATION.format;
    this.#cylinder = unnamed ? track : cylinder;
    this.head = unnamed ? side : head & 1;
    this.#record = unnamed || operation === OPERATION.readTrack ? 1 : record;
    if (!format || format.rate !== rate || side >= format.heads || track >= format.cylinders) {
      this.#parts.await("failure", NO_DISK_NS);
      return;
    }
    if (operation === OPERATION.readId) {
      this.#parts.await("id", SECTOR_NS);
      return;
    }
    if (!this.reads && this.#parts.disk().medium?.readOnly) {
      this.results(ST0_ABNORMAL, ST1_NOT_WRITABLE, 0);
      return;
    }
    this.#parts.await("sector", SECTOR_NS);
  }

  /** Offset of the current sector; undefined: there is none of that name under the head. */
  #place(cylinder = this.#cylinder, head = this.head, record = this.#record): number | undefined {
    const { format } = this.#parts.disk();
    if (!format || cylinder !== this.#parts.track() || cylinder >= format.cylinders) return undefined;
    if (head >= format.heads || record < 1 || record > format.sectors) return undefined;
    if (this.#operation !== OPERATION.format && this.#parts.command()[5] !== 2) return undefined;
    return ((cylinder * format.heads + head) * format.sectors + record - 1) * SECTOR;
  }

  /** The next sector comes under the head. */
  sector(): void {
    const { medium } = this.#parts.disk();
    if (this.#operation === OPERATION.format) {
      this.#formatSector();
      return;
    }
    const place = this.#place();
    if (!medium || place === undefined) {
      this.results(ST0_ABNORMAL, medium ? ST1_NO_DATA : ST1_MISSING_MARK, 0);
      return;
    }
    if (!this.reads) {
      this.#buffer = new Uint8Array(SECTOR);
      this.#moved = 0;
      if (!this.#parts.byDma()) this.#parts.interrupt(true);
      else if (this.#parts.dma.ready(false)) this.#fromMemory();
      return;
    }
    const buffer = new Uint8Array(SECTOR);
    this.#wait(
      () => medium.read(place, buffer),
      () => {
        this.#moved = 0;
        this.#buffer = buffer;
        if (this.#operation === OPERATION.verify) this.#sectorDone(false);
        else if (!this.#parts.byDma()) this.#parts.interrupt(true);
        else if (this.#parts.dma.ready(true)) this.#toMemory();
      },
    );
  }

  /** The DMA channel was opened: a transfer may have waited for that. */
  dmaReady(): void {
    if (!this.ready) return;
    if (this.#operation === OPERATION.format) this.#formatSector();
    else if (this.reads) {
      if (this.#parts.dma.ready(true)) this.#toMemory();
    } else if (this.#parts.dma.ready(false)) this.#fromMemory();
  }

  #toMemory(): void {
    const { dma } = this.#parts;
    const count = Math.min(dma.ready(true), this.#buffer.length - this.#moved);
    const end = dma.write(this.#buffer.subarray(this.#moved, this.#moved + count));
    this.#moved += count;
    if (end || this.#moved === this.#buffer.length) this.#sectorDone(end);
  }

  #fromMemory(): void {
    const { dma } = this.#parts;
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
    const { medium } = this.#parts.disk();
    this.#buffer = new Uint8Array(0);
    if (!medium || place === undefined) {
      this.results(ST0_ABNORMAL, ST1_NO_DATA, 0);
      return;
    }
    this.#wait(
      () => medium.write(place, buffer),
      () => this.#sectorDone(end),
    );
  }

  #sectorDone(end: boolean): void {
    this.drop();
    if (!this.#parts.byDma()) this.#parts.interrupt(false);
    const command = this.#parts.command();
    const last = this.#record >= command[6];
    if (this.#operation === OPERATION.readTrack) {
      // READ TRACK counts sectors, whatever they are called.
      this.#record++;
      if (end || last) this.results(end ? 0 : ST0_ABNORMAL, end ? 0 : ST1_END_OF_CYLINDER, 0);
      else this.#parts.await("sector", SECTOR_NS);
      return;
    }
    const both = (command[0] & 0x80) !== 0;
    const other = last && both && this.head === 0;
    // What the results name: the sector after the last one (datasheet, table 5-2).
    if (!last) this.#record++;
    else {
      this.#record = 1;
      if (!both || this.head === 1) this.#cylinder++;
      if (both) this.head ^= 1;
    }
    if (end) this.results(0, 0, 0);
    else if (last && !other) {
      const verified = this.#operation === OPERATION.verify;
      this.results(verified ? 0 : ST0_ABNORMAL, verified ? 0 : ST1_END_OF_CYLINDER, 0);
    } else this.#parts.await("sector", SECTOR_NS);
  }

  /** FORMAT TRACK: four bytes name each sector, which is filled with the last byte of the command. */
  #formatSector(): void {
    const [, , size, count, , filler] = this.#parts.command();
    const { dma } = this.#parts;
    const byDma = this.#parts.byDma();
    const names = new Uint8Array(4);
    if (byDma) {
      this.#buffer = names;
      if (dma.ready(false) < 4) return;
    }
    const end = byDma ? dma.read(names) : false;
    const [cylinder, head, record] = names;
    const place = size === 2 ? this.#place(cylinder, head & 1, record) : undefined;
    const { medium } = this.#parts.disk();
    if (!medium || place === undefined) {
      this.results(ST0_ABNORMAL, ST1_NO_DATA, 0);
      return;
    }
    this.#wait(
      () => medium.write(place, new Uint8Array(SECTOR).fill(filler)),
      () => {
        this.#buffer = new Uint8Array(0);
        if (end || this.#record++ >= count) this.results(0, 0, 0);
        else this.#parts.await("sector", SECTOR_NS);
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
      this.#parts.log(`floppy: ${error instanceof Error ? error.message : String(error)}`);
      this.results(ST0_ABNORMAL, ST1_CRC, ST1_CRC);
    });
  }

  /** The seven result bytes of a data command. */
  results(status0: number, status1: number, status2: number): void {
    const unit = this.#parts.command()[1] & 7;
    this.#parts.finish(status0 | unit, status1, status2, this.#cylinder, this.head, this.#record, 2);
    this.#parts.interrupt(true);
  }

  export(): { at: number[]; buffer: Uint8Array<ArrayBuffer>; moved: number } {
    return { at: [this.#cylinder, this.head, this.#record], buffer: this.#buffer.slice(), moved: this.#moved };
  }

  /** @param state checked */
  import({ at, buffer, moved }: ReturnType<FloppyTransfer["export"]>): void {
    this.#epoch++;
    [this.#cylinder, this.head, this.#record] = at;
    this.#buffer = buffer;
    this.#moved = moved;
  }
}
