/**
 * Keys and pasted text on their way to the guest. A key goes at once. A paste goes in small portions with pauses,
 * because a terminal line discipline drops what does not fit its buffer (Linux: 4,096 bytes of unread input) and
 * a serial line has no flow control by default; what is typed meanwhile waits behind it, so order is kept.
 */

/** Bytes per portion, and milliseconds between portions: 12.8 KB/s, the speed of a 115,200 baud line. */
const PORTION = 128;
const PAUSE_MS = 10;

const encoder = new TextEncoder();

export const PASTE_START = "\x1b[200~";
export const PASTE_END = "\x1b[201~";

/**
 * Text from the clipboard as a terminal sends it: line ends become CR, and control characters other than TAB and
 * CR are removed, so that a paste can neither end its own bracket (ESC [ 201 ~) nor press Ctrl keys.
 */
export function pasteText(text: string, bracketed: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is to be removed
  const clean = text.replace(/\r?\n/g, "\r").replace(/[\x00-\x08\x0a-\x0c\x0e-\x1f\x7f-\x9f]/g, "");
  return bracketed ? PASTE_START + clean + PASTE_END : clean;
}

export class InputPump {
  readonly #send: (bytes: Uint8Array) => void;
  #queue: Uint8Array[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** A key, or a terminal's answer to a query: sent now unless a paste is under way. */
  key(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    if (this.#timer === undefined) this.#send(bytes);
    else this.#queue.push(bytes);
  }

  /** A paste, already passed through pasteText. */
  paste(text: string): void {
    for (const portion of portions(encoder.encode(text))) this.#queue.push(portion);
    if (this.#timer === undefined) this.#drain();
  }

  /** Forgets what was not sent. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue = [];
  }

  #drain(): void {
    const portion = this.#queue.shift();
    if (portion) this.#send(portion);
    this.#timer = this.#queue.length ? setTimeout(() => this.#drain(), PAUSE_MS) : undefined;
  }
}

/** Cuts at PORTION bytes, but never inside a UTF-8 character or one of the two bracket markers. */
export function* portions(bytes: Uint8Array): Generator<Uint8Array> {
  const marker = PASTE_START.length;
  for (let from = 0; from < bytes.length; ) {
    let to = Math.min(from + PORTION, bytes.length);
    while (to < bytes.length && (bytes[to]! & 0xc0) === 0x80) to--;
    // A marker is six bytes from ESC on, and pasted text itself holds no ESC.
    const esc = bytes.lastIndexOf(0x1b, to - 1);
    if (esc >= from && esc + marker > to) to = esc + marker;
    yield bytes.subarray(from, to);
    from = to;
  }
}
