/** The page in Chromium, as ./kills.mjs needs it: a tab that dies with its machine, and the disk that is kept, saved by the page. */
import { launch, site } from "../pc/site.mjs";

const LOOK = 100;

/** A tab with a machine in it. */
class Tab {
  #page;
  #lines = 0;

  constructor(page) {
    this.#page = page;
  }

  /** Everything that the console shows. */
  get log() {
    return this.#page.evaluate(() => globalThis.tabhyve.consoleText());
  }

  type(text) {
    return this.#page.evaluate(
      (bytes) => {
        globalThis.tabhyve.app.session.handle.serialInput(Uint8Array.from(bytes));
      },
      [...Buffer.from(text, "latin1")],
    );
  }

  /** Waits until `mark` is on the console, which leaves out blanks at the end of a line. @throws Error if it does not come */
  async upTo(mark, seconds = 300) {
    const there = (text) => `${globalThis.tabhyve?.consoleText()}\n`.replaceAll("\n", " \n").includes(text);
    try {
      await this.#page.waitForFunction(there, mark, { timeout: seconds * 1000, polling: LOOK });
    } catch (error) {
      throw new Error(`${error.message}; the console's end:\n${(await this.log).trimEnd().slice(-2000)}`);
    }
  }

  async command(line, seconds = 300) {
    const n = ++this.#lines;
    await this.type(`${line}; echo "<""done ${n}>"\r`);
    await this.upTo(`<done ${n}>`, seconds);
    return this.log;
  }

  /** The tab's process dies in the middle of what it does. */
  async kill() {
    const session = await this.#page.context().newCDPSession(this.#page);
    const crashed = this.#page.waitForEvent("crash");
    // Nobody is left to answer it.
    void session.send("Page.crash").catch(() => {});
    await crashed;
    await this.#page.close();
  }
}

/** @param image path of a disk image, which is only read */
export async function tabs(image) {
  const served = await site();
  const browser = await launch();
  const context = await browser.newContext();
  context.setDefaultTimeout(120_000);
  // The picker wants a person; without one a disk becomes a download.
  await context.addInitScript(() => Reflect.deleteProperty(globalThis, "showSaveFilePicker"));

  async function open({ kernel, initrd }) {
    const page = await context.newPage();
    await page.goto(served.base);
    await page.locator("#files").setInputFiles([kernel, initrd, image]);
    await page.waitForFunction(() => document.querySelector(".summary")?.textContent?.includes("disk.img"));
    await page.getByRole("button", { name: "Settings" }).first().click();
    return page;
  }

  return {
    /** Linux in a new tab, with the disk on NVMe. */
    async boot(guest) {
      const page = await open(guest);
      await page.locator("#append").fill(guest.append);
      await page.getByRole("button", { name: "Done" }).click();
      await page.locator("#start").click();
      return new Tab(page);
    },
    /** The disk with what is kept of the guests' writes, as a raw image. */
    async copyOut(raw, guest) {
      const page = await open(guest);
      const download = page.waitForEvent("download", { timeout: 120_000 });
      await page.getByRole("button", { name: "Save disk.img as an image" }).click();
      await (await download).saveAs(raw);
      await page.close();
    },
    async close() {
      await browser.close();
      served.close();
    },
  };
}
