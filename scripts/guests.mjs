/**
 * npm run guests [-- [--update] [--optional] [--list] [ID…]]
 *
 * Prepares guests in guests/ (which git ignores) from Debian's packages, and writes guests/manifest.json for the command
 * line and the page. Without an ID: the default guest. A second run only checks hashes, and needs no network.
 * What a guest is made of stands in scripts/guest/recipes.mjs.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Apt, AptError, aptInstalled } from "./guest/apt.mjs";
import { debFiles } from "./guest/deb.mjs";
import { DEFAULT, RECIPES } from "./guest/recipes.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const GUESTS = join(ROOT, "guests");
const CACHE = join(GUESTS, ".cache");
const MANIFEST = join(GUESTS, "manifest.json");
/** Whatever decides a guest's bytes besides the packages: a guest made by other sources is made again. */
const SOURCES = [
  ...["cpio.mjs", "init", "modules.mjs", "profile", "recipes.mjs"].map((name) => `scripts/guest/${name}`),
  ...["bench.c", "disk.c", "init"].map((name) => `test/bench/${name}`),
  ...["bzImage.ts", "elf.ts", "lz4.ts", "payload.ts"].map((name) => `src/machine/loader/${name}`),
];

const BRING_YOUR_OWN =
  "To use your own Linux instead, take any x86 bzImage and a cpio initramfs and run:\n" +
  '  npm run -s tabhyve -- run --kernel vmlinuz --initrd initrd.gz --append "console=ttyS0"\n' +
  "or drop both files onto the page.";

const say = (line) => console.log(line);
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function readJson(path, otherwise) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return otherwise;
  }
}

