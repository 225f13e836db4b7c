/**
 * npm run pc -- --card [--screens FOLDER]
 *
 * The test card of test/guests/data/pc.asm in the page: mode 12h, 13h, mode X, 1024x768 in 32 bits and text, each compared
 * pixel by pixel, and how many frames a second a scrolling planar screen makes there.
 *
 * npm run pc -- [--list FILE] [--in node|chromium] [--only NAME] [--engine interp|auto] [--screens FOLDER]
 *
 * Boots images by SeaBIOS, from the command line and in the page, types what the list says, and waits for what it says.
 * Without a list: GRUB's floppy and CD to their prompt, Memtest86+ from a CD to its fourth test, Debian from its disk to a
 * shell, all from Debian's packages (scripts/pc/images.mjs). The list is JSON: [{ "name", "floppy" | "cdrom" | "disk": PATH
 * (disks: several), "memory": MB, "cpus": N, "seconds": N, "keys": [["PATTERN", "TEXT"]…], "until": "PATTERN" }…]; patterns
 * look at new lines of the text screen, without the spaces at their ends, as those of --keys do. The page has two disks at most.
 * --screens keeps the last sight of the page for each, as a picture. Status: 0 all came to their end, 1 some did not.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runnerImport } from "vite";
import { buildCore } from "./build-core.mjs";
import { buildNode } from "./build-node.mjs";
import { testCard } from "./pc/card.mjs";
import { packaged } from "./pc/images.mjs";
import { launch, site } from "./pc/site.mjs";
import { must, root } from "./prepare.mjs";

const string = { type: "string" };
const { values } = parseArgs({
  options: { list: string, in: string, only: string, engine: string, screens: string, card: { type: "boolean" } },
});
if (values.card) {
  await buildCore();
  process.exit((await testCard(values.screens)) ? 0 : 1);
}
const folder = values.list ? dirname(resolve(values.list)) : root;
const all = values.list ? JSON.parse(readFileSync(values.list, "utf8")) : await packaged();
const guests = all.filter(({ name }) => !values.only || name === values.only);
const hosts = values.in ? [values.in] : ["node", "chromium"];
const engine = values.engine ?? "interp";
const SECONDS = 300;
const DRIVES = ["floppy", "cdrom", "disk"];
/** Milliseconds between two looks at the screen. */
const LOOK = 100;

const drivesOf = (guest) =>
  DRIVES.flatMap((drive) => [guest[drive] ?? []].flat().map((file) => [drive, resolve(folder, file)]));

await buildCore();
await buildNode();
must("node", ["scripts/guests.mjs", "pc"]);

async function inNode(guest) {
  const { name: _, memory = 128, cpus = 1, seconds = SECONDS, keys = [], until } = guest;
  const args = [join(root, "dist/node/tabhyve.js"), "run", "--bios", join(root, "guests/bios-256k.bin")];
  args.push(
    "--memory",
    `${memory}M`,
    "--cpus",
    `${cpus}`,
    "--engine",
    engine,
    "--timeout",
    `${seconds}`,
    "--until",
    until,
  );
  for (const [drive, file] of drivesOf(guest)) args.push(`--${drive}`, drive === "cdrom" ? file : `${file},overlay`);
  for (const [when, text] of keys) args.push("--keys", `${when}=>${text.replaceAll("\n", "\\n")}`);
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk) => {
    said += chunk;
  });
  const status = await new Promise((done) => child.on("close", done));
  return status === 0 ? undefined : `status ${status}: ${said.trim()}`;
}

async function inPage(browser, base, guest, ScreenWatch) {
  const { memory = 128, cpus = 1, seconds = SECONDS, keys = [], until } = guest;
  const picture = { path: join(values.screens ?? "", `${guest.name}.png`) };
  const context = await browser.newContext({ serviceWorkers: "block", viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    await page.addInitScript(
      (settings) => localStorage.setItem("tabhyve.settings.v1", settings),
      JSON.stringify({ engine, keepDisks: false, guests: { pc: { memoryMb: memory, vcpus: cpus } } }),
    );
    await page.goto(base);
    await page.waitForSelector(".card:not(.ghost)");
    await page.setInputFiles(
      "#files",
      drivesOf(guest).map(([, file]) => file),
    );
    await page.click("#start:not([disabled])");
    const regExp = (text) => new RegExp(text, "gm");
    let typed = Promise.resolve();
    const watch = new ScreenWatch(
      keys.map(([when, text]) => ({ pattern: regExp(when), text: new TextEncoder().encode(text) })),
      regExp(until),
      (text) => {
        typed = page.evaluate((what) => globalThis.tabhyve.app.session.handle.type(what), text);
      },
    );
    for (const end = Date.now() + 1000 * seconds; ; ) {
      const screen = await page.evaluate(() => globalThis.tabhyve.screenText());
      if (watch.look(screen.split("\n"))) break;
      await typed;
      const problem = await page.evaluate(() => document.querySelector(".problem .cause")?.textContent);
      if (problem) return problem;
      if (Date.now() > end) {
        if (values.screens) await page.screenshot(picture);
        return `not there after ${seconds} s; the screen:\n${screen.trim()}`;
      }
      await new Promise((done) => setTimeout(done, LOOK));
    }
    if (values.screens) await page.screenshot(picture);
    return undefined;
  } finally {
    await context.close();
  }
}

let failed = 0;
async function report(where, guest, run) {
  const from = performance.now();
  const why = await run();
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  console.log(`${where.padEnd(9)} ${guest.name.padEnd(16)} ${seconds.padStart(7)} s  ${why ?? "came to its end"}`);
  if (why) failed++;
}

if (hosts.includes("node")) for (const guest of guests) await report("node", guest, () => inNode(guest));
if (hosts.includes("chromium")) {
  const path = join(root, "src/cli/screenWatch.ts");
  const { ScreenWatch } = (await runnerImport(path, { configFile: false, logLevel: "error", root })).module;
  const { base, close } = await site();
  const browser = await launch();
  try {
    for (const guest of guests) await report("chromium", guest, () => inPage(browser, base, guest, ScreenWatch));
  } finally {
    await browser.close();
    close();
  }
}
process.exit(failed ? 1 : 0);
