/** Disk images for `npm run bench -- --only disk`: one that boots a kernel by test/bench/loader.asm, one that is measured. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runnerImport } from "vite";
import { root } from "../prepare.mjs";

const SECTOR = 512;
/** Where the loader has its table, and in which order. */
const TABLE = 440;
/** A piece of what the loader moves, in sectors: the last one of a file is read whole. */
const PIECE = 64;

const sectors = (bytes) => Math.ceil(bytes / SECTOR);

/**
 * A disk that boots a bzImage.
 * @param {{kernel: string, initrd: string, append: string}} guest  paths, and the command line
 */
export async function bootDisk({ kernel, initrd, append }) {
  const { assemble } = (
    await runnerImport(join(root, "src/isa/assemble.ts"), { configFile: false, logLevel: "error", root })
  ).module;
  const loader = assemble(readFileSync(join(root, "test/bench/loader.asm"), "utf8"), { name: "loader.asm" }).bytes;
  const image = readFileSync(kernel);
  const setup = (image[0x1f1] || 4) + 1;
  const parts = [
    image.subarray(0, setup * SECTOR),
    Buffer.from(`${append}\0`),
    image.subarray(setup * SECTOR),
    readFileSync(initrd),
  ];
  let at = 1;
  const places = parts.map((part) => {
    const place = at;
    at += Math.ceil(sectors(part.length) / PIECE) * PIECE;
    return place;
  });
  const disk = Buffer.alloc(at * SECTOR);
  disk.set(loader);
  for (const [n, part] of parts.entries()) disk.set(part, places[n] * SECTOR);
  const [setupAt, lineAt, kernelAt, initrdAt] = places;
  const [, , body, ram] = parts;
  const table = [setupAt, setup, lineAt, kernelAt, sectors(body.length), initrdAt, sectors(ram.length), ram.length];
  for (const [n, value] of table.entries()) disk.writeUInt32LE(value, TABLE + 4 * n);
  return disk;
}

/** A disk with something else in every sector. */
export function dataDisk(bytes) {
  const words = new Uint32Array(bytes / 4);
  for (let i = 0, x = 1; i < words.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    words[i] = x;
  }
  return Buffer.from(words.buffer);
}
