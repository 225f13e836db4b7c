/**
 * The NVM command set (NVM Express 1.4, 6) of one namespace over a BlockSource: Read, Write, Write Zeroes, Flush, and Dataset
 * Management where the source can forget.
 */
import { type BlockSource, whenDone } from "../../block/block.ts";
import type { GuestMemory, Log } from "../../shared/device.ts";
import { Buffers } from "../buffers.ts";
import { gather, scatter } from "../pieces.ts";
import { type Command, MAX_TRANSFER, NVM, SECTOR, STATUS } from "./nvmeRegs.ts";
import { prpPieces } from "./prp.ts";

const NAMESPACE = 1;
const EVERY_NAMESPACE = 0xffff_ffff;
const FUA = 1 << 30;
/** Dataset Management: bytes of a range, and the attribute that deallocates. */
const RANGE = 16;
const DEALLOCATE = 4;

export class NvmCommands {
  readonly source: BlockSource;
  /** Whole sectors; a last part of one is not seen. */
  readonly sectors: number;
  /** Feature 06h: what is written may stay in a cache until Flush. */
  cache = true;
  readonly #buffers = new Buffers();
  readonly #memory: GuestMemory;
  readonly #log: Log;

  constructor(source: BlockSource, memory: GuestMemory, log: Log) {
    this.source = source;
    this.sectors = Math.floor(source.size / SECTOR);
    this.#memory = memory;
    this.#log = log;
  }

  /**
   * Does a command; `done` hears its status, now or later.
   * @param wanted the command has not been dropped: its data may still be written to guest memory
   * @returns bytes that it moves
   */
  execute(command: Command, wanted: () => boolean, done: (status: number) => void): number {
    const { opcode, nsid } = command;
    if (nsid !== NAMESPACE && !(opcode === NVM.flush && nsid === EVERY_NAMESPACE)) {
      done(STATUS.invalidNamespace);
      return 0;
    }
    if (opcode === NVM.flush) {
      this.#when(() => this.source.flush(), STATUS.writeFault, done);
      return 0;
    }
    if (opcode === NVM.datasetManagement && this.source.discard) {
      this.#manage(command, done);
      return 0;
    }
    if (opcode !== NVM.read && opcode !== NVM.write && opcode !== NVM.writeZeroes) {
      done(STATUS.invalidOpcode);
      return 0;
    }
    const length = ((command.cdw12 & 0xffff) + 1) * SECTOR;
    const lba = command.cdw11 * 2 ** 32 + command.cdw10;
    if (lba + length / SECTOR > this.sectors) {
      done(STATUS.lbaRange);
      return 0;
    }
    if (opcode !== NVM.read && this.source.readOnly) {
      done(STATUS.readOnly);
      return 0;
    }
    const after = (status: number): void => {
      const through = opcode !== NVM.read && status === STATUS.success && (!this.cache || command.cdw12 & FUA);
      if (through) this.#when(() => this.source.flush(), STATUS.writeFault, done);
      else done(status);
    };
    if (opcode === NVM.writeZeroes) this.#zero(lba * SECTOR, length, after);
    else this.#move(command, lba * SECTOR, length, wanted, after);
    return length;
  }

  #move(command: Command, offset: number, length: number, wanted: () => boolean, done: (status: number) => void): void {
    if (length > MAX_TRANSFER) {
      done(STATUS.invalidField);
      return;
    }
    const pieces = prpPieces(this.#memory, command.prp1, command.prp2, length);
    if (!pieces) {
      done(STATUS.prpOffset);
      return;
    }
    const buffer = this.#buffers.take(length);
    if (command.opcode === NVM.write) {
      gather(this.#memory, pieces, buffer);
      this.#when(
        () => this.source.write(offset, buffer),
        STATUS.writeFault,
        (status) => {
          this.#buffers.give(buffer);
          done(status);
        },
      );
      return;
    }
    this.#when(
      () => this.source.read(offset, buffer),
      STATUS.readError,
      (status) => {
        if (status === STATUS.success && wanted()) scatter(this.#memory, pieces, buffer);
        this.#buffers.give(buffer);
        done(status);
      },
    );
  }

  /** Ranges of attributes 31:0 | sectors 31:0 | LBA 63:0; without the attribute there is nothing to do. */
  #manage(command: Command, done: (status: number) => void): void {
    const bytes = new Uint8Array(((command.cdw10 & 0xff) + 1) * RANGE);
    const pieces = prpPieces(this.#memory, command.prp1, command.prp2, bytes.length);
    if (!pieces) {
      done(STATUS.prpOffset);
      return;
    }
    gather(this.#memory, pieces, bytes);
    const view = new DataView(bytes.buffer);
    const ranges: { lba: number; sectors: number }[] = [];
    for (let at = 0; at < bytes.length; at += RANGE) {
      const sectors = view.getUint32(at + 4, true);
      const lba = view.getUint32(at + 12, true) * 2 ** 32 + view.getUint32(at + 8, true);
      if (lba + sectors > this.sectors) {
        done(STATUS.lbaRange);
        return;
      }
      ranges.push({ lba, sectors });
    }
    const forget = (n: number): void | Promise<void> =>
      this.source.discard?.(ranges[n].lba * SECTOR, ranges[n].sectors * SECTOR);
    if (command.cdw11 & DEALLOCATE) this.#when(() => inTurn(ranges.length, forget), STATUS.writeFault, done);
    else done(STATUS.success);
  }

  #zero(offset: number, length: number, done: (status: number) => void): void {
    const zeros = new Uint8Array(Math.min(length, MAX_TRANSFER));
    const write = (n: number): void | Promise<void> => {
      const at = n * zeros.length;
      return this.source.write(offset + at, zeros.subarray(0, Math.min(zeros.length, length - at)));
    };
    this.#when(() => inTurn(Math.ceil(length / zeros.length), write), STATUS.writeFault, done);
  }

  #when(work: () => void | Promise<void>, failure: number, done: (status: number) => void): void {
    whenDone(work, (error) => {
      if (error) this.#log(`nvme: ${(error as Error).message ?? error}`);
      done(error ? failure : STATUS.success);
    });
  }
}

/** Steps one after the other; without a promise where none of them needs one. */
function inTurn(count: number, step: (n: number) => void | Promise<void>, from = 0): void | Promise<void> {
  for (let n = from; n < count; n++) {
    const pending = step(n);
    if (pending) return pending.then(() => inTurn(count, step, n + 1));
  }
}
