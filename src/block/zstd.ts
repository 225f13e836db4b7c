/**
 * Zstandard (RFC 8878): unpacking. The decoder is Zstandard's own, compiled to Wasm (the package zstddec, 28 KB compressed), which
 * is loaded when the first medium needs it. A decoder in JavaScript (fzstd) is smaller, but reached 4 MB/s where this one
 * reached 200, and a guest waits for it.
 */

/** Unpacks a frame of `size` bytes; undefined: it is damaged, or of another size. */
export type Unzstd = (frame: Uint8Array, size: number) => Uint8Array | undefined;

let loading: Promise<Unzstd> | undefined;

export function loadZstd(): Promise<Unzstd> {
  loading ??= (async () => {
    const { ZSTDDecoder } = await import("zstddec");
    const decoder = new ZSTDDecoder();
    await decoder.init();
    return (frame, size) => {
      const bytes = decoder.decode(frame, size);
      return bytes.length === size ? bytes : undefined;
    };
  })();
  return loading;
}

const MAGIC = 0xfd2f_b528;

/**
 * Bytes of the frame that `bytes` begins with, by its headers: what is stored in whole sectors has something behind it. Undefined:
 * no frame, or not all of it.
 */
export function zstdFrameLength(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 6 || view.getUint32(0, true) !== MAGIC) return undefined;
  // Frame_Header_Descriptor: content size's length 7:6, single segment 5, checksum 2, length of the dictionary's number 1:0
  const descriptor = bytes[4];
  const single = (descriptor >> 5) & 1;
  const contentSize = [single, 2, 4, 8][descriptor >> 6];
  const dictionary = [0, 1, 2, 4][descriptor & 3];
  let at = 5 + (single ? 0 : 1) + dictionary + contentSize;
  for (let last = false; !last; ) {
    if (at + 3 > bytes.length) return undefined;
    // Block_Header: size 23:3, type 2:1 (raw, RLE, compressed), last 0
    const header = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
    last = (header & 1) === 1;
    at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
  }
  if (descriptor & 4) at += 4;
  return at <= bytes.length ? at : undefined;
}
