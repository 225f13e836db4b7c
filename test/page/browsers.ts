/** The browsers that a test which is about browsers runs in. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { type Browser, firefox } from "playwright-core";
import { findChromium, findProgram, launch } from "./chromium.ts";

export interface TestBrowser {
  readonly name: "Chromium" | "Firefox";
  /** Whether this machine has it. */
  readonly there: boolean;
  launch(): Promise<Browser>;
}

const chromium = findChromium();

/** On the path, or named by FIREFOX. */
const gecko = findProgram(["firefox", "firefox-esr"], process.env.FIREFOX);
if (!gecko) {
  console.error("\n!! The page was not tested in Firefox: none on the path (Debian: apt-get install firefox-esr).\n");
}

export const browsers: readonly TestBrowser[] = [
  { name: "Chromium", there: chromium !== undefined, launch: () => launch(chromium!) },
  {
    name: "Firefox",
    there: gecko !== undefined,
    // The channel means the protocol: WebDriver BiDi, which a Firefox as it is distributed speaks.
    launch: () =>
      firefox.launch({
        channel: "moz-firefox",
        executablePath: join(import.meta.dirname, "firefoxBidi.mjs"),
        env: { ...process.env, FIREFOX: gecko },
        headless: true,
      }),
  },
];

/** Kills the processes of all tabs of the Firefoxes that this process has started: no tab of them gets to say anything. */
export function killFirefoxTabs(): void {
  const all = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" });
  const processes = Array.from(all.matchAll(/^\s*(\d+)\s+(\d+)\s+(.*)$/gm), ([, pid, parent, command]) => ({
    pid: Number(pid),
    parent: Number(parent),
    command: command!,
  }));
  const mine = new Set([process.pid]);
  for (let before = 0; before !== mine.size; ) {
    before = mine.size;
    for (const { pid, parent } of processes) if (mine.has(parent)) mine.add(pid);
  }
  for (const { pid, command } of processes) {
    if (mine.has(pid) && / tab$/.test(command) && command.includes("-contentproc")) process.kill(pid, "SIGKILL");
  }
}
