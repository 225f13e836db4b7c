/** Makes small qcow2 images, cluster by cluster, as the specification has them (QEMU, docs/interop/qcow2). */
import { deflateRawSync } from "node:zlib";

export type ClusterKind = "data" | "compressed" | "zeros" | "none";

export interface Qcow2Shape {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** What becomes of cluster n. */
  readonly kind: (n: number) => ClusterKind;
  /** Makes a frame; default: raw deflate. */
  readonly zstd?: (bytes: Uint8Array) => Uint8Array;
  readonly backing?: { readonly name: string; readonly format?: string };
  /** Incompatible features besides, and names for them. */
  readonly features?: bigint;
  readonly featureNames?: Readonly<Record<number, string>>;
  readonly encryption?: number;
}

/** An image whose clusters are those of `bytes`, as far as they are there. */
export function makeQcow2(bytes: Uint8Array, shape: Qcow2Shape): Uint8Array {
  const { version, clusterBits, zstd, backing, features = 0n, featureNames = {}, encryption = 0 } = shape;
  const cluster = 2 ** clusterBits;
  const perTable = cluster / 8;
  const count = Math.ceil(bytes.length / cluster);
  const tables = Math.ceil(count / perTable);
  // An empty refcount table comes first: who only reads needs none, but qemu-img wants to see one.
  const l1At = 2 * cluster;
  const l2At = l1At + Math.ceil((8 * tables) / cluster) * cluster;
  let end = l2At + tables * cluster;
  const pieces: [at: number, bytes: Uint8Array][] = [];
  const entries = new BigUint64Array(tables * perTable);
  const shift = BigInt(62 - (clusterBits - 8));
  for (let n = 0; n < count; n++) {
    const content = new Uint8Array(cluster);
    content.set(bytes.subarray(n * cluster, (n + 1) * cluster));
    switch (shape.kind(n)) {
      case "data":
        end = Math.ceil(end / cluster) * cluster;
        entries[n] = BigInt(end) | (1n << 63n);
        pieces.push([end, content]);
        end += cluster;
        break;
      case "compressed": {
        // One after the other, wherever they begin; never so that the file ends with one of them.
        const packed = zstd ? zstd(content) : deflateRawSync(content);
        const sectors = Math.floor(((end % 512) + packed.length - 1) / 512);
        entries[n] = (1n << 62n) | (BigInt(sectors) << shift) | BigInt(end);
        pieces.push([end, packed]);
        end += packed.length;
        break;
      }
      case "zeros":
        entries[n] = 1n;
        break;
      case "none":
        break;
    }
  }
  const out = new Uint8Array(Math.ceil(end / cluster) * cluster);
  const view = new DataView(out.buffer);
  const compression = zstd ? 1 << 3 : 0;
  view.setUint32(0, 0x5146_49fb);
  view.setUint32(4, version);
  view.setUint32(20, clusterBits);
  view.setBigUint64(24, BigInt(bytes.length));
  view.setUint32(32, encryption);
  view.setUint32(36, tables);
  view.setBigUint64(40, BigInt(l1At));
  view.setBigUint64(48, BigInt(cluster));
  view.setUint32(56, 1);
  let at = 72;
  if (version === 3) {
    view.setBigUint64(72, features | BigInt(compression));
    view.setUint32(96, 4);
    at = 112;
    view.setUint32(100, at);
    out[104] = zstd ? 1 : 0;
  }
  const text = (where: number, what: string): void => out.set(new TextEncoder().encode(what), where);
  const extension = (type: number, length: number): number => {
    view.setUint32(at, type);
    view.setUint32(at + 4, length);
    at += 8 + Math.ceil(length / 8) * 8;
    return at - Math.ceil(length / 8) * 8;
  };
  if (backing?.format) text(extension(0xe279_2aca, backing.format.length), backing.format);
  const names = Object.entries(featureNames);
  const table = names.length ? extension(0x6803_f857, 48 * names.length) : 0;
  names.forEach(([bit, name], i) => {
    out[table + 48 * i + 1] = Number(bit);
    text(table + 48 * i + 2, name);
  });
  extension(0, 0);
  if (backing) {
    view.setBigUint64(8, BigInt(at));
    view.setUint32(16, backing.name.length);
    text(at, backing.name);
  }
  for (let t = 0; t < tables; t++) {
    view.setBigUint64(l1At + 8 * t, BigInt(l2At + t * cluster) | (1n << 63n));
    for (let n = 0; n < perTable; n++) view.setBigUint64(l2At + t * cluster + 8 * n, entries[t * perTable + n]);
  }
  for (const [where, piece] of pieces) out.set(piece, where);
  return out;
}
