// `npm start [-- --port N] [--host [ADDRESS]]`: installs, builds, prepares the default guest and serves the page.
import { parseArgs } from "node:util";
import { checkNode, installPackages, must, root } from "./prepare.mjs";

const USAGE = "usage: npm start [-- [--port N] [--host ADDRESS]]";

checkNode();
let port;
let host;
try {
  const { values } = parseArgs({ options: { port: { type: "string" }, host: { type: "string" } } });
  host = values.host;
  if (values.port !== undefined) {
    port = Number(values.port);
    if (!/^\d+$/.test(values.port) || port < 1 || port > 65535)
      throw new Error(`--port ${values.port}: not a port (1 to 65535)`);
  }
} catch (error) {
  process.stderr.write(`tabhyve: ${error.message}\n${USAGE}\n`);
  process.exit(2);
}

installPackages();
const { buildCore } = await import("./build-core.mjs");
await buildCore();
// Without apt the page still boots the embedded guest, so a missing Linux is no reason to stop.
must("node", ["scripts/guests.mjs", "--optional"]);

const { createServer } = await import("vite");
try {
  // A port that is taken ends the process with one line: portInUse in vite.config.ts.
  const server = await createServer({
    root,
    configFile: `${root}/vite.config.ts`,
    server: { ...(port !== undefined && { port }), ...(host !== undefined && { host }) },
  });
  await server.listen();
  server.printUrls();
} catch (error) {
  process.stderr.write(`tabhyve: ${error.message}\n`);
  process.exit(1);
}
