/**
 * fwCfg: QEMU's firmware configuration device, the way firmware and test kernels ask how the machine is made
 * (QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device").
 *
 *     0x510  word   selector (write): WRITE 14 (ignored, as everywhere since QEMU 2.4) | ARCH 15 | item 13:0
 *     0x511  byte   data (read): the item's next byte; 0 past its end, and for items that are not there
 *     0x514  dword  address of a request, bits 63:32      reads as "QEMU CFG", eight bytes
 *     0x518  dword  address, bits 31:0 (write): the request is carried out
 *
 *     request   control u32 | length u32 | address u64      control: item 31:16 | WRITE 4 | SELECT 3 | SKIP 2 | READ 1 | ERROR 0
 *
 * Numbers are little-endian, except in the file directory, in a request and in its address's registers, which are
 * big-endian. Not there: writing items, which is an error.
 */

import { allOnes, readBytes } from "../io/byteAccess.ts";
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { Device, GuestMemory, IoHandler, Log, Width } from "../shared/device.ts";
import { GPA_LIMIT } from "../shared/layout.ts";
import type { E820Entry } from "./loader/e820.ts";

export const FW_CFG_SIGNATURE = 0x00;
export const FW_CFG_ID = 0x01;
export const FW_CFG_RAM_SIZE = 0x03;
export const FW_CFG_NOGRAPHIC = 0x04;
export const FW_CFG_NB_CPUS = 0x05;
export const FW_CFG_MAX_CPUS = 0x0f;
export const FW_CFG_FILE_DIR = 0x19;
/** Bits of ID: the selector and data interface, requests. */
const ID_TRADITIONAL = 1;
const ID_DMA = 2;
const FILE_FIRST = 0x20;
const SELECT_MASK = 0xbfff;
/** Name field of a directory entry, with its terminating zero. */
const NAME_SIZE = 56;
const ENTRY_SIZE = 8 + NAME_SIZE;
/** Ports, as offsets from the first. */
const SELECTOR = 0;
const DATA = 1;
const DMA_HIGH = 4;
const DMA_LOW = 8;
export const FW_CFG_PORTS = 12;
const DMA_SIGNATURE = new TextEncoder().encode("QEMU CFG");
const REQUEST_SIZE = 16;
const CONTROL_ERROR = 1;
const CONTROL_READ = 2;
const CONTROL_SKIP = 4;
const CONTROL_SELECT = 8;
const CONTROL_WRITE = 16;
/** Bytes that a request moves at a time. */
const PIECE = 0x1_0000;

export interface FwCfgConfig {
  /** What requests lie in, and what they move items to. */
  readonly memory: GuestMemory;
  readonly cpus: number;
  /** Default: `cpus`. */
  readonly maxCpus?: number;
  /** Bytes of RAM. */
  readonly ramSize: number;
  /** No display: firmware uses the serial console. */
  readonly nographic?: boolean;
  /** Published as the file etc/e820, which SeaBIOS prefers to RAM_SIZE. */
  readonly e820?: readonly E820Entry[];
  /** Further files by name (at most 55 bytes of ASCII). */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

/** Which item is being read, and how far; the items themselves follow from the machine's configuration. */
export interface FwCfgV1 {
  version: 1;
  selected: number;
  position: number;
  /** Upper half of the next request's address; states from before there were requests have none. */
  high?: number;
}

export class FwCfg implements IoHandler, Device<FwCfgV1> {
  readonly name = "fwCfg";
  private readonly items = new Map<number, Uint8Array>();
  private readonly memory: GuestMemory;
  private readonly log: Log;
  private selected = 0;
  private position = 0;
  private high = 0;

  constructor(config: FwCfgConfig, log: Log) {
    this.memory = config.memory;
    this.log = log;
    this.items.set(FW_CFG_SIGNATURE, new TextEncoder().encode("QEMU"));
    this.items.set(FW_CFG_ID, number(ID_TRADITIONAL | ID_DMA, 4));
    this.items.set(FW_CFG_RAM_SIZE, number(config.ramSize, 8));
    this.items.set(FW_CFG_NOGRAPHIC, number(config.nographic ? 1 : 0, 2));
    this.items.set(FW_CFG_NB_CPUS, number(config.cpus, 2));
    this.items.set(FW_CFG_MAX_CPUS, number(config.maxCpus ?? config.cpus, 2));
    const files = { ...config.files };
    if (config.e820) files["etc/e820"] = e820File(config.e820);
    this.addFiles(files);
  }

  reset(): void {
    this.selected = this.position = this.high = 0;
  }

