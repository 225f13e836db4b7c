// What the tests need from outside and Debian has: installed where that is allowed; where not, a line says what is not tested.
import { spawnSync } from "node:child_process";

const TOOLS = [
  {
    names: ["chromium", "chromium-browser", "google-chrome"],
    debian: "chromium",
    untested: "THE PAGE IS NOT TESTED",
  },
  { names: ["iasl"], debian: "acpica-tools", untested: "THE ACPI TABLES ARE NOT COMPILED" },
];

const have = (name) => spawnSync("which", [name], { stdio: "ignore" }).status === 0;
const apt = (...args) => spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;
const mayInstall = have("apt-get") && process.getuid?.() === 0;
const install = (name) => apt("install", "-y", "--no-install-recommends", name);

for (const { names, debian, untested } of TOOLS) {
  if (names.some(have)) continue;
  if (mayInstall) process.stderr.write(`tabhyve: installing Debian's ${debian} for the tests …\n`);
  if (mayInstall && (install(debian) || (apt("update") && install(debian)))) continue;
  process.stderr.write(`tabhyve: NOTE: no ${names[0]} on the path, and none could be installed: ${untested}\n`);
}
