/**
 * Tells of what goes wrong with a medium while a guest uses it: the guest hears no more than that a sector cannot be
 * read, and whoever chose the medium hears nothing of that. Each message is told once.
 */
import type { BlockSource } from "./block.ts";

export class ToldBlocks implements BlockSource {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #base: BlockSource;
  readonly #tell: (message: string) => void;
  readonly #told = new Set<string>();

  constructor(base: BlockSource, tell: (message: string) => void) {
    this.#base = base;
    this.#tell = tell;
    this.size = base.size;
    this.readOnly = base.readOnly;
  }

  read(offset: number, into: Uint8Array): void | Promise<void> {
    return this.#heard(() => this.#base.read(offset, into));
  }

  write(offset: number, from: Uint8Array): void | Promise<void> {
    return this.#heard(() => this.#base.write(offset, from));
  }

  flush(): void | Promise<void> {
    return this.#heard(() => this.#base.flush());
  }

  #heard(work: () => void | Promise<void>): void | Promise<void> {
    const failed = (error: unknown): never => {
      const message = error instanceof Error ? error.message : String(error);
      if (!this.#told.has(message)) this.#tell(message);
      this.#told.add(message);
      throw error;
    };
    try {
      return work()?.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
