/**
 * What `--keys` and `--until` see of a text screen. Only lines count that were not there when the last text was typed, so
 * that a prompt can be waited for again; lines that have merely moved up are not new.
 */
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
    if (keys && matches(keys.pattern, this.#fresh(lines))) {
      this.#next++;
      this.#before = [...lines];
      this.#type(new TextDecoder().decode(keys.text));
      return false;
    }
    return this.#until !== undefined && matches(this.#until, this.#fresh(lines));
  }

  #fresh(lines: readonly string[]): string {
    const moved = scrolled(this.#before, lines);
    return lines.filter((line, y) => line !== this.#before[y + moved] || line === "").join("\n");
  }
}

/** How far the lines of `before` have moved up: the distance at which most of those with something on them agree. */
function scrolled(before: readonly string[], lines: readonly string[]): number {
  let best = 0;
  let most = 0;
  for (let by = 0; by < before.length; by++) {
    let same = 0;
    for (let y = 0; y + by < before.length; y++) if (lines[y] && lines[y] === before[y + by]) same++;
    if (same > most) {
      most = same;
      best = by;
    }
  }
  return best;
}

function matches(pattern: RegExp, text: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(text);
}
