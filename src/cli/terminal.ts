/**
 * The terminal that tabhyve runs in, raw while a guest has it: every key goes to the guest, Ctrl-C included. Ctrl-A is
 * the escape: Ctrl-A x leaves, Ctrl-A a sends a Ctrl-A.
 */
const ESCAPE = 0x01;

export class Terminal {
  #onData: ((chunk: Buffer) => void) | undefined;
  #escaped = false;

  /** Hands typed bytes to `input`, and calls `leave` for the chord. */
  open(input: (bytes: Uint8Array) => void, leave: () => void): void {
    const stdin = process.stdin;
    if (stdin.isTTY) {
      stdin.setRawMode(true);
      process.stderr.write("(Ctrl-A x leaves the machine, Ctrl-A a sends a Ctrl-A)\r\n");
    }
    this.#onData = (chunk) => {
      if (!stdin.isTTY) {
        input(chunk);
        return;
      }
      const out: number[] = [];
      for (const byte of chunk) {
        if (this.#escaped) {
          this.#escaped = false;
          if (byte === 0x78 || byte === 0x58) {
            leave();
            return;
          }
          out.push(byte === 0x61 ? ESCAPE : byte);
        } else if (byte === ESCAPE) this.#escaped = true;
        else out.push(byte);
      }
      if (out.length) input(Uint8Array.from(out));
    };
    stdin.on("data", this.#onData);
    // Input that has ended does not end the machine.
    stdin.unref?.();
  }

  close(): void {
    const stdin = process.stdin;
    if (this.#onData) stdin.off("data", this.#onData);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  }
}
