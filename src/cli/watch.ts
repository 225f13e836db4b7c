/**
 * What `--send` and `--until` see of the serial line. Each text is typed once, in the order of the options, when its
 * pattern appears in what has come since the text before it; `--until` looks at what has come since the last text was
 * typed, so that a prompt can be waited for again.
 */
import type { Send } from "./options.ts";

/** Characters of output that patterns can reach back: more than a screenful. */
const REACH = 65536;

export class SerialWatch {
  readonly #sends: readonly Send[];
  readonly #until: RegExp | undefined;
  readonly #type: (text: Uint8Array) => void;
  readonly #decoder = new TextDecoder();
  #text = "";
  /** Where in `#text` the output begins that no pattern has matched yet. */
  #from = 0;
  #next = 0;

  /** `type` takes what is to be typed. Patterns are those of parsePattern (global, multi-line). */
  constructor(sends: readonly Send[], until: RegExp | undefined, type: (text: Uint8Array) => void) {
    this.#sends = sends;
    this.#until = until;
    this.#type = type;
  }

  /** Takes output as it comes, cut anywhere; true if `--until` is satisfied. */
  take(bytes: Uint8Array): boolean {
    if (!this.#until && this.#next === this.#sends.length) return false;
    this.#text += this.#decoder.decode(bytes, { stream: true });
    for (; this.#next < this.#sends.length; this.#next++) {
      const { pattern, text } = this.#sends[this.#next];
      const found = this.#find(pattern);
      if (!found) break;
      this.#from = found.index + found[0].length;
      this.#type(text);
    }
    const satisfied = this.#until !== undefined && this.#find(this.#until) !== null;
    const beyond = this.#text.length - REACH;
    if (beyond > REACH) {
      this.#text = this.#text.slice(beyond);
      this.#from = Math.max(0, this.#from - beyond);
    }
    return satisfied;
  }

  #find(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#from;
    return pattern.exec(this.#text);
  }
}
