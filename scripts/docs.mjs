// `npm run docs`: pages about the package's three entries, from their doc comments, in dist/docs (TypeDoc). A public name
// without a comment makes it fail.
//
// TypeDoc reads programs through TypeScript's JavaScript API, which TypeScript 7 does not have. So it is not among the
// devDependencies: npm fetches it on demand, with a TypeScript that it can use.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./prepare.mjs";

const TYPEDOC = "typedoc@0.28.20";
const TYPESCRIPT = "typescript@5.9";

/** What must have a comment; what is in an interface often says enough by its name. */
const DOCUMENTED = ["Class", "Function", "Interface", "TypeAlias", "Variable", "Enum", "Method"];

const { status } = spawnSync(
  "npm",
  [
    ...["exec", "--yes", `--package=${TYPEDOC}`, `--package=${TYPESCRIPT}`, "--", "typedoc"],
    ...["--tsconfig", join(root, "src/tsconfig.json"), "--skipErrorChecking"],
    ...["src/lib/node.ts", "src/lib/browser.ts", "src/vmm/index.ts"].flatMap((entry) => ["--entryPoints", entry]),
    ...["--out", join(root, "dist/docs"), "--name", "Tabhyve", "--readme", join(root, "README.md")],
    ...["--excludeInternal", "--excludePrivate", "--disableSources"],
    ...["--validation.notExported", "false", "--validation.invalidLink", "false", "--validation.notDocumented"],
    ...[...DOCUMENTED.flatMap((kind) => ["--requiredToBeDocumented", kind]), "--treatValidationWarningsAsErrors"],
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: "inherit", shell: process.platform === "win32" },
);
process.exitCode = status ?? 1;
