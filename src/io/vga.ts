/**
 * A VGA with the Bochs display interface: the registers (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem";
 * Bochs, "VBE Display Interface", ID 0xb0c5). Where its memory is seen is vgaMemory.ts's, what is on the screen
 * src/display's.
 *
 *     0x3c0  attribute controller: index and data in turn      0x3c1  data, for reading
 *     0x3c2  write: miscellaneous output, read: input status 0      0x3cc  read: miscellaneous output
 *     0x3c4  sequencer      0x3ce  graphics controller      0x3d4 (0x3b4)  CRT controller      index, then data
 *     0x3c6  DAC mask, 0x3c7 state / read index, 0x3c8 write index, 0x3c9 red, green, blue in turn
 *     0x3da (0x3ba)  read: | . . . . VR . . /DE |, write: feature control
 *     0x1ce  index, 0x1cf (0x1d0) data of the display interface, 16 bits
 *
 * The beam is where the clock says: 60 frames a second of 525 lines, with the usual blanking; nothing else depends on time.
 *
 * Not there: the vertical interrupt, light pen, feature connector; blinking and cursor are the display's.
 */
import type { Clock, Device, IoHandler, Log, Width } from "../shared/device.ts";
import { allOnes, readBytes, writeBytes } from "./byteAccess.ts";
import { SnapshotFields } from "./snapshotFields.ts";

/** Indices of the display interface. */
export const DISPI = {
  id: 0,
  width: 1,
  height: 2,
  bpp: 3,
  enable: 4,
  bank: 5,
  virtualWidth: 6,
  virtualHeight: 7,
  x: 8,
  y: 9,
  memory: 10,
} as const;
export const DISPI_ENABLED = 0x01;
const DISPI_GETCAPS = 0x02;
export const DISPI_8BIT_DAC = 0x20;
export const DISPI_LFB = 0x40;
const DISPI_NO_CLEAR = 0x80;
const DISPI_ID_FIRST = 0xb0c0;
const DISPI_ID = 0xb0c5;
export const DISPI_MAX = { width: 2560, height: 1600, bpp: 32 } as const;
const DISPI_REGISTERS = 11;
const DISPI_BPP: ReadonlySet<number> = new Set([4, 8, 15, 16, 24, 32]);

const MISC_COLOUR = 0x01;
const CRTC_PROTECT = 0x80;
const LINE_COMPARE_8 = 0x10;

/** 525 lines at 59.94 Hz, of which 480 are shown; 800 dots each, of which 640. */
const LINE_NS = 31_778n;
const LINES = 525n;
const SHOWN_LINES = 480n;
const SYNC_LINE = 490n;
const SYNC_END = 492n;
const SHOWN_NS = 25_422n;

/** Registers as they are read. */
export interface VgaV1 {
  version: 1;
  misc: number;
  feature: number;
  sequencer: Uint8Array;
  graphics: Uint8Array;
  crtc: Uint8Array;
  attribute: Uint8Array;
  /** Index registers: sequencer, graphics, CRTC, attribute, display interface. */
  indices: number[];
  /** The attribute controller's next write is data. */
  data: boolean;
  dac: Uint8Array;
  dacMask: number;
  /** DAC: entry, component, and whether it is being read. */
  dacAt: number[];
  dispi: number[];
  latch: number;
}

export interface VgaOptions {
  readonly clock: Clock;
  /** Bytes of the linear frame buffer. */
  readonly memorySize: number;
  /** Registers that decide how memory is seen have changed. `clear`: a mode was switched on that starts black. */
  readonly onMemory: (clear: boolean) => void;
  readonly log: Log;
}

const SEQUENCER = 5;
const GRAPHICS = 9;
const CRTC = 0x19;
const ATTRIBUTE = 0x15;

