/**
 * An ATA hard disk (ATA/ATAPI-6, T13/1410D, chapter 8): general feature set, 28-bit and 48-bit addresses, cylinders, heads and
 * sectors, READ/WRITE MULTIPLE, multiword and Ultra DMA, write cache with FLUSH CACHE.
 *
 * Not there: queued commands, SMART, security, host protected area, APM: they are aborted, and IDENTIFY DEVICE says so.
 * A read takes no longer than its source does.
 */
import type { BlockContentsV1, BlockSource } from "../block/block.ts";
import { checkContents } from "../block/contents.ts";
import type { Log } from "../shared/device.ts";
import { REGISTER } from "../shared/ide.ts";
import { ABRT, BUFFER_SIZE, DF, IDNF, IdeDrive, type IdeDriveV1, LBA_MODE, type Transfer, UNC } from "./ideDrive.ts";
import { geometry, identifyDisk } from "./ideIdentify.ts";
import type { SnapshotFields } from "./snapshotFields.ts";

export const SECTOR = 512;
/** Most sectors that a block of READ MULTIPLE has. */
export const MAX_MULTIPLE = 16;
const MAX_LBA28 = 0xfff_ffff;

export interface AtaDiskV1 {
  version: 1;
  drive: IdeDriveV1;
  /** Sectors of the command that are still to be moved, and where; sectors in one buffer. */
  lba: number;
  left: number;
  block: number;
  multiple: number;
  heads: number;
  sectors: number;
  wide: boolean;
  mode: number;
  cache: boolean;
  contents: BlockContentsV1 | undefined;
}

export class AtaDisk extends IdeDrive {
  readonly signature = [0, 0] as const;
  readonly total: number;
  readonly #source: BlockSource;
  readonly #serial: string;
  readonly #log: Log;
  #lba = 0;
  #left = 0;
  /** Sectors in one DRQ block of the command. */
  #block = 1;
  #multiple = 0;
  #heads: number;
  #sectors: number;
  /** The command has a 48-bit address. */
  #wide = false;
  /** Transfer mode as SET FEATURES takes it; Ultra DMA 5 until it does. */
  #mode = 0x45;
  #cache = true;
  /** Sectors of the command that were read with those that were offered, and where they begin: sources may take their time. */
  #ahead = new Uint8Array(0);
  #aheadLba = 0;

