/**
 * What a VGA's registers make of its memory: the geometry of the picture (IBM PS/2 Hardware Interface Technical Reference,
 * "CRT Controller").
 *
 *     a line     memory address counter from start + row * 2 * offset, one step for each character clock
 *     bytes      the counter is the plane address; words: times 2; double words: times 4 (CR17 bit 6, CR14 bit 6)
 *     rows       a row is CR9 4:0 + 1 scan lines, twice as many with CR9 bit 7; CR8 4:0 is the first row's first one
 *     CR17 1:0   0: row scan counter bit 0 (1) is address bit 13 (14), as in the CGA's (Hercules') graphics
 *     CR18 …     line compare: after that scan line, the picture goes on at address 0
 *     AR13, CR8 6:5  the picture is moved left by dots, and by character clocks; below line compare not, with AR10 bit 5
 */
import { DISPI, type Vga } from "../io/vga.ts";

export type Mode = TextMode | GraphicsMode | FrameMode;

/** Common to what the CRT controller reads from the planes. */
interface Crt {
  /** Plane address of the first byte, in counts of the address counter. */
  readonly start: number;
  /** Counts from one row to the next. */
  readonly offset: number;
  /** Shift of the counter: 0 bytes, 1 words, 2 double words. */
  readonly shift: number;
  /** Line of the picture from which on the address counter has started again from 0. */
  readonly split: number;
  readonly width: number;
  readonly height: number;
  /** Dots that the picture is moved to the left; the same below the split. */
  readonly pan: number;
  readonly splitPan: number;
  /** Scan lines of the first row that are not shown. */
  readonly preset: number;
}

export interface TextMode extends Crt {
  readonly kind: "text";
  readonly columns: number;
  readonly cellWidth: 8 | 9;
  readonly cellHeight: number;
  /** Scan line of a cell that is a line under characters with the MDA's attribute for that. */
  readonly underline: number;
  /** First and last scan line of the cursor in its cell, and its place in memory; nothing if it is off. */
  readonly cursor: { readonly from: number; readonly to: number; readonly at: number } | undefined;
}

export interface GraphicsMode extends Crt {
  /** Sixteen colours from four planes, four from pairs of bits, 256 from bytes. */
  readonly kind: "planar" | "cga" | "bytes";
  /** Scan lines of a row that are lines of the picture each, since they are part of the address; else 1. */
  readonly scans: number;
  /** Address bits that come from the row scan counter: 13, 14. */
  readonly scanBits: number;
  /** Addresses that the planes have, less one. */
  readonly mask: number;
}

/** The display interface's linear frame buffer. */
export interface FrameMode {
  readonly kind: "frame";
  readonly bpp: number;
  readonly width: number;
  readonly height: number;
  /** Bytes from line to line; offset of the first pixel. */
  readonly pitch: number;
  readonly start: number;
}

/** The mode that the registers describe; undefined: the screen is dark. */
export function modeOf(vga: Vga): Mode | undefined {
  const { crtc, dispi } = vga;
  if (vga.dispiEnabled && dispi[DISPI.bpp] >= 8) return frameMode(vga);
  if (!vga.visible) return undefined;
  const overflow = crtc[7];
  const lines = (crtc[0x12] | ((overflow & 0x02) << 7) | ((overflow & 0x40) << 3)) + 1;
  const compare = crtc[0x18] | ((overflow & 0x10) << 4) | ((crtc[9] & 0x40) << 3);
  const scans = (crtc[9] & 0x1f) + 1;
  const doubled = crtc[9] & 0x80 ? 2 : 1;
  const shift = crtc[0x14] & 0x40 ? 2 : crtc[0x17] & 0x40 ? 0 : 1;
  const start = (crtc[0x0c] << 8) | crtc[0x0d];
  // The offset register counts words, or double words.
  const offset = crtc[0x13] << 1;
  const clocks = crtc[1] + 1;
  const panned = (dots: number, pel: number) => {
    const pan = ((crtc[8] >> 5) & 3) * dots + pel;
    return { pan, splitPan: vga.attribute[0x10] & 0x20 ? 0 : pan };
  };
  const pel = vga.attribute[0x13] & 15;
  const preset = Math.min(crtc[8] & 0x1f, scans - 1);
  if (!(vga.graphics[6] & 1)) {
    const cellWidth = vga.sequencer[1] & 1 ? 8 : 9;
    const cursorAt = (crtc[0x0e] << 8) | crtc[0x0f];
    const from = crtc[0x0a] & 0x1f;
    const to = Math.min(crtc[0x0b] & 0x1f, scans - 1);
    return {
      kind: "text",
      columns: clocks,
      cellWidth,
      cellHeight: scans,
      underline: crtc[0x14] & 0x1f,
      cursor: crtc[0x0a] & 0x20 || from > to ? undefined : { from, to, at: cursorAt },
      start,
      offset,
      shift,
      split: Math.floor((compare + 1) / doubled),
      width: clocks * cellWidth,
      height: Math.max(1, Math.floor(lines / doubled)),
      ...panned(cellWidth, cellWidth === 9 ? (pel + 1) % 9 : pel & 7),
      preset,
    };
  }
  const kind = vga.graphics[5] & 0x40 ? "bytes" : vga.graphics[5] & 0x20 ? "cga" : "planar";
  if (vga.dispiEnabled) return wideMode(vga, kind);
  const scanBits = (~crtc[0x17] & 3) << 13;
  const apart = scanBits !== 0 && scans > 1;
  const repeat = doubled * (apart ? 1 : scans);
  const dots = kind === "bytes" ? 4 : 8;
  return {
    kind,
    start,
    offset,
    shift,
    split: Math.floor((compare + 1) / repeat),
    width: clocks * dots,
    height: Math.max(1, Math.floor(lines / repeat)),
    ...panned(dots, kind === "bytes" ? (pel & 7) >> 1 : pel & 7),
    preset: apart ? preset : 0,
    scans: apart ? scans : 1,
    scanBits,
    mask: 0xffff,
  };
}

/** Sixteen colours by the display interface: planes of 256 KiB, of which each line has the virtual width. */
function wideMode({ dispi }: Vga, kind: GraphicsMode["kind"]): GraphicsMode {
  const offset = dispi[DISPI.virtualWidth] >> 3;
  const pan = dispi[DISPI.x] & 7;
  return {
    kind,
    start: (dispi[DISPI.x] >> 3) + dispi[DISPI.y] * offset,
    offset,
    shift: 0,
    split: Number.POSITIVE_INFINITY,
    width: dispi[DISPI.width],
    height: dispi[DISPI.height],
    pan,
    splitPan: pan,
    preset: 0,
    scans: 1,
    scanBits: 0,
    mask: 0x3_ffff,
  };
}

function frameMode({ dispi }: Vga): FrameMode {
  const bpp = dispi[DISPI.bpp];
  const bytes = (bpp + 7) >> 3;
  const pitch = dispi[DISPI.virtualWidth] * bytes;
  const start = dispi[DISPI.y] * pitch + dispi[DISPI.x] * bytes;
  return { kind: "frame", bpp, width: dispi[DISPI.width], height: dispi[DISPI.height], pitch, start };
}
