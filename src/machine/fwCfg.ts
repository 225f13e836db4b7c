/**
 * fwCfg: QEMU's firmware configuration device, the way firmware and test kernels ask how the machine is made
 * (QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device").
 *
 *     0x510  word   selector (write): WRITE 14 (ignored, as everywhere since QEMU 2.4) | ARCH 15 | item 13:0
 *     0x511  byte   data (read): the item's next byte; 0 past its end, and for items that are not there
 *
 * Numbers are little-endian, except in the file directory, which is big-endian. Not there: the DMA interface at
 * 0x514 (ID says so), writing items.
 */

import { allOnes, readBytes } from "../io/byteAccess.ts";
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { Device, IoHandler, Log, Width } from "../shared/device.ts";
import type { E820Entry } from "./loader/e820.ts";

export const FW_CFG_SIGNATURE = 0x00;
export const FW_CFG_ID = 0x01;
export const FW_CFG_RAM_SIZE = 0x03;
export const FW_CFG_NOGRAPHIC = 0x04;
export const FW_CFG_NB_CPUS = 0x05;
export const FW_CFG_MAX_CPUS = 0x0f;
export const FW_CFG_FILE_DIR = 0x19;
const FILE_FIRST = 0x20;
const SELECT_MASK = 0xbfff;
/** Name field of a directory entry, with its terminating zero. */
const NAME_SIZE = 56;
const ENTRY_SIZE = 8 + NAME_SIZE;

export interface FwCfgConfig {
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
}

export class FwCfg implements IoHandler, Device<FwCfgV1> {
  readonly name = "fwCfg";
  private readonly items = new Map<number, Uint8Array>();
  private readonly log: Log;
  private selected = 0;
  private position = 0;

  constructor(config: FwCfgConfig, log: Log) {
    this.log = log;
    this.items.set(FW_CFG_SIGNATURE, new TextEncoder().encode("QEMU"));
    // Bit 0: this selector and data interface.
    this.items.set(FW_CFG_ID, number(1, 4));
    this.items.set(FW_CFG_RAM_SIZE, number(config.ramSize, 8));
    this.items.set(FW_CFG_NOGRAPHIC, number(config.nographic ? 1 : 0, 2));
    this.items.set(FW_CFG_NB_CPUS, number(config.cpus, 2));
    this.items.set(FW_CFG_MAX_CPUS, number(config.maxCpus ?? config.cpus, 2));
    const files = { ...config.files };
    if (config.e820) files["etc/e820"] = e820File(config.e820);
    this.addFiles(files);
  }

  reset(): void {
    this.selected = this.position = 0;
  }

  /** `offset` counts from 0x510. */
  read(offset: number, size: Width): number {
    if (offset !== 1) return allOnes(size);
    return readBytes(0, size, () => this.next());
  }

  write(offset: number, size: Width, value: number): void {
    if (offset !== 0 || size === 1) {
      this.log(`fwCfg: ${size}-byte write to port offset ${offset}`);
      return;
    }
    this.selected = value & SELECT_MASK;
    this.position = 0;
  }

  export(): FwCfgV1 {
    return { version: 1, selected: this.selected, position: this.position };
  }

  import(state: FwCfgV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const selected = from.int("selected", 0, 0xffff) & SELECT_MASK;
    const position = from.int("position", 0, Number.MAX_SAFE_INTEGER);
    this.selected = selected;
    this.position = position;
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
