/** The page as it is built, on a host with the isolation headers, and a Chromium to look at it. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { chromium } from "playwright-core";
import { build } from "vite";
import { root } from "../prepare.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json" };

/** The site as it is built, on a host with the isolation headers. */
export async function site() {
  const at = mkdtempSync(join(tmpdir(), "tabhyve-pc-"));
  const outDir = join(at, "site");
  await build({ root, configFile: join(root, "vite.config.ts"), logLevel: "error", build: { outDir } });
  const server = createServer(({ url }, response) => {
    const path = new URL(url, "http://localhost").pathname.slice(1) || "index.html";
    const file = [join(outDir, path), join(root, path)].find((f) => existsSync(f) && !path.includes(".."));
    const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    if (!file) return response.writeHead(404, headers).end();
    response.writeHead(200, { ...headers, "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
    return response.end(readFileSync(file));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const close = () => {
    server.close();
    server.closeAllConnections();
    rmSync(at, { recursive: true });
  };
  return { base: `http://127.0.0.1:${server.address().port}/`, close };
}

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu"],
  });
