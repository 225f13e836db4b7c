// Vite plugin: assembles the embedded guest while the page, the command or a test is built, so that neither the
// assembler nor the instruction table is in what is built. `virtual:embedded-guest` is its image in base64.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../src/machine/embedded");
const VIRTUAL = "virtual:embedded-guest";
const RESOLVED = `\0${VIRTUAL}`;

/** @returns {import("vite").Plugin} */
export function embeddedGuestImage() {
  return {
    name: "tabhyve:embedded-guest",
    resolveId: (id) => (id === VIRTUAL ? RESOLVED : undefined),
    async load(id) {
      if (id !== RESOLVED) return;
      const { module, dependencies } = await runnerImport(join(folder, "source.ts"), {
        configFile: false,
        logLevel: "error",
      });
      for (const file of dependencies) this.addWatchFile(file.replace(/\?.*/, ""));
      return `export default ${JSON.stringify(Buffer.from(module.assembleEmbedded()).toString("base64"))};`;
    },
  };
}
