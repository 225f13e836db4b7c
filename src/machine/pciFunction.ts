/**
 * One function on the PCI bus: 256 bytes of configuration space with a mask of writable bits, base address
 * registers, a capabilities list and an INTx output. Devices extend it (PCI Local Bus Specification 3.0, chapter 6).
 *
 * Not there: expansion ROMs, bridges (header type 1), extended configuration space, MSI (a device adds the
 * capability itself).
 *
 *     0x00  device id 31:16 | vendor id 15:0
 *     0x04  status 31:16: DEVSEL 26:25, CAP 20, INT 19 | command 15:0: INTX_DIS 10, MASTER 2, MEM 1, IO 0
 *     0x08  class code 31:8 | revision 7:0
 *     0x0c  BIST | header type (MF 7) | latency | cache line
 *     0x10  six base address registers: io    base 31:2 | 0 1
 *                                       memory base 31:4 | prefetchable 3 | type 2:1 (10: 64 bits) | 0
 *     0x2c  subsystem id | subsystem vendor id
 *     0x34  capabilities pointer
 *     0x3c  latencies | interrupt pin 15:8 (1 = INTA#) | interrupt line 7:0
 */

import { SnapshotFields } from "../io/snapshotFields.ts";
import type { InterruptPin, IoHandler, Width } from "../shared/device.ts";
import type { PostedWrites } from "../shared/postedWrites.ts";

export const COMMAND = 0x04;
export const COMMAND_IO = 0x01;
export const COMMAND_MEMORY = 0x02;
export const COMMAND_MASTER = 0x04;
const COMMAND_INTX_DISABLE = 0x0400;
const STATUS = 0x06;
const STATUS_INTERRUPT = 0x08;
const STATUS_CAPABILITIES = 0x10;
/** Status bits a device sets and software clears by writing 1: parity and abort errors. */
const STATUS_W1C = 0xf900;
const HEADER_TYPE = 0x0e;
const BAR0 = 0x10;
const BARS = 6;
/** Expansion ROM base address (PCI 3.0, 6.2.5.2): address 31:11, enable 0. */
const ROM_BAR = 0x30;
const ROM_ENABLE = 1;
const ROM_LEAST = 2048;
const CAPABILITIES = 0x34;
const INTERRUPT_LINE = 0x3c;
const INTERRUPT_PIN = 0x3d;
const FIRST_CAPABILITY = 0x40;
export const CONFIG_SIZE = 256;

/** What a range is besides registers. */
export interface PciRange {
  readonly handler: IoHandler;
  /** It is memory at that place of the machine's, and the handler answers where it cannot be mapped. */
  readonly backing?: number;
  /** No vCPU waits for writes to this part of it. */
  readonly posted?: PostedWrites;
}

/** Where base address registers put their ranges. `map` returns what takes the range away again. */
export interface PciSpace {
  map(kind: "io" | "memory", base: number, size: number, range: PciRange): () => void;
}

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  /** Base class, subclass, programming interface: 24 bits. */
  readonly classCode: number;
  readonly revision?: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
  /** 0: no interrupt (default), 1: INTA# … 4: INTD#. */
  readonly interruptPin?: number;
}

/** A range of registers the guest places. `size` is a power of two: at least 4 ports or 16 bytes. */
export interface PciBar extends PciRange {
  readonly kind: "io" | "memory32" | "memory64";
  readonly size: number;
  readonly prefetchable?: boolean;
}

interface PlacedBar extends PciBar {
  base: number | undefined;
  unmap: (() => void) | undefined;
}

/** Configuration space as saved. */
export interface PciConfigV1 {
  version: 1;
  config: Uint8Array;
  intx: boolean;
}

export class PciFunction {
  readonly name: string;
  /** Drives this function's INTx pin. INTX_DIS in the command register cuts it off from the wire. */
  readonly intx: InterruptPin = { set: (asserted) => this.setIntx(asserted) };
  protected readonly config = new Uint8Array(CONFIG_SIZE);
  private readonly writable = new Uint8Array(CONFIG_SIZE);
  private readonly clearable = new Uint8Array(CONFIG_SIZE);
  private readonly initial = new Uint8Array(CONFIG_SIZE);
  private readonly bars: (PlacedBar | undefined)[] = new Array(BARS).fill(undefined);
  private rom: PlacedBar | undefined;
  private nextCapability = FIRST_CAPABILITY;
  private lastCapability = CAPABILITIES;
  private asserted = false;
  private space: PciSpace | undefined;
  private wire: InterruptPin | undefined;

