/**
 * How quick the built page is for who opens it for the first time: npm run first-load [-- --runs N] [--no-build]
 *
 * In each browser that is there, from a server on this machine, each time in a fresh profile; medians of N runs (default: 5).
 * Start is pressed as soon as it can be. Prints, in ms from navigation: the first paint, the embedded guest's banner, and the
 * prompt of Linux, which goes on from the site's snapshot; the bytes that each has fetched, packed by gzip; what blocks the main
 * thread meanwhile (the longest task, and the sum of what is over 50 ms), also while Linux boots from its kernel and prints a
 * megabyte; and how long a typed key takes to be seen while the guest computes. Firefox does not tell of long tasks.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { runnerImport } from "vite";
import { aligned } from "./bench/report.mjs";
import { root } from "./prepare.mjs";

const BANNER = /Tabhyve/;
const PROMPT = /:~# ?$/;
const KEYS = 40;

const { values } = parseArgs({
  options: { runs: { type: "string", default: "5" }, build: { type: "boolean", default: true } },
  allowNegative: true,
});
const runs = Number(values.runs);
if (!(runs >= 1)) throw new Error(`--runs ${values.runs}: a whole number above 0 is needed`);

if (values.build) {
  const { status } = spawnSync(process.execPath, [join(root, "scripts/build-site.mjs")], { stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(1);
}
const site = join(root, "dist/site");
const load = async (file) =>
  (await runnerImport(join(root, "test/page", file), { configFile: false, logLevel: "error", root })).module;
const { host } = await load("chromium.ts");
const { browsers } = await load("browsers.ts");
const there = browsers.filter((one) => one.there);
if (!there.length) process.exit(1);
const served = await host(site, true);
/** The one that is measured now. */
let browser;

/** Runs in the page before anything of its own. */
function instrument([guest, prepared]) {
  localStorage.setItem("tabhyve.settings.v1", JSON.stringify({ selected: guest, prepared }));
  globalThis.seen = { long: [] };
  // As xterm draws them without a GPU, which a browser without a screen has not.
  globalThis.consoleRows = () => {
    const rows = document.querySelectorAll(".xterm-rows > div");
    return Array.from(rows, (row) => row.textContent.trimEnd())
      .join("\n")
      .trimEnd();
  };
  const longer = (list) => {
    for (const { startTime, duration } of list.getEntries()) globalThis.seen.long.push({ startTime, duration });
  };
  globalThis.seen.told = PerformanceObserver.supportedEntryTypes.includes("longtask");
  if (globalThis.seen.told) new PerformanceObserver(longer).observe({ type: "longtask", buffered: true });
  const press = () => {
    const start = document.querySelector("#start:not([disabled])");
    if (start) start.click();
    else setTimeout(press, 5);
  };
  press();
}

/** When what the console shows matches, in the page's time; all that it holds would take as long to read as to print. */
const shown = (page, pattern) =>
  page.evaluate(
    ([source, flags]) =>
      new Promise((settle) => {
        const look = () => {
          if (new RegExp(source, flags).test(globalThis.consoleRows())) settle(performance.now());
          else setTimeout(look, 5);
        };
        look();
      }),
    [pattern.source, pattern.flags],
  );

async function open(guest, prepared, pattern) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  await context.addInitScript(instrument, [guest, prepared]);
  const asked = new Set();
  // The service worker fetches all of the site for later.
  context.on("request", (request) => request.serviceWorker() ?? asked.add(new URL(request.url()).pathname));
  const page = await context.newPage();
  await page.goto(served.base, { waitUntil: "commit" });
  const at = await shown(page, pattern);
  return { context, page, at, asked };
}

/** Those since this was last asked. */
const longTasks = async (page) => {
  const { long, told } = await page.evaluate(() => {
    const { long, told } = globalThis.seen;
    globalThis.seen.long = [];
    return { long, told };
  });
  if (!told) return { longest: Number.NaN, blocking: Number.NaN };
  const tasks = long.map(({ duration }) => duration);
  return {
    longest: Math.max(0, ...tasks),
    blocking: tasks.reduce((sum, duration) => sum + Math.max(0, duration - 50), 0),
  };
};

