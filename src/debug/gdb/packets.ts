/**
 * Packets of gdb's remote serial protocol (gdb's manual, appendix E.1): `$data#checksum`, answered with + or -, and the
 * byte 3, which interrupts. In data, `}` and a byte stand for that byte xor 20h.
 */

const DOLLAR = 0x24;
const HASH = 0x23;
const ESCAPE = 0x7d;
const STAR = 0x2a;
const INTERRUPT = 3;

export type Incoming =
  | { readonly kind: "packet"; readonly data: Uint8Array; readonly good: boolean }
  | { readonly kind: "interrupt" }
  /** The last packet did not arrive as it was sent. */
  | { readonly kind: "again" };

const sum = (bytes: Uint8Array): number => bytes.reduce((n, b) => (n + b) & 0xff, 0);
const DIGITS = "0123456789abcdef";

/** Takes a stream apart. What is longer than a packet may be is thrown away up to its end. */
export class PacketReader {
  readonly #limit: number;
  /** Bytes of the packet that has begun; undefined between packets. */
  #packet: number[] | undefined;
  /** Digits of its checksum. */
  #digits = "";
  #inSum = false;

  /** @param limit bytes of a packet's data */
  constructor(limit: number) {
    this.#limit = limit;
  }

  take(bytes: Uint8Array): Incoming[] {
    const found: Incoming[] = [];
    for (const b of bytes) {
      if (this.#inSum) {
        this.#digits += String.fromCharCode(b).toLowerCase();
        if (this.#digits.length < 2) continue;
        const raw = Uint8Array.from(this.#packet ?? []);
        const good = raw.length <= this.#limit && this.#digits === hex(Uint8Array.of(sum(raw)));
        found.push({ kind: "packet", data: unescaped(raw), good });
        this.#packet = undefined;
        this.#inSum = false;
        this.#digits = "";
      } else if (b === DOLLAR) this.#packet = [];
      else if (this.#packet) {
        if (b === HASH) this.#inSum = true;
        else if (this.#packet.length <= this.#limit) this.#packet.push(b);
      } else if (b === INTERRUPT) found.push({ kind: "interrupt" });
      else if (b === 0x2d) found.push({ kind: "again" });
    }
    return found;
  }
}

function unescaped(raw: Uint8Array): Uint8Array {
  const data: number[] = [];
  for (let i = 0; i < raw.length; i++) data.push(raw[i] === ESCAPE ? raw[++i] ^ 0x20 : raw[i]);
  return Uint8Array.from(data);
}

/** A packet with this data; characters stand for bytes. */
export function packet(data: string): Uint8Array {
  const raw: number[] = [];
  for (let i = 0; i < data.length; i++) {
    const b = data.charCodeAt(i);
    if (b === DOLLAR || b === HASH || b === ESCAPE || b === STAR) raw.push(ESCAPE, b ^ 0x20);
    else raw.push(b);
  }
  const body = Uint8Array.from(raw);
  return Uint8Array.from([DOLLAR, ...body, HASH, ...latin1(hex(Uint8Array.of(sum(body))))]);
}

export const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += DIGITS[b >> 4] + DIGITS[b & 15];
  return text;
}

/** Bytes of hexadecimal digits; undefined if these are none. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 || /[^0-9a-f]/i.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}
