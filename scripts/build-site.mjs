// `npm run build`: a static site in dist/site that works from any folder of any host.
import { checkNode, installPackages, must, root } from "./prepare.mjs";

checkNode();
installPackages();
const { buildCore } = await import("./build-core.mjs");
await buildCore();
must("node", ["scripts/guests.mjs", "--optional"]);
const { build } = await import("vite");
await build({ root, configFile: `${root}/vite.config.ts` });
const { addSnapshot } = await import("./guest/snapshot.mjs");
const bytes = await addSnapshot(`${root}/dist/site`);
if (bytes) console.log(`dist/site: Linux as it is when it has booted, ${(bytes / 1e6).toFixed(1)} MB`);
// The compiler's threads would keep Node.
process.exit(0);
