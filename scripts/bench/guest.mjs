/** A virtual machine as a child process, its serial line on the child's stdin and stdout. */

import { spawn } from "node:child_process";

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

/** Kept for messages about what went wrong. */
const TAIL = 2000;

export class GuestError extends Error {}

export class Guest {
  #child;
  #waiting;
  #tail = "";
  #errors = "";
  #ended;
  /** When it was started, by performance.now(). */
  started = performance.now();

  /** @param {string[]} command  Program and arguments. */
  constructor([program, ...args], options = {}) {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
    this.#child = child;
    running.add(child);
    child.stdin.on("error", () => {});
    child.stdout.setEncoding("latin1").on("data", (text) => this.#output(text, performance.now()));
    child.stderr.setEncoding("utf8").on("data", (text) => {
      this.#errors = (this.#errors + text).slice(-TAIL);
    });
    this.#ended = new Promise((resolve) => {
      const end = (why) => {
        running.delete(child);
        this.#fail(why);
        resolve(child.exitCode);
      };
      child.on("error", (error) => end(`${program} cannot be run: ${error.message}`));
      child.on("close", (status, signal) => end(`${program} ended with ${signal ?? `status ${status}`}`));
    });
  }

  #over;
  #output(text, at) {
    this.#tail = (this.#tail + text).slice(-TAIL);
    if (this.#waiting) {
      try {
        const result = this.#waiting.watch(text, at);
        if (result !== undefined) this.#settle(() => this.#waiting.resolve(result));
      } catch (error) {
        this.#fail(error.message);
      }
    }
    // After the watcher: a panic that somebody waits for is not a failure.
    if (this.#waiting && /Kernel panic|Oops: |BUG: /.test(this.#tail)) {
      // Let the rest of the message arrive.
      setTimeout(() => this.#fail("the guest's kernel failed"), 500);
    }
  }

  #settle(how) {
    clearTimeout(this.#waiting.timer);
    how();
    this.#waiting = undefined;
  }

  #fail(why) {
    const tail = this.#tail
      .replace(/[^\n -~]/g, "")
      .trimEnd()
      .split("\n")
      .slice(-12);
    const parts = [
      why,
      ...(this.#errors ? [this.#errors.trimEnd()] : []),
      ...(tail[0] ? ["its last output:", ...tail] : []),
    ];
    this.#over ??= new GuestError(parts.join("\n    "));
    if (this.#waiting) this.#settle(() => this.#waiting.reject(this.#over));
  }

  type(text) {
    this.#child.stdin.write(text);
  }

  /**
   * Gives output to `watch(text, at)` (at: host's clock in milliseconds) until it returns something.
   * @template T
   * @param {(text: string, at: number) => T | undefined} watch
   * @param {number} seconds
   * @param {string} what  For the message if it does not come in time.
   * @returns {Promise<T>}
   */
  wait(watch, seconds, what) {
    if (this.#over) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(`no ${what} within ${seconds} s`), seconds * 1000);
      this.#waiting = { watch, resolve, reject, timer };
    });
  }

  /** Waits for text; resolves with the host's time of its arrival. */
  waitFor(pattern, seconds) {
    let seen = "";
    return this.wait(
      (text, at) => {
        seen = (seen + text).slice(-TAIL);
        return seen.includes(pattern) ? at : undefined;
      },
      seconds,
      `"${pattern}"`,
    );
  }

  /** Resolves with the exit status when the process has ended by itself; kills it if that takes too long. */
  async ended(seconds) {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), seconds * 1000);
    const status = await this.#ended;
    clearTimeout(timer);
    return status;
  }

  async kill() {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
