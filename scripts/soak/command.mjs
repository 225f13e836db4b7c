/** The command `tabhyve run` in a process of its own, its guest's console on pipes: what scripts need that kill it. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "../prepare.mjs";
import { Heard } from "./heard.mjs";

export class Command {
  #child;
  #heard = new Heard();
  #errors = "";
  #lines = 0;
  /** Everything that the guest has said. */
  log = "";

  /** @param args what follows `tabhyve run` */
  constructor(args) {
    this.#child = spawn(process.execPath, [join(root, "dist/node/tabhyve.js"), "run", ...args]);
    this.#child.stdout.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      this.log += text;
      this.#heard.take(text);
    });
    this.#child.stderr.on("data", (chunk) => {
      this.#errors += chunk;
    });
    this.ended = new Promise((resolve) => {
      this.#child.on("close", (status) => {
        this.#heard.end(`the command has ended: ${status} ${this.#errors}`);
        resolve(status);
      });
    });
  }

  type(text) {
    this.#child.stdin.write(Buffer.from(text, "latin1"));
  }

  /** What comes before `mark`, which is consumed. @throws Error if it does not come */
  upTo(mark, seconds = 300) {
    return this.#heard.upTo(mark, seconds);
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
