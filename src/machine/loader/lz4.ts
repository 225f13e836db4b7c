/**
 * LZ4's legacy frame, as Linux's build packs a kernel: magic 0x184c2102, then blocks of at most 8 MiB, each a
 * 32-bit length and an LZ4 block (lz4_Frame_format.md and lz4_Block_format.md of the LZ4 project).
 */

const LEGACY_MAGIC = 0x184c_2102;
const BLOCK_MAX = 8 << 20;
/** From this length on, a call of copyWithin costs less than a loop. */
const LONG = 32;

const view = (data: Uint8Array): DataView => new DataView(data.buffer, data.byteOffset, data.byteLength);

/** Whether `data` begins with a legacy frame. */
export function isLegacyFrame(data: Uint8Array): boolean {
  return data.length >= 4 && view(data).getUint32(0, true) === LEGACY_MAGIC;
}

/**
 * Unpacks a legacy frame. The frame has no end mark: it ends with the data, or (Linux appends the unpacked size) where
 * fewer than 5 bytes are left.
 *
 * @throws Error for data that is not such a frame, or is damaged.
 */
export function unpackLegacyFrame(data: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!isLegacyFrame(data)) throw new Error("not an LZ4 legacy frame");
  const blocks: Uint8Array[] = [];
  for (let at = 4; at + 4 < data.length; ) {
    const size = view(data).getUint32(at, true);
    at += 4;
    if (size === 0 || at + size > data.length) throw new Error(`LZ4 block of ${size} bytes at ${at} exceeds the data`);
    blocks.push(data.subarray(at, at + size));
    at += size;
  }
  const output = new Uint8Array(blocks.length * BLOCK_MAX);
  let end = 0;
  for (const block of blocks) end = unpackBlock(block, output, end);
  return output.subarray(0, end);
}

/**
 * Unpacks one block behind what `output` has up to `start`, and returns where it ends. It is made of sequences {token,
 * literals, offset, match}. The token's halves are the two lengths, where 15 means that bytes to add follow, up to one
 * that is not 255; a match is 4 bytes longer than it says.
 */
function unpackBlock(input: Uint8Array, output: Uint8Array, start: number): number {
  const limit = start + BLOCK_MAX;
  let from = 0;
  let to = start;
  const more = (): number => {
    let n = 0;
    for (let byte = 255; byte === 255; n += byte) byte = input[from++];
    return n;
  };
  while (from < input.length) {
    const token = input[from++];
    let literals = token >> 4;
    if (literals === 15) literals += more();
    if (!(from + literals <= input.length && to + literals <= limit)) throw new Error("LZ4 literals exceed the block");
    if (literals >= LONG) output.set(input.subarray(from, from + literals), to);
    else for (let i = 0; i < literals; i++) output[to + i] = input[from + i];
    from += literals;
    to += literals;
    if (from === input.length) break;
    const offset = input[from] | (input[from + 1] << 8);
    from += 2;
    let match = (token & 15) + 4;
    if (match === 19) match += more();
    if (offset === 0 || offset > to - start || !(to + match <= limit)) throw new Error("LZ4 match exceeds the block");
    // A match may overlap what it produces, for which copyWithin has another meaning.
    if (match >= LONG && offset >= match) output.copyWithin(to, to - offset, to - offset + match);
    else for (let i = 0; i < match; i++) output[to + i] = output[to + i - offset];
    to += match;
  }
  return to;
}
