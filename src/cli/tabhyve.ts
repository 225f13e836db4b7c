/** The command `tabhyve`. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Command, CommanderError, Option } from "commander";
import { embeddedGuest } from "../machine/embedded/index.ts";
import { LoaderError } from "../machine/loader/types.ts";
import { OutOfMemoryError } from "../vmm/memory.ts";
import { parseMemory, parsePattern, parseSeconds, parseSend, readInput, type Send, UsageError } from "./options.ts";
import { run, STATUS } from "./run.ts";

/** Options of the contract that belong to later work: named, so that they are refused and not misread. */
const NOT_YET = ["bios", "disk", "cdrom", "floppy", "cpus", "cpu", "keys", "screen", "snapshot-out", "snapshot-in"];

const core = (): Uint8Array => readFileSync(new URL("../core/core.wasm", import.meta.url));
const collect = (value: string, all: string[]): string[] => [...all, value];

interface RunWords {
  kernel?: string;
  initrd?: string;
  append?: string;
  memory: string;
  transport: "threaded" | "inline";
  engine: "interp" | "jit" | "auto";
  serial: string;
  send: string[];
  until?: string;
  timeout?: string;
  debugExit?: boolean;
  restart: boolean;
  stats?: string;
  verbose?: boolean;
}

const program = new Command("tabhyve")
  .description("An x86-64 virtual machine: bhyve in a tab, here without the tab.")
  .exitOverride()
  .configureOutput({ outputError: () => {} });

const runCommand = program
  .command("run")
  .description("boot a guest; its COM1 is stdin and stdout")
  .option("--kernel <file>", "bzImage, ELF with a PVH note, or Multiboot image; default: the embedded guest")
  .option("--initrd <file>", "initial RAM disk, or Multiboot module")
  .option("--append <line>", "kernel command line")
  .option("--memory <size>", "guest RAM", "256M")
  .addOption(new Option("--transport <kind>", "vCPUs in workers, or all on one thread").choices(["threaded", "inline"]).default("threaded"))
  .addOption(new Option("--engine <kind>", "how guest code runs").choices(["interp", "jit", "auto"]).default("auto"))
  .option("--serial <where>", "stdio, or a file for the guest's output", "stdio")
  .option("--send <'PATTERN=>TEXT'>", "type TEXT when PATTERN appears; repeatable, in order", collect, [])
  .option("--until <pattern>", "end with status 0 when the serial output matches")
  .option("--timeout <seconds>", "end with status 124 after this long")
  .option("--debug-exit", "isa-debug-exit at port 0xf4 and the testdev ports")
  .option("--no-restart", "end with status 4 when the guest asks for a reset")
  .option("--stats <file>", "write counters as JSON at the end")
  .option("--verbose", "log what devices notice to stderr")
  .action(async (words: RunWords) => {
    if (words.engine === "jit") throw new UsageError("--engine jit: the compiler is not there yet; use interp or auto");
    process.exitCode = await run(core(), {
      kernel: words.kernel === undefined ? embeddedGuest() : readInput("--kernel", words.kernel),
      kernelName: words.kernel === undefined ? "tabhyve" : basename(words.kernel),
      ...(words.initrd !== undefined && { initrd: readInput("--initrd", words.initrd) }),
      ...(words.append !== undefined && { append: words.append }),
      memoryBytes: parseMemory(words.memory),
      transport: words.transport,
      serial: words.serial,
      send: words.send.map(parseSend) satisfies Send[],
      ...(words.until !== undefined && { until: parsePattern("--until", words.until) }),
      ...(words.timeout !== undefined && { timeout: parseSeconds("--timeout", words.timeout) }),
      debugExit: words.debugExit ?? false,
      restart: words.restart,
      ...(words.stats !== undefined && { stats: words.stats }),
      verbose: words.verbose ?? false,
    });
  });
for (const name of NOT_YET) {
  runCommand.addOption(
    new Option(`--${name} <value>`).hideHelp().argParser(() => {
      throw new UsageError(`--${name}: not there yet`);
    }),
  );
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    if (error.exitCode !== 0) process.stderr.write(`tabhyve: ${error.message.replace(/^error: /, "")}\n`);
    process.exitCode = error.exitCode === 0 ? 0 : STATUS.USAGE;
  } else if (error instanceof UsageError || error instanceof LoaderError || error instanceof OutOfMemoryError) {
    process.stderr.write(`tabhyve: ${error.message}\n`);
    process.exitCode = STATUS.USAGE;
  } else throw error;
}