  /** `offset` counts from 0x510. */
  read(offset: number, size: Width): number {
    if (offset >= DMA_HIGH) return readBytes(offset - DMA_HIGH, size, (at) => DMA_SIGNATURE[at]);
    if (offset !== DATA) return allOnes(size);
    return readBytes(0, size, () => this.next());
  }

  write(offset: number, size: Width, value: number): void {
    if (offset === SELECTOR && size !== 1) this.select(value);
    else if (offset === DMA_HIGH && size === 4) this.high = swap(value);
    else if (offset === DMA_LOW && size === 4) {
      const { high } = this;
      this.high = 0;
      this.carryOut(high * 2 ** 32 + swap(value));
    } else this.log(`fwCfg: ${size}-byte write to port offset ${offset}`);
  }

  export(): FwCfgV1 {
    return { version: 1, selected: this.selected, position: this.position, high: this.high };
  }

  import(state: FwCfgV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const selected = from.int("selected", 0, 0xffff) & SELECT_MASK;
    const position = from.int("position", 0, Number.MAX_SAFE_INTEGER);
    const high = from.optional("high") === undefined ? 0 : from.int("high", 0, 0xffff_ffff);
    this.selected = selected;
    this.position = position;
    this.high = high;
  }

  private select(item: number): void {
    this.selected = item & SELECT_MASK;
    this.position = 0;
  }

  /** A request: what it asked for is done when the write to the port is, and its control word says how it went. */
  private carryOut(at: number): void {
    const request = new Uint8Array(REQUEST_SIZE);
    const view = new DataView(request.buffer);
    this.memory.read(at, request);
    const control = view.getUint32(0);
    const length = view.getUint32(4);
    if (control & CONTROL_SELECT) this.select(control >>> 16);
    let failed = false;
    if (control & CONTROL_READ) this.move(Number(view.getBigUint64(8)), length);
    else if (control & CONTROL_WRITE) failed = length > 0;
    else if (control & CONTROL_SKIP) this.skip(length);
    view.setUint32(0, failed ? CONTROL_ERROR : 0);
    this.memory.write(at, request.subarray(0, 4));
  }

  /** To memory: bytes of the item, then zeros. */
  private move(gpa: number, length: number): void {
    // No guest's memory is longer, and what has none takes nothing.
    const end = Math.min(gpa + length, GPA_LIMIT);
    for (let at = gpa; at < end; at += PIECE) {
      const piece = new Uint8Array(Math.min(PIECE, end - at));
      piece.set(this.skip(piece.length));
      this.memory.write(at, piece);
    }
  }

  /** Goes on by so many bytes; those that the item has. */
  private skip(length: number): Uint8Array {
    const bytes = this.items.get(this.selected)?.subarray(this.position, this.position + length) ?? new Uint8Array(0);
    this.position += bytes.length;
    return bytes;
  }

  private next(): number {
    const byte = this.items.get(this.selected)?.[this.position];
    if (byte === undefined) return 0;
    this.position++;
    return byte;
  }

  /** Directory: count (BE 32), then {size BE 32, selector BE 16, 0, name} sorted by name. */
  private addFiles(files: Readonly<Record<string, Uint8Array>>): void {
    const names = Object.keys(files).sort();
    const directory = new Uint8Array(4 + names.length * ENTRY_SIZE);
    const view = new DataView(directory.buffer);
    view.setUint32(0, names.length);
    names.forEach((name, i) => {
      const bytes = new TextEncoder().encode(name);
      if (bytes.length === 0 || bytes.length >= NAME_SIZE) throw new RangeError(`fwCfg: file name "${name}"`);
      const at = 4 + i * ENTRY_SIZE;
      view.setUint32(at, files[name].length);
      view.setUint16(at + 4, FILE_FIRST + i);
      directory.set(bytes, at + 8);
      this.items.set(FILE_FIRST + i, files[name]);
    });
    this.items.set(FW_CFG_FILE_DIR, directory);
  }
}

/** A big-endian register's value, as the processor has written it. */
const swap = (value: number): number =>
  ((value << 24) | ((value << 8) & 0xff_0000) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;

/** A number of `size` bytes, little-endian. */
function number(value: number, size: 2 | 4 | 8): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value), true);
  return out.slice(0, size);
}

/** Entries of {base 64, length 64, type 32}, little-endian, packed. */
function e820File(map: readonly E820Entry[]): Uint8Array {
  const out = new Uint8Array(20 * map.length);
  const view = new DataView(out.buffer);
  map.forEach(({ base, length, type }, i) => {
    view.setBigUint64(20 * i, BigInt(base), true);
    view.setBigUint64(20 * i + 8, BigInt(length), true);
    view.setUint32(20 * i + 16, type, true);
  });
  return out;
}
