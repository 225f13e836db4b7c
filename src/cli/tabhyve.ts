/** The command `tabhyve`. */

import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError, Option } from "commander";
import { embeddedGuest } from "../machine/embedded/index.ts";
import { LoaderError } from "../machine/loader/types.ts";
import type { EngineKind } from "../vcpu/jit.ts";
import { OutOfMemoryError } from "../vmm/memory.ts";
import * as options from "./options.ts";
import { type Send, UsageError } from "./options.ts";
import { type ReplayWords, replay } from "./replay.ts";
import { run, STATUS } from "./run.ts";

/** Options of the contract that belong to later work: named, so that they are refused and not misread. */
const ENGINES: readonly EngineKind[] = ["interp", "jit", "auto"];
const NOT_YET = ["bios", "disk", "cdrom", "floppy", "cpus", "keys", "screen", "snapshot-out", "snapshot-in"];

const DEFAULT_MEMORY = 256 * 2 ** 20;

interface RunWords {
  kernel?: string;
  initrd?: string;
  append?: string;
  memory: number;
  cpu: string;
  transport: "threaded" | "inline";
  engine: EngineKind;
  serial: string;
  send?: Send[];
  until?: RegExp;
  timeout?: number;
  debugExit?: boolean;
  restart: boolean;
  stats?: string;
  verbose?: boolean;
}

const RUN_NOTES = `
--send types TEXT on the serial line once, when PATTERN (a regular expression) has appeared in the output; several are
taken in their order, each looking at what has come since the one before it. TEXT may have \\n, \\r, \\t, \\\\ and \\xHH.
--until looks at what has come since the last TEXT was typed.

On a terminal every key goes to the guest, Ctrl-C included; Ctrl-A x leaves the machine, Ctrl-A a sends a Ctrl-A.

Status: 0 power-off, --until or Ctrl-A x; 1 the engine failed; 2 an option or file that cannot be used; 3 triple fault;
4 reset request with --no-restart; 124 --timeout; 128 + n ended by signal n; with --debug-exit (value << 1) | 1.
`;

