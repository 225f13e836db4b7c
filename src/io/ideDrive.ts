/**
 * What a disk and a CD drive on an ATA cable have in common (ATA/ATAPI-6, T13/1410D): the command block registers, PIO data
 * transfers through a buffer, and DMA transfers through whoever masters the bus.
 *
 *     status   | BSY DRDY DF DSC | DRQ 0 0 ERR |      error   | ICRC UNC MC IDNF | MCR ABRT NM 0 |
 *     device   | 1 LBA 1 DEV | head or LBA 27:24 |
 *
 * Each of features, count and LBA low/mid/high keeps what was written before, for the 48-bit commands (6.20).
 *
 * A command that must wait for its medium leaves BSY set; the guest runs on meanwhile.
 */
import { whenDone } from "../block/block.ts";
import { ATA_STATUS, REGISTER } from "../shared/ide.ts";
import type { SnapshotFields } from "./snapshotFields.ts";

export const { BSY, DRDY, DF, DSC, DRQ, ERR } = ATA_STATUS;
export const ABRT = 0x04;
export const IDNF = 0x10;
export const UNC = 0x40;

export const LBA_MODE = 0x40;

/** How bytes get from a drive to memory or back. */
export type Transfer = "none" | "pio-in" | "pio-out" | "dma-in" | "dma-out";
const TRANSFERS: readonly Transfer[] = ["none", "pio-in", "pio-out", "dma-in", "dma-out"];
/** A command's buffer is no larger: 65,536 sectors of 512 bytes go in pieces. */
export const BUFFER_SIZE = 0x2_0000;

const NOTHING = new Uint8Array(0);

export interface IdeDriveV1 {
  version: 1;
  /** Feature, count, LBA low, mid, high: the last written, and the ones before. */
  registers: number[];
  previous: number[];
  device: number;
  status: number;
  error: number;
  transfer: Transfer;
  /** What is in the buffer, and how far the transfer has got. */
  buffer: Uint8Array;
  at: number;
}

/** The cable: what a drive calls. */
export interface IdeCable {
  /** Sets or clears the drive's INTRQ. */
  interrupt(drive: IdeDrive, asserted: boolean): void;
  /** The drive wants its buffer moved by DMA; the bus master calls `dma` when it is ready. */
  dmaRequest(drive: IdeDrive): void;
  /** Word 93 of its IDENTIFY data. */
  resetResult(drive: IdeDrive): number;
}

export abstract class IdeDrive {
  readonly registers = new Uint8Array(8);
  readonly previous = new Uint8Array(8);
  device = 0;
  status = DRDY | DSC;
  error = 1;
  transfer: Transfer = "none";
  buffer: Uint8Array = NOTHING;
  at = 0;
  protected cable: IdeCable | undefined;
  /** Counts commands and resets: what a medium answers to an earlier one is not wanted any more. */
  protected epoch = 0;
  #pending = 0;
  #room: Uint8Array | undefined;

  /** Carries out a command. */
  protected abstract command(code: number): void;
  /** The buffer was moved: the next one, or the end of the command. */
  protected abstract moved(): void;
  /** LBA low, mid, high after a reset or a diagnosis (ATA/ATAPI-6, 9.12). */
  abstract readonly signature: readonly [number, number];

  connect(cable: IdeCable): void {
    this.cable = cable;
  }

  protected get resetResult(): number {
    return this.cable?.resetResult(this) ?? 0;
  }

  /** A medium's answer is awaited. */
  get busy(): boolean {
    return this.#pending > 0;
  }

  /** Hardware or software reset; `error` 1 says that the diagnosis passed. */
  reset(): void {
    this.epoch++;
    this.registers.fill(0);
    this.previous.fill(0);
    this.sign();
    this.status = DRDY | DSC;
    this.stop();
    this.cable?.interrupt(this, false);
  }

  /** Puts the signature into the registers. */
  protected sign(): void {
    this.error = 1;
    this.registers[REGISTER.count] = this.registers[REGISTER.low] = 1;
    [this.registers[REGISTER.mid], this.registers[REGISTER.high]] = this.signature;
    this.device = 0;
  }

  write(register: number, value: number): void {
    if (this.status & (BSY | DRQ)) return;
    if (register === REGISTER.device) this.device = value;
    else {
      this.previous[register] = this.registers[register];
      this.registers[register] = value;
    }
  }

  execute(code: number): void {
    if (this.status & (BSY | DRQ) && code !== 0x08) return;
    this.cable?.interrupt(this, false);
    this.epoch++;
    this.error = 0;
    this.status = DRDY | DSC;
    this.stop();
    this.command(code);
  }

