/** The replay of vectors as a program of its own, for scripts/run-ts.mjs; the `tabhyve` command has the same options. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { describeTier, replayVectors } from "./vectors.ts";

const USAGE = `usage: vectors FILE.jsonl.gz… [--engine interp] [--core core.wasm] [--json] [--all] [--blocks] [--only TEXT] [--examples N]`;

/** Exit status: 0 all passed or skipped, 1 some failed, 2 wrong use or a file that cannot be read. */
export function main(argv: string[]): number {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  const { values, positionals } = parsed;
  if (!positionals.length || values.engine !== "interp") {
    console.error(positionals.length ? `no engine "${values.engine}": there is interp` : USAGE);
    return 2;
  }
  try {
    return replay(positionals, values);
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
}

function replay(files: readonly string[], values: ReturnType<typeof parse>["values"]): number {
  const core = new WebAssembly.Module(readFileSync(values.core));
  const results = [];
  for (const file of files) {
    const [result] = replayVectors(core, [file], {
      all: values.all,
      blocks: values.blocks,
      ...(values.only === undefined ? {} : { only: values.only }),
    });
    results.push(result);
    if (!values.json) console.log(describeTier(result, Number(values.examples)).join("\n"));
  }
  if (values.json) console.log(JSON.stringify(results));
  return results.some((r) => r.failed) ? 1 : 0;
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      engine: { type: "string", default: "interp" },
      core: { type: "string", default: "dist/core/core.wasm" },
      json: { type: "boolean", default: false },
      all: { type: "boolean", default: false },
      blocks: { type: "boolean", default: false },
      only: { type: "string" },
      examples: { type: "string", default: "1000" },
    },
  });
}
