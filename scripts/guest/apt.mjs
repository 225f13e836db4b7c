/**
 * Packages from whatever archive this machine's apt is set up for, by name. Nothing is installed. The system's package
 * lists serve where they are there and of the right architecture. Elsewhere (another architecture, an ordinary user
 * without lists, lists too old) apt works on lists of its own in `stateDir`, so that no root is needed and the system's
 * configuration is left alone.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export class AptError extends Error {}

const run = (program, args, options = {}) => {
  const result = spawnSync(program, args, { encoding: "utf8", maxBuffer: 64 << 20, ...options });
  return { ok: result.status === 0, out: result.stdout ?? "", err: result.stderr ?? "" };
};
const hasLists = (dir) => existsSync(dir) && readdirSync(dir).some((name) => /_Packages(\.|$)/.test(name));

export const aptInstalled = () => run("apt-get", ["--version"]).ok && run("apt-cache", ["--version"]).ok;

/** @typedef {{ name: string, version: string, architecture: string, file: string, bytes: number }} Package */

export class Apt {
  #architecture;
  #stateDir;
  #say;
  #private;
  #updated = false;

  /**
   * @param {string} architecture  Debian's name: amd64, i386.
   * @param {string} stateDir  Where lists of our own may go.
   * @param {(line: string) => void} say  Progress.
   */
  constructor(architecture, stateDir, say) {
    this.#architecture = architecture;
    this.#stateDir = join(stateDir, architecture);
    this.#say = say;
    const native = run("dpkg", ["--print-architecture"]).out.trim() === architecture;
    const root = process.getuid?.() === 0;
    this.#private = !(native && (root || hasLists("/var/lib/apt/lists")));
    if (!hasLists(this.#listsDir)) this.#update();
  }

  get #listsDir() {
    return this.#private ? join(this.#stateDir, "lists") : "/var/lib/apt/lists";
  }

  get #options() {
    // As root apt would fetch as user _apt, who may not write here.
    const options = ["APT::Sandbox::User=root"];
    if (this.#private) {
      mkdirSync(join(this.#stateDir, "lists", "partial"), { recursive: true });
      mkdirSync(join(this.#stateDir, "cache", "archives", "partial"), { recursive: true });
      writeFileSync(join(this.#stateDir, "status"), "");
      options.push(
        `APT::Architecture=${this.#architecture}`,
        `APT::Architectures=${this.#architecture}`,
        `Dir::State=${this.#stateDir}`,
        `Dir::State::lists=${join(this.#stateDir, "lists")}`,
        `Dir::State::status=${join(this.#stateDir, "status")}`,
        `Dir::Cache=${join(this.#stateDir, "cache")}`,
      );
    }
    return options.flatMap((option) => ["-o", option]);
  }

  #update() {
    this.#updated = true;
    this.#say(`apt: fetching package lists for ${this.#architecture}${this.#private ? " (our own copy)" : ""} …`);
    const { ok, err } = run("apt-get", [...this.#options, "-q", "update"]);
    // One unreachable source of several is not our concern: only what is missing in the end is.
    if (!ok && !hasLists(this.#listsDir)) throw new AptError(`apt-get update failed: ${lastLine(err)}`);
  }

  /** Fetches newer lists, once. False if that was already done. */
  #refresh() {
    if (this.#updated) return false;
    if (process.getuid?.() !== 0) this.#private = true;
    this.#update();
    return true;
  }

  /**
   * The versioned package that a package like linux-image-amd64 stands for.
   * @param {string} name
   * @param {RegExp} wanted  What the dependency's name looks like.
   */
  dependency(name, wanted) {
    for (;;) {
      const { out } = run("apt-cache", [...this.#options, "depends", "--important", name]);
      const names = [...out.matchAll(/Depends: <?([^\s<>:]+)/g)].map((m) => m[1]).filter((n) => wanted.test(n));
      if (names.length > 0) return names[0];
      if (!this.#refresh()) {
        throw new AptError(`apt knows no package ${name} for ${this.#architecture} (it is one of Debian's)`);
      }
    }
  }

  /**
   * Downloads a package into `dir`.
   * @returns {Package}
   */
  download(name, dir) {
    for (;;) {
      const found = this.#locate(name);
      if (found) {
        this.#say(`apt: downloading ${found.file} (${(found.bytes / 2 ** 20).toFixed(1)} MiB) …`);
        // On a terminal apt shows how far it is.
        const progress = process.stdout.isTTY ? { stdio: ["ignore", "inherit", "pipe"] } : {};
        const { ok, err } = run("apt-get", [...this.#options, "download", name], { cwd: dir, ...progress });
        const target = join(dir, found.file);
        // apt writes the version's colon as %3a; so does --print-uris, but be sure.
        const other = readdirSync(dir).find((f) => decodeURIComponent(f) === decodeURIComponent(found.file));
        if (ok && other && other !== found.file) renameSync(join(dir, other), target);
        if (ok && existsSync(target)) return found;
        if (!this.#refresh()) throw new AptError(`apt-get download ${name} failed: ${lastLine(err)}`);
      } else if (!this.#refresh()) {
        throw new AptError(`apt knows no package ${name} for ${this.#architecture} (it is one of Debian's)`);
      }
    }
  }

  /** What a download would fetch, from a line 'URI' FILE BYTES HASH. */
  #locate(name) {
    const { out } = run("apt-get", [...this.#options, "-q", "download", "--print-uris", name]);
    const match = /^'[^']*' (\S+) (\d+)/m.exec(out);
    if (!match) return undefined;
    const [, file, bytes] = match;
    const [, version, architecture] = file.replace(/\.deb$/, "").split("_");
    return { name, version: decodeURIComponent(version), architecture, file, bytes: Number(bytes) };
  }
}

const lastLine = (text) => text.trim().split("\n").at(-1) ?? "";
