/**
 * The VGA's memory as the processor sees it where it is not plain memory: four planes behind latches, the graphics
 * controller's write and read modes, odd/even and chain-4 addressing (IBM PS/2 Hardware Interface Technical Reference, "Video
 * Subsystem"). The registers are on the control page (VGA in src/shared/layout.ts), where the device thread puts them.
 *
 *     processor data --rotate--> set/reset --function with latches--> bit mask --map mask--> planes
 *
 * One byte after the other, lowest first, as on the 8-bit bus of the original.
 */
import {
  CONTROL_BASE, C_VGA, VGA_ADDRESSES, VGA_BANK, VGA_BIT_MASK, VGA_CHAIN, VGA_CHAIN_CHAIN4, VGA_CHAIN_ODD_EVEN, VGA_COMPARE,
  VGA_ENABLE_SET_RESET, VGA_LATCH, VGA_MAP_MASK, VGA_PLANES, VGA_READ_MAP, VGA_READ_MODE, VGA_ROTATE, VGA_SET_RESET, VGA_SIZE,
  VGA_WINDOW, VGA_WRITE_MODE,
} from "./gen/layout";
import { a20 } from "./mem/phys";

@inline function word(index: u32): u32 { return load<u32>(CONTROL_BASE + C_VGA + (<usize>index << 2)); }
@inline function setLatch(value: u32): void { store<u32>(CONTROL_BASE + C_VGA + (<usize>VGA_LATCH << 2), value); }

/** A byte of ones for each plane whose bit is set. */
@inline function planes(bits: u32): u32 {
  // Bit n goes to bit 8n; times 255 fills its byte.
  return ((bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21) * 255;
}

/** Whether an access at `gpa` goes through the planes' logic. */
@inline export function vgaHas(gpa: u64): bool {
  return a20(gpa) - <u64>word(VGA_WINDOW) < <u64>word(VGA_SIZE);
}

@inline function offset(gpa: u64): u32 { return (<u32>a20(gpa) - word(VGA_WINDOW)) & word(VGA_ADDRESSES); }

/** Where the double word of a plane address is. */
@inline function at(address: u32): usize {
  return <usize>word(VGA_PLANES) + (<usize>((address + word(VGA_BANK)) & word(VGA_ADDRESSES)) << 2);
}

export function vgaRead(gpa: u64, size: u32): u64 {
  let value: u64 = 0;
  for (let i: u32 = 0; i < size; i++) value |= <u64>readByte(offset(gpa + i)) << (i << 3);
  return value;
}

function readByte(address: u32): u32 {
  const chain = word(VGA_CHAIN);
  const place = chain & VGA_CHAIN_CHAIN4 ? address & ~3 : chain & VGA_CHAIN_ODD_EVEN ? address & ~1 : address;
  const latch = load<u32>(at(place));
  setLatch(latch);
  if (chain & VGA_CHAIN_CHAIN4) return (latch >> ((address & 3) << 3)) & 0xff;
  if (word(VGA_READ_MODE)) {
    const compare = word(VGA_COMPARE);
    let differs = (latch ^ planes(compare)) & planes(compare >> 8);
    differs |= differs >> 16;
    differs |= differs >> 8;
    return ~differs & 0xff;
  }
  const map = word(VGA_READ_MAP), plane = chain & VGA_CHAIN_ODD_EVEN ? (map & 2) | (address & 1) : map;
  return (latch >> (plane << 3)) & 0xff;
}

export function vgaWrite(gpa: u64, size: u32, value: u64): void {
  for (let i: u32 = 0; i < size; i++) writeByte(offset(gpa + i), <u32>(value >> (i << 3)) & 0xff);
}

function writeByte(address: u32, value: u32): void {
  const chain = word(VGA_CHAIN);
  let mask = word(VGA_MAP_MASK), place = address;
  if (chain & VGA_CHAIN_CHAIN4) {
    place = address & ~3;
    mask &= <u32>0xff << ((address & 3) << 3);
  } else if (chain & VGA_CHAIN_ODD_EVEN) {
    place = address & ~1;
    mask &= address & 1 ? 0xff00ff00 : 0x00ff00ff;
  }
  const p = at(place), latch = word(VGA_LATCH), mode = word(VGA_WRITE_MODE);
  let data = latch;
  if (mode != 1) {
    const rotate = word(VGA_ROTATE), n = rotate & 7;
    const turned = (((value >> n) | (value << (8 - n))) & 0xff) * 0x01010101;
    const reset = word(VGA_SET_RESET), enable = word(VGA_ENABLE_SET_RESET);
    let bits = word(VGA_BIT_MASK);
    if (mode == 0) data = (turned & ~enable) | (reset & enable);
    else if (mode == 2) data = planes(value);
    else {
      data = reset;
      bits &= turned;
    }
    const f = (rotate >> 3) & 3;
    if (f == 1) data &= latch;
    else if (f == 2) data |= latch;
    else if (f == 3) data ^= latch;
    data = (data & bits) | (latch & ~bits);
  }
  store<u32>(p, (load<u32>(p) & ~mask) | (data & mask));
}
