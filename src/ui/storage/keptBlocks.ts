/** A disk whose writes are kept in the browser, as the machine reads and writes it: through its worker. */
import { type Remote, transfer, wrap } from "comlink";
import type { BlockSource } from "../../block/block.ts";
import type { DiskWorker, Refusal } from "./diskWorker.ts";
import { imageId } from "./keptDisks.ts";

export class KeptBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly = false;
  readonly #worker: Worker;
  readonly #remote: Remote<DiskWorker>;

  private constructor(worker: Worker, remote: Remote<DiskWorker>, size: number) {
    this.#worker = worker;
    this.#remote = remote;
    this.size = size;
  }

  /** Opens what is kept of an image; a Refusal says why it is not to be had. */
  static async open(image: File, floppy: boolean): Promise<KeptBlocks | Refusal> {
    const worker = new Worker(new URL("./diskWorker.ts", import.meta.url), { type: "module" });
    const remote = wrap<DiskWorker>(worker);
    const opened = await remote.open(image, await imageId(image), floppy);
    if (typeof opened === "number") return new KeptBlocks(worker, remote, opened);
    worker.terminate();
    return opened;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    into.set(await this.#remote.read(offset, into.length));
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    const bytes = from.slice();
    await this.#remote.write(offset, transfer(bytes, [bytes.buffer]));
  }

  async flush(): Promise<void> {
    await this.#remote.flush();
  }

  /** Makes everything safe; the disk may then be opened again. */
  async close(): Promise<void> {
    await this.#remote.close();
    this.#worker.terminate();
  }
}