  constructor(name: string, identity: PciIdentity) {
    this.name = name;
    this.define(0x00, 2, identity.vendor);
    this.define(0x02, 2, identity.device);
    this.define(COMMAND, 2, 0, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | 0x0140 | COMMAND_INTX_DISABLE);
    // DEVSEL timing "medium", as nearly every function says.
    this.define(STATUS, 2, 0x0200);
    this.clearable[STATUS + 1] = STATUS_W1C >> 8;
    this.define(0x08, 4, (identity.classCode << 8) | (identity.revision ?? 0));
    this.define(0x0c, 2, 0, 0xf8ff);
    this.define(0x2c, 2, identity.subsystemVendor ?? 0);
    this.define(0x2e, 2, identity.subsystem ?? 0);
    const pin = identity.interruptPin ?? 0;
    if (pin > 4) throw new RangeError(`${name}: interrupt pin ${pin}`);
    this.define(INTERRUPT_LINE, 1, 0, pin === 0 ? 0 : 0xff);
    this.define(INTERRUPT_PIN, 1, pin);
  }

  /** 0 for none, 1 for INTA# … 4 for INTD#. */
  get interruptPin(): number {
    return this.initial[INTERRUPT_PIN];
  }

  /** The function may access memory (BUS MASTER ENABLE). */
  get busMaster(): boolean {
    return (this.config[COMMAND] & COMMAND_MASTER) !== 0;
  }

  /** Called by the host when the function is put on the bus. `wire` is the board's wire for its INTx pin. */
  attach(space: PciSpace, wire: InterruptPin | undefined): void {
    if (this.space !== undefined) throw new Error(`${this.name}: is on a bus already`);
    this.space = space;
    this.wire = wire;
    this.place();
  }

  /** Configuration space back to its reset values; every range leaves the bus. Subclasses call it from `reset`. */
  reset(): void {
    this.config.set(this.initial);
    this.asserted = false;
    this.place();
    this.driveIntx();
    this.configChanged(0, CONFIG_SIZE);
  }

  // Description, for constructors of subclasses

  /** Gives a register its reset value and the bits the guest may write. Default: read-only. */
  protected define(offset: number, size: Width, value: number, writable = 0): void {
    for (let i = 0; i < size; i++) {
      this.initial[offset + i] = this.config[offset + i] = (value >>> (8 * i)) & 0xff;
      this.writable[offset + i] = (writable >>> (8 * i)) & 0xff;
    }
  }

  /** Base address register `index` (a 64-bit one takes `index + 1` too). */
  protected defineBar(index: number, bar: PciBar): void {
    const { kind, size } = bar;
    const least = kind === "io" ? 4 : 16;
    const wide = kind === "memory64";
    if (!Number.isInteger(Math.log2(size)) || size < least || size > 2 ** (wide ? 52 : 31)) {
      throw new RangeError(`${this.name}: BAR ${index} of ${size} bytes`);
    }
    if (index + (wide ? 1 : 0) >= BARS || this.bars[index]) throw new RangeError(`${this.name}: BAR ${index} is taken`);
    const flags = kind === "io" ? 1 : (wide ? 4 : 0) | (bar.prefetchable ? 8 : 0);
    const mask = ~(BigInt(size) - 1n);
    this.define(BAR0 + 4 * index, 4, flags, Number(mask & 0xffff_ffffn));
    if (wide) this.define(BAR0 + 4 * index + 4, 4, 0, Number((mask >> 32n) & 0xffff_ffffn));
    this.bars[index] = { ...bar, base: undefined, unmap: undefined };
  }

  /** An expansion ROM; behind its bytes it reads as ones. */
  protected defineRom(bytes: Uint8Array): void {
    const size = Math.max(ROM_LEAST, 2 ** Math.ceil(Math.log2(bytes.length)));
    const handler: IoHandler = {
      read: (offset, width) => {
        let value = 0;
        for (let i = width - 1; i >= 0; i--) value = value * 256 + (bytes[offset + i] ?? 0xff);
        return value;
      },
      write: () => {},
    };
    this.define(ROM_BAR, 4, 0, (~(size - 1) | ROM_ENABLE) >>> 0);
    this.rom = { kind: "memory32", size, handler, base: undefined, unmap: undefined };
  }

  /**
   * Appends a capability: `body` are its bytes after id and next pointer, `writable` the bits the guest may write.
   * Returns the capability's offset in configuration space.
   */
  protected defineCapability(id: number, body: Uint8Array, writable = new Uint8Array(body.length)): number {
    const at = this.nextCapability;
    const end = at + 2 + body.length;
    if (end > CONFIG_SIZE || writable.length !== body.length) throw new RangeError(`${this.name}: capability ${id}`);
    this.define(at, 2, id);
    for (let i = 0; i < body.length; i++) this.define(at + 2 + i, 1, body[i], writable[i]);
    this.define(this.lastCapability, 1, at);
    this.define(STATUS, 2, 0x0200 | STATUS_CAPABILITIES);
    this.lastCapability = at + 1;
    this.nextCapability = (end + 3) & ~3;
    return at;
  }

