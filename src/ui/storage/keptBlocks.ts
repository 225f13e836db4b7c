/** A disk whose writes are kept in the browser, as the machine reads and writes it: through its worker. */
import { proxy, type Remote, transfer, wrap } from "comlink";
import type { BlockSource } from "../../block/block.ts";
import type { Helper, StartHelper } from "../helpers.ts";
import { type Media, type Medium, nameOfMedium } from "../machineHandle.ts";
import type { DiskWorker, Refusal } from "./diskWorker.ts";
import type { ImageOptions } from "./image.ts";

export class KeptBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly = false;
  readonly #worker: Helper;
  readonly #remote: Remote<DiskWorker>;
  readonly #tell: (line: string) => void;
  readonly #told = new Set<string>();

  private constructor(worker: Helper, remote: Remote<DiskWorker>, size: number, tell: (line: string) => void) {
    this.#worker = worker;
    this.#remote = remote;
    this.size = size;
    this.#tell = tell;
  }

  /** Opens what is kept of a medium; a Refusal says why it is not to be had. */
  static async open(
    medium: Medium,
    { drive, tell, waiting }: ImageOptions,
    start: StartHelper,
  ): Promise<KeptBlocks | Refusal> {
    const worker = start("disk");
    const remote = wrap<DiskWorker>(worker.endpoint);
    const opened = await remote.open(medium, drive satisfies keyof Media, proxy(tell), proxy(waiting));
    const name = nameOfMedium(medium);
    if (typeof opened === "number") {
      return new KeptBlocks(worker, remote, opened, (line) => tell(line.startsWith(name) ? line : `${name}: ${line}`));
    }
    worker.terminate();
    return opened;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    into.set(await this.#remote.read(offset, into.length));
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    const bytes = from.slice();
    await this.#heard(this.#remote.write(offset, transfer(bytes, [bytes.buffer])));
  }

  async flush(): Promise<void> {
    await this.#heard(this.#remote.flush());
  }

  /** Makes everything safe, and says what is then kept (DiskWorker.stamp). */
  stamp(): Promise<string> {
    return this.#remote.stamp();
  }

  /** Makes everything safe; the disk may then be opened again. */
  async close(): Promise<void> {
    try {
      await this.#heard(this.#remote.close());
    } finally {
      this.#worker.terminate();
    }
  }

  /** The guest sees that it failed, but nothing of why. Each message is told once. */
  async #heard(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      const { message } = error as Error;
      if (!this.#told.has(message)) this.#tell(message);
      this.#told.add(message);
      throw error;
    }
  }
}
