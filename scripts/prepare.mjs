// What a fresh clone needs before anything else can run: packages, then the core. Only Node's own modules here.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Runs a command in the repository; ends the process with its status if it fails. */
export function must(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (error) {
    process.stderr.write(`tabhyve: cannot run ${command}: ${error.message}\n`);
    process.exit(1);
  }
  if (status !== 0) process.exit(status ?? 1);
}

/** Installs packages if those that package-lock.json wants are not there. Nothing goes to stdout. */
export function installPackages() {
  const packages = (file) => JSON.parse(readFileSync(join(root, file), "utf8")).packages;
  // npm writes down here what it has installed. Optional packages are those of other platforms.
  const record = "node_modules/.package-lock.json";
  const installed = existsSync(join(root, record)) ? packages(record) : {};
  const missing = ([path, { version, optional }]) => path && !optional && installed[path]?.version !== version;
  if (!Object.entries(packages("package-lock.json")).some(missing)) return;
  process.stderr.write("tabhyve: installing packages …\n");
  // Under `npm run -s` npm would keep to itself why it fails.
  must("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { stdio: ["inherit", 2, 2] });
}

/** Latest change, in ms, of a file or of anything in a folder. */
function changed(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((time, name) => Math.max(time, changed(join(path, name))), 0);
}

/** True if `made` is there and nothing in `sources` (files and folders, relative to the repository) is newer. */
export function isFresh(made, sources) {
  return existsSync(made) && sources.every((path) => changed(join(root, path)) <= statSync(made).mtimeMs);
}

export function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  process.stderr.write(`tabhyve: Node ${process.versions.node} is too old; 20.19 or newer is needed\n`);
  process.exit(1);
}
