/**
 * `tabhyve gdb-bridge`: a gdb on one side, a tab with a machine on the other, both on this host's loopback.
 *
 *     gdb --TCP--> bridge <--WebSocket-- page          text: "open", "close" (gdb came, went); "end" (the machine has ended it)
 *                                                      binary: gdb's protocol
 *
 * A page gets in with the token that the bridge has made and a person has carried over, from an origin that is allowed, to a
 * host that is the loopback by name or number (so that no other site's name can lead here).
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer as createHttp, type IncomingMessage } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { packet } from "../../debug/gdb/packets.ts";
import { reason, UsageError } from "../options.ts";
import { acceptOf, CLOSE, closeFrame, FrameError, FrameReader, frame, OPCODE } from "./frames.ts";

export interface BridgeOptions {
  /** TCP port for gdb; 0: any. */
  readonly port: number;
  /** Port for the page; 0: any. */
  readonly pagePort: number;
  /** Origins that pages may have, besides those of this host. */
  readonly origins: readonly string[];
  /** A line for the person. */
  readonly say: (line: string) => void;
}

/** Pages that this host serves itself. */
const OWN = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;
const LOOPBACK = /^(localhost|127\.0\.0\.1)(:\d+)?$/;
const TOKEN_BYTES = 16;

const text = new TextEncoder();

export class Bridge {
  readonly #options: BridgeOptions;
  readonly #token = randomBytes(TOKEN_BYTES).toString("hex");
  readonly #tcp: Server;
  readonly #http = createHttp((_, response) => response.writeHead(426).end("a WebSocket is needed\n"));
  #page: Duplex | undefined;
  #gdb: Socket | undefined;

  private constructor(options: BridgeOptions) {
    this.#options = options;
    this.#tcp = createServer({ noDelay: true }, (socket) => this.#gdbCame(socket));
    this.#http.on("upgrade", (request, socket) => this.#pageCame(request, socket));
  }

  /** @throws UsageError: a port cannot be had */
  static async open(options: BridgeOptions): Promise<Bridge> {
    const bridge = new Bridge(options);
    await listen(bridge.#tcp, options.port, "--port");
    await listen(bridge.#http, options.pagePort, "--page-port");
    options.say(`in the page: Inspector, gdb…, and this address: ${bridge.address}`);
    options.say(`then in gdb: target remote 127.0.0.1:${bridge.port}`);
    return bridge;
  }

  /** Where gdb connects. */
  get port(): number {
    return (this.#tcp.address() as AddressInfo).port;
  }

  /** What a person gives to the page. */
  get address(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/${this.#token}`;
  }

  close(): void {
    this.#gdb?.destroy();
    this.#page?.destroy();
    this.#tcp.close();
    this.#http.close();
  }

  #gdbCame(socket: Socket): void {
    const page = this.#page;
    if (!page || this.#gdb) {
      socket.end(packet(page ? "E.another gdb is connected" : "E.no tab is connected to the bridge"));
      return;
    }
    this.#gdb = socket;
    page.write(frame(OPCODE.TEXT, text.encode("open")));
    socket.on("data", (bytes) => this.#page?.write(frame(OPCODE.BINARY, bytes)));
    // What ends a connection early comes with a close of its own.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#gdb = undefined;
      this.#page?.write(frame(OPCODE.TEXT, text.encode("close")));
    });
  }

  /** Why a page is not let in; undefined: it is. */
  #refusal({ method, url = "", headers }: IncomingMessage): string | undefined {
    const { host = "", origin = "", upgrade = "" } = headers;
    const key = headers["sec-websocket-key"] ?? "";
    if (
      method !== "GET" ||
      upgrade.toLowerCase() !== "websocket" ||
      headers["sec-websocket-version"] !== "13" ||
      !key
    ) {
      return "400 Bad Request";
    }
    if (!LOOPBACK.test(host)) return "403 Forbidden";
    if (!OWN.test(origin) && !this.#options.origins.includes(origin)) return "403 Forbidden";
    const given = Buffer.from(url.slice(1));
    const token = Buffer.from(this.#token);
    if (given.length !== token.length || !timingSafeEqual(given, token)) return "403 Forbidden";
    return this.#page ? "409 Conflict" : undefined;
  }

  #pageCame(request: IncomingMessage, socket: Duplex): void {
    const { say } = this.#options;
    const refusal = this.#refusal(request);
    if (refusal) {
      say(`a page of ${request.headers.origin ?? "no origin"} was refused: ${refusal}`);
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\n\r\n`);
      return;
    }
    this.#page = socket;
    const accept = acceptOf(request.headers["sec-websocket-key"] as string);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    say(`a page of ${request.headers.origin} is connected`);
    const reader = new FrameReader();
    socket.on("data", (bytes: Uint8Array) => this.#heard(reader, socket, bytes));
    // A server of HTTP keeps its half open.
    socket.on("end", () => socket.end());
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#page = undefined;
      this.#gdb?.end();
      say("the page has gone");
    });
  }

  #heard(reader: FrameReader, socket: Duplex, bytes: Uint8Array): void {
    try {
      for (const { opcode, payload } of reader.take(bytes)) {
        if (opcode === OPCODE.BINARY) this.#gdb?.write(payload);
        // The only text is "end".
        else if (opcode === OPCODE.TEXT) this.#gdb?.end();
        else if (opcode === OPCODE.PING) socket.write(frame(OPCODE.PONG, payload));
        else if (opcode === OPCODE.CLOSE) socket.end(closeFrame(CLOSE.NORMAL));
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      socket.end(closeFrame(error.code));
    }
  }
}

function listen(server: Server, port: number, option: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new UsageError(`${option} ${port}: ${reason(error)}`)));
    server.listen(port, "127.0.0.1", resolve);
  });
}
