/** The command as its users have it: the bundle dist/node/tabhyve.js as a process of its own. */
import { type SpawnOptions, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildCore } from "../../scripts/build-core.mjs";
import { buildNode } from "../../scripts/build-node.mjs";

export const ROOT = join(import.meta.dirname, "../..");
export const BUNDLE = join(ROOT, "dist/node/tabhyve.js");

/** Builds what is missing; for beforeAll. */
export async function built(): Promise<void> {
  await buildCore();
  await buildNode();
}

export interface Result {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running command. */
export class Running {
  readonly #child: ReturnType<typeof spawn>;
  #stdout = "";
  #stderr = "";
  #changed = (): void => {};
  /** When it has ended. */
  readonly result: Promise<Result>;

  constructor(program: string, args: readonly string[], options: SpawnOptions = {}) {
    const child = spawn(program, args, { stdio: "pipe", ...options });
    this.#child = child;
    child.stdout?.on("data", (chunk: Buffer) => {
      this.#stdout += chunk.toString("latin1");
      this.#changed();
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    // It may have ended before it has read all that is typed.
    child.stdin?.on("error", () => {});
    this.result = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status, signal) => {
        this.#changed();
        resolve({ status, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  type(text: string): void {
    this.#child.stdin?.write(Buffer.from(text, "latin1"));
  }

  /** Ends its input. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  /** Stops reading its output. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until `pattern` is in the output; what it matched. */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    let ended = false;
    void this.result.then(() => {
      ended = true;
    });
    for (;;) {
      const found = pattern.exec(this.#stdout);
      if (found) return found;
      if (ended) throw new Error(`ended without ${pattern}:\n${this.#stdout}\n${this.#stderr}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }
}

export const start = (args: readonly string[], options?: SpawnOptions): Running =>
  new Running(process.execPath, [BUNDLE, ...args], options);

/** Runs the command to its end, with nothing typed. */
export function tabhyve(args: readonly string[], options?: SpawnOptions): Promise<Result> {
  const running = start(args, options);
  running.endInput();
  return running.result;
}

/** A folder of files for one test file. */
export class Scratch {
  readonly folder = mkdtempSync(join(tmpdir(), "tabhyve-"));

  path(name: string): string {
    return join(this.folder, name);
  }

  file(name: string, content: string | Uint8Array): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
