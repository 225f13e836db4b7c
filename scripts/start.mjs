// `npm start`: installs, builds, prepares the default guest and serves the page.
import { checkNode, installPackages, must, root } from "./prepare.mjs";

checkNode();
installPackages();
const { buildCore } = await import("./build-core.mjs");
await buildCore();
// Without apt the page still boots the embedded guest, so a missing Linux is no reason to stop.
must("node", ["scripts/guests.mjs", "--optional"]);

const { createServer } = await import("vite");
const server = await createServer({ root, configFile: `${root}/vite.config.ts` });
try {
  await server.listen();
} catch (error) {
  const port = server.config.server.port;
  const taken = /in use/.test(String(error.message));
  process.stderr.write(
    taken ? `tabhyve: port ${port} is in use; stop what listens there, or choose another: PORT=8086 npm start\n` : `tabhyve: ${error.message}\n`,
  );
  process.exit(1);
}
server.printUrls();