/** What the page and its workers have fetched, as a server would pack it. */
function fetched(asked) {
  const bytes = { site: 0, guest: 0 };
  for (const pathname of asked) {
    const path = pathname.replace("/some/where/", "") || "index.html";
    const data = readFileSync(join(site, path));
    bytes[path.startsWith("guests/") ? "guest" : "site"] += gzipSync(data).length;
  }
  return bytes;
}

async function firstLoad(guest, pattern) {
  const { context, page, at, asked } = await open(guest, true, pattern);
  const paint = await page.evaluate(
    () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Number.NaN,
  );
  const figures = { paint, at, ...(await longTasks(page)), ...fetched(asked) };
  await context.close();
  return figures;
}

/** Linux from its kernel, then a megabyte of text, then keys while it computes. */
async function busy() {
  const { context, page, at } = await open("cloud", false, PROMPT);
  const boot = await longTasks(page);
  await page.locator("#console").click();
  await page.keyboard.type("clear; yes 0123456789abcdef0123456789abcdef | head -c 1000000; echo; echo printed\r");
  await shown(page, /^printed$/m);
  const printing = await longTasks(page);
  await page.keyboard.type("while :; do :; done & clear\r");
  await page.waitForTimeout(2000);
  const echoes = [];
  for (let i = 0; i < KEYS; i++) {
    await page.waitForTimeout(60);
    await page.evaluate(() => {
      const from = globalThis.consoleRows();
      globalThis.echo = new Promise((settle) => {
        addEventListener(
          "keydown",
          ({ timeStamp }) => {
            const look = () => {
              if (globalThis.consoleRows() !== from) settle(performance.now() - timeStamp);
              else setTimeout(look, 1);
            };
            look();
          },
          { once: true, capture: true },
        );
      });
    });
    await page.keyboard.press("x");
    echoes.push(await page.evaluate(() => globalThis.echo));
  }
  await context.close();
  return { at, boot: boot.longest, printing: printing.longest, echo: median(echoes) };
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const medians = (all) => Object.fromEntries(Object.keys(all[0]).map((key) => [key, median(all.map((f) => f[key]))]));

async function repeated(work) {
  const all = [];
  for (let i = 0; i < runs; i++) all.push(await work());
  return medians(all);
}

const ms = (n) => (Number.isNaN(n) ? "?" : n.toFixed(0));
const kb = (n) => (n / 1000).toFixed(0);

async function measure(name) {
  // What a browser does once when it begins is not the page's.
  await firstLoad("embedded", BANNER);
  const rows = [[name, "first paint", "there", "longest task", "over 50 ms", "page KB", "guest KB"]];
  for (const [what, guest, pattern] of [
    ["embedded guest's banner", "embedded", BANNER],
    ["Linux's prompt", "cloud", PROMPT],
  ]) {
    const { paint, at, longest, blocking, site: own, guest: bytes } = await repeated(() => firstLoad(guest, pattern));
    rows.push([what, ms(paint), ms(at), ms(longest), ms(blocking), kb(own), kb(bytes)]);
  }
  for (const line of aligned(rows)) console.log(line);
  const { at, boot, printing, echo } = await repeated(busy);
  console.log(
    `Linux from its kernel: prompt after ${ms(at)} ms, longest task ${ms(boot)} ms; printing 1 MB: ${ms(printing)} ms`,
  );
  console.log(`A key while the guest computes: seen after ${ms(echo)} ms (median of ${KEYS})`);
  console.log(`Medians of ${runs}, ms; load of the host ${loadavg()[0].toFixed(1)}; ${name} ${browser.version()}`);
}

try {
  for (const { name, launch } of there) {
    browser = await launch();
    try {
      await measure(name);
    } finally {
      await browser.close();
    }
  }
} finally {
  await served.close();
}
