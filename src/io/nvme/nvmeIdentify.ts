/** Data structures that Identify and Get Log Page give (NVM Express 1.4, 5.15 and 5.14). */
import { hex } from "../../shared/bytes.ts";
import { CQ_ENTRY, MAX_EVENTS, MDTS, PAGE, SECTOR, SQ_ENTRY, VERSION } from "./nvmeRegs.ts";

const MODEL = "Tabhyve NVMe disk";
const FIRMWARE = "1";
/** Kelvin: 25 °C now; a warning and an end that never come. */
const TEMPERATURE = 298;
const WARNING_TEMPERATURE = 343;
const CRITICAL_TEMPERATURE = 373;
const IO_CONTROLLER = 1;
const NIDT_UUID = 3;
/** Bytes of the log pages. */
const SMART_LOG = 512;

/** PCI identity: bhyve's NVMe controller. */
export const NVME_VENDOR = 0xfb5d;
export const NVME_DEVICE = 0x0a0a;

/** ASCII, filled up with spaces. */
function text(view: DataView, at: number, length: number, value: string): void {
  for (let i = 0; i < length; i++) view.setUint8(at + i, i < value.length ? value.charCodeAt(i) : 0x20);
}

const log2 = (n: number): number => Math.log2(n);

/** @param forgets the source can forget what is there: Dataset Management is understood */
export function identifyController(serial: string, forgets: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(PAGE));
  view.setUint16(0, NVME_VENDOR, true);
  view.setUint16(2, NVME_VENDOR, true);
  text(view, 4, 20, serial);
  text(view, 24, 40, MODEL);
  text(view, 64, 8, FIRMWARE);
  view.setUint8(77, MDTS);
  view.setUint32(80, VERSION, true);
  view.setUint8(111, IO_CONTROLLER);
  // ACL, AERL: counted from zero. One firmware slot, read-only.
  view.setUint8(258, 3);
  view.setUint8(259, MAX_EVENTS - 1);
  view.setUint8(260, 3);
  // LPA: a log page may be read from an offset on.
  view.setUint8(261, 4);
  view.setUint16(266, WARNING_TEMPERATURE, true);
  view.setUint16(268, CRITICAL_TEMPERATURE, true);
  view.setUint8(512, log2(SQ_ENTRY) | (log2(SQ_ENTRY) << 4));
  view.setUint8(513, log2(CQ_ENTRY) | (log2(CQ_ENTRY) << 4));
  view.setUint32(516, 1, true);
  // ONCS: Write Zeroes, Dataset Management. VWC: there is a volatile write cache.
  view.setUint16(520, forgets ? 0x0c : 0x08, true);
  view.setUint8(525, 1);
  nulTerminated(view, 768, `nqn.2014-08.org.nvmexpress:uuid:${uuidText(uuid(serial))}`);
  // PSD0: 1 W.
  view.setUint16(2048, 100, true);
  return new Uint8Array(view.buffer);
}

export function identifyNamespace(sectors: number, readOnly: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(PAGE));
  for (const at of [0, 8, 16]) view.setBigUint64(at, BigInt(sectors), true);
  view.setUint8(99, Number(readOnly));
  // LBA format 0, the only one.
  view.setUint8(130, log2(SECTOR));
  return new Uint8Array(view.buffer);
}

/** Namespace Identification Descriptors: a UUID that follows from the serial number. */
export function identifyDescriptors(serial: string): Uint8Array {
  const bytes = new Uint8Array(PAGE);
  bytes[0] = NIDT_UUID;
  bytes[1] = 16;
  bytes.set(uuid(serial), 4);
  return bytes;
}

/** SMART / Health Information. */
export function smartLog(): Uint8Array {
  const view = new DataView(new ArrayBuffer(SMART_LOG));
  view.setUint16(1, TEMPERATURE, true);
  // Available spare and its threshold, percent.
  view.setUint8(3, 100);
  view.setUint8(4, 10);
  return new Uint8Array(view.buffer);
}

/** Firmware Slot Information: slot 1 is active. */
export function firmwareLog(): Uint8Array {
  const view = new DataView(new ArrayBuffer(SMART_LOG));
  view.setUint8(0, 1);
  text(view, 8, 8, FIRMWARE);
  return new Uint8Array(view.buffer);
}

/** RFC 9562, version 8: bytes of one's own choice. */
function uuid(serial: string): Uint8Array {
  const bytes = new Uint8Array(16);
  new TextEncoder().encodeInto(`Tabhyve-${serial}`.slice(0, 16), bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes;
}

function uuidText(bytes: Uint8Array): string {
  const digits = hex(bytes);
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    "-",
  );
}

function nulTerminated(view: DataView, at: number, value: string): void {
  for (let i = 0; i < value.length; i++) view.setUint8(at + i, value.charCodeAt(i));
}