  /** Executes EXECUTE DEVICE DIAGNOSTIC (9.12), which both drives of a cable take. */
  diagnose(): void {
    this.epoch++;
    this.stop();
    this.sign();
    this.status = DRDY | DSC;
  }

  /** Moves up to `size` bytes (2 or 4) through the data register. */
  readData(size: number): number {
    if (this.transfer !== "pio-in") return 0xffff_ffff;
    const { buffer, at } = this;
    // Behind the end there are zeros.
    let value = buffer[at] | (buffer[at + 1] << 8);
    if (size === 4) value = (value | (buffer[at + 2] << 16) | (buffer[at + 3] << 24)) >>> 0;
    this.at = Math.min(at + size, buffer.length);
    if (this.at >= this.buffer.length) this.#end();
    return value;
  }

  writeData(size: number, value: number): void {
    if (this.transfer !== "pio-out") return;
    for (let i = 0; i < size && this.at < this.buffer.length; i++) this.buffer[this.at++] = value >>> (8 * i);
    if (this.at >= this.buffer.length) this.#end();
  }

  /** Bytes of the buffer that a DMA transfer moves next. `took` says how many it has moved. */
  dma(): Uint8Array | undefined {
    return this.transfer === "dma-in" || this.transfer === "dma-out" ? this.buffer.subarray(this.at) : undefined;
  }

  took(count: number): void {
    this.at += count;
    if (this.at >= this.buffer.length) this.#end();
  }

  #end(): void {
    this.status &= ~DRQ;
    this.transfer = "none";
    this.moved();
  }

  /** Offers the buffer. By PIO the guest hears of it by an interrupt, but for the first block of a write. */
  protected offer(transfer: Transfer, buffer: Uint8Array, interrupt = true): void {
    this.transfer = transfer;
    this.buffer = buffer;
    this.at = 0;
    this.status = (this.status & ~BSY) | DRDY | DRQ;
    if (transfer === "dma-in" || transfer === "dma-out") this.cable?.dmaRequest(this);
    else if (interrupt) this.cable?.interrupt(this, true);
  }

  /** The command has ended well. */
  protected done(): void {
    this.status = (this.status & ~(BSY | DRQ)) | DRDY | DSC;
    this.stop();
    this.cable?.interrupt(this, true);
  }

  /** The command has ended badly; `fault` is DF, or nothing. */
  protected fail(error: number, fault = 0): void {
    this.error = error;
    this.status = (this.status & ~(BSY | DRQ)) | DRDY | DSC | ERR | fault;
    this.stop();
    this.cable?.interrupt(this, true);
  }

  protected stop(): void {
    this.transfer = "none";
    this.buffer = NOTHING;
    this.at = 0;
  }

  /**
   * Room for the next buffer, with whatever is in it. It is the same each time, but while a medium may still write into
   * that for a command that was given up.
   */
  protected room(bytes: number): Uint8Array {
    if (this.busy) return new Uint8Array(bytes);
    this.#room ??= new Uint8Array(BUFFER_SIZE);
    return this.#room.subarray(0, bytes);
  }

  /** Waits for the medium, then goes on, unless a reset or another command came between. */
  protected wait(work: () => void | Promise<void>, then: (error?: unknown) => void): void {
    const { epoch } = this;
    this.status = (this.status & ~DRQ) | BSY;
    this.#pending++;
    whenDone(work, (error) => {
      this.#pending--;
      if (epoch === this.epoch) then(error);
    });
  }

  protected exportDrive(): IdeDriveV1 {
    const { device, status, error, transfer, at } = this;
    return {
      version: 1,
      registers: [...this.registers.subarray(1, 6)],
      previous: [...this.previous.subarray(1, 6)],
      device,
      status,
      error,
      transfer,
      buffer: this.buffer.slice(),
      at,
    };
  }

  protected checkDrive(from: SnapshotFields): () => void {
    from.version(1);
    const registers = from.intsOf("registers", 5, 0, 0xff);
    const previous = from.intsOf("previous", 5, 0, 0xff);
    const device = from.u8("device");
    const status = from.u8("status");
    const error = from.u8("error");
    const transfer = from.oneOf("transfer", TRANSFERS);
    const buffer = from.someBytes("buffer", BUFFER_SIZE).slice();
    const at = from.int("at", 0, buffer.length);
    return () => {
      this.epoch++;
      this.registers.set(registers, 1);
      this.previous.set(previous, 1);
      Object.assign(this, { device, status, error, transfer, buffer, at });
    };
  }
}