export class Vga implements Device<VgaV1> {
  readonly name = "vga";
  /** Ports 0x3b0–0x3df, and 0x1ce–0x1d1. */
  readonly ports: IoHandler = {
    read: (offset, size) => readBytes(offset, size, (o) => this.#read(0x3b0 + o)),
    write: (offset, size, value) => writeBytes(offset, size, value, (o, byte) => this.#write(0x3b0 + o, byte)),
  };
  readonly dispiPorts: IoHandler = {
    read: (offset, size) => this.#readDispi(offset, size),
    write: (offset, size, value) => this.#writeDispi(offset, size, value),
  };
  readonly sequencer = new Uint8Array(8);
  readonly graphics = new Uint8Array(16);
  readonly crtc = new Uint8Array(CRTC);
  readonly attribute = new Uint8Array(ATTRIBUTE);
  /** Red, green, blue of 256 entries; 6 bits, or 8. */
  readonly dac = new Uint8Array(768);
  readonly dispi = new Uint16Array(DISPI_REGISTERS);
  misc = 0;
  dacMask = 0xff;
  /** The attribute controller passes video on (PAS). */
  #attributeIndex = 0;
  readonly #options: VgaOptions;
  #feature = 0;
  #sequencerIndex = 0;
  #graphicsIndex = 0;
  #crtcIndex = 0;
  #dispiIndex = 0;
  #attributeData = false;
  #dacEntry = 0;
  #dacPart = 0;
  #dacReading = false;
  /** Latches, kept where the core has them. */
  readonly #latch: { value: number };

  constructor(options: VgaOptions, latch: { value: number } = { value: 0 }) {
    this.#options = options;
    this.#latch = latch;
    this.#clear();
  }

  /** The screen shows something: palette access is the CRT controller's, the sequencer does not blank. */
  get visible(): boolean {
    return (this.#attributeIndex & 0x20) !== 0 && (this.sequencer[1] & 0x20) === 0;
  }

  get dispiEnabled(): boolean {
    return (this.dispi[DISPI.enable] & DISPI_ENABLED) !== 0;
  }

  reset(): void {
    this.#clear();
    this.#options.onMemory(false);
  }

  #clear(): void {
    for (const all of [this.sequencer, this.graphics, this.crtc, this.attribute, this.dac]) all.fill(0);
    this.dispi.fill(0);
    this.dispi[DISPI.id] = DISPI_ID;
    this.dispi[DISPI.memory] = this.#options.memorySize >> 16;
    this.misc = this.#feature = 0;
    this.dacMask = 0xff;
    this.#attributeIndex = this.#sequencerIndex = this.#graphicsIndex = this.#crtcIndex = this.#dispiIndex = 0;
    this.#attributeData = this.#dacReading = false;
    this.#dacEntry = this.#dacPart = 0;
  }

  /** The CRT controller answers at 0x3d4 or 0x3b4; the other one is not there. */
  #here(port: number): boolean {
    return port >= 0x3d0 ? (this.misc & MISC_COLOUR) !== 0 : port >= 0x3c0 || (this.misc & MISC_COLOUR) === 0;
  }

  #read(port: number): number {
    if (!this.#here(port)) return 0xff;
    switch (port) {
      case 0x3c0:
        return this.#attributeIndex;
      case 0x3c1:
        return this.attribute[this.#attributeIndex & 0x1f] ?? 0;
      case 0x3c2:
        // Switch sense: a colour monitor.
        return 0x10;
      case 0x3c4:
        return this.#sequencerIndex;
      case 0x3c5:
        return this.sequencer[this.#sequencerIndex];
      case 0x3c6:
        return this.dacMask;
      case 0x3c7:
        return this.#dacReading ? 3 : 0;
      case 0x3c8:
        return this.#dacEntry;
      case 0x3c9:
        return this.#readDac();
      case 0x3ca:
        return this.#feature;
      case 0x3cc:
        return this.misc;
      case 0x3ce:
        return this.#graphicsIndex;
      case 0x3cf:
        return this.graphics[this.#graphicsIndex];
      case 0x3b4:
      case 0x3d4:
        return this.#crtcIndex;
      case 0x3b5:
      case 0x3d5:
        return this.crtc[this.#crtcIndex] ?? 0xff;
      case 0x3ba:
      case 0x3da:
        this.#attributeData = false;
        return this.#beam();
      default:
        return 0xff;
    }
  }

  #write(port: number, value: number): void {
    if (!this.#here(port)) return;
    switch (port) {
      case 0x3c0:
        this.#writeAttribute(value);
        return;
      case 0x3c2:
        this.misc = value;
        this.#options.onMemory(false);
        return;
      case 0x3c4:
        this.#sequencerIndex = value & 7;
        return;
      case 0x3c5:
        if (this.#sequencerIndex >= SEQUENCER) return;
        this.sequencer[this.#sequencerIndex] = value & [0x03, 0x3d, 0x0f, 0x3f, 0x0e][this.#sequencerIndex];
        if (this.#sequencerIndex >= 2) this.#options.onMemory(false);
        return;
      case 0x3c6:
        this.dacMask = value;
        return;
      case 0x3c7:
        this.#dacEntry = value;
        this.#dacPart = 0;
        this.#dacReading = true;
        return;
      case 0x3c8:
        this.#dacEntry = value;
        this.#dacPart = 0;
        this.#dacReading = false;
        return;
      case 0x3c9:
        this.#writeDac(value);
        return;
      case 0x3ce:
        this.#graphicsIndex = value & 15;
        return;
      case 0x3cf:
        if (this.#graphicsIndex >= GRAPHICS) return;
        this.graphics[this.#graphicsIndex] =
          value & [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff][this.#graphicsIndex];
        this.#options.onMemory(false);
        return;
      case 0x3b4:
      case 0x3d4:
        this.#crtcIndex = value & 0x1f;
        return;
      case 0x3b5:
      case 0x3d5:
        this.#writeCrtc(value);
        return;
      case 0x3ba:
      case 0x3da:
        this.#feature = value;
    }
  }

  #writeAttribute(value: number): void {
    if (!this.#attributeData) this.#attributeIndex = value & 0x3f;
    else {
      const index = this.#attributeIndex & 0x1f;
      // The palette can be written only while the CRT controller does not use it.
      if (index < 16 && !(this.#attributeIndex & 0x20)) this.attribute[index] = value & 0x3f;
      else if (index >= 16 && index < ATTRIBUTE) {
        this.attribute[index] = value & [0xef, 0xff, 0x3f, 0x0f, 0x0f][index - 16];
      }
    }
    this.#attributeData = !this.#attributeData;
  }

  #writeCrtc(value: number): void {
    const index = this.#crtcIndex;
    if (index >= CRTC) return;
    if (index <= 7 && this.crtc[0x11] & CRTC_PROTECT) {
      // Of the protected registers, only the line compare bit can be written.
      if (index === 7) this.crtc[7] = (this.crtc[7] & ~LINE_COMPARE_8) | (value & LINE_COMPARE_8);
    } else this.crtc[index] = value;
  }

  #readDac(): number {
    const value = this.dac[this.#dacEntry * 3 + this.#dacPart];
    this.#nextDac();
    return value;
  }

  #writeDac(value: number): void {
    const wide = this.dispi[DISPI.enable] & DISPI_8BIT_DAC;
    this.dac[this.#dacEntry * 3 + this.#dacPart] = wide ? value : value & 0x3f;
    this.#nextDac();
  }

  #nextDac(): void {
    if (++this.#dacPart < 3) return;
    this.#dacPart = 0;
    this.#dacEntry = (this.#dacEntry + 1) & 0xff;
  }

  /** Input status 1: bit 0, no display; bit 3, vertical retrace. */
  #beam(): number {
    const now = this.#options.clock.now();
    const line = (now / LINE_NS) % LINES;
    const dark = line >= SHOWN_LINES || now % LINE_NS >= SHOWN_NS;
    return (dark ? 1 : 0) | (line >= SYNC_LINE && line < SYNC_END ? 8 : 0);
  }

  // The display interface

  #readDispi(offset: number, size: Width): number {
    if (offset === 0) return size === 1 ? this.#dispiIndex & 0xff : this.#dispiIndex;
    if (size === 4) return allOnes(size);
    const index = this.#dispiIndex;
    const caps = this.dispi[DISPI.enable] & DISPI_GETCAPS;
    if (caps && index >= DISPI.width && index <= DISPI.bpp) {
      return [DISPI_MAX.width, DISPI_MAX.height, DISPI_MAX.bpp][index - DISPI.width];
    }
    return this.dispi[index] ?? 0;
  }

  #writeDispi(offset: number, size: Width, value: number): void {
    if (size !== 2) {
      this.#options.log(`vga: ${size}-byte write to the display interface`);
      return;
    }
    if (offset === 0) {
      this.#dispiIndex = value;
      return;
    }
    const { dispi } = this;
    const index = this.#dispiIndex;
    switch (index) {
      case DISPI.id:
        if (value >= DISPI_ID_FIRST && value <= DISPI_ID) dispi[index] = value;
        return;
      case DISPI.width:
        if (!this.dispiEnabled && value <= DISPI_MAX.width && value % 8 === 0) dispi[index] = value;
        return;
      case DISPI.height:
        if (!this.dispiEnabled && value <= DISPI_MAX.height) dispi[index] = value;
        return;
      case DISPI.bpp:
        if (!this.dispiEnabled && (value === 0 || DISPI_BPP.has(value))) dispi[index] = value || 8;
        return;
      case DISPI.bank:
        dispi[index] = value % dispi[DISPI.memory];
        this.#options.onMemory(false);
        return;
      case DISPI.virtualWidth:
        if (value >= dispi[DISPI.width]) {
          dispi[index] = value;
          this.#setVirtualHeight();
        }
        return;
      case DISPI.x:
      case DISPI.y:
        dispi[index] = value;
        return;
      case DISPI.enable:
        this.#enable(value);
        return;
    }
  }

  #enable(value: number): void {
    const { dispi } = this;
    const before = dispi[DISPI.enable];
    dispi[DISPI.enable] = value & (DISPI_ENABLED | DISPI_GETCAPS | DISPI_8BIT_DAC | DISPI_LFB | DISPI_NO_CLEAR);
    const on = value & DISPI_ENABLED && !(before & DISPI_ENABLED);
    if (on) {
      dispi[DISPI.virtualWidth] = dispi[DISPI.width];
      dispi[DISPI.x] = dispi[DISPI.y] = dispi[DISPI.bank] = 0;
      this.#setVirtualHeight();
      if (dispi[DISPI.virtualHeight] < dispi[DISPI.height]) {
        this.#options.log(`vga: ${dispi[DISPI.width]}x${dispi[DISPI.height]} does not fit the memory`);
        dispi[DISPI.enable] &= ~DISPI_ENABLED;
      }
    }
    this.#options.onMemory(on !== 0 && on !== false && (value & DISPI_NO_CLEAR) === 0);
  }

  /** Lines of the virtual width that memory has room for. */
  #setVirtualHeight(): void {
    const { dispi } = this;
    const line = Math.max(1, dispiPitch(dispi));
    // Sixteen colours are in the planes, of which each has a quarter of a mebibyte.
    const room = dispi[DISPI.bpp] === 4 ? 0x4_0000 : this.#options.memorySize;
    dispi[DISPI.virtualHeight] = Math.min(0xffff, Math.floor(room / line));
  }

  export(): VgaV1 {
    return {
      version: 1,
      misc: this.misc,
      feature: this.#feature,
      sequencer: this.sequencer.slice(),
      graphics: this.graphics.slice(),
      crtc: this.crtc.slice(),
      attribute: this.attribute.slice(),
      indices: [this.#sequencerIndex, this.#graphicsIndex, this.#crtcIndex, this.#attributeIndex, this.#dispiIndex],
      data: this.#attributeData,
      dac: this.dac.slice(),
      dacMask: this.dacMask,
      dacAt: [this.#dacEntry, this.#dacPart, this.#dacReading ? 1 : 0],
      dispi: [...this.dispi],
      latch: this.#latch.value,
    };
  }

  import(state: VgaV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const [misc, feature, dacMask] = ["misc", "feature", "dacMask"].map((f) => from.u8(f));
    const sets = (["sequencer", "graphics", "crtc", "attribute", "dac"] as const).map(
      (f) => [this[f], from.bytes(f, this[f].length)] as const,
    );
    const indices = from.intsOf("indices", 5, 0, 0xffff);
    const dacAt = from.intsOf("dacAt", 3, 0, 0xff);
    const dispi = from.intsOf("dispi", DISPI_REGISTERS, 0, 0xffff);
    if (dacAt[1] > 2) from.fail("dacAt", "not one of three components");
    if (dispi[DISPI.memory] !== this.dispi[DISPI.memory]) from.fail("dispi", "another size of memory");
    if (dispi[DISPI.width] > DISPI_MAX.width || dispi[DISPI.height] > DISPI_MAX.height) from.fail("dispi", "too large");
    const data = from.bool("data");
    const latch = from.int("latch", 0, 0xffff_ffff);
    for (const [to, bytes] of sets) to.set(bytes);
    this.misc = misc;
    this.#feature = feature;
    this.dacMask = dacMask;
    [this.#sequencerIndex, this.#graphicsIndex, this.#crtcIndex, this.#attributeIndex, this.#dispiIndex] = indices;
    this.#attributeData = data;
    [this.#dacEntry, this.#dacPart] = dacAt;
    this.#dacReading = dacAt[2] !== 0;
    this.dispi.set(dispi);
    this.#latch.value = latch;
    this.#options.onMemory(false);
  }
}

/** Bytes from one line to the next (of one plane, with sixteen colours). */
export function dispiPitch(dispi: Uint16Array): number {
  const bpp = dispi[DISPI.bpp];
  const width = dispi[DISPI.virtualWidth];
  return bpp === 4 ? width >> 3 : width * ((bpp + 7) >> 3);
}
