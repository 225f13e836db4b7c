/** A directory to be shared in a storm, beside one that nothing may reach. */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HostDirectory } from "../../../src/cli/hostFolder.ts";
import { StormError } from "../chipStorm.ts";

const SECRET = "what nobody may read or write";

export class StormFolder {
  readonly folder: HostDirectory;
  readonly #base = mkdtempSync(join(tmpdir(), "tabhyve-storm-"));
  readonly #modified: number;

  constructor() {
    const inside = join(this.#base, "inside");
    const outside = join(this.#base, "outside");
    for (const path of [inside, outside, join(inside, "d"), join(outside, "a")]) mkdirSync(path);
    for (const name of ["secret", "b", "a/c"]) writeFileSync(join(outside, name), SECRET);
    symlinkSync("../outside", join(inside, "out"));
    symlinkSync("..", join(inside, "up"));
    symlinkSync(outside, join(inside, "abs"));
    symlinkSync("../../outside/secret", join(inside, "d", "link"));
    this.#modified = lstatSync(outside).mtimeMs;
    this.folder = new HostDirectory(inside, false);
  }

  /** @throws StormError: something outside has changed, or the guest has made what it may not */
  check(): void {
    const outside = join(this.#base, "outside");
    const bad = (what: string): never => {
      throw new StormError(`outside the shared directory: ${what}`);
    };
    if (readdirSync(this.#base).sort().join() !== "inside,outside") bad("something new beside it");
    if (readdirSync(outside).sort().join() !== "a,b,secret") bad("names have changed");
    if (readdirSync(join(outside, "a")).join() !== "c") bad("names have changed");
    if (lstatSync(outside).mtimeMs !== this.#modified) bad("the folder was written to");
    for (const name of ["secret", "b", "a/c"]) {
      const path = join(outside, name);
      if (readFileSync(path, "utf8") !== SECRET || lstatSync(path).nlink !== 1) bad(`${name} has changed`);
    }
    for (const entry of readdirSync(join(this.#base, "inside"), { recursive: true, withFileTypes: true })) {
      const stat = lstatSync(join(entry.parentPath, entry.name));
      if (stat.isFile() && stat.mode & 0o6000) bad(`${entry.name} runs as somebody else`);
      if (!stat.isFile() && !stat.isDirectory() && !stat.isSymbolicLink()) bad(`${entry.name} is a device`);
    }
  }

  remove(): void {
    rmSync(this.#base, { recursive: true, force: true });
  }
}
