/**
 * A server's side of a WebSocket, as far as the bridge needs it (RFC 6455): the handshake's answer, and frames.
 *
 *      0               1               2 … (7 bits 126: 16 more, 127: 64 more)      masked: 4 bytes
 *     +-+-+-+-+-------+-+-------------+--------------------------------------------+---------------+---------+
 *     |F|  0  |opcode |M| length 7    | extended length                            | masking key   | payload |
 *     +-+-+-+-+-------+-+-------------+--------------------------------------------+---------------+---------+
 */
import { createHash } from "node:crypto";

export const OPCODE = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

/** Status codes of a close frame (7.4.1). */
export const CLOSE = { NORMAL: 1000, PROTOCOL: 1002, TOO_BIG: 1009 } as const;

/** Most bytes of a message. */
const MOST = 1 << 20;
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Sec-WebSocket-Accept for a client's key (4.2.2). */
export const acceptOf = (key: string): string => createHash("sha1").update(`${key}${GUID}`).digest("base64");

/** A frame from the server: whole and not masked. */
export function frame(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const head =
    length < 126
      ? Uint8Array.of(0x80 | opcode, length)
      : length < 0x1_0000
        ? Uint8Array.of(0x80 | opcode, 126, length >> 8, length & 0xff)
        : Uint8Array.of(
            0x80 | opcode,
            127,
            0,
            0,
            0,
            0,
            length >>> 24,
            (length >> 16) & 0xff,
            (length >> 8) & 0xff,
            length & 0xff,
          );
  const out = new Uint8Array(head.length + length);
  out.set(head);
  out.set(payload, head.length);
  return out;
}

export const closeFrame = (code: number): Uint8Array => frame(OPCODE.CLOSE, Uint8Array.of(code >> 8, code & 0xff));

/** What a client has sent that it may not. */
export class FrameError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Message {
  /** TEXT, BINARY, CLOSE, PING or PONG. */
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** Makes messages of a client's bytes, however they are cut. */
export class FrameReader {
  #bytes = new Uint8Array();
  /** A message of several frames, so far. */
  #parts: { readonly opcode: number; readonly payload: Uint8Array } | undefined;

  /** @throws FrameError */
  take(bytes: Uint8Array): Message[] {
    this.#bytes = joined(this.#bytes, bytes);
    const out: Message[] = [];
    for (;;) {
      const message = this.#next();
      if (message === undefined) return out;
      if (message) out.push(message);
    }
  }

  /** The next frame; null: it was not the last of its message; undefined: it is not all there. */
  #next(): Message | null | undefined {
    const b = this.#bytes;
    if (b.length < 2) return undefined;
    const [first, second] = b;
    if (first & 0x70 || !(second & 0x80))
      throw new FrameError(CLOSE.PROTOCOL, "a frame with reserved bits, or not masked");
    const opcode = first & 15;
    const short = second & 0x7f;
    const wide = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (b.length < 2 + wide + 4) return undefined;
    const length = wide ? b.subarray(2, 2 + wide).reduce((all, byte) => all * 256 + byte, 0) : short;
    if (length + (this.#parts?.payload.length ?? 0) > MOST)
      throw new FrameError(CLOSE.TOO_BIG, "a message of more than 1 MiB");
    const at = 2 + wide + 4;
    if (b.length < at + length) return undefined;
    const key = b.subarray(2 + wide, at);
    const payload = b.slice(at, at + length).map((byte, i) => byte ^ key[i & 3]);
    this.#bytes = b.slice(at + length);
    return this.#message(opcode, (first & 0x80) !== 0, payload);
  }

  #message(opcode: number, last: boolean, payload: Uint8Array): Message | null {
    if (opcode >= OPCODE.CLOSE) {
      if (!last || payload.length > 125) throw new FrameError(CLOSE.PROTOCOL, "a control frame in parts");
      return { opcode, payload };
    }
    if ((opcode === OPCODE.CONTINUATION) !== (this.#parts !== undefined)) {
      throw new FrameError(CLOSE.PROTOCOL, "a frame that continues nothing, or does not");
    }
    const whole = this.#parts
      ? { opcode: this.#parts.opcode, payload: joined(this.#parts.payload, payload) }
      : { opcode, payload };
    this.#parts = last ? undefined : whole;
    return last ? whole : null;
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
