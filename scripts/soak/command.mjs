/** The command `tabhyve run` in a process of its own, its guest's console on pipes: what scripts need that kill it. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "../prepare.mjs";

export class Command {
  #child;
  #text = "";
  #errors = "";
  #heard = () => {};
  #ended = false;
  #lines = 0;
  /** Everything that the guest has said. */
  log = "";

  /** @param args what follows `tabhyve run` */
  constructor(args) {
    this.#child = spawn(process.execPath, [join(root, "dist/node/tabhyve.js"), "run", ...args]);
    this.#child.stdout.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      this.#text += text;
      this.log += text;
      this.#heard();
    });
    this.#child.stderr.on("data", (chunk) => {
      this.#errors += chunk;
    });
    this.ended = new Promise((resolve) => {
      this.#child.on("close", (status) => {
        this.#ended = true;
        this.#heard();
        resolve(status);
      });
    });
  }

  type(text) {
    this.#child.stdin.write(Buffer.from(text, "latin1"));
  }

  /** What comes before `mark`, which is consumed. @throws Error if it does not come */
  async upTo(mark, seconds = 300) {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      const at = this.#text.indexOf(mark);
      if (at >= 0) {
        const part = this.#text.slice(0, at);
        this.#text = this.#text.slice(at + mark.length);
        return part.replaceAll("\r\n", "\n");
      }
      const left = end - performance.now();
      if (this.#ended || left <= 0) {
        const why = this.#ended ? `the command ended before ${JSON.stringify(mark)}` : `no ${JSON.stringify(mark)}`;
        throw new Error(`${why}; the console's end:\n${this.#text.slice(-2000)}${this.#errors}`);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#heard = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** A line at a shell's prompt, as long as it likes; its echo, which the terminal may have broken, and what it answers. */
  async command(line, seconds = 300) {
    const n = ++this.#lines;
    this.type(`${line}; echo "<""done ${n}>"\r`);
    return this.upTo(`<done ${n}>`, seconds);
  }

  /** As a crash of the host's would end it. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}