  /** Hook: the guest wrote (or a reset or restore changed) these bytes. */
  protected configChanged(_offset: number, _size: number): void {}

  /** Sets bits in configuration space from the device's side. */
  protected setConfig(offset: number, size: Width, value: number): void {
    for (let i = 0; i < size; i++) this.config[offset + i] = (value >>> (8 * i)) & 0xff;
  }

  /** Where an I/O range lies now; undefined: nowhere. */
  protected ioBase(index: number): number | undefined {
    return this.bars[index]?.base;
  }

  // The guest's side

  readConfig(offset: number, size: Width): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.config[offset + i] ?? 0xff) << (8 * i);
    return value >>> 0;
  }

  writeConfig(offset: number, size: Width, value: number): void {
    for (let at = offset; at < offset + size && at < CONFIG_SIZE; at++) {
      const byte = (value >>> (8 * (at - offset))) & 0xff;
      this.config[at] =
        (this.config[at] & ~this.writable[at] & ~(byte & this.clearable[at])) | (byte & this.writable[at]);
    }
    if (offset < ROM_BAR + 4) {
      this.place();
      this.driveIntx();
    }
    this.configChanged(offset, size);
  }

  // Saved state, for subclasses to put into theirs

  exportConfig(): PciConfigV1 {
    return { version: 1, config: this.config.slice(), intx: this.asserted };
  }

  /** A checked copy. Throws SnapshotError when the state is of another device. */
  checkConfig(state: PciConfigV1): PciConfigV1 {
    const from = new SnapshotFields(this.name, state).version(1);
    const config = from.bytes("config", CONFIG_SIZE).slice();
    for (let at = 0; at < BAR0; at++) {
      const fixed = at < COMMAND || (at >= 0x08 && at < 0x0c) || at === HEADER_TYPE;
      if (fixed && config[at] !== this.initial[at]) from.fail("config", `byte ${at} is of another device`);
    }
    return { version: 1, config, intx: from.bool("intx") };
  }

  /** Takes a checked state: ranges are placed, the interrupt wire is driven again. */
  applyConfig(state: PciConfigV1): void {
    this.config.set(state.config);
    this.asserted = state.intx;
    this.place();
    this.driveIntx();
    this.configChanged(0, CONFIG_SIZE);
  }

  private setIntx(asserted: boolean): void {
    this.asserted = asserted;
    this.driveIntx();
  }

  private driveIntx(): void {
    if (this.asserted) this.config[STATUS] |= STATUS_INTERRUPT;
    else this.config[STATUS] &= ~STATUS_INTERRUPT;
    const disabled = (this.readConfig(COMMAND, 2) & COMMAND_INTX_DISABLE) !== 0;
    this.wire?.set(this.asserted && !disabled);
  }

  /** Moves every range to where its register and the command register now want it. */
  private place(): void {
    for (let index = 0; index < BARS; index++) {
      const bar = this.bars[index];
      if (bar) this.move(bar, this.wantedBase(BAR0 + 4 * index, bar));
    }
    const enabled = this.config[ROM_BAR] & ROM_ENABLE;
    if (this.rom) this.move(this.rom, enabled ? this.wantedBase(ROM_BAR, this.rom) : undefined);
  }

  private move(bar: PlacedBar, base: number | undefined): void {
    if (this.space === undefined || base === bar.base) return;
    bar.unmap?.();
    bar.base = base;
    const kind = bar.kind === "io" ? "io" : "memory";
    bar.unmap = base === undefined ? undefined : this.space.map(kind, base, bar.size, bar);
  }

  private wantedBase(register: number, bar: PciBar): number | undefined {
    const enable = bar.kind === "io" ? COMMAND_IO : COMMAND_MEMORY;
    if ((this.config[COMMAND] & enable) === 0) return undefined;
    let base = this.readConfig(register, 4);
    base -= base % (bar.kind === "io" ? 4 : 16);
    if (bar.kind === "memory64") base += this.readConfig(register + 4, 4) * 2 ** 32;
    // Not placed yet, or all ones while software measures the size with decoding on.
    const end = base + bar.size;
    const top = bar.kind === "io" ? 0x1_0000 : bar.kind === "memory64" ? 2 ** 52 : 2 ** 32;
    return base === 0 || end > top || (end === top && bar.kind !== "io") ? undefined : base;
  }
}
