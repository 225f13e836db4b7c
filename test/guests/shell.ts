/**
 * Linux guests under the command's bundle (dist/node), as a user has them: the command in a process of its own, the
 * guest's console on its pipes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildCore } from "../../scripts/build-core.mjs";
import { buildNode } from "../../scripts/build-node.mjs";

const root = join(import.meta.dirname, "../..");
const guests = join(root, "guests");
const PROMPT = "tabhyve:~# ";
/** The shell asks for the cursor's place after each prompt. */
const ASK_CURSOR = "\x1b[6n";

interface Entry {
  readonly id: string;
  readonly kernel: { readonly file: string };
  readonly initrd?: { readonly file: string };
  readonly append: string;
  readonly memory: string;
}

/** A prepared guest by its name in guests/manifest.json; undefined if it is not there. */
export function guest(id: string): Entry | undefined {
  const manifest = join(guests, "manifest.json");
  if (!existsSync(manifest)) return undefined;
  const listed = JSON.parse(readFileSync(manifest, "utf8")) as { guests: Entry[] };
  const entry = listed.guests.find((one) => one.id === id);
  const files = entry && [entry.kernel.file, ...(entry.initrd ? [entry.initrd.file] : [])];
  return files?.every((file) => existsSync(join(guests, file))) ? entry : undefined;
}

/** Says on stderr that a guest's tests are skipped, which a green run would hide. */
export function missing(id: string): void {
  process.stderr.write(
    `\n*** NOT TESTED: Linux guest “${id}” is not in guests/. Prepare it: npm run guests -- ${id}\n\n`,
  );
}

/** Makes the command's bundle as it is run, if sources are newer. */
export async function buildCommand(): Promise<void> {
  await buildCore();
  await buildNode();
}

export class Shell {
  /** Everything the guest has written, byte by byte as Latin-1. */
  text = "";
  /** What the command itself says. */
  messages = "";
  /** The command's exit status. */
  readonly status: Promise<number | null>;
  readonly #child: ChildProcess;
  /** Everything before it has been looked at. */
  #seen = 0;
  #ended = false;
  #changed = (): void => {};

  /** Starts `tabhyve run` with a prepared guest. */
  constructor(entry: Entry, transport: "threaded" | "inline", options: { append?: string; args?: string[] } = {}) {
    const files = ["--kernel", join(guests, entry.kernel.file)];
    if (entry.initrd) files.push("--initrd", join(guests, entry.initrd.file));
    const append = `${entry.append} ${options.append ?? ""} tabhyve.size=200x50`;
    const command = [join(root, "dist/node/tabhyve.js"), "run", ...files, "--append", append, "--memory", entry.memory];
    this.#child = spawn(process.execPath, [...command, "--transport", transport, ...(options.args ?? [])]);
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.text += chunk.toString("latin1");
      this.#changed();
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.messages += chunk.toString();
    });
    this.status = new Promise((resolve) => {
      this.#child.on("close", (code) => {
        this.#ended = true;
        this.#changed();
        resolve(code);
      });
    });
  }

  type(keys: string): void {
    this.#child.stdin?.write(Buffer.from(keys, "latin1"));
  }

  /** What the guest writes up to `mark`, which is consumed; line ends are plain. */
  async upTo(mark: string, seconds = 60): Promise<string> {
    const end = performance.now() + seconds * 1000;
    let from = this.#seen;
    for (;;) {
      const at = this.text.indexOf(mark, from);
      if (at >= 0) {
        const part = this.text.slice(this.#seen, at);
        this.#seen = at + mark.length;
        return part.replaceAll("\r\n", "\n");
      }
      from = Math.max(this.#seen, this.text.length - mark.length);
      const left = end - performance.now();
      if (left <= 0 || this.#ended) {
        const why = this.#ended ? "before the command ended" : `within ${seconds} s`;
        throw new Error(
          `no ${JSON.stringify(mark)} ${why}; the console's end:\n${this.text.slice(-2000)}${this.messages}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Waits for the first prompt. */
  async boot(seconds = 120): Promise<string> {
    return this.upTo(PROMPT, seconds);
  }

  /** Types a line at the prompt, which must fit the terminal; what it answers, up to the next prompt. */
  async command(line: string, seconds = 60): Promise<string> {
    this.type(`${line}\r`);
    await this.upTo(`${line}\r\n`, seconds);
    return (await this.upTo(PROMPT, seconds)).replaceAll(ASK_CURSOR, "");
  }

  /** Ends the command, whatever the guest does. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.status;
  }
}
