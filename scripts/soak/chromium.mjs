/** The package's entry for pages in a Chromium, looking to a console (./console.mjs) like the one for Node. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { buildBrowser } from "../build-node.mjs";
import { root } from "../prepare.mjs";

const TYPES = { ".js": "text/javascript", ".html": "text/html", ".wasm": "application/wasm" };
const HEADERS = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
/** Milliseconds between two looks at what the guest has said. */
const LOOK = 50;
const PAGE = 4096;

function serve(files) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    try {
      const body = files.get(path) ?? (path === "/" ? "<!doctype html>" : readFileSync(join(root, "dist", path)));
      response.writeHead(200, { ...HEADERS, "content-type": TYPES[extname(path || ".html")] ?? "text/html" }).end(body);
    } catch {
      response.writeHead(404, HEADERS).end();
    }
  });
  return new Promise((resolve) => server.listen(0, () => resolve(server)));
}

/** Runs in the page: a machine, and what it has said since `said` was asked last. */
async function make(config) {
  const lib = await import("/browser/lib.js");
  const get = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
  const compilers = [];
  let text = "";
  const machine = await lib.Machine.create({
    ...config,
    core: await lib.coreBytes(),
    kernel: await get("/kernel"),
    initrd: await get("/initrd"),
    spawn: lib.spawnWorker,
    regions: (memory) => {
      compilers.push(new lib.RegionCompiler(memory));
      return compilers.at(-1);
    },
    serial: (bytes) => {
      for (const b of bytes) text += String.fromCharCode(b);
    },
  });
  globalThis.tabhyve = {
    machine,
    alive: () => compilers.map((c) => c.alive),
    said: () => {
      const all = text;
      text = "";
      return all;
    },
  };
}

/** What ./churn.mjs and ./load.mjs need, with machines in a page; `close` ends the browser. */
export async function inChromium({ lib, guest }) {
  await buildBrowser();
  const { chromium } = await import("playwright-core");
  const server = await serve(
    new Map([
      ["/kernel", guest.kernel],
      ["/initrd", guest.initrd],
    ]),
  );
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--js-flags=--expose-gc"],
  });
  const page = await browser.newPage();
  await page.goto(`http://localhost:${server.address().port}/`);
  const session = await browser.newBrowserCDPSession();

  /** The page has the files and makes what cannot be sent there; the rest of the configuration is as it is here. */
  async function create({ serial, ...config }) {
    for (const own of ["core", "spawn", "regions", "onState", "kernel", "initrd"]) delete config[own];
    await page.evaluate(make, config);
    const looking = setInterval(async () => {
      const text = await page.evaluate(() => globalThis.tabhyve.said()).catch(() => "");
      if (text) serial(Buffer.from(text, "latin1"));
    }, LOOK);
    return {
      start: () => page.evaluate(() => globalThis.tabhyve.machine.start()),
      serialInput: (bytes) =>
        page.evaluate((list) => globalThis.tabhyve.machine.serialInput(Uint8Array.from(list)), [...bytes]),
      stats: () => page.evaluate(() => globalThis.tabhyve.machine.stats()),
      destroy: async () => {
        clearInterval(looking);
        await page.evaluate(() => globalThis.tabhyve.machine.destroy());
      },
    };
  }

  return {
    prepared: { lib: { ...lib, Machine: { create } }, guest },
    alive: () => page.evaluate(() => globalThis.tabhyve.alive()),
    /** Resident bytes of the process that the page runs in, after its garbage is collected. */
    resident: async () => {
      await page.evaluate(() => globalThis.gc());
      const { processInfo } = await session.send("SystemInfo.getProcessInfo");
      const sizes = processInfo
        .filter(({ type }) => type === "renderer")
        .map(({ id }) => Number(readFileSync(`/proc/${id}/statm`, "utf8").split(" ")[1]) * PAGE);
      return Math.max(...sizes);
    },
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}