  /** A last part of a sector is not seen. */
  constructor(source: BlockSource, serial: string, log: Log) {
    super();
    this.#source = source;
    this.#serial = serial;
    this.#log = log;
    this.total = Math.floor(source.size / SECTOR);
    ({ heads: this.#heads, sectors: this.#sectors } = geometry(this.total));
    this.sign();
  }

  override reset(): void {
    super.reset();
    this.#left = 0;
    this.#multiple = 0;
  }

  protected command(code: number): void {
    this.#how = "none";
    this.#left = 0;
    this.#ahead = new Uint8Array(0);
    switch (code) {
      case 0x20: // READ SECTORS, with and without retry
      case 0x21:
        this.#start("pio-in", false, 1);
        return;
      case 0x24: // READ SECTORS EXT
        this.#start("pio-in", true, 1);
        return;
      case 0x29: // READ MULTIPLE EXT
        this.#many("pio-in", true);
        return;
      case 0xc4: // READ MULTIPLE
        this.#many("pio-in", false);
        return;
      case 0x30: // WRITE SECTORS
      case 0x31:
        this.#start("pio-out", false, 1);
        return;
      case 0x34: // WRITE SECTORS EXT
        this.#start("pio-out", true, 1);
        return;
      case 0x39: // WRITE MULTIPLE EXT
        this.#many("pio-out", true);
        return;
      case 0xc5: // WRITE MULTIPLE
        this.#many("pio-out", false);
        return;
      case 0x25: // READ DMA EXT
        this.#start("dma-in", true, BUFFER_SIZE / SECTOR);
        return;
      case 0xc8: // READ DMA
      case 0xc9:
        this.#start("dma-in", false, BUFFER_SIZE / SECTOR);
        return;
      case 0x35: // WRITE DMA EXT
        this.#start("dma-out", true, BUFFER_SIZE / SECTOR);
        return;
      case 0xca: // WRITE DMA
      case 0xcb:
        this.#start("dma-out", false, BUFFER_SIZE / SECTOR);
        return;
      case 0x40: // READ VERIFY SECTORS
      case 0x41:
      case 0x42: // READ VERIFY SECTORS EXT
        this.#verify(code === 0x42);
        return;
      case 0x70: // SEEK
        if (this.#position(false) === undefined) this.fail(IDNF);
        else this.done();
        return;
      case 0x91: // INITIALIZE DEVICE PARAMETERS
        if (!this.registers[REGISTER.count]) {
          this.fail(ABRT);
          return;
        }
        this.#heads = (this.device & 0x0f) + 1;
        this.#sectors = this.registers[REGISTER.count];
        this.done();
        return;
      case 0xc6: // SET MULTIPLE MODE
        this.#setMultiple(this.registers[REGISTER.count]);
        return;
      case 0xe5: // CHECK POWER MODE: active or idle
      case 0x98:
        this.registers[REGISTER.count] = 0xff;
        this.done();
        return;
      case 0xe0: // STANDBY IMMEDIATE, IDLE IMMEDIATE, STANDBY, IDLE, SLEEP
      case 0xe1:
      case 0xe2:
      case 0xe3:
      case 0xe6:
        this.done();
        return;
      case 0xe7: // FLUSH CACHE
      case 0xea: // FLUSH CACHE EXT
        this.wait(
          () => this.#source.flush(),
          (error) => (error ? this.#broken(error) : this.done()),
        );
        return;
      case 0xec: // IDENTIFY DEVICE
        this.#how = "pio-in";
        this.offer("pio-in", this.#identify());
        return;
      case 0xef: // SET FEATURES
        this.#setFeatures();
        return;
      default:
        // RECALIBRATE
        if (code >> 4 === 1) {
          this.done();
          return;
        }
        this.#log(`ata: command 0x${code.toString(16)} is not there`);
        this.fail(ABRT);
    }
  }

  protected moved(): void {
    if (this.buffer.length && this.#out) {
      const { buffer } = this;
      const lba = this.#lba;
      const count = buffer.length / SECTOR;
      this.wait(
        () => this.#source.write(lba * SECTOR, buffer),
        (error) => {
          if (error) return this.#broken(error);
          this.#advance(count);
          if (this.#left) this.offer(this.#how, this.room(this.#piece() * SECTOR));
          else this.done();
        },
      );
      return;
    }
    if (this.#left) this.#advance(this.buffer.length / SECTOR);
    if (this.#left) this.#fetch();
    // By PIO, the guest has heard of this block already; by DMA, the interrupt tells the end.
    else if (this.#how === "dma-in") this.done();
    else this.stop();
  }

  #how: Transfer = "none";
  get #out(): boolean {
    return this.#how === "pio-out" || this.#how === "dma-out";
  }

  #many(how: Transfer, wide: boolean): void {
    if (this.#multiple) this.#start(how, wide, this.#multiple);
    else this.fail(ABRT);
  }

  #start(how: Transfer, wide: boolean, block: number): void {
    const lba = this.#position(wide);
    const count = this.#count(wide);
    if (lba === undefined || lba + count > this.total) {
      this.fail(IDNF);
      return;
    }
    const out = how === "pio-out" || how === "dma-out";
    if (out && this.#source.readOnly) {
      this.#log("ata: write to a disk that cannot be written");
      this.fail(ABRT);
      return;
    }
    this.#how = how;
    this.#lba = lba;
    this.#left = count;
    this.#block = block;
    this.#wide = wide;
    if (out) this.offer(how, this.room(this.#piece() * SECTOR), false);
    else this.#fetch();
  }

  /** Sectors of the next buffer. */
  #piece(): number {
    return Math.min(this.#left, this.#block);
  }

  #fetch(): void {
    const into = this.room(this.#piece() * SECTOR);
    const lba = this.#lba;
    const from = (lba - this.#aheadLba) * SECTOR;
    if (from >= 0 && from + into.length <= this.#ahead.length) {
      into.set(this.#ahead.subarray(from, from + into.length));
      this.offer(this.#how, into);
      return;
    }
    const most = Math.min(this.#left * SECTOR, BUFFER_SIZE);
    if (most <= into.length) {
      this.#fetchOnly(into);
      return;
    }
    const ahead = new Uint8Array(most);
    this.wait(
      () => this.#source.read(lba * SECTOR, ahead),
      (error) => {
        // Which sector it is that cannot be read shows when they are read by themselves.
        if (error) return this.#fetchOnly(into);
        this.#ahead = ahead;
        this.#aheadLba = lba;
        this.#fetch();
      },
    );
  }

  #fetchOnly(into: Uint8Array): void {
    const lba = this.#lba;
    this.wait(
      () => this.#source.read(lba * SECTOR, into),
      (error) => (error ? this.#broken(error) : this.offer(this.#how, into)),
    );
  }

  #verify(wide: boolean): void {
    const lba = this.#position(wide);
    if (lba === undefined || lba + this.#count(wide) > this.total) this.fail(IDNF);
    else this.done();
  }

  /**
   * The medium has failed: uncorrectable data on a read, a device fault where something was to be written. FLUSH CACHE knows
   * no UNC, either (8.12.6).
   */
  #broken(error: unknown): void {
    this.#log(`ata: ${error instanceof Error ? error.message : String(error)}`);
    // FLUSH CACHE is at no sector.
    if (this.#left) this.#show();
    if (this.#how === "pio-in" || this.#how === "dma-in") this.fail(UNC);
    else this.fail(ABRT, DF);
  }

  #advance(count: number): void {
    this.#lba += count;
    this.#left -= count;
    this.#show();
  }

  /** After a command the address registers name the last sector that was dealt with. */
  #show(): void {
    const last = this.#left ? this.#lba : this.#lba - 1;
    const { registers, previous } = this;
    if (this.#wide || this.device & LBA_MODE) {
      registers[REGISTER.low] = last;
      registers[REGISTER.mid] = last >>> 8;
      registers[REGISTER.high] = last >>> 16;
      if (this.#wide) {
        previous[REGISTER.low] = last >>> 24;
        previous[REGISTER.mid] = Math.floor(last / 2 ** 32);
        previous[REGISTER.high] = Math.floor(last / 2 ** 40);
      } else this.device = (this.device & 0xf0) | ((last >>> 24) & 15);
    } else {
      const track = Math.floor(last / this.#sectors);
      const cylinder = Math.floor(track / this.#heads);
      registers[REGISTER.low] = (last % this.#sectors) + 1;
      registers[REGISTER.mid] = cylinder;
      registers[REGISTER.high] = cylinder >>> 8;
      this.device = (this.device & 0xf0) | (track % this.#heads);
    }
    registers[REGISTER.count] = this.#left;
    if (this.#wide) previous[REGISTER.count] = this.#left >>> 8;
  }

  #count(wide: boolean): number {
    const low = this.registers[REGISTER.count];
    if (!wide) return low || 256;
    return low | (this.previous[REGISTER.count] << 8) || 65_536;
  }

  #position(wide: boolean): number | undefined {
    const { registers: r, previous: p } = this;
    const low = r[REGISTER.low] + r[REGISTER.mid] * 2 ** 8 + r[REGISTER.high] * 2 ** 16;
    if (wide) return low + p[REGISTER.low] * 2 ** 24 + p[REGISTER.mid] * 2 ** 32 + p[REGISTER.high] * 2 ** 40;
    if (this.device & LBA_MODE) return low + (this.device & 15) * 2 ** 24;
    const sector = r[REGISTER.low];
    const head = this.device & 15;
    if (!sector || sector > this.#sectors || head >= this.#heads) return undefined;
    return ((r[REGISTER.mid] + r[REGISTER.high] * 256) * this.#heads + head) * this.#sectors + sector - 1;
  }

  #setMultiple(count: number): void {
    if (count > MAX_MULTIPLE || count & (count - 1)) {
      this.#multiple = 0;
      this.fail(ABRT);
      return;
    }
    this.#multiple = count;
    this.done();
  }

  #setFeatures(): void {
    const what = this.registers[REGISTER.feature];
    const value = this.registers[REGISTER.count];
    if (what === 0x03) {
      // Default PIO, PIO flow control 0–4, multiword DMA 0–2, Ultra DMA 0–5.
      const ok =
        value <= 1 || (value & 0xf8) === 8 || (value >= 0x20 && value <= 0x22) || (value >= 0x40 && value <= 0x45);
      if (!ok) {
        this.fail(ABRT);
        return;
      }
      if (value >= 0x20) this.#mode = value;
    } else if (what === 0x02 || what === 0x82) this.#cache = what === 0x02;
    // Look-ahead on and off; defaults after a software reset: kept or not, nothing depends on it.
    else if (what !== 0xaa && what !== 0x55 && what !== 0x66 && what !== 0xcc) {
      this.fail(ABRT);
      return;
    }
    this.done();
  }

  #identify(): Uint8Array {
    return identifyDisk({
      total: this.total,
      max28: MAX_LBA28,
      serial: this.#serial,
      mode: this.#mode,
      multiple: this.#multiple,
      maxMultiple: MAX_MULTIPLE,
      heads: this.#heads,
      sectors: this.#sectors,
      cache: this.#cache,
      resetResult: this.resetResult,
    });
  }

  export(): AtaDiskV1 {
    return {
      version: 1,
      drive: this.exportDrive(),
      lba: this.#lba,
      left: this.#left,
      block: this.#block,
      multiple: this.#multiple,
      heads: this.#heads,
      sectors: this.#sectors,
      wide: this.#wide,
      mode: this.#mode,
      cache: this.#cache,
      contents: this.#source.export?.(),
    };
  }

  /** Checks a state; the result puts it in. */
  check(from: SnapshotFields, state: AtaDiskV1): () => void {
    from.version(1);
    const drive = this.checkDrive(from.child("drive"));
    const lba = from.int("lba", 0, this.total);
    const left = from.int("left", 0, Math.min(65_536, this.total - lba));
    const block = from.int("block", 1, BUFFER_SIZE / SECTOR);
    const multiple = from.int("multiple", 0, MAX_MULTIPLE);
    const heads = from.int("heads", 1, 16);
    const sectors = from.int("sectors", 1, 255);
    const wide = from.bool("wide");
    const mode = from.u8("mode");
    const cache = from.bool("cache");
    const { transfer, buffer } = state.drive;
    if (transfer !== "none" && left && buffer.length !== Math.min(left, block) * SECTOR) {
      from.fail("drive.buffer", "not what is left of the command");
    }
    const contents = checkContents(from, state.contents, this.#source);
    return () => {
      contents();
      drive();
      this.#ahead = new Uint8Array(0);
      this.#how = transfer;
      this.#lba = lba;
      this.#left = left;
      this.#block = block;
      this.#multiple = multiple;
      this.#heads = heads;
      this.#sectors = sectors;
      this.#wide = wide;
      this.#mode = mode;
      this.#cache = cache;
    };
  }
}
