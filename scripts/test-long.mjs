// `npm run test:long`: the tests of test/long, which take minutes: Debian's other kernels from the command line, and
// Memtest86+. Prepares the guests they need.
import { join } from "node:path";
import { checkNode, installPackages, must, root } from "./prepare.mjs";

checkNode();
installPackages();
must("node", ["scripts/guests.mjs", "--optional", "cloud", "full", "i386", "vmlinux", "memtest"]);
must(join(root, "node_modules/.bin/vitest"), ["run", "--mode", "long", ...process.argv.slice(2)]);
