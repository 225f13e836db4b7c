/** `tabhyve gdb-bridge`: who is let in, and that bytes go through whole in both directions. */
import { createConnection, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Bridge } from "../../src/cli/bridge/bridge.ts";
import { acceptOf, FrameError, FrameReader, frame, OPCODE } from "../../src/cli/bridge/frames.ts";

const said: string[] = [];
const open: { close?: () => void; destroy?: () => void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) (one.close ?? one.destroy)?.call(one);
  said.length = 0;
});

async function bridge(origins: string[] = []): Promise<Bridge> {
  const made = await Bridge.open({ port: 0, pagePort: 0, origins, say: (line) => said.push(line) });
  open.push(made);
  return made;
}

/** A connection that remembers what it has heard. */
async function connect(
  port: number,
): Promise<{ socket: Socket; heard: () => Buffer; until: (n: number) => Promise<Buffer>; ended: Promise<void> }> {
  const socket = createConnection(port, "127.0.0.1");
  open.push({ close: () => socket.destroy() });
  let all = Buffer.alloc(0);
  let wake = (): void => {};
  socket.on("data", (bytes) => {
    all = Buffer.concat([all, bytes]);
    wake();
  });
  const ended = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  return {
    socket,
    ended,
    heard: () => all,
    until: async (n) => {
      while (all.length < n) await new Promise<void>((resolve) => (wake = resolve));
      return all;
    },
  };
}

/** Asks to be let in as a browser does; the first line of the answer. */
async function ask(b: Bridge, change: { origin?: string; host?: string; token?: string; version?: string } = {}) {
  const url = new URL(b.address);
  const page = await connect(Number(url.port));
  const { origin = "http://localhost:5173", host = url.host, token = url.pathname.slice(1), version = "13" } = change;
  page.socket.write(
    `GET /${token} HTTP/1.1\r\nHost: ${host}\r\nOrigin: ${origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: ${version}\r\n\r\n`,
  );
  await page.until(12);
  return { ...page, line: page.heard().toString("latin1").split("\r\n")[0] };
}

/** A client's frame, masked. */
function masked(opcode: number, payload: Uint8Array, last = true): Uint8Array {
  const key = Uint8Array.of(1, 2, 3, 4);
  const plain = frame(opcode, payload);
  const head = plain.slice(0, plain.length - payload.length);
  head[0] = (last ? 0x80 : 0) | opcode;
  head[1] |= 0x80;
  return Uint8Array.from([...head, ...key, ...payload.map((byte, i) => byte ^ key[i & 3])]);
}

describe("frames", () => {
  test("the key of RFC 6455's example is accepted", () => {
    expect(acceptOf("dGhlIHNhbXBsZSBub25jZQ==")).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });

  test("any size, in any pieces", () => {
    for (const size of [0, 1, 125, 126, 1000, 0xffff, 0x1_0000, 200_000]) {
      const payload = Uint8Array.from({ length: size }, (_, i) => i * 7);
      const bytes = masked(OPCODE.BINARY, payload);
      const reader = new FrameReader();
      const step = Math.max(1, Math.floor(bytes.length / 5));
      const got = [];
      for (let at = 0; at < bytes.length; at += step) got.push(...reader.take(bytes.subarray(at, at + step)));
      expect(got).toHaveLength(1);
      expect(got[0].opcode).toBe(OPCODE.BINARY);
      expect(Buffer.compare(got[0].payload, payload)).toBe(0);
    }
  });

  test("a message of several frames, with a ping between", () => {
    const reader = new FrameReader();
    const bytes = [
      masked(OPCODE.BINARY, Uint8Array.of(1), false),
      masked(OPCODE.PING, Uint8Array.of(9)),
      masked(OPCODE.CONTINUATION, Uint8Array.of(2)),
    ];
    const got = bytes.flatMap((b) => reader.take(b));
    expect(got.map(({ opcode, payload }) => [opcode, ...payload])).toEqual([
      [OPCODE.PING, 9],
      [OPCODE.BINARY, 1, 2],
    ]);
  });

  test("what a client may not send", () => {
    const bad = (bytes: Uint8Array) => () => new FrameReader().take(bytes);
    expect(bad(frame(OPCODE.BINARY, Uint8Array.of(1)))).toThrow(FrameError);
    expect(bad(masked(OPCODE.CONTINUATION, Uint8Array.of(1)))).toThrow(FrameError);
    expect(bad(masked(OPCODE.PING, new Uint8Array(126)))).toThrow(FrameError);
    expect(bad(Uint8Array.of(0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0))).toThrow(/1 MiB/);
  });
});

describe("who is let in", () => {
  test("a page of this host with the token; others not", async () => {
    const b = await bridge(["https://example.org"]);
    for (const origin of [
      "https://evil.example",
      "http://localhost.evil.example",
      "null",
      "http://127.0.0.1.evil.example",
    ]) {
      expect((await ask(b, { origin })).line).toBe("HTTP/1.1 403 Forbidden");
    }
    expect((await ask(b, { token: "0".repeat(32) })).line).toBe("HTTP/1.1 403 Forbidden");
    expect((await ask(b, { token: "" })).line).toBe("HTTP/1.1 403 Forbidden");
    // Another name for the loopback, as a site would have it that rebinds its own.
    expect((await ask(b, { host: "evil.example:80" })).line).toBe("HTTP/1.1 403 Forbidden");
    expect((await ask(b, { version: "8" })).line).toBe("HTTP/1.1 400 Bad Request");
    const page = await ask(b, { origin: "https://example.org" });
    expect(page.line).toBe("HTTP/1.1 101 Switching Protocols");
    expect(page.heard().toString("latin1")).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    expect((await ask(b)).line).toBe("HTTP/1.1 409 Conflict");
    page.socket.destroy();
    await page.ended;
    await expect.poll(async () => (await ask(b)).line).toBe("HTTP/1.1 101 Switching Protocols");
    expect(said.filter((line) => line.includes("was refused")).length).toBeGreaterThan(6);
  });

  test("a gdb is told when there is no tab, and a second one that there is another", async () => {
    const b = await bridge();
    const alone = await connect(b.port);
    await alone.ended;
    expect(alone.heard().toString()).toMatch(/^\$E\.no tab is connected to the bridge#/);
    await ask(b);
    await connect(b.port);
    const second = await connect(b.port);
    await second.ended;
    expect(second.heard().toString()).toMatch(/another gdb is connected/);
  });
});

test("bytes go through whole; the page hears of gdb's coming and going, and can end it", async () => {
  const b = await bridge();
  const page = await ask(b);
  const head = page.heard().indexOf("\r\n\r\n") + 4;
  const gdb = await connect(b.port);
  await page.until(head + 6);
  expect(page.heard().subarray(head)).toEqual(Buffer.from(frame(OPCODE.TEXT, Buffer.from("open"))));
  gdb.socket.write("+$qSupported#37");
  await page.until(head + 6 + 17);
  expect(page.heard().subarray(head + 6)).toEqual(Buffer.from(frame(OPCODE.BINARY, Buffer.from("+$qSupported#37"))));
  const answer = Uint8Array.from({ length: 70_000 }, (_, i) => i);
  page.socket.write(masked(OPCODE.BINARY, answer));
  expect(Buffer.compare(await gdb.until(answer.length), answer)).toBe(0);
  page.socket.write(masked(OPCODE.TEXT, Buffer.from("end")));
  await gdb.ended;
  await page.until(head + 6 + 17 + 7);
  expect(page.heard().subarray(-7)).toEqual(Buffer.from(frame(OPCODE.TEXT, Buffer.from("close"))));
});
