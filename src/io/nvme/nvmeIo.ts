/** The NVM command set (NVM Express 1.4, 6): Read, Write, Write Zeroes and Flush of one namespace over a BlockSource. */
import { type BlockSource, whenDone } from "../../block/block.ts";
import type { GuestMemory, Log } from "../../shared/device.ts";
import { type Command, MAX_TRANSFER, NVM, SECTOR, STATUS } from "./nvmeRegs.ts";
import { gather, prpPieces, scatter } from "./prp.ts";

const NAMESPACE = 1;
const EVERY_NAMESPACE = 0xffff_ffff;
const FUA = 1 << 30;

export class NvmCommands {
  readonly source: BlockSource;
  /** Whole sectors; a last part of one is not seen. */
  readonly sectors: number;
  /** Feature 06h: what is written may stay in a cache until Flush. */
  cache = true;
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
    const buffer = new Uint8Array(length);
    if (command.opcode === NVM.write) {
      gather(this.#memory, pieces, buffer);
      this.#when(() => this.source.write(offset, buffer), STATUS.writeFault, done);
      return;
    }
    this.#when(
      () => this.source.read(offset, buffer),
      STATUS.readError,
      (status) => {
        if (status === STATUS.success && wanted()) scatter(this.#memory, pieces, buffer);
        done(status);
      },
    );
  }

  #zero(offset: number, length: number, done: (status: number) => void): void {
    const zeros = new Uint8Array(Math.min(length, MAX_TRANSFER));
    // One after the other, and without a promise where the source needs none.
    const write = (at: number): void | Promise<void> => {
      for (let next = at; next < length; ) {
        const piece = zeros.subarray(0, Math.min(zeros.length, length - next));
        const pending = this.source.write(offset + next, piece);
        next += piece.length;
        if (pending) return pending.then(() => write(next));
      }
    };
    this.#when(() => write(0), STATUS.writeFault, done);
  }

  #when(work: () => void | Promise<void>, failure: number, done: (status: number) => void): void {
    whenDone(work, (error) => {
      if (error) this.#log(`nvme: ${(error as Error).message ?? error}`);
      done(error ? failure : STATUS.success);
    });
  }
}
