/** What a guest has printed, as text that can be waited for: its serial line, and its screen if that shows text. */
import { freshLines } from "../../display/freshLines.ts";

/** Characters of the serial line that a wait can reach back. */
const REACH = 0x1_0000;
/** Longest escape sequence whose end is waited for. */
const LONGEST_ESCAPE = 4096;

// What a terminal does not show: control sequences, system commands, and other escape sequences (ECMA-48).
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
const HIDDEN = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])|[\x00\x07\r]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the beginning of one of them
const CUT = /\x1b(?:\[[0-?]*[ -/]*|[\]P^_X][^\x07\x1b]*\x1b?|[ -/]*)$/;

interface Wait {
  readonly pattern: RegExp;
  readonly timer: ReturnType<typeof setTimeout>;
  found(text: string): void;
  failed(why: Error): void;
}

export class GuestText {
  #decoder = new TextDecoder();
  #serial = "";
  /** The beginning of an escape sequence. */
  #cut = "";
  #screen: readonly string[] = [];
  #seen: readonly string[] = [];
  #waits: Wait[] = [];
  /** Why nothing comes any more. */
  #ended: string | undefined;

  /** Bytes of the serial line, cut anywhere. */
  serial(bytes: Uint8Array): void {
    const text = this.#cut + this.#decoder.decode(bytes, { stream: true });
    const cut = CUT.exec(text)?.index ?? text.length;
    this.#cut = text.length - cut <= LONGEST_ESCAPE ? text.slice(cut) : "";
    this.#serial += text.slice(0, cut).replaceAll(HIDDEN, "");
    this.#serve();
    if (this.#serial.length > 2 * REACH) this.#serial = this.#serial.slice(-REACH);
  }

  /** @param lines of a text screen; undefined: it shows graphics */
  screen(lines: readonly string[] | undefined): void {
    this.#screen = lines ?? [];
    this.#serve();
  }

  /** @see VmHandle.waitForText @throws Error: it did not come in time, or the machine has ended */
  wait(pattern: string | RegExp, timeout: number): Promise<string> {
    return new Promise((found, failed) => {
      const wait: Wait = {
        pattern: expression(pattern),
        timer: setTimeout(() => {
          this.#waits.splice(this.#waits.indexOf(wait), 1);
          const last = [...this.#screen, ...this.#serial.split("\n")].filter((line) => line.trim()).at(-1) ?? "";
          failed(new Error(`${wait.pattern} did not come within ${timeout / 1000} s; the last line is “${last}”`));
          this.#serve();
        }, timeout),
        found,
        failed,
      };
      this.#waits.push(wait);
      this.#serve();
      if (this.#ended !== undefined) this.end(this.#ended);
    });
  }

  /** Nothing comes any more: whoever waits, or will wait, is told why. */
  end(why: string): void {
    this.#ended = why;
    for (const wait of this.#waits.splice(0)) {
      clearTimeout(wait.timer);
      wait.failed(new Error(`${why} ${wait.pattern} did not come.`));
    }
  }

  /** More may come. */
  goOn(): void {
    this.#ended = undefined;
  }

  /** Another machine begins. */
  clear(): void {
    this.goOn();
    this.#decoder = new TextDecoder();
    this.#serial = this.#cut = "";
    this.#screen = this.#seen = [];
  }

  #serve(): void {
    for (let wait = this.#waits[0]; wait; wait = this.#waits[0]) {
      const text = this.#take(wait.pattern);
      if (text === undefined) return;
      this.#waits.shift();
      clearTimeout(wait.timer);
      wait.found(text);
    }
  }

  /** What has come up to the end of a match, which no later one sees. */
  #take(pattern: RegExp): string | undefined {
    const found = pattern.exec(this.#serial);
    if (found) {
      const end = found.index + found[0].length;
      const text = this.#serial.slice(0, end);
      this.#serial = this.#serial.slice(end);
      return text;
    }
    const fresh = freshLines(this.#seen, this.#screen);
    if (!this.#screen.length || !pattern.test(fresh)) return undefined;
    this.#seen = this.#screen;
    return fresh;
  }
}

/** Always from the beginning: what was matched before is gone. */
function expression(pattern: string | RegExp): RegExp {
  if (typeof pattern === "string") return new RegExp(pattern.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, ""));
}
