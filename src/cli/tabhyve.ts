/** The command `tabhyve`. */

import { constants } from "node:os";
import { Command, CommanderError } from "commander";
import { LoaderError } from "../machine/loader/types.ts";
import { SnapshotError } from "../shared/device.ts";
import { OutOfMemoryError } from "../vmm/memory.ts";
import { addDisks } from "./commands/disks.ts";
import { addGdbBridge } from "./commands/gdbBridge.ts";
import { addAsm, addFuzz, addVectors } from "./commands/instructions.ts";
import { addGrade } from "./commands/lessons.ts";
import { addRun, addVerify } from "./commands/run.ts";
import { STATUS } from "./ending.ts";
import { UsageError } from "./options.ts";

const program = new Command("tabhyve")
  .description("An x86-64 virtual machine: bhyve in a tab, here without the tab.")
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .showSuggestionAfterError(false)
  .allowExcessArguments()
  .action(() => {
    const [name] = program.args;
    throw new UsageError(
      `${name === undefined ? "no command" : `no command '${name}'`}; there are ${commands()} (--help)`,
    );
  });

/** Their names, as a sentence has them. */
const commands = (): string =>
  new Intl.ListFormat("en", { type: "conjunction" }).format(program.commands.map((command) => command.name()));

addRun(program);
addDisks(program);
addAsm(program);
addGrade(program);
addVerify(program);
addVectors(program);
addFuzz(program);
addGdbBridge(program);

/** The one line for what the user can mend; anything else is a mistake of ours. */
function complaint(error: unknown): string | undefined {
  if (error instanceof CommanderError) return error.message.replace(/^error: /, "");
  const theirs = [UsageError, LoaderError, OutOfMemoryError];
  if (theirs.some((kind) => error instanceof kind)) return (error as Error).message;
  if (error instanceof SnapshotError) return `--snapshot-in: ${error.message}`;
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
