/**
 * The header of a qcow2 image, versions 2 and 3 (QEMU, docs/interop/qcow2). All numbers are big-endian.
 *
 *      0 "QFI" FBh   4 version   8 backing file's name: offset u64, 16 its length   20 cluster bits   24 size u64
 *     32 encryption   36 entries of L1   40 offset of L1 u64   60 internal snapshots
 *     72 incompatible features u64   100 length of the header   104 compression type          version 3
 *
 * Extensions follow: type u32, length u32, data, padding to 8. Of them the backing file's format and the names of
 * features are looked at.
 */
import { BlockError, type BlockSource } from "../block.ts";

export interface Qcow2Header {
  readonly version: 2 | 3;
  /** A cluster has 2 to the power of it bytes: 9 to 21. */
  readonly clusterBits: number;
  /** Bytes of the disk. */
  readonly size: number;
  readonly l1: { readonly offset: number; readonly entries: number };
  readonly compression: "deflate" | "zstd";
  /** Name of what lies below, and its format, if the image says so. */
  readonly backing?: { readonly name: string; readonly format: string | undefined };
}

const MAGIC = 0x5146_49fb;
const V2_LENGTH = 72;
const V3_LENGTH = 104;
/** Incompatible features by bit; those with no word for what is to be done are read. */
const FEATURES: readonly { readonly name: string; readonly remedy?: string }[] = [
  { name: "dirty bit", remedy: "it was not closed in order; “qemu-img check -r all” repairs it" },
  { name: "corrupt bit", remedy: "“qemu-img check -r all” may repair it" },
  { name: "external data file", remedy: "“qemu-img convert” makes one file of it" },
  { name: "compression type" },
  { name: "extended L2 entries", remedy: "“qemu-img convert” makes an image without them" },
];
const ENCRYPTION = ["", "AES encryption", "LUKS encryption"];
const EXTENSION = { end: 0, backingFormat: 0xe279_2aca, featureNames: 0x6803_f857 } as const;
/** QEMU's own limits. */
const MOST_L1 = (32 << 20) / 8;
const MOST_NAME = 1023;

export const isQcow2 = (head: Uint8Array): boolean =>
  head.length >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0) === MAGIC;

/** @throws BlockError, here or in the promise, with one line: what is wrong, or which feature is not read */
export async function readHeader(image: BlockSource, name: string): Promise<Qcow2Header> {
  const fail = (why: string): never => {
    throw new BlockError(`${name}: ${why}`);
  };
  const head = new Uint8Array(Math.min(image.size, 0x1_0000));
  await image.read(0, head);
  const view = new DataView(head.buffer);
  if (head.length < V2_LENGTH || !isQcow2(head)) fail("not a qcow2 image");
  const u64 = (at: number, what: string): number => {
    const value = Number(view.getBigUint64(at));
    return Number.isSafeInteger(value) ? value : fail(`a damaged qcow2 image: its ${what} is ${value}`);
  };
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) return fail(`qcow2 version ${version}; 2 and 3 are read`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) fail(`a damaged qcow2 image: clusters of 2^${clusterBits} bytes`);
  const length = version === 3 ? view.getUint32(100) : V2_LENGTH;
  if (length > head.length || (version === 3 && length < V3_LENGTH)) {
    fail(`a damaged qcow2 image: a header of ${length} bytes`);
  }
  const found = extensions(view, length, head.length);
  if (version === 3) refuseFeatures(view.getBigUint64(72), found.featureNames, fail);
  const encryption = view.getUint32(32);
  if (encryption) {
    fail(`qcow2 with ${ENCRYPTION[encryption] ?? `encryption ${encryption}`}, which is not read; decrypt it first`);
  }
  const kind = version === 3 && length > V3_LENGTH ? head[104] : 0;
  if (kind > 1) fail(`qcow2 with compression type ${kind}, which is not read`);
  const size = u64(24, "size");
  const l1 = { offset: u64(40, "L1 table"), entries: view.getUint32(36) };
  // An L2 table is a cluster of entries of 8 bytes.
  const covered = l1.entries * 2 ** (clusterBits - 3) * 2 ** clusterBits;
  if (l1.entries > MOST_L1 || covered < size || l1.offset + 8 * l1.entries > image.size) {
    fail("a damaged qcow2 image: its L1 table is not as long as the disk needs, or not in the file");
  }
  const [nameAt, nameLength] = [u64(8, "backing file's name"), view.getUint32(16)];
  if (nameAt && (nameLength > MOST_NAME || nameAt + nameLength > head.length)) {
    fail("a damaged qcow2 image: its backing file's name is not in its place");
  }
  const backing = nameAt ? { name: text(head, nameAt, nameLength), format: found.backingFormat } : undefined;
  return { version, clusterBits, size, l1, compression: kind ? "zstd" : "deflate", ...(backing && { backing }) };
}

const text = (bytes: Uint8Array, at: number, length: number): string =>
  new TextDecoder().decode(bytes.subarray(at, at + length)).replaceAll(/[^ -~]/g, "?");

function extensions(view: DataView, from: number, end: number) {
  const bytes = new Uint8Array(view.buffer);
  const featureNames = new Map<number, string>();
  let backingFormat: string | undefined;
  for (let at = from; at + 8 <= end; ) {
    const [type, length] = [view.getUint32(at), view.getUint32(at + 4)];
    at += 8;
    if (type === EXTENSION.end || at + length > end) break;
    if (type === EXTENSION.backingFormat) backingFormat = text(bytes, at, length);
    // Entries of 48 bytes: type (0: incompatible), bit, name padded with zeros.
    for (let entry = at; type === EXTENSION.featureNames && entry + 48 <= at + length; entry += 48) {
      if (bytes[entry] === 0) featureNames.set(bytes[entry + 1], text(bytes, entry + 2, 46).replace(/\?+$/, ""));
    }
    at += Math.ceil(length / 8) * 8;
  }
  return { backingFormat, featureNames };
}

function refuseFeatures(bits: bigint, names: ReadonlyMap<number, string>, fail: (why: string) => never): void {
  for (let bit = 0; bit < 64; bit++) {
    if (!((bits >> BigInt(bit)) & 1n)) continue;
    const known = FEATURES[bit];
    if (known && !known.remedy) continue;
    const name = known?.name ?? names.get(bit) ?? `incompatible feature ${bit}`;
    fail(`qcow2 with ${name}, which is not read${known ? `: ${known.remedy}` : ""}`);
  }
}
