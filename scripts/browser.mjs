// Makes sure that there is a Chromium for the page's tests: the one on the path, or Debian's where it may be installed.
import { spawnSync } from "node:child_process";

const found = ["chromium", "chromium-browser", "google-chrome"].some(
  (name) => spawnSync("which", [name], { stdio: "ignore" }).status === 0,
);
if (!found) {
  const apt = spawnSync("which", ["apt-get"], { stdio: "ignore" }).status === 0;
  if (apt && process.getuid?.() === 0) {
    process.stderr.write("tabhyve: installing Debian's chromium for the page's tests …\n");
    const run = (...args) => spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;
    if (
      !(
        run("install", "-y", "--no-install-recommends", "chromium") ||
        (run("update") && run("install", "-y", "--no-install-recommends", "chromium"))
      )
    ) {
      process.stderr.write("tabhyve: NOTE: chromium could not be installed: THE PAGE IS NOT TESTED\n");
    }
  } else {
    process.stderr.write(
      "tabhyve: NOTE: no Chromium on the path and no right to install one: THE PAGE IS NOT TESTED\n",
    );
  }
}
