// `npm run seeds [-- HEADER…]`: docs/seeds.md from src/vmm/seeds.ts, and what is missing, with status 1. Given the seed
// headers it looks for names without a row there; without them, in docs/seeds.txt, the list made from them last. With
// --check nothing is written, and a table that is not what it should be is an error, too.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./prepare.mjs";

const { SEEDS } = await import("../src/vmm/seeds.ts").catch(async () => {
  const { build } = await import("vite");
  const out = join(root, "dist/seeds");
  await build({
    root,
    configFile: false,
    logLevel: "error",
    publicDir: false,
    build: {
      ssr: true,
      outDir: out,
      rolldownOptions: { input: join(root, "src/vmm/seeds.ts"), output: { entryFileNames: "seeds.mjs" } },
    },
  });
  return import(join(out, "seeds.mjs"));
});

/** Functions, enums and structs that a header declares. */
function declared(text) {
  const code = text.replaceAll(/\/\*.*?\*\//gs, "");
  const names = new Set();
  for (const [, name] of code.matchAll(/\b((?:vmm?|vcpu|legacy|validate)_\w+)\s*\(/g)) names.add(name);
  for (const [, name] of code.matchAll(/(?:^|\n)\s*(?:typedef\s+)?(?:enum|struct)\s+(\w+)\s*\{/g)) names.add(name);
  for (const [, name] of code.matchAll(/\(\*?(\w+_t)\)\s*\(/g)) names.add(name);
  return names;
}

const list = join(root, "docs/seeds.txt");
const check = process.argv.includes("--check");
const headers = process.argv.slice(2).filter((word) => word !== "--check");
let names = readFileSync(list, "utf8").split("\n").filter(Boolean);
if (headers.length) {
  names = [...new Set(headers.flatMap((file) => [...declared(readFileSync(file, "utf8"))]))].sort();
  if (!check) writeFileSync(list, `${names.join("\n")}\n`);
}

/** Why a row is not true; undefined: it is. */
function wrong(name, [ours, module, test]) {
  if (!names.includes(name)) return "is no name of the headers";
  const source = join(root, "src", module);
  if (!existsSync(source)) return `no src/${module}`;
  if (!existsSync(join(root, "test", test))) return `no test/${test}`;
  const text = readFileSync(source, "utf8");
  for (const one of ours.split(", ")) {
    const last = one
      .replace(/^VmExit /, "")
      .split(".")
      .at(-1);
    if (!new RegExp(`\\b${last}\\b`).test(text)) return `no ${one} in src/${module}`;
  }
  return undefined;
}

const missing = names.filter((name) => !SEEDS[name]);
const untrue = Object.entries(SEEDS).flatMap(([name, row]) => {
  const why = wrong(name, row);
  return why ? [`${name}: ${why}`] : [];
});
const rows = names.map((name) => {
  const row = SEEDS[name];
  return row ? `| ${name} | ${row[0]} | src/${row[1]} | test/${row[2]} |` : `| ${name} | **missing** | | |`;
});
const table = join(root, "docs/seeds.md");
const text = `# The seeds' interface\n\nMade by \`npm run seeds\`. ${names.length - missing.length} of ${names.length} names.\n\n| seed | here | module | test |\n|---|---|---|---|\n${rows.join("\n")}\n`;
const stale = check && readFileSync(table, "utf8") !== text;
if (stale) console.error("tabhyve: docs/seeds.md is stale: npm run seeds");
if (!check) writeFileSync(table, text);
for (const line of untrue) console.error(`tabhyve: ${line}`);
if (missing.length)
  console.error(`tabhyve: ${missing.length} of ${names.length} names are missing: ${missing.join(" ")}`);
process.exitCode = missing.length || untrue.length || stale ? 1 : 0;
