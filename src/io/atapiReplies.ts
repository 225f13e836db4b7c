/** What a CD-ROM drive says: sense data and replies (SPC-2, MMC-3). Numbers are big-endian. */

/** Sense key, additional sense code, qualifier. */
export const NO_SENSE = [0, 0, 0] as const;
export const NO_MEDIUM = [0x2, 0x3a, 0] as const;
export const READ_ERROR = [0x3, 0x11, 0] as const;
export const INVALID_COMMAND = [0x5, 0x20, 0] as const;
export const OUT_OF_RANGE = [0x5, 0x21, 0] as const;
export const INVALID_FIELD = [0x5, 0x24, 0] as const;
export const REMOVAL_PREVENTED = [0x5, 0x53, 2] as const;
export const MEDIUM_CHANGED = [0x6, 0x28, 0] as const;

/** TEST UNIT READY, READ CAPACITY, READ (10, 12), READ CD, SEEK, READ TOC, READ DISC INFORMATION. */
export const NEEDS_MEDIUM: ReadonlySet<number> = new Set([0x00, 0x25, 0x28, 0xa8, 0xbe, 0x2b, 0x43, 0x51]);

/** Start of the lead-out, and of track 1, in minutes, seconds and frames from the lead-in. */
const PREGAP = 150;
const LEAD_OUT = 0xaa;
/** Data track, recorded uninterrupted. */
const DATA_TRACK = 0x14;
const PROFILE_CD_ROM = 0x0008;

const be16 = (n: number): number[] => [(n >>> 8) & 0xff, n & 0xff];
const be32 = (n: number): number[] => [...be16(n >>> 16), ...be16(n)];

export function senseData(sense: readonly number[]): Uint8Array {
  const out = new Uint8Array(18);
  out.set([0x70, 0, sense[0]]);
  out[7] = 10;
  out.set(sense.slice(1), 12);
  return out;
}

export function inquiry(): Uint8Array {
  const out = new Uint8Array(36);
  // CD-ROM, removable, MMC-3's SPC; response format 2 of ATAPI; 31 bytes follow.
  out.set([5, 0x80, 0, 0x21, 31]);
  out.set(new TextEncoder().encode("TABHYVE CD-ROM          1.0 "), 8);
  return out;
}

export function capacity(sectors: number): Uint8Array {
  return Uint8Array.from([...be32(sectors - 1), ...be32(2048)]);
}

function address(lba: number, msf: boolean): number[] {
  if (!msf) return be32(lba);
  const frames = lba + PREGAP;
  return [0, Math.floor(frames / 4500), Math.floor(frames / 75) % 60, frames % 75];
}

/** READ TOC/PMA/ATIP: formats 0 (tracks), 1 (sessions), 2 (full). undefined: a field of the packet is wrong. */
export function toc(format: number, first: number, msf: boolean, sectors: number): Uint8Array | undefined {
  const track = [0, DATA_TRACK, 1, 0, ...address(0, msf)];
  const leadOut = [0, DATA_TRACK, LEAD_OUT, 0, ...address(sectors, msf)];
  if (format === 0) {
    if (first > 1 && first !== LEAD_OUT) return undefined;
    const tracks = first === LEAD_OUT ? leadOut : [...track, ...leadOut];
    return Uint8Array.from([...be16(2 + tracks.length), 1, 1, ...tracks]);
  }
  if (format === 1) return Uint8Array.from([...be16(10), 1, 1, ...track]);
  if (format !== 2) return undefined;
  // Points A0 (first track), A1 (last), A2 (lead-out), then the track; addresses are always in MSF here.
  const point = (what: number, where: number[]) => [1, DATA_TRACK, 0, what, 0, 0, 0, ...where];
  const entries = [
    ...point(0xa0, [0, 1, 0, 0]),
    ...point(0xa1, [0, 1, 0, 0]),
    ...point(0xa2, address(sectors, true)),
    ...point(1, address(0, true)),
  ];
  return Uint8Array.from([...be16(2 + entries.length), 1, 1, ...entries]);
}

/** GET CONFIGURATION: the header with the current profile, the profile list, and the core feature. */
export function configuration(medium: boolean): Uint8Array {
  const current = medium ? 1 : 0;
  const features = [
    ...[...be16(0x0000), 0x03, 4, ...be16(PROFILE_CD_ROM), current, 0],
    // Core: ATAPI; removable medium: tray, lockable.
    ...[...be16(0x0001), 0x03, 4, ...be32(2)],
    ...[...be16(0x0003), 0x03, 4, 0x29, 0, 0, 0],
  ];
  const header = [...be32(4 + features.length), 0, 0, ...be16(medium ? PROFILE_CD_ROM : 0)];
  return Uint8Array.from([...header, ...features]);
}

/** GET EVENT STATUS NOTIFICATION: the media class, if it was asked for. */
export function mediaEvent(asked: boolean, changed: boolean, medium: boolean): Uint8Array {
  if (!asked) return Uint8Array.from([...be16(2), 0x80, 0x10]);
  const event = !changed ? 0 : medium ? 2 : 3;
  return Uint8Array.from([...be16(6), 0x04, 0x10, event, medium ? 2 : 0, 0, 0]);
}

/** READ DISC INFORMATION: a complete disc of one session and one track. */
export function discInformation(): Uint8Array {
  const out = new Uint8Array(34);
  out.set([...be16(32), 0x0e, 1, 1, 1, 1]);
  return out;
}

/** MODE SENSE (10): the header and a page, or all of them (3fh); undefined: no such page. */
export function modePage(page: number, medium: boolean, locked: boolean): Uint8Array | undefined {
  const pages: Readonly<Record<number, number[]>> = {
    // Error recovery; CD-ROM parameters.
    1: [0x01, 6, 0, 5, 0, 0, 0, 0],
    13: [0x0d, 6, 0, 13, ...be16(60), ...be16(75)],
    // Capabilities: reads CD-R and CD-RW; tray, eject, lock; 32x; no audio, nothing written.
    42: [
      0x2a,
      18,
      3,
      0,
      0,
      0,
      locked ? 0x2b : 0x29,
      0,
      ...be16(5645),
      ...be16(0),
      ...be16(512),
      ...be16(5645),
      0,
      0,
      0,
      0,
    ],
  };
  const wanted = page === 0x3f ? Object.values(pages).flat() : pages[page];
  if (!wanted) return undefined;
  const body = [medium ? 0x01 : 0x70, 0, 0, 0, 0, 0, ...wanted];
  return Uint8Array.from([...be16(body.length), ...body]);
}
