/**
 * LZ4's legacy frame, as Linux's build packs a kernel: magic 0x184c2102, then blocks of at most 8 MiB, each a
 * 32-bit length and an LZ4 block (lz4_Frame_format.md and lz4_Block_format.md of the LZ4 project).
 */

const LEGACY_MAGIC = 0x184c2102;
const BLOCK_MAX = 8 << 20;

/** Whether `data` begins with a legacy frame. */
export function isLegacyFrame(data) {
  return data.length >= 4 && Buffer.from(data.buffer, data.byteOffset, 4).readUInt32LE(0) === LEGACY_MAGIC;
}

/**
 * Unpacks a legacy frame. The frame has no end mark: it ends with the data, or (Linux appends the unpacked size) where
 * fewer than 5 bytes are left.
 *
 * @param {Uint8Array} data
 * @returns {Buffer}
 */
export function unpackLegacyFrame(data) {
  const input = Buffer.from(data.buffer, data.byteOffset, data.length);
  if (!isLegacyFrame(data)) throw new Error("not an LZ4 legacy frame");
  const blocks = [];
  for (let at = 4; at + 4 < input.length; ) {
    const size = input.readUInt32LE(at);
    at += 4;
    if (size === 0 || at + size > input.length) throw new Error(`LZ4 block of ${size} bytes at ${at} exceeds the data`);
    blocks.push(unpackBlock(input.subarray(at, at + size)));
    at += size;
  }
  return Buffer.concat(blocks);
}

/**
 * Unpacks one block: sequences of {token, literals, offset, match}. The token's halves are the two lengths, where 15
 * means that bytes to add follow, up to one that is not 255; a match is 4 bytes longer than it says.
 */
function unpackBlock(input) {
  const output = Buffer.allocUnsafe(BLOCK_MAX);
  let from = 0;
  let to = 0;
  const length = (nibble) => {
    let n = nibble;
    if (nibble === 15) {
      let byte;
      do {
        byte = input[from++];
        n += byte;
      } while (byte === 255);
    }
    return n;
  };
  while (from < input.length) {
    const token = input[from++];
    const literals = length(token >> 4);
    if (from + literals > input.length || to + literals > output.length)
      throw new Error("LZ4 literals exceed the block");
    input.copy(output, to, from, from + literals);
    from += literals;
    to += literals;
    if (from === input.length) break;
    const offset = input[from] | (input[from + 1] << 8);
    from += 2;
    const match = length(token & 15) + 4;
    if (offset === 0 || offset > to || !(to + match <= output.length)) throw new Error("LZ4 match exceeds the block");
    // Byte by byte: a match may overlap what it produces.
    for (let i = 0; i < match; i++, to++) output[to] = output[to - offset];
  }
  return output.subarray(0, to);
}
