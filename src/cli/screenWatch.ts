/**
 * What `--keys` and `--until` see of a text screen. Only lines count that were not there when the last text was typed, so
 * that a prompt can be waited for again; lines that have merely moved up are not new.
 */
import { freshLines } from "../display/freshLines.ts";
import type { Send } from "./options.ts";

export class ScreenWatch {
  readonly #keys: readonly Send[];
  readonly #until: RegExp | undefined;
  readonly #type: (text: string) => void;
  #next = 0;
  #before: readonly string[] = [];

  constructor(keys: readonly Send[], until: RegExp | undefined, type: (text: string) => void) {
    this.#keys = keys;
    this.#until = until;
    this.#type = type;
  }

  /** Looks at the screen; true if `--until` is satisfied. */
  look(lines: readonly string[]): boolean {
    const keys = this.#keys[this.#next];
    if (keys && matches(keys.pattern, freshLines(this.#before, lines))) {
      this.#next++;
      this.#before = [...lines];
      this.#type(new TextDecoder().decode(keys.text));
      return false;
    }
    return this.#until !== undefined && matches(this.#until, freshLines(this.#before, lines));
  }
}

function matches(pattern: RegExp, text: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(text);
}
