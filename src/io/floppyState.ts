/** The 82077AA's registers and commands (Intel datasheet 290166), what is saved of it, and what a saved state must be. */
import type { BlockContentsV1 } from "../block/block.ts";
import type { SnapshotFields } from "./snapshotFields.ts";

export const SECTOR = 512;
export const DOR_NOT_RESET = 0x04;
export const DOR_GATE = 0x08;
export const MSR_RQM = 0x80;
export const MSR_DIO = 0x40;
export const MSR_NDMA = 0x20;
export const MSR_BUSY = 0x10;
export const DIR_CHANGED = 0x80;
export const DSR_RESET = 0x80;

export const ST0_ABNORMAL = 0x40;
export const ST0_INVALID = 0x80;
export const ST0_POLLED = 0xc0;
export const ST0_SEEK_END = 0x20;
export const ST0_EQUIPMENT = 0x10;
export const ST1_END_OF_CYLINDER = 0x80;
export const ST1_CRC = 0x20;
export const ST1_NO_DATA = 0x04;
export const ST1_NOT_WRITABLE = 0x02;
export const ST1_MISSING_MARK = 0x01;

export const STEP_NS = 100_000n;
export const SECTOR_NS = 20_000n;
export const NO_DISK_NS = 400_000_000n;
export const MAX_TRACK = 84;

/** Commands, by their first byte's lower five bits. */
export const OPERATION = {
  readTrack: 2,
  specify: 3,
  senseDriveStatus: 4,
  write: 5,
  read: 6,
  recalibrate: 7,
  senseInterruptStatus: 8,
  writeDeleted: 9,
  readId: 10,
  readDeleted: 12,
  format: 13,
  dumpRegisters: 14,
  seek: 15,
  version: 16,
  perpendicularMode: 18,
  configure: 19,
  lock: 20,
  verify: 22,
} as const;

/** Bytes of each command, its first included. */
export const LENGTHS: Readonly<Record<number, number>> = {
  [OPERATION.readTrack]: 9,
  [OPERATION.specify]: 3,
  [OPERATION.senseDriveStatus]: 2,
  [OPERATION.write]: 9,
  [OPERATION.read]: 9,
  [OPERATION.recalibrate]: 2,
  [OPERATION.senseInterruptStatus]: 1,
  [OPERATION.writeDeleted]: 9,
  [OPERATION.readId]: 2,
  [OPERATION.readDeleted]: 9,
  [OPERATION.format]: 6,
  [OPERATION.dumpRegisters]: 1,
  [OPERATION.seek]: 3,
  [OPERATION.version]: 1,
  [OPERATION.perpendicularMode]: 2,
  [OPERATION.configure]: 4,
  [OPERATION.lock]: 1,
  [OPERATION.verify]: 9,
};

export type Phase = "command" | "execution" | "result";
export const PHASES: readonly Phase[] = ["command", "execution", "result"];
/** What the deadline is for. */
export type Awaited = "nothing" | "reset" | "seek" | "sector" | "failure" | "id";
export const AWAITED: readonly Awaited[] = ["nothing", "reset", "seek", "sector", "failure", "id"];

export interface FloppyV1 {
  version: 1;
  dor: number;
  rate: number;
  tape: number;
  phase: Phase;
  /** Bytes of the command so far, results still to be read. */
  command: number[];
  result: number[];
  awaited: Awaited;
  /** ns until then. */
  left: bigint;
  /** Sector being moved: cylinder, head, record; bytes of it in the buffer, when it goes through the FIFO. */
  at: number[];
  buffer: Uint8Array;
  moved: number;
  tracks: number[];
  seeks: number[];
  /** Status 0 of each drive that an interrupt tells of; -1: none. */
  pending: number[];
  specified: number[];
  configured: number[];
  perpendicular: number;
  locked: boolean;
  interrupt: boolean;
  changed: boolean;
  contents: BlockContentsV1 | undefined;
}

/** A checked copy of a state, without the disk's contents. @throws SnapshotError */
export function checkFloppy(from: SnapshotFields) {
  from.version(1);
  const phase = from.oneOf("phase", PHASES);
  const command = from.ints("command", 9, 0, 0xff);
  if (phase === "execution" && command.length !== LENGTHS[command[0] & 0x1f]) from.fail("command", "is not whole");
  const buffer = from.someBytes("buffer", SECTOR).slice();
  return {
    dor: from.u8("dor"),
    rate: from.int("rate", 0, 3),
    tape: from.int("tape", 0, 3),
    phase,
    command,
    result: from.ints("result", 10, 0, 0xff),
    awaited: from.oneOf("awaited", AWAITED),
    left: from.bigint("left", 0n, NO_DISK_NS),
    at: from.intsOf("at", 3, 0, 0x100),
    buffer,
    moved: from.int("moved", 0, buffer.length),
    tracks: from.intsOf("tracks", 4, 0, MAX_TRACK),
    seeks: from.intsOf("seeks", 4, -1, MAX_TRACK),
    pending: from.intsOf("pending", 4, -1, 0xff),
    specified: from.intsOf("specified", 2, 0, 0xff),
    configured: from.intsOf("configured", 2, 0, 0xff),
    perpendicular: from.int("perpendicular", 0, 0x3f),
    locked: from.bool("locked"),
    interrupt: from.bool("interrupt"),
    changed: from.bool("changed"),
  };
}
