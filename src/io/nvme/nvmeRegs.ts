/** Numbers of the NVM Express Base Specification 1.4. */

/** Registers (3.1). 64-bit ones may be accessed by halves. */
export const REG = {
  cap: 0x00,
  vs: 0x08,
  intms: 0x0c,
  intmc: 0x10,
  cc: 0x14,
  csts: 0x1c,
  aqa: 0x24,
  asq: 0x28,
  acq: 0x30,
  doorbells: 0x1000,
} as const;

/** Controller Configuration (3.1.5) and Status (3.1.6). */
export const CC_EN = 1;
/** CSS, MPS and AMS: this controller knows one value of each, zero. */
export const CC_CHOICES = 0x3ff0;
export const CC_SHN = 0xc000;
export const CC_WRITABLE = 0xff_fff1;
export const CSTS_RDY = 1;
export const CSTS_CFS = 2;
export const CSTS_SHST_OCCURRING = 1 << 2;
export const CSTS_SHST_COMPLETE = 2 << 2;

export const PAGE = 4096;
export const SECTOR = 512;
export const VERSION = 0x0001_0400;
/** Entries of a queue at most. */
export const MAX_ENTRIES = 1024;
export const SQ_ENTRY = 64;
export const CQ_ENTRY = 16;
/** Pairs of I/O queues at most. */
export const MAX_IO_QUEUES = 16;
/** Largest transfer: 2^8 pages. */
export const MDTS = 8;
export const MAX_TRANSFER = PAGE << MDTS;
/** Asynchronous Event Requests that may wait. */
export const MAX_EVENTS = 4;

/** Admin commands (5). */
export const ADMIN = {
  deleteSq: 0x00,
  createSq: 0x01,
  getLogPage: 0x02,
  deleteCq: 0x04,
  createCq: 0x05,
  identify: 0x06,
  abort: 0x08,
  setFeatures: 0x09,
  getFeatures: 0x0a,
  asyncEvent: 0x0c,
} as const;

/** NVM commands (6). */
export const NVM = { flush: 0x00, write: 0x01, read: 0x02, writeZeroes: 0x08, datasetManagement: 0x09 } as const;

export const FEATURE = {
  arbitration: 0x01,
  powerManagement: 0x02,
  temperatureThreshold: 0x04,
  errorRecovery: 0x05,
  writeCache: 0x06,
  queues: 0x07,
  coalescing: 0x08,
  vectorConfig: 0x09,
  writeAtomicity: 0x0a,
  asyncEventConfig: 0x0b,
} as const;

const DNR = 0x4000;
/** Status fields of a completion (4.6.1): type 10:8, code 7:0, and "do not retry" where it would be in vain. */
export const STATUS = {
  success: 0,
  invalidOpcode: 0x001 | DNR,
  invalidField: 0x002 | DNR,
  internal: 0x006,
  sqDeleted: 0x008,
  invalidNamespace: 0x00b | DNR,
  sequence: 0x00c | DNR,
  prpOffset: 0x013 | DNR,
  lbaRange: 0x080 | DNR,
  cqInvalid: 0x100 | DNR,
  queueId: 0x101 | DNR,
  queueSize: 0x102 | DNR,
  eventLimit: 0x105 | DNR,
  vector: 0x108 | DNR,
  logPage: 0x109 | DNR,
  queueDeletion: 0x10c | DNR,
  notSaveable: 0x10d | DNR,
  notChangeable: 0x10e | DNR,
  readOnly: 0x182 | DNR,
  writeFault: 0x280,
  readError: 0x281,
} as const;

/** A submission queue entry (4.2). */
export interface Command {
  readonly opcode: number;
  readonly cid: number;
  readonly nsid: number;
  /** Guest physical addresses. */
  readonly prp1: number;
  readonly prp2: number;
  /** Command double words 10 to 15. */
  readonly cdw10: number;
  readonly cdw11: number;
  readonly cdw12: number;
  readonly cdw13: number;
}

/** A 64-bit address; above 2^53, where nothing is, it is not exact. */
export const address = (low: number, high: number): number => high * 2 ** 32 + (low >>> 0);