/** Never leaves half a file under its own name. */
function writeWhole(path, data) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.tmp`, data);
  renameSync(`${path}.tmp`, path);
}

function sourcesHash(id) {
  const hash = createHash("sha256");
  for (const path of RECIPES[id].sources ?? SOURCES)
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(ROOT, path)))
      .update("\0");
  return hash.digest("hex");
}

/** A disk, which has no hash, may have been written by a guest; it is whole if it is as long as it was. */
const intact = ({ file, bytes, sha256: expected }) => {
  const path = join(GUESTS, file);
  if (!existsSync(path)) return false;
  if (expected === undefined) return statSync(path).size === bytes;
  const data = readFileSync(path);
  return data.length === bytes && sha256(data) === expected;
};
const ROLES = ["kernel", "initrd", "disk", "bios", "vgabios"];
const filesOf = (guest) => ROLES.flatMap((role) => guest[role] ?? []);

/** What recipes build with: packages by name and the files in them, and a place for results. */
class Workshop {
  #update;
  #apts = new Map();
  #unpacked = new Map();
  #index = readJson(join(CACHE, "packages.json"), {});

  constructor(update) {
    this.#update = update;
  }

  root = ROOT;
  say = say;

  #apt(architecture) {
    if (!aptInstalled()) throw new AptError("the guests come from Debian's packages, but apt is not installed here");
    if (!this.#apts.has(architecture)) this.#apts.set(architecture, new Apt(architecture, join(CACHE, "apt"), say));
    return this.#apts.get(architecture);
  }

  /**
   * A package's files by path, those that pass `wanted` (the same function again costs nothing), and what the manifest says about the package. With
   * `dependency`, the package is the one that `name` depends on and that looks like it.
   */
  async package(name, architecture, { wanted, dependency }) {
    const key = `${name}:${architecture}`;
    const before = this.#unpacked.get(key);
    if (before?.wanted === wanted) return before.result;
    const dir = join(CACHE, "packages");
    mkdirSync(dir, { recursive: true });
    let found = this.#index[key];
    const cached =
      found && existsSync(join(dir, found.file)) && sha256(readFileSync(join(dir, found.file))) === found.sha256;
    if (!cached || this.#update) {
      const apt = this.#apt(architecture);
      const older = cached ? found.file : undefined;
      found = apt.download(dependency ? apt.dependency(name, dependency) : name, dir);
      found.sha256 = sha256(readFileSync(join(dir, found.file)));
      this.#index[key] = found;
      writeWhole(join(CACHE, "packages.json"), JSON.stringify(this.#index, null, 2));
      if (older && older !== found.file) rmSync(join(dir, older));
    }
    say(`unpacking ${found.file} …`);
    const copyright = (path) => path.startsWith("usr/share/doc/") && path.endsWith("/copyright");
    const files = await debFiles(join(dir, found.file), "data", (path) => wanted(path) || copyright(path));
    const control = (await debFiles(join(dir, found.file), "control", (path) => path === "control")).get("control");
    const field = (what) => new RegExp(`^${what}: (.*)$`, "m").exec(control?.toString() ?? "")?.[1];
    const { version } = found;
    const notice = [...files.keys()].find(copyright);
    const licence = `licences/${found.name}.copyright`;
    if (notice) writeWhole(join(GUESTS, licence), files.get(notice));
    const [source, sourceVersion = `(${version})`] = (field("Source") ?? found.name).split(" ");
    const about = {
      name: found.name,
      version,
      architecture,
      source: `${source} ${sourceVersion.slice(1, -1)}`,
      ...(notice && { licence }),
    };
    const result = { files, about };
    this.#unpacked.set(key, { wanted, result });
    return result;
  }

  /** Writes a guest's file and returns the manifest's record of it. */
  write(file, data) {
    writeWhole(join(GUESTS, file), data);
    say(`wrote guests/${file} (${mib(data.length)})`);
    return { file, bytes: data.length, sha256: sha256(data) };
  }

  /** Lets `make` write a disk image, and returns the manifest's record of it. */
  image(file, make) {
    const path = join(GUESTS, file);
    mkdirSync(GUESTS, { recursive: true });
    make(`${path}.tmp`);
    renameSync(`${path}.tmp`, path);
    const { size } = statSync(path);
    say(`wrote guests/${file} (${mib(size)}, of which much is empty)`);
    return { file, bytes: size };
  }

  /** A path for something that is built on the way. */
  scratch(name) {
    mkdirSync(join(CACHE, "build"), { recursive: true });
    return join(CACHE, "build", basename(name));
  }
}

async function prepare(id, shop, update) {
  const manifest = readJson(MANIFEST, { version: 1, guests: [] });
  const recipe = sourcesHash(id);
  const old = manifest.guests.find((guest) => guest.id === id);
  if (!update && old?.recipe === recipe && filesOf(old).every(intact)) {
    say(
      `${id}: ready (${filesOf(old)
        .map((f) => `guests/${f.file}`)
        .join(", ")})`,
    );
    return;
  }
  say(`${id}: preparing ${RECIPES[id].title} …`);
  const { title } = RECIPES[id];
  const guest = { id, title, ...(await RECIPES[id].make(shop)), recipe };
  manifest.guests = Object.keys(RECIPES)
    .map((key) => (key === id ? guest : manifest.guests.find((g) => g.id === key)))
    .filter((g) => g !== undefined);
  // Guests share files: what was written anew holds for all of them.
  const written = new Map(filesOf(guest).map((f) => [f.file, f]));
  for (const other of manifest.guests) {
    for (const role of ROLES) if (other[role]) other[role] = written.get(other[role].file) ?? other[role];
  }
  writeWhole(MANIFEST, `${JSON.stringify(manifest, null, 2)}\n`);
  say(`${id}: ready`);
}

const usage = () =>
  [
    "npm run guests [-- [--update] [--optional] [--list] [ID…]]",
    "  --update    look for newer packages",
    "  --optional  if it cannot be done, warn and end with status 0",
    "  --list      say what is there",
    ...Object.entries(RECIPES).map(
      ([id, r]) => `  ${id.padEnd(10)}  ${r.title}${id === DEFAULT ? " (the default)" : ""}`,
    ),
  ].join("\n");

async function main() {
  const flag = { type: "boolean", default: false };
  let args;
  try {
    const options = { update: flag, optional: flag, list: flag, help: flag };
    args = parseArgs({ options, allowPositionals: true });
    const unknown = args.positionals.find((id) => !(id in RECIPES));
    if (unknown !== undefined) throw new Error(`no guest is called "${unknown}"`);
  } catch (error) {
    console.error(`guests: ${error.message}\n${usage()}`);
    return 2;
  }
  const { update, optional, list, help } = args.values;
  if (help) {
    say(usage());
    return 0;
  }
  if (list) {
    for (const guest of readJson(MANIFEST, { guests: [] }).guests) {
      say(`${guest.id.padEnd(10)} ${filesOf(guest).every(intact) ? "ready  " : "damaged"} ${guest.title}`);
    }
    return 0;
  }
  const shop = new Workshop(update);
  for (const id of args.positionals.length > 0 ? args.positionals : [DEFAULT]) {
    try {
      await prepare(id, shop, update);
    } catch (error) {
      console.error(`guests: ${optional ? "warning: " : ""}${id}: ${error.message}`);
      if (error instanceof AptError) console.error(BRING_YOUR_OWN);
      if (!optional) return 1;
      // Without packages there are none for the others either.
      if (error instanceof AptError) return 0;
    }
  }
  return 0;
}

process.exitCode = await main();
