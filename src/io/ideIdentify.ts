/** The 256 words of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE (ATA/ATAPI-6, 8.15 and 8.16). */

export interface DiskIdentity {
  /** Sectors; the most that 28-bit commands can address. */
  readonly total: number;
  readonly max28: number;
  readonly serial: string;
  /** As SET FEATURES, transfer mode. */
  readonly mode: number;
  readonly multiple: number;
  readonly maxMultiple: number;
  /** Current translation. */
  readonly heads: number;
  readonly sectors: number;
  readonly cache: boolean;
  /** See resetResult. */
  readonly resetResult: number;
}

/**
 * Word 93: what a drive has found at a hardware reset (8.15.62), on an 80-conductor cable with the places set by jumpers.
 * Drive 0 has bits 7:0: it answers for an absent drive 1, or that has asserted DASP- and PDIAG-. Drive 1 has bits 12:8.
 */
export const resetResult = (second: boolean, alone: boolean): number => (second ? 0x6b00 : alone ? 0x604b : 0x603b);

const FIRMWARE = "1.0";
/** ATA-4 to ATA-6. */
const VERSIONS = 0x0070;

/** Geometry that drives of that size report, and BIOSes translate (ATA-5, annex B). */
export function geometry(total: number): { cylinders: number; heads: number; sectors: number } {
  const heads = 16;
  const sectors = 63;
  return { cylinders: Math.min(16_383, Math.max(1, Math.floor(total / (heads * sectors)))), heads, sectors };
}

class Words {
  readonly bytes = new Uint8Array(512);
  readonly #view = new DataView(this.bytes.buffer);

  set(word: number, ...values: number[]): this {
    values.forEach((value, i) => {
      this.#view.setUint16((word + i) * 2, value, true);
    });
    return this;
  }

  set32(word: number, value: number): this {
    this.#view.setUint32(word * 2, value, true);
    return this;
  }

  /** Text has the first letter of each pair in the upper byte. */
  text(word: number, words: number, text: string): this {
    const padded = text.padEnd(words * 2);
    for (let i = 0; i < words * 2; i++) this.bytes[word * 2 + (i ^ 1)] = padded.charCodeAt(i);
    return this;
  }

  /** Integrity word: signature A5h and a checksum (8.15.61). */
  finish(): Uint8Array {
    this.bytes[510] = 0xa5;
    let sum = 0;
    for (let i = 0; i < 511; i++) sum += this.bytes[i];
    this.bytes[511] = -sum;
    return this.bytes;
  }
}

/** Supported modes of a kind of DMA, with a bit for the selected one. */
const modes = (highest: number, kind: number, mode: number): number =>
  (2 ** (highest + 1) - 1) | (mode >> 4 === kind >> 4 ? 0x100 << (mode & 7) : 0);

export function identifyDisk(d: DiskIdentity): Uint8Array {
  const { cylinders, heads, sectors } = geometry(d.total);
  const current = Math.min(65_535, Math.floor(d.total / (d.heads * d.sectors)));
  const w = new Words();
  w.set(0, 0x0040, cylinders, 0, heads).set(6, sectors);
  w.text(10, 10, d.serial).text(23, 4, FIRMWARE).text(27, 20, "TABHYVE HARDDISK");
  w.set(47, 0x8000 | d.maxMultiple);
  // LBA, DMA; IORDY can be switched off.
  w.set(49, 0x0f00, 0x4000, 0x0200);
  // Words 54–58, 64–70 and 88 are valid.
  w.set(53, 7, current, d.heads, d.sectors).set32(57, current * d.heads * d.sectors);
  w.set(59, d.multiple ? 0x100 | d.multiple : 0);
  w.set32(60, Math.min(d.total, d.max28));
  w.set(63, modes(2, 0x20, d.mode));
  // PIO 3 and 4; cycle times in ns.
  w.set(64, 3, 120, 120, 120, 120);
  w.set(80, VERSIONS);
  // Supported: write cache, look-ahead, NOP-less; FLUSH CACHE and its EXT, 48-bit addresses.
  const write = d.cache ? 0x20 : 0;
  w.set(82, 0x0060, 0x7400, 0x4000, 0x0040 | write, 0x3400, 0x4000);
  w.set(88, modes(5, 0x40, d.mode));
  w.set(93, d.resetResult);
  w.set32(100, d.total % 2 ** 32).set32(102, Math.floor(d.total / 2 ** 32));
  return w.finish();
}

export function identifyCd(serial: string, mode: number, result: number): Uint8Array {
  const w = new Words();
  // ATAPI, CD-ROM, removable; DRQ within 50 µs; packets of 12 bytes.
  w.set(0, 0x85c0);
  w.text(10, 10, serial).text(23, 4, FIRMWARE).text(27, 20, "TABHYVE CD-ROM");
  w.set(49, 0x0f00, 0x4000, 0x0200).set(53, 6);
  w.set(63, modes(2, 0x20, mode));
  w.set(64, 3, 120, 120, 120, 120);
  w.set(80, VERSIONS);
  // PACKET and DEVICE RESET.
  w.set(82, 0x0210, 0x4000, 0x4000, 0x0210, 0x0000, 0x4000);
  w.set(88, modes(5, 0x40, mode));
  w.set(93, result);
  return w.finish();
}
