/** Files of the origin's private file system as a worker writes them: in place. */
import type { StableFile } from "../../block/journal.ts";

/** FileSystemSyncAccessHandle (WHATWG File System), which the DOM's types leave to workers. */
interface AccessHandle {
  read(into: Uint8Array, options: { at: number }): number;
  write(from: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}
type AccessFile = FileSystemFileHandle & { createSyncAccessHandle(): Promise<AccessHandle> };

/** Bytes that are written at a time. */
const PIECE = 4 << 20;

const piece = async (bytes: Uint8Array | Blob, at: number): Promise<Uint8Array> =>
  bytes instanceof Blob
    ? new Uint8Array(await bytes.slice(at, at + PIECE).arrayBuffer())
    : bytes.subarray(at, at + PIECE);

/** A file of the private file system that only one worker has open. */
export class PrivateFile implements StableFile {
  readonly handle: AccessHandle;

  constructor(handle: AccessHandle) {
    this.handle = handle;
  }

  get size(): number {
    return this.handle.getSize();
  }

  read(at: number, into: Uint8Array): void {
    if (this.handle.read(into, { at }) !== into.length) throw new Error("the file has become shorter");
  }

  write(at: number, from: Uint8Array): void {
    // Browsers say it by an exception, or by writing less than all.
    let written = 0;
    try {
      written = this.handle.write(from, { at });
    } catch (error) {
      if ((error as DOMException).name !== "QuotaExceededError") throw error;
    }
    if (written !== from.length) throw new Error("the browser gives the page no more room");
  }

  truncate(size: number): void {
    this.handle.truncate(size);
  }

  flush(): void {
    this.handle.flush();
  }

  /**
   * Puts bytes in place of what is in it, and makes them safe.
   *
   * @param progress gets the share that is there
   */
  async replace(bytes: Uint8Array | Blob, progress?: (share: number) => void): Promise<void> {
    const size = bytes instanceof Blob ? bytes.size : bytes.length;
    this.truncate(0);
    for (let at = 0; at < size; at += PIECE) {
      this.write(at, await piece(bytes, at));
      progress?.(Math.min(1, (at + PIECE) / size));
    }
    this.flush();
  }
}

/** Opens one, or makes it. @throws DOMException NoModificationAllowedError: another worker has it */
export async function privateFile(folder: FileSystemDirectoryHandle, name: string): Promise<PrivateFile> {
  const file = (await folder.getFileHandle(name, { create: true })) as AccessFile;
  return new PrivateFile(await file.createSyncAccessHandle());
}
