/** A folder of the host that keeps what a guest writes (src/block/journal.ts), for one machine at a time. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { BlockError } from "../block/block.ts";
import { JournalStore, type StableFile } from "../block/journal.ts";
import { readWhole, writeWhole } from "./files.ts";

class HostFile implements StableFile {
  readonly #fd: number;
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    // Made if it is not there; never emptied.
    closeSync(openSync(file, "a"));
    this.#fd = openSync(file, "r+");
  }

  get size(): number {
    return fstatSync(this.#fd).size;
  }

  read(at: number, into: Uint8Array): void {
    if (!readWhole(this.#fd, at, into)) throw new BlockError(`${this.#file}: has become shorter`);
  }

  write(at: number, from: Uint8Array): void {
    writeWhole(this.#fd, at, from);
  }

  truncate(size: number): void {
    ftruncateSync(this.#fd, size);
  }

  flush(): void {
    fsyncSync(this.#fd);
  }
}

/** Whether a process runs: one that we may not signal does, too. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** @throws BlockError: another process has it */
function lock(folder: string): void {
  const file = join(folder, "lock");
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || attempt > 0) throw error;
      const owner = Number(readFileSync(file, "utf8"));
      if (owner !== process.pid && runs(owner)) throw new BlockError(`${folder} is in use by process ${owner}`);
      // Its process was killed, or was this one's number before.
      rmSync(file);
    }
  }
  process.on("exit", () => rmSync(file, { force: true }));
}

/**
 * Opens a folder, or makes it, for an image of `size` bytes.
 *
 * @throws BlockError or an error of the file system
 */
export function keptBlocks(folder: string, size: number): JournalStore {
  mkdirSync(folder, { recursive: true });
  lock(folder);
  const file = (name: string): HostFile => new HostFile(join(folder, name));
  return new JournalStore({ data: file("data"), logs: [file("log.a"), file("log.b")] }, size, folder);
}
