/** Floppy disks: formats by the size of an image, and the drives that take them. */

/** Data rates as CCR and DSR have them. */
export const RATE = { K500: 0, K300: 1, K250: 2, M1: 3 } as const;

/** Drive types as CMOS byte 0x10 has them, in the upper half for drive A. */
export const DRIVE_TYPE = { none: 0, k360: 1, m1_2: 2, k720: 3, m1_44: 4, m2_88: 5 } as const;

export interface FloppyFormat {
  readonly kib: number;
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
  readonly rate: number;
  readonly drive: number;
}

const format = (
  kib: number,
  cylinders: number,
  heads: number,
  sectors: number,
  rate: number,
  drive: number,
): FloppyFormat => ({ kib, cylinders, heads, sectors, rate, drive });

export const FLOPPY_FORMATS: readonly FloppyFormat[] = [
  format(160, 40, 1, 8, RATE.K250, DRIVE_TYPE.k360),
  format(180, 40, 1, 9, RATE.K250, DRIVE_TYPE.k360),
  format(320, 40, 2, 8, RATE.K250, DRIVE_TYPE.k360),
  format(360, 40, 2, 9, RATE.K250, DRIVE_TYPE.k360),
  format(720, 80, 2, 9, RATE.K250, DRIVE_TYPE.m1_44),
  format(1200, 80, 2, 15, RATE.K500, DRIVE_TYPE.m1_2),
  format(1440, 80, 2, 18, RATE.K500, DRIVE_TYPE.m1_44),
  format(1680, 80, 2, 21, RATE.K500, DRIVE_TYPE.m1_44),
  format(1722, 82, 2, 21, RATE.K500, DRIVE_TYPE.m1_44),
  format(2880, 80, 2, 36, RATE.M1, DRIVE_TYPE.m2_88),
];

/** The format of an image of that many bytes; undefined: none is so large. */
export const floppyFormat = (bytes: number): FloppyFormat | undefined =>
  FLOPPY_FORMATS.find(({ kib }) => kib * 1024 === bytes);
