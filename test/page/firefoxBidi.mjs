#!/usr/bin/env node
/**
 * What playwright-core launches instead of Firefox (firefox.ts). It speaks WebDriver BiDi to any Firefox, but gives up when
 * an emulation that it asks for at each start is not known to an older one, as Debian's ESR is. Nothing here needs these, so
 * between the two sits this: a Firefox's "unknown command" for an emulation is answered with success.
 */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";

// The WebSocket library that playwright-core has in itself.
const { ws: WebSocket, wsServer: WebSocketServer } = createRequire(import.meta.url)("playwright-core/lib/utilsBundle");

// With it, which playwright-core sets, a tab whose process ends takes the whole browser along.
const { MOZ_CRASHREPORTER_SHUTDOWN: _, ...env } = process.env;
const firefox = spawn(process.env.FIREFOX, process.argv.slice(2), { stdio: ["ignore", "inherit", "pipe"], env });
firefox.on("exit", (code) => process.exit(code ?? 1));
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => firefox.kill(signal));

let said = "";
firefox.stderr.on("data", (bytes) => {
  said += bytes;
  for (let end = said.indexOf("\n"); end >= 0; end = said.indexOf("\n")) {
    const line = said.slice(0, end);
    said = said.slice(end + 1);
    const [, address] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? [];
    if (address) between(address);
    else console.error(line);
  }
});

function between(address) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 }, () => {
    console.error(`WebDriver BiDi listening on ws://127.0.0.1:${server.address().port}`);
  });
  server.on("connection", (client, request) => {
    const emulations = new Set();
    const browser = new WebSocket(address + request.url, { perMessageDeflate: false, maxPayload: 256 << 20 });
    const early = [];
    client.on("message", (data) => {
      const text = String(data);
      const { id, method } = JSON.parse(text);
      if (method.startsWith("emulation.")) emulations.add(id);
      if (browser.readyState === WebSocket.OPEN) browser.send(text);
      else early.push(text);
    });
    browser.on("open", () => {
      for (const text of early) browser.send(text);
    });
    browser.on("message", (data) => {
      const text = String(data);
      const { id, type, error } = JSON.parse(text);
      const unknown = emulations.delete(id) && type === "error" && error === "unknown command";
      client.send(unknown ? JSON.stringify({ type: "success", id, result: {} }) : text);
    });
    client.on("close", () => browser.close());
    browser.on("close", () => client.close());
    browser.on("error", (error) => console.error(String(error)));
  });
}
