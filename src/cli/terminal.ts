/**
 * The terminal that tabhyve runs in, raw while a guest has it: every key goes to the guest, Ctrl-C included. Ctrl-A is
 * the escape: Ctrl-A x leaves, Ctrl-A a sends a Ctrl-A. Input that is no terminal (a pipe, a file) goes to the guest as
 * it is, Ctrl-A included; when it ends, the machine goes on.
 */
import type { ReadStream } from "node:tty";

const ESCAPE = 0x01;
const LEAVE = new Set([0x78, 0x58]); // x X
const ESCAPE_KEY = new Set([0x61, 0x41]); // a A

/** What is needed of `process.stdin`; a file or a pipe has no raw mode. */
export type Input = Pick<ReadStream, "on" | "off" | "pause"> & Partial<Pick<ReadStream, "isTTY" | "setRawMode">>;

export class Terminal {
  readonly #stdin: Input;
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #escaped = false;

  constructor(stdin: Input = process.stdin) {
    this.#stdin = stdin;
  }

  /** Hands typed bytes to `input`, and calls `leave` for the chord. */
  open(input: (bytes: Uint8Array) => void, leave: () => void): void {
    const stdin = this.#stdin;
    if (stdin.isTTY) {
      stdin.setRawMode?.(true);
      process.stderr.write("(Ctrl-A x leaves the machine, Ctrl-A a sends a Ctrl-A)\n");
      this.#onData = (chunk) => this.#keys(chunk, input, leave);
    } else this.#onData = input;
    // A terminal that is gone, or a directory: nothing more will be typed.
    stdin.on("error", () => {});
    stdin.on("data", this.#onData);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    if (!this.#onData) return;
    this.#stdin.off("data", this.#onData);
    this.#onData = undefined;
    if (this.#stdin.isTTY) this.#stdin.setRawMode?.(false);
    this.#stdin.pause();
  }

  /** The chord's two keys may come in one chunk or in two. */
  #keys(chunk: Uint8Array, input: (bytes: Uint8Array) => void, leave: () => void): void {
    const out: number[] = [];
    for (const byte of chunk) {
      if (this.#escaped) {
        this.#escaped = false;
        if (LEAVE.has(byte)) {
          leave();
          return;
        }
        out.push(ESCAPE_KEY.has(byte) ? ESCAPE : byte);
      } else if (byte === ESCAPE) this.#escaped = true;
      else out.push(byte);
    }
    if (out.length) input(Uint8Array.from(out));
  }
}
