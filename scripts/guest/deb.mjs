/**
 * Takes files out of Debian packages (deb(5)): an ar archive of debian-binary, control.tar.* and data.tar.*. dpkg-deb
 * reads it where there is one; elsewhere we do, with the xz or zstd program for what Node cannot unpack.
 */

import { spawn, spawnSync } from "node:child_process";
import { closeSync, createReadStream, openSync, readSync } from "node:fs";
import { createGunzip } from "node:zlib";

const have = (program) => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;

/**
 * Regular files of a package whose path (without "./") passes `wanted`.
 * @param {string} deb  Path of the package.
 * @param {"control" | "data"} part
 * @param {(path: string) => boolean} wanted
 * @returns {Promise<Map<string, Buffer>>}
 */
export async function debFiles(deb, part, wanted) {
  const reader = new TarReader(wanted);
  if (have("dpkg-deb")) {
    await pipe(spawn("dpkg-deb", [part === "data" ? "--fsys-tarfile" : "--ctrl-tarfile", deb]), reader);
    return reader.files;
  }
  const member = arMembers(deb).find((m) => m.name.startsWith(`${part}.tar`));
  if (!member) throw new Error(`${deb} has no ${part}.tar: not a Debian package`);
  const source = createReadStream(deb, { start: member.offset, end: member.offset + member.size - 1 });
  const kind = member.name.slice(`${part}.tar`.length);
  const program = { ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2", ".lzma": "xz" }[kind];
  if (program && !have(program))
    throw new Error(`to unpack ${deb}, dpkg-deb or ${program} is needed; neither is installed`);
  if (program) {
    const child = spawn(program, ["-dc"]);
    child.stdin.on("error", () => {});
    source.pipe(child.stdin);
    await pipe(child, reader);
  } else {
    for await (const chunk of kind === ".gz" ? source.pipe(createGunzip()) : source) reader.push(chunk);
  }
  return reader.files;
}

async function pipe(child, reader) {
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const exit = new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  for await (const chunk of child.stdout) reader.push(chunk);
  const status = await exit;
  if (status !== 0) throw new Error(`${child.spawnargs.join(" ")}: status ${status}: ${errors.trim()}`);
}

/** Members of an ar archive: name, offset and size of the contents. */
export function arMembers(path) {
  const fd = openSync(path, "r");
  try {
    const header = Buffer.alloc(60);
    const members = [];
    readSync(fd, header, 0, 8, 0);
    if (header.toString("latin1", 0, 8) !== "!<arch>\n") return members;
    for (let at = 8; readSync(fd, header, 0, 60, at) === 60; ) {
      const size = Number(header.toString("latin1", 48, 58));
      members.push({ name: header.toString("latin1", 0, 16).replace(/\/? *$/, ""), offset: at + 60, size });
      at += 60 + size + (size & 1);
    }
    return members;
  } finally {
    closeSync(fd);
  }
}

/** Reads a tar stream (ustar with GNU long names) and keeps the regular files that are wanted. */
export class TarReader {
  files = new Map();
  #wanted;
  #pending = Buffer.alloc(0);
  /** Contents being read or skipped: bytes left (padding included), and where they go. */
  #left = 0;
  #take;
  #longName;

  constructor(wanted) {
    this.#wanted = wanted;
  }

  push(chunk) {
    let data = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk;
    for (;;) {
      if (this.#left > 0) {
        const part = data.subarray(0, this.#left);
        this.#take?.parts.push(part);
        this.#left -= part.length;
        data = data.subarray(part.length);
        if (this.#left > 0) break;
        this.#finish();
      }
      if (data.length < 512) break;
      this.#header(data.subarray(0, 512));
      data = data.subarray(512);
    }
    this.#pending = Buffer.from(data);
  }

  #header(block) {
    if (block[0] === 0) return;
    const text = (at, size) => block.toString("utf8", at, at + size).replace(/\0.*$/s, "");
    const size = Number.parseInt(text(124, 12), 8);
    const type = text(156, 1);
    const prefix = text(257, 5) === "ustar" && text(262, 1) !== " " ? text(345, 155) : "";
    const name = (this.#longName ?? (prefix ? `${prefix}/${text(0, 100)}` : text(0, 100))).replace(/^\.\//, "");
    this.#longName = undefined;
    const regular = type === "" || type === "0";
    if (type === "L") this.#take = { size, parts: [] };
    else if (regular && this.#wanted(name)) this.#take = { name, size, parts: [] };
    else this.#take = undefined;
    this.#left = Math.ceil(size / 512) * 512;
    if (this.#left === 0) this.#finish();
  }

  #finish() {
    const take = this.#take;
    this.#take = undefined;
    if (!take) return;
    const contents = Buffer.concat(take.parts).subarray(0, take.size);
    if (take.name === undefined) this.#longName = contents.toString("utf8").replace(/\0.*$/s, "");
    else this.files.set(take.name, contents);
  }
}
