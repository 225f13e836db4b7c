/**
 * What the page's inspector costs a guest that computes: npm run inspector-cost
 *   [-- --rounds N] [--programs intmix,nbody] [--seconds N] [--engine interp|auto] [--site FOLDER]
 *
 * On the built page (or one in FOLDER) in Chromium, with the CPU suite's Linux (npm run guests): one tab in which the inspector
 * is never opened, and one in which it is closed again, or open on one of its own tabs while the guest runs. The two take turns,
 * a program of about `seconds` (default: 1) each time, by this host's clock; a run is compared with the mean of the untouched
 * tab's before and after it. Prints medians of N rounds (default: 5) of all programs, and what half of the runs lie between.
 * Status 1: open costs over 5 %, or something of the inspector was fetched where it was never opened.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runnerImport } from "vite";
import { DONE, Lines, PREPARE, PROGRAMS, PROMPT, Results, SAY_DONE, SHELL } from "./bench/protocol.mjs";
import { aligned } from "./bench/report.mjs";
import { median } from "./bench/stats.mjs";
import { rotated } from "./bench/suites.mjs";
import { root } from "./prepare.mjs";

/** Share that an open inspector may cost. */
const MOST = 0.05;
const PATIENCE = { timeout: 120_000 };

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    programs: { type: "string", default: "intmix,sha256,nbody,chase" },
    seconds: { type: "string", default: "1" },
    engine: { type: "string", default: "interp" },
    site: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const programs = values.programs.split(",");
const unknown = programs.find((name) => !PROGRAMS[name]);
if (!(rounds >= 1) || !(seconds > 0) || unknown) {
  console.error(unknown ? `--programs: there is no ${unknown}` : "--rounds and --seconds take numbers above 0");
  process.exit(2);
}

const manifest = join(root, "guests/manifest.json");
const guest =
  existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).guests.find(({ id }) => id === "cloud");
