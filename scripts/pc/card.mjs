/** The test card (test/guests/data/pc.asm) as the page shows it. */
import { join } from "node:path";
import { runnerImport } from "vite";
import { root } from "../prepare.mjs";
import { launch, site } from "./site.mjs";

/** Milliseconds that a picture must stay as it is to be taken for drawn; how long one may take; how long frames count. */
const STEADY = 500;
const PATIENCE = 120_000;
const SCROLL = 5000;
const NEEDED = 30;

const load = async (path) =>
  (await runnerImport(join(root, path), { configFile: false, logLevel: "error", root })).module;

/** The picture in the page: its size and its pixels, red in the lowest byte. */
async function picture(page) {
  const { width, height, pixels } = await page.evaluate(() => {
    const canvas = document.querySelector("#screen canvas");
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    let pixels = "";
    for (let at = 0; at < data.length; at += 0x8000) pixels += String.fromCharCode(...data.subarray(at, at + 0x8000));
    return { width, height, pixels: btoa(pixels) };
  });
  const bytes = Buffer.from(pixels, "base64");
  return { width, height, bytes };
}

/** The next picture that is another one and stays. */
async function drawn(page, before) {
  let last = before;
  let since = Date.now();
  for (const end = Date.now() + PATIENCE; Date.now() < end; ) {
    await new Promise((done) => setTimeout(done, 100));
    const now = await picture(page);
    if (!last?.bytes.equals(now.bytes)) {
      last = now;
      since = Date.now();
    } else if (!before?.bytes.equals(now.bytes) && Date.now() - since > STEADY) return now;
  }
  throw new Error("the page draws nothing new");
}

function difference({ width, height, bytes }, card) {
  if (width !== card.width || height !== card.height) return `${width}x${height}`;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [is, should] = [bytes.readUInt32LE(4 * (y * width + x)), card.pixel(x, y) >>> 0];
      if (is !== should) return `(${x}, ${y}) is ${is.toString(16)}, not ${should.toString(16)}`;
    }
  }
  return undefined;
}

/** @returns whether all is as it should be */
export async function testCard(screens) {
  const { cardRom } = await load("test/guests/cardRom.ts");
  const { CARDS } = await load("test/guests/testCard.ts");
  const rom = Buffer.from(cardRom());
  const { base, close } = await site();
  const browser = await launch();
  let good = true;
  const say = (what, wrong, right = "pixel by pixel as it should be") => {
    if (wrong) good = false;
    console.log(`${what.padEnd(20)} ${wrong ?? right}`);
  };
  try {
    const context = await browser.newContext({ serviceWorkers: "block", viewport: { width: 1440, height: 1000 } });
    const page = await context.newPage();
    await page.addInitScript(
      (settings) => localStorage.setItem("tabhyve.settings.v1", settings),
      JSON.stringify({ guests: { own: { memoryMb: 16 } } }),
    );
    await page.goto(base);
    await page.waitForSelector(".card:not(.ghost)");
    await page.setInputFiles("#files", { name: "pc.rom", mimeType: "", buffer: rom });
    await page.click("#start:not([disabled])");
    await page.waitForFunction(() => globalThis.tabhyve.app.state === "running");
    const go = () => page.evaluate(() => globalThis.tabhyve.app.session.handle.serialInput(Uint8Array.of(13)));
    const show = async (name, before) => {
      await go();
      const now = await drawn(page, before);
      if (screens) await page.screenshot({ path: join(screens, `card-${name}.png`) });
      return now;
    };
    let now = await show("planar", await picture(page));
    say("mode 12h", difference(now, CARDS.planar));

    await page.evaluate(() => {
      const { screen } = globalThis.tabhyve.app;
      const update = screen.update.bind(screen);
      globalThis.frames = 0;
      screen.update = (lines) => {
        globalThis.frames++;
        update(lines);
      };
    });
    await go();
    await new Promise((done) => setTimeout(done, SCROLL));
    const frames = await page.evaluate(() => globalThis.frames);
    const rate = (1000 * frames) / SCROLL;
    const what = `${rate.toFixed(1)} frames a second`;
    if (rate < NEEDED) good = false;
    console.log(`${"mode 12h, scrolling".padEnd(20)} ${what}${rate < NEEDED ? `, fewer than ${NEEDED}` : ""}`);
    await go();
    await new Promise((done) => setTimeout(done, STEADY));
    now = await picture(page);
    for (const [name, title] of [
      ["mode13h", "mode 13h"],
      ["modeX", "mode X"],
      ["frame", "1024x768x32"],
    ]) {
      now = await show(name, now);
      say(title, difference(now, CARDS[name]));
    }
    now = await show("text", now);
    say("text", difference(now, CARDS.text));
    const line = (await page.evaluate(() => globalThis.tabhyve.screenText())).split("\n")[3];
    say(
      "text, as text",
      line === "  Tabhyve \u2591 0" ? undefined : `its fourth line is ${JSON.stringify(line)}`,
      "its characters as they should be",
    );
  } finally {
    await browser.close();
    close();
  }
  return good;
}
