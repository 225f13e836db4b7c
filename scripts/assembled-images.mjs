// Vite plugin: assembles the embedded guest and the lessons' firmware while the page, the command or a test is built, so that
// this costs whoever runs them nothing, and the embedded guest needs no assembler. Each is a module with its image in base64.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const sources = join(dirname(fileURLToPath(import.meta.url)), "../src");
/** Modules: where each is made, by which function. */
const IMAGES = {
  "virtual:embedded-guest": ["machine/embedded/source.ts", "assembleEmbedded"],
  "virtual:lessons-firmware": ["lessons/firmware/source.ts", "assembleFirmware"],
};

/** @returns {import("vite").Plugin} */
export function assembledImages() {
  return {
    name: "tabhyve:assembled-images",
    resolveId: (id) => (Object.hasOwn(IMAGES, id) ? `\0${id}` : undefined),
    async load(id) {
      const [source, make] = (id.startsWith("\0") && IMAGES[id.slice(1)]) || [];
      if (!source) return;
      const { module, dependencies } = await runnerImport(join(sources, source), {
        configFile: false,
        logLevel: "error",
      });
      for (const file of dependencies) this.addWatchFile(file.replace(/\?.*/, ""));
      return `export default ${JSON.stringify(Buffer.from(module[make]()).toString("base64"))};`;
    },
  };
}
