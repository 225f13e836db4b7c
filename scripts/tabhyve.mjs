// `npm run -s tabhyve -- ARGS…`: runs the command from a checkout, building what is missing.
import { buildCore } from "./build-core.mjs";
import { buildNode } from "./build-node.mjs";

await buildCore();
await buildNode();
await import("../dist/node/tabhyve.js");
