/**
 * What a disk, CD or floppy drive reads and writes: bytes by position. Sources that answer at once return nothing, so
 * that a drive over them goes by guest time alone; sources that must wait (a Blob, a server) return a promise.
 */
export interface BlockSource {
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** Fills `into` from `offset` on; the range lies inside. @throws BlockError, here or in the promise */
  read(offset: number, into: Uint8Array): void | Promise<void>;
  write(offset: number, from: Uint8Array): void | Promise<void>;
  /** What was written is safe when it is done. */
  flush(): void | Promise<void>;
  /** What is there need not be kept: it may read as anything, and as zeros later. Sources that cannot forget have none. */
  discard?(offset: number, length: number): void | Promise<void>;
  /** Contents that a snapshot must hold, because they are nowhere else. */
  export?(): BlockContentsV1;
  /** @throws SnapshotError */
  import?(state: BlockContentsV1): void;
}

/** Blocks by number, as an overlay or a memory disk holds them. */
export interface BlockContentsV1 {
  version: 1;
  size: number;
  /** Numbers of blocks, ascending; their contents one after the other. */
  blocks: number[];
  bytes: Uint8Array;
}

/** A medium that cannot be read or written: one line that says which and why. */
export class BlockError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "BlockError";
  }
}

/** Goes on at once, or when the promise is done; `done` gets what has gone wrong. */
export function whenDone(work: () => void | Promise<void>, done: (error?: unknown) => void): void {
  let pending: void | Promise<void>;
  try {
    pending = work();
  } catch (error) {
    done(error ?? new BlockError("failed"));
    return;
  }
  if (pending) pending.then(() => done(), done);
  else done();
}
