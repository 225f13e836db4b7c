// `npm run build`: a static site in dist/site that works from any folder of any host.
import { checkNode, installPackages, must, root } from "./prepare.mjs";

checkNode();
installPackages();
const { buildCore } = await import("./build-core.mjs");
await buildCore();
must("node", ["scripts/guests.mjs", "--optional"]);
const { build } = await import("vite");
await build({ root, configFile: `${root}/vite.config.ts` });
