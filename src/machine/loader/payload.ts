/**
 * What a bzImage has packed: the kernel proper, an ELF executable (Documentation/arch/x86/boot.rst, payload_offset). The
 * kernel's own decompressor unpacks it in the guest, copies its segments to their physical addresses and jumps to
 * its entry with RSI as it was. Done here it costs less: Debian's cloud kernel gets to the shell with a fifth fewer
 * instructions.
 */

import type { SetupHeader } from "./bzImage.ts";
import { type Elf, isElf, parseElf } from "./elf.ts";
import { isLegacyFrame, unpackLegacyFrame } from "./lz4.ts";

export interface UnpackedKernel {
  readonly file: Uint8Array<ArrayBuffer>;
  readonly elf: Elf;
}

/**
 * Unpacks the kernel in a bzImage. Undefined where that is left to the guest, which can say itself what is wrong: packed
 * otherwise than by LZ4, damaged, or not an ELF file.
 */
export function unpackKernel(bzImage: Uint8Array, header: SetupHeader): UnpackedKernel | undefined {
  if (!header.payload) return undefined;
  const { offset, length } = header.payload;
  const payload = bzImage.subarray(offset, offset + length);
  if (!isLegacyFrame(payload)) return undefined;
  try {
    const file = unpackLegacyFrame(payload);
    return isElf(file) ? { file, elf: parseElf(file) } : undefined;
  } catch {
    return undefined;
  }
}
