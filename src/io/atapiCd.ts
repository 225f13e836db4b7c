/**
 * An ATAPI CD-ROM drive: ATA's PACKET feature set (ATA/ATAPI-6, 8.23 and 9.8) around the commands of MMC-3 and SPC-2 that
 * firmware and operating systems read a data disc by. Reads go by PIO or DMA, as the features register says.
 *
 *     interrupt reason (count register)   | . . . . . | REL | IO | CD |       CD: packet or status, IO: to the host
 *
 * Not there: audio, writing, raw sectors other than 2048 bytes of user data, more than one session and track.
 */
import type { BlockContentsV1, BlockSource } from "../block/block.ts";
import type { Log } from "../shared/device.ts";
import { REGISTER } from "../shared/ide.ts";
import * as mmc from "./atapiReplies.ts";
import { ABRT, BUFFER_SIZE, IdeDrive, type IdeDriveV1 } from "./ideDrive.ts";
import { identifyCd } from "./ideIdentify.ts";
import type { SnapshotFields } from "./snapshotFields.ts";

export const CD_SECTOR = 2048;
const PACKET_SIZE = 12;
const REASON_CD = 1;
const REASON_IO = 2;
/** Features register of PACKET: the data goes by DMA. */
const FEATURE_DMA = 1;

/** What the drive is in the middle of. */
type Phase = "idle" | "packet" | "data";
const PHASES: readonly Phase[] = ["idle", "packet", "data"];

export interface AtapiCdV1 {
  version: 1;
  drive: IdeDriveV1;
  phase: Phase;
  /** Sectors still to be read, and where. */
  lba: number;
  left: number;
  /** Reply bytes that no DRQ block has taken yet. */
  reply: Uint8Array;
  limit: number;
  byDma: boolean;
  sense: number[];
  attention: boolean;
  locked: boolean;
  mode: number;
  contents: BlockContentsV1 | undefined;
}

export class AtapiCd extends IdeDrive {
  readonly signature = [0x14, 0xeb] as const;
  readonly #serial: string;
  readonly #log: Log;
  #medium: BlockSource | undefined;
  #phase: Phase = "idle";
  #lba = 0;
  #left = 0;
  #reply: Uint8Array = new Uint8Array(0);
  /** Most bytes in one DRQ block. */
  #limit = 0;
  #byDma = false;
  /** Sense key, code, qualifier of the last command. */
  #sense: readonly number[] = mmc.NO_SENSE;
  /** The medium has been changed, and nobody has heard of it. */
  #attention: boolean;
  /** The last GET EVENT STATUS NOTIFICATION has not told of the change. */
  #event = false;
  #locked = false;
  #mode = 0x45;

  constructor(medium: BlockSource | undefined, serial: string, log: Log) {
    super();
    this.#serial = serial;
    this.#log = log;
    this.#medium = medium;
    this.#attention = medium !== undefined;
    this.sign();
    this.status = 0;
  }

  /** Puts another disc in, or takes it out. A read in flight ends with an error. */
  insert(medium: BlockSource | undefined): void {
    this.#medium = medium;
    this.#attention = true;
    this.#event = true;
    if (this.#left) {
      this.epoch++;
      this.#check(mmc.MEDIUM_CHANGED);
    }
    // A sector of the disc before may be none of this one's.
    this.#lba = 0;
  }

  private get sectors(): number {
    return this.#medium ? Math.ceil(this.#medium.size / CD_SECTOR) : 0;
  }

  override reset(): void {
    super.reset();
    this.status = 0;
    this.#idle();
    this.#locked = false;
    this.#sense = mmc.NO_SENSE;
  }

  override diagnose(): void {
    super.diagnose();
    this.status = 0;
    this.#idle();
  }

