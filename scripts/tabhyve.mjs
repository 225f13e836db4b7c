// `npm run -s tabhyve -- ARGS…`: runs the command from a checkout, building what is missing. Nothing but the command
// itself writes to stdout.
import { checkNode, installPackages } from "./prepare.mjs";

checkNode();
installPackages();
const { buildCore } = await import("./build-core.mjs");
const { buildNode } = await import("./build-node.mjs");
await buildCore();
await buildNode();
// npm has gone to the repository's folder; the user's files are named from where the user is.
if (process.env.npm_lifecycle_event === "tabhyve" && process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);
await import("../dist/node/tabhyve.js");