/** The compiled core. It lies beside the folder of this bundle. */
function core(): Uint8Array {
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
function single<T>(flags: string, description: string, parse: (text: string, name: string) => T): Option {
  const option = new Option(flags, description);
  let given = false;
  return option.argParser((text) => {
    const name = `--${option.name()}`;
    if (given) throw new UsageError(`${name}: given more than once`);
    given = true;
    return parse(text, name);
  });
}

const word = (text: string): string => text;

const engine = (): Option =>
  single("--engine <kind>", "interp; auto: hot code is compiled; jit: all code is", (text, name) =>
    options.parseChoice(name, ENGINES, text),
  ).default("interp");

/** What is left on the command line after the options. */
function noArguments(command: Command): void {
  if (command.args.length) throw new UsageError(`'${command.args[0]}': not an option of ${command.name()}`);
}

const program = new Command("tabhyve")
  .description("An x86-64 virtual machine: bhyve in a tab, here without the tab.")
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .showSuggestionAfterError(false)
  .allowExcessArguments()
  .action(() => {
    const [name] = program.args;
    throw new UsageError(
      `${name === undefined ? "no command" : `no command '${name}'`}; there are run and vectors (--help)`,
    );
  });

const runCommand = program
  .command("run")
  .description("boot a guest; its COM1 is stdin and stdout")
  .allowExcessArguments()
  .addOption(
    single("--kernel <file>", "bzImage, ELF with a PVH note, or Multiboot image (default: embedded guest)", word),
  )
  .addOption(single("--initrd <file>", "initial RAM disk, or Multiboot module", word))
  .addOption(single("--append <line>", "kernel command line", word))
  .addOption(single("--memory <size>", "guest RAM", options.parseMemory).default(DEFAULT_MEMORY, "256M"))
  .addOption(
    single(
      "--cpu <model>",
      "CPU model and features: max, x86-64, x86-64-v2; ,+NAME or ,-NAME",
      options.parseCpu,
    ).default("max"),
  )
  .addOption(
    single("--transport <kind>", "threaded: vCPU in a worker; inline: all on one thread", (text, name) =>
      options.parseChoice(name, ["threaded", "inline"], text),
    ).default("threaded"),
  )
  .addOption(engine())
  .addOption(single("--serial <where>", "stdio, or a file for the guest's output", word).default("stdio"))
  .option("--send <'PATTERN=>TEXT'>", "type TEXT when PATTERN appears; repeatable", (text, all: Send[] = []) => [
    ...all,
    options.parseSend(text),
  ])
  .addOption(
    single("--until <pattern>", "end with status 0 when this appears", (text, name) =>
      options.parsePattern(name, text),
    ),
  )
  .addOption(
    single("--timeout <seconds>", "end with status 124 after this long", (text, name) =>
      options.parseSeconds(name, text),
    ),
  )
  .option("--debug-exit", "isa-debug-exit at port 0xf4 and the testdev ports")
  .option("--no-restart", "end with status 4 when the guest asks for a reset, instead of booting again")
  .addOption(single("--stats <file>", "write instructions, seconds, exits and more as JSON at the end", word))
  .option("--verbose", "log what devices notice to stderr")
  .addHelpText("after", RUN_NOTES)
  .action(async (words: RunWords) => {
    noArguments(runCommand);
    const initrd = words.initrd === undefined ? undefined : options.readInput("--initrd", words.initrd);
    if (initrd?.length === 0) throw new UsageError(`--initrd ${words.initrd}: is empty`);
    const status = await run(core(), {
      kernel: words.kernel === undefined ? embeddedGuest() : options.readInput("--kernel", words.kernel),
      kernelName: words.kernel === undefined ? "tabhyve" : basename(words.kernel),
      ...(initrd && { initrd }),
      ...(words.append !== undefined && { append: words.append }),
      memoryBytes: words.memory,
      cpu: words.cpu,
      transport: words.transport,
      engine: words.engine,
      serial: words.serial,
      send: words.send ?? [],
      ...(words.until && { until: words.until }),
      ...(words.timeout !== undefined && { timeout: words.timeout }),
      debugExit: words.debugExit ?? false,
      restart: words.restart,
      ...(words.stats !== undefined && { stats: words.stats }),
      verbose: words.verbose ?? false,
    });
    process.exit(status);
  });
for (const name of NOT_YET) {
  runCommand.addOption(new Option(`--${name} [value]`).hideHelp());
  runCommand.on(`option:${name}`, () => {
    throw new UsageError(`--${name}: not there yet`);
  });
}

program
  .command("vectors")
  .description("replay instruction vectors that were recorded on a real CPU")
  .argument("<files...>", "*.jsonl.gz, one file per tier")
  .addOption(engine())
  .option("--json", "print results as JSON")
  .option("--all", "also run vectors of features that the virtual CPU does not advertise")
  .option("--blocks", "run whole blocks instead of single instructions")
  .addOption(single("--only <text>", "only vectors whose id contains this", word))
  .addOption(
    single("--examples <n>", "failing instructions to print for each tier (default: all)", (text, name) =>
      options.parseCount(name, text),
    ),
  )
  .addHelpText("after", "\nStatus: 0 all passed or were skipped, 1 some failed, 2 a file cannot be used.\n")
  .action((files: string[], words: Partial<ReplayWords>) => {
    process.exitCode = replay(core(), files, { json: false, examples: Number.POSITIVE_INFINITY, ...words });
  });

/** The one line for what the user can mend; anything else is a mistake of ours. */
function complaint(error: unknown): string | undefined {
  if (error instanceof CommanderError) return error.message.replace(/^error: /, "");
  if (error instanceof UsageError || error instanceof LoaderError || error instanceof OutOfMemoryError) {
    return error.message;
  }
  return undefined;
}

// Whoever reads the help or the results may stop reading.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? STATUS.SIGNAL + constants.signals.SIGPIPE : STATUS.USAGE);
});
process.stderr.on("error", () => {});

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError && error.exitCode === 0)) {
    const line = complaint(error);
    if (line === undefined) throw error;
    process.stderr.write(`tabhyve: ${line.replaceAll(/\s*\n\s*/g, " ")}\n`);
    process.exitCode = STATUS.USAGE;
  }
}