  #idle(): void {
    this.#phase = "idle";
    this.#left = 0;
    this.#reply = new Uint8Array(0);
  }

  protected command(code: number): void {
    this.#idle();
    switch (code) {
      case 0x08: // DEVICE RESET
        this.sign();
        this.status = 0;
        return;
      case 0xa0: // PACKET
        this.#byDma = (this.registers[REGISTER.feature] & FEATURE_DMA) !== 0;
        this.#limit = this.registers[REGISTER.mid] | (this.registers[REGISTER.high] << 8);
        this.#phase = "packet";
        this.registers[REGISTER.count] = REASON_CD;
        this.offer("pio-out", new Uint8Array(PACKET_SIZE), false);
        return;
      case 0xa1: // IDENTIFY PACKET DEVICE
        this.offer("pio-in", identifyCd(this.#serial, this.#mode, this.resetResult));
        return;
      case 0xec: // IDENTIFY DEVICE and READ SECTORS are refused with the signature (9.12)
      case 0x20:
      case 0x21:
        this.sign();
        this.fail(ABRT);
        return;
      case 0xe5: // CHECK POWER MODE
        this.registers[REGISTER.count] = 0xff;
        this.done();
        return;
      case 0xe0: // STANDBY IMMEDIATE, IDLE IMMEDIATE, SLEEP, FLUSH CACHE
      case 0xe1:
      case 0xe6:
      case 0xe7:
        this.done();
        return;
      case 0xef: {
        const [what, value] = [this.registers[REGISTER.feature], this.registers[REGISTER.count]];
        if (what !== 0x03) {
          this.fail(ABRT);
          return;
        }
        if (value >= 0x20) this.#mode = value;
        this.done();
        return;
      }
      default:
        this.#log(`atapi: command 0x${code.toString(16)} is not there`);
        this.fail(ABRT);
    }
  }

  protected moved(): void {
    if (this.#phase === "packet") {
      this.#packet(this.buffer.slice());
      return;
    }
    if (this.#phase === "idle") {
      this.stop();
      return;
    }
    if (this.#reply.length) this.#block();
    else if (this.#left) this.#read();
    else this.#good();
  }

  // The end of a packet command (9.8): the reason register says status, to the host.

  #good(): void {
    this.#idle();
    this.#sense = mmc.NO_SENSE;
    this.registers[REGISTER.count] = REASON_IO | REASON_CD;
    this.done();
  }

  #check(sense: readonly number[]): void {
    this.#idle();
    this.#sense = sense;
    this.registers[REGISTER.count] = REASON_IO | REASON_CD;
    this.fail(sense[0] << 4 || ABRT);
  }

  /** Sends a reply, cut to what the packet allows. */
  #answer(reply: Uint8Array, allocated: number): void {
    this.#reply = reply.subarray(0, Math.min(reply.length, allocated));
    this.#phase = "data";
    if (this.#reply.length) this.#block();
    else this.#good();
  }

  /** The next part of the reply, as large as the host takes. An odd limit counts only for the last part. */
  #block(): void {
    if (this.#byDma) {
      const reply = this.#reply;
      this.#reply = new Uint8Array(0);
      this.registers[REGISTER.count] = REASON_IO;
      this.offer("dma-in", reply);
      return;
    }
    let limit = this.#limit || 0xfffe;
    if (limit < this.#reply.length) limit = Math.max(limit & ~1, 2);
    const part = this.#reply.slice(0, limit);
    this.#reply = this.#reply.subarray(part.length);
    this.registers[REGISTER.mid] = part.length;
    this.registers[REGISTER.high] = part.length >>> 8;
    this.registers[REGISTER.count] = REASON_IO;
    this.offer("pio-in", part);
  }

  #read(): void {
    const medium = this.#medium as BlockSource;
    const count = Math.min(this.#left, BUFFER_SIZE / CD_SECTOR);
    const into = new Uint8Array(count * CD_SECTOR);
    const from = this.#lba * CD_SECTOR;
    // The last sector of an image may be cut off: the rest of it is zeros.
    this.wait(
      () => medium.read(from, into.subarray(0, Math.min(into.length, medium.size - from))),
      (error) => {
        if (error) {
          this.#log(`atapi: ${error instanceof Error ? error.message : String(error)}`);
          return this.#check(mmc.READ_ERROR);
        }
        this.#lba += count;
        this.#left -= count;
        this.#reply = into;
        this.#block();
      },
    );
  }

  #packet(p: Uint8Array): void {
    const be16 = (at: number) => (p[at] << 8) | p[at + 1];
    const be32 = (at: number) => (be16(at) * 0x1_0000 + be16(at + 2)) >>> 0;
    const code = p[0];
    // A change is told once, to whoever asks something that needs the medium (SPC-2, 5.6.1).
    if (this.#attention && code !== 0x12 && code !== 0x03 && code !== 0x4a && code !== 0x46) {
      this.#attention = false;
      this.#check(this.#medium ? mmc.MEDIUM_CHANGED : mmc.NO_MEDIUM);
      return;
    }
    const needsMedium = mmc.NEEDS_MEDIUM.has(code);
    if (needsMedium && !this.#medium) {
      this.#check(mmc.NO_MEDIUM);
      return;
    }
    switch (code) {
      case 0x00: // TEST UNIT READY
        this.#good();
        return;
      case 0x03: {
        // REQUEST SENSE
        const sense = this.#sense;
        this.#sense = mmc.NO_SENSE;
        this.#answer(mmc.senseData(sense), p[4]);
        return;
      }
      case 0x12: // INQUIRY
        if (p[1] & 1) this.#check(mmc.INVALID_FIELD);
        else this.#answer(mmc.inquiry(), be16(3));
        return;
      case 0x1b: // START STOP UNIT: load and eject are the user's
        if ((p[4] & 3) === 2 && this.#locked) this.#check(mmc.REMOVAL_PREVENTED);
        else this.#good();
        return;
      case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
        this.#locked = (p[4] & 1) !== 0;
        this.#good();
        return;
      case 0x25: // READ CAPACITY
        this.#answer(mmc.capacity(this.sectors), 8);
        return;
      case 0x28: // READ (10)
        this.#start(be32(2), be16(7));
        return;
      case 0xa8: // READ (12)
        this.#start(be32(2), be32(6));
        return;
      case 0xbe: {
        // READ CD: user data of mode 1 and nothing else, or nothing at all
        const count = p[6] * 0x1_0000 + be16(7);
        if ((p[9] & 0xf8) === 0 || count === 0) {
          this.#good();
          return;
        }
        if ((p[9] & 0xf8) === 0x10) this.#start(be32(2), count);
        else this.#check(mmc.INVALID_FIELD);
        return;
      }
      case 0x2b: // SEEK (10)
        if (be32(2) < this.sectors) this.#good();
        else this.#check(mmc.OUT_OF_RANGE);
        return;
      case 0x43: {
        // READ TOC: the format is in byte 2, or (SFF-8020) in the upper bits of byte 9
        const toc = mmc.toc(p[2] & 15 || p[9] >> 6, p[6], (p[1] & 2) !== 0, this.sectors);
        if (toc) this.#answer(toc, be16(7));
        else this.#check(mmc.INVALID_FIELD);
        return;
      }
      case 0x46: // GET CONFIGURATION
        this.#answer(mmc.configuration(this.#medium !== undefined), be16(7));
        return;
      case 0x4a: {
        // GET EVENT STATUS NOTIFICATION, polled
        if (!(p[1] & 1)) {
          this.#check(mmc.INVALID_FIELD);
          return;
        }
        const event = this.#event;
        this.#event = false;
        this.#answer(mmc.mediaEvent((p[4] & 0x10) !== 0, event, this.#medium !== undefined), be16(7));
        return;
      }
      case 0x51: // READ DISC INFORMATION
        this.#answer(mmc.discInformation(), be16(7));
        return;
      case 0x5a: {
        // MODE SENSE (10)
        const page = mmc.modePage(p[2] & 0x3f, this.#medium !== undefined, this.#locked);
        if (page) this.#answer(page, be16(7));
        else this.#check(mmc.INVALID_FIELD);
        return;
      }
      case 0xbd: // MECHANISM STATUS
        this.#answer(new Uint8Array(8), be16(8));
        return;
      default:
        this.#log(`atapi: packet command 0x${code.toString(16)} is not there`);
        this.#check(mmc.INVALID_COMMAND);
    }
  }

  #start(lba: number, count: number): void {
    if (lba + count > this.sectors) {
      this.#check(mmc.OUT_OF_RANGE);
      return;
    }
    if (!count) {
      this.#good();
      return;
    }
    this.#lba = lba;
    this.#left = count;
    this.#phase = "data";
    this.#read();
  }

  export(): AtapiCdV1 {
    return {
      version: 1,
      drive: this.exportDrive(),
      phase: this.#phase,
      lba: this.#lba,
      left: this.#left,
      reply: this.#reply.slice(),
      limit: this.#limit,
      byDma: this.#byDma,
      sense: [...this.#sense],
      attention: this.#attention,
      locked: this.#locked,
      mode: this.#mode,
      contents: this.#medium?.export?.(),
    };
  }

  check(from: SnapshotFields, state: AtapiCdV1): () => void {
    from.version(1);
    const drive = this.checkDrive(from.child("drive"));
    const phase = from.oneOf("phase", PHASES);
    const lba = from.int("lba", 0, Math.max(this.sectors, 0));
    const left = from.int("left", 0, this.sectors - lba);
    const reply = from.someBytes("reply", BUFFER_SIZE).slice();
    const limit = from.int("limit", 0, 0xffff);
    const byDma = from.bool("byDma");
    const sense = from.intsOf("sense", 3, 0, 0xff);
    const attention = from.bool("attention");
    const locked = from.bool("locked");
    const mode = from.u8("mode");
    if (phase === "packet" && state.drive.buffer.length !== PACKET_SIZE) from.fail("drive.buffer", "is no packet");
    return () => {
      drive();
      this.#phase = phase;
      this.#lba = lba;
      this.#left = left;
      this.#reply = reply;
      this.#limit = limit;
      this.#byDma = byDma;
      this.#sense = sense;
      this.#attention = attention;
      this.#locked = locked;
      this.#mode = mode;
    };
  }
}
