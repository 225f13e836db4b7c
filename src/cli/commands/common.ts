/** What several commands' options and actions share. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Command, Option } from "commander";
import type { EngineKind } from "../../vcpu/jit.ts";
import * as options from "../options.ts";
import { UsageError } from "../options.ts";

const ENGINES: readonly EngineKind[] = ["interp", "jit", "auto"];

/** A line for the person, beside what the guest says. */
export const say = (line: string): void => void process.stderr.write(`tabhyve: ${line}\n`);

/** The compiled core. It lies beside the folder of this bundle. */
export function core(): Uint8Array {
  const url = new URL("../core/core.wasm", import.meta.url);
  try {
    return readFileSync(url);
  } catch (error) {
    throw new UsageError(
      `${fileURLToPath(url)}: ${options.reason(error)}; the core is to be built: npm run build:core`,
    );
  }
}

/** An option with a value that may be given once. */
export function single<T>(flags: string, description: string, parse: (text: string, name: string) => T): Option {
  const option = new Option(flags, description);
  let given = false;
  return option.argParser((text) => {
    const name = `--${option.name()}`;
    if (given) throw new UsageError(`${name}: given more than once`);
    given = true;
    return parse(text, name);
  });
}

export const word = (text: string): string => text;
export const several = (text: string, all: string[]): string[] => [...all, text];

export const engine = (): Option =>
  single("--engine <kind>", "interp; auto: hot code is compiled; jit: all code is", (text, name) =>
    options.parseChoice(name, ENGINES, text),
  ).default("interp");

export const threshold = (): Option =>
  single(
    "--jit-threshold <n>",
    "executions of code before it is compiled (default: 5000 with auto, 1 with jit)",
    (t, n) => options.parseThreshold(n, t),
  );

/** What is left on the command line after the options. */
export function noArguments(command: Command): void {
  if (command.args.length) throw new UsageError(`'${command.args[0]}': not an option of ${command.name()}`);
}