const initrd = join(root, "guests/initrd-bench-amd64.gz");
if (!guest || !existsSync(initrd)) {
  console.error("inspector-cost: the suite's guest is not there; prepare it: npm run guests");
  process.exit(2);
}
if (values.site === undefined) {
  const { status } = spawnSync(process.execPath, [join(root, "scripts/build-site.mjs")], { stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(1);
}
const { module } = await runnerImport(join(root, "test/page/chromium.ts"), {
  configFile: false,
  logLevel: "error",
  root,
});
const chromium = module.findChromium();
if (!chromium) process.exit(1);
const served = await module.host(values.site ?? join(root, "dist/site"), true);
const browser = await module.launch(chromium);

/** A page with the guest at its prompt. What it prints is kept with its time. */
async function machine() {
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  const settings = JSON.stringify({ engine: values.engine });
  await page.addInitScript((text) => localStorage.setItem("tabhyve.settings.v1", text), settings);
  await page.goto(served.base);
  const file = (name, path) => ({ name, mimeType: "", buffer: readFileSync(path) });
  await page.waitForSelector(".card:not(.ghost)");
  await page
    .locator("#files")
    .setInputFiles([file("kernel", join(root, "guests", guest.kernel.file)), file("initrd", initrd)]);
  await page.getByText("initrd").first().waitFor();
  await page.getByRole("button", { name: "Settings" }).first().click();
  await page.locator("#append").fill(`${guest.append} ${SHELL}`);
  await page.getByRole("button", { name: "Done" }).click();
  await page.locator("#start").click();
  const prompt = PROMPT.trimEnd();
  const ended = (end) => globalThis.tabhyve.consoleText().trimEnd().endsWith(end);
  await page.waitForFunction(ended, prompt, { ...PATIENCE, polling: 100 });
  await page.evaluate(() => {
    globalThis.printed = [];
    const { console: shown } = globalThis.tabhyve.app;
    const write = shown.write.bind(shown);
    const decoder = new TextDecoder("latin1");
    shown.write = (bytes) => {
      globalThis.printed.push([decoder.decode(bytes), performance.now()]);
      return write(bytes);
    };
  });
  await run(page, PREPARE);
  return page;
}

/** Runs a command in the guest's shell; what it has reported. */
async function run(page, command) {
  await page.bringToFront();
  await page.evaluate((line) => {
    globalThis.printed.length = 0;
    globalThis.tabhyve.app.session.handle.serialInput(new TextEncoder().encode(`${line}\r`));
  }, command);
  const over = (done) =>
    globalThis.printed
      .map(([text]) => text)
      .join("")
      .includes(`\n${done}`);
  await page.waitForFunction(over, DONE, { ...PATIENCE, polling: 20 });
  const lines = new Lines();
  const results = new Results();
  for (const [text, at] of await page.evaluate(() => globalThis.printed)) {
    for (const line of lines.feed(text)) results.line(line, at);
  }
  return results.done;
}

/** Seconds that a program takes. */
async function time(page, name, scale) {
  const [{ host }] = await run(page, `${PROGRAMS[name].command(scale)}; ${SAY_DONE}`);
  return host;
}

const inspector = (page) => page.locator(".inspector");
const toggle = (page) => page.locator("#inspect-button").click();
/** Opens the inspector on one of its tabs, whatever it showed; what closes it. */
async function open(page, tab, record) {
  await toggle(page);
  await inspector(page).getByRole("tab", { name: tab }).click();
  if (record) await page.locator("#record-events").check();
  return async () => {
    await toggle(page);
    await inspector(page).waitFor({ state: "detached" });
  };
}
const CONDITIONS = {
  "closed again": async () => async () => {},
  ...Object.fromEntries(
    ["CPU", "Memory", "Paging", "Segments", "Chips", "Timeline", "Autopsy"].map((tab) => [
      tab,
      (page) => open(page, tab),
    ]),
  ),
  "Timeline, recording": (page) => open(page, "Timeline", true),
};

/** What of the inspector a page has fetched. */
const traces = (page) =>
  page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .map(({ name }) => name)
      .filter((name) => /inspector/.test(name)),
  );

try {
  const [never, other] = [await machine(), await machine()];
  // Everything of it is loaded, and has run once, before it is measured.
  for (const prepare of Object.values(CONDITIONS)) await (await prepare(other))();
  const ratios = new Map(Object.keys(CONDITIONS).map((name) => [name, []]));
  for (const name of programs) {
    // As hot as it gets, in both; then as long as is wanted.
    for (const page of [never, other]) await time(page, name, 20);
    const scale = Math.max(1, Math.round((20 * seconds) / (await time(never, name, 20))));
    for (const page of [never, other]) await time(page, name, scale);
    for (let round = 0; round < rounds; round++) {
      let before = await time(never, name, scale);
      for (const condition of rotated(Object.keys(CONDITIONS), round)) {
        const close = await CONDITIONS[condition](other);
        const taken = await time(other, name, scale);
        await close();
        const after = await time(never, name, scale);
        ratios.get(condition).push(taken / ((before + after) / 2));
        before = after;
      }
      process.stderr.write(`inspector-cost: ${name}, round ${round + 1} of ${rounds}, ${before.toFixed(2)} s\n`);
    }
  }
  const quarter = (list, part) => list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * part)];
  const percent = (ratio) => `${(100 * (ratio - 1)).toFixed(1)} %`;
  const rows = [["", "cost", "middle half", "runs"]];
  const costly = [];
  for (const [name, list] of ratios) {
    rows.push([
      name,
      percent(median(list)),
      `${percent(quarter(list, 0.25))} to ${percent(quarter(list, 0.75))}`,
      `${list.length}`,
    ]);
    if (median(list) > 1 + MOST) costly.push(name);
  }
  for (const line of aligned(rows)) console.log(line);
  const found = await traces(never);
  console.log(
    `Never opened: ${found.length ? `has fetched ${found.join(", ")}` : "nothing of the inspector was fetched"}`,
  );
  console.log(
    `${programs.join(", ")} (${values.engine}); load of the host ${loadavg()[0].toFixed(1)}; Chromium ${browser.version()}`,
  );
  if (costly.length) console.log(`Over ${100 * MOST} %: ${costly.join(", ")}`);
  process.exitCode = costly.length || found.length ? 1 : 0;
} finally {
  await browser.close();
  await served.close();
}
