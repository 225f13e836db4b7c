/** `tabhyve run` and `tabhyve verify`. */
import { basename } from "node:path";
import type { Command } from "commander";
import { CPU_MODELS } from "../../isa/cpuModel.ts";
import { embeddedGuest } from "../../machine/embedded/index.ts";
import { parseTopology, savedConfig } from "../../machine/snapshot.ts";
import { VM_MAXCPU } from "../../shared/layout.ts";
import { unpack } from "../../snapshot/container.ts";
import { readSymbols } from "../autopsy.ts";
import { parseGdb } from "../gdbPort.ts";
import * as options from "../options.ts";
import { type Send, UsageError } from "../options.ts";
import { type RunOptions, run } from "../run.ts";
import { verify, verifyBundle } from "../verify/verify.ts";
import { core, engine, noArguments, several, single, threshold, word } from "./common.ts";
import { cards, disksOf, pc, type RunWords, repeatable, touchedChunks, verifiable, waits } from "./runWords.ts";

/** Where --verify leaves a difference. */
const BUNDLE = "tabhyve-difference";
const DEFAULT_MEMORY = 256 * 2 ** 20;

const RUN_NOTES = `
--send types TEXT on the serial line once, when PATTERN (a regular expression) has appeared in the output; several are
taken in their order, each looking at what has come since the one before it. TEXT may have \\n, \\r, \\t, \\\\ and \\xHH.
--until looks at what has come since the last TEXT was typed.

On a terminal every key goes to the guest, Ctrl-C included; Ctrl-A x leaves the machine, Ctrl-A a sends a Ctrl-A.

--snapshot-in goes on where --snapshot-out has left off, in a machine with the same memory, CPUs and CPU model. A guest
that then asks for a reset ends the run, unless --kernel says what to boot.

Status: 0 power-off, --until or Ctrl-A x; 1 the engine failed; 2 an option or file that cannot be used; 3 triple fault;
4 reset request with --no-restart; 124 --timeout; 128 + n ended by signal n; with --debug-exit (value << 1) | 1.
`;

export function addRun(program: Command): void {
  const runCommand = program
    .command("run")
    .description("boot a guest; its COM1 is stdin and stdout")
    .allowExcessArguments()
    .addOption(
      single("--kernel <file>", "bzImage, ELF with a PVH note, or Multiboot image (default: embedded guest)", word),
    )
    .addOption(single("--bios <file>", "firmware that starts at the reset vector, instead of a kernel", word))
    .addOption(single("--vgabios <file>", "the VGA's ROM (default: vgabios-stdvga.bin beside the firmware)", word))
    .option(
      "--disk <file>",
      "hard disk image (raw, qcow2, manifest of chunks) or its URL, on IDE, or with ,nvme or ,virtio; with ,overlay[=FOLDER] what is written stays in memory or in a folder; ,backing=FILE what a qcow2 image lies over; repeatable",
      several,
      [],
    )
    .addOption(
      single(
        "--record-prefetch <file>",
        "write down which chunks of the disk are read, in their order (tabhyve chunks)",
        word,
      ),
    )
    .option("--rng", "a virtio entropy device")
    .option(
      "--share <directory>",
      "a directory that the guest mounts by 9p (mount -t 9p share /mnt); ,tag=NAME and ,readonly; repeatable",
      options.parseShare,
    )
    .addOption(
      single("--balloon [size]", "a virtio balloon: RAM that the guest is asked to give back", options.parseBalloon),
    )
    .addOption(single("--cdrom <file>", "CD image, or its URL", word))
    .addOption(single("--floppy <file>", "floppy disk image in drive A, or its URL; ,overlay as with --disk", word))
    .addOption(single("--initrd <file>", "initial RAM disk, or Multiboot module", word))
    .addOption(single("--append <line>", "kernel command line", word))
    .addOption(single("--memory <size>", "guest RAM", options.parseMemory).default(DEFAULT_MEMORY, "256M"))
    .addOption(single("--cpus <n>", `virtual CPUs, 1 to ${VM_MAXCPU}`, options.parseCpus).default(1))
    .addOption(
      single(
        "--topology <spread>",
        "how the CPUs are spread: sockets=S,cores=C,threads=T (default: one socket, a core for each)",
        options.parseTopology,
      ),
    )
    .addOption(
      single(
        "--cpu <model>",
        `CPU model and features: ${CPU_MODELS.join(", ")}; ,+NAME or ,-NAME`,
        options.parseCpu,
      ).default("max"),
    )
    .addOption(
      single("--transport <kind>", "threaded: vCPU in a worker; inline: all on one thread", (text, name) =>
        options.parseChoice(name, ["threaded", "inline"], text),
      ).default("threaded"),
    )
    .addOption(engine())
    .addOption(threshold())
    .option(
      "--verify",
      "run on the interpreter and on --engine (default: auto) in lockstep, up to the first difference",
    )
    .addOption(single("--bundle <folder>", "with --verify: takes what makes a difference again", word).default(BUNDLE))
    .option(
      "--deterministic",
      "time goes by instructions: the same input makes the same run; implies --transport inline",
    )
    .addOption(single("--record <file>", "with --deterministic: write down when input has come in", word))
    .addOption(single("--replay <file>", "with --deterministic: input of a run that was recorded", word))
    .addOption(single("--serial <where>", "stdio, or a file for the guest's output", word).default("stdio"))
    .option("--send <'PATTERN=>TEXT'>", "type TEXT when PATTERN appears; repeatable", (text, all: Send[] = []) => [
      ...all,
      options.parseSend(text),
    ])
    .option(
      "--keys <'PATTERN=>TEXT'>",
      "type TEXT on the keyboard when the screen shows PATTERN; repeatable",
      (text, all: Send[] = []) => [...all, options.parseSend(text, "--keys")],
    )
    .addOption(single("--screen <file>", "write the screen at the end: a picture if it ends in .png, else text", word))
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
    .addOption(
      single(
        "--gdb <place>",
        "[w,][i386,][addr:]port: where gdb can connect; w: the guest waits for it",
        (text, name) => parseGdb(name, text),
      ),
    )
    .option("--trace", "keep the last instructions, which are told after a triple fault; slower")
    .addOption(single("--symbols <file>", "names in what is told of a triple fault: an ELF file or a System.map", word))
    .option("--debug-exit", "isa-debug-exit at port 0xf4 and the testdev ports")
    .option("--no-restart", "end with status 4 when the guest asks for a reset, instead of booting again")
    .addOption(single("--stats <file>", "write instructions, seconds, exits and more as JSON at the end", word))
    .option("--stats-detail", "with --stats: compiled code counts what it does, and is slower for it")
    .addOption(single("--snapshot-in <file>", "go on from this snapshot instead of booting", word))
    .addOption(single("--snapshot-out <file>", "save the machine as it is at the end of the run", word))
    .option("--verbose", "log what devices notice to stderr")
    .addHelpText("after", RUN_NOTES)
    .action(async (words: RunWords) => {
      noArguments(runCommand);
      for (const name of ["record", "replay"] as const) {
        if (words[name] !== undefined && !words.deterministic) throw new UsageError(`--${name}: needs --deterministic`);
      }
      const given = (name: string): boolean => runCommand.getOptionValueSource(name) !== "default";
      if (words.verify) verifiable(words, given);
      if (words.recordPrefetch !== undefined && words.disk.length !== 1) {
        throw new UsageError("--record-prefetch: needs one --disk");
      }
      if (words.statsDetail && words.stats === undefined) throw new UsageError("--stats-detail: needs --stats");
      const initrd = words.initrd === undefined ? undefined : options.readInput("--initrd", words.initrd);
      if (initrd?.length === 0) throw new UsageError(`--initrd ${words.initrd}: is empty`);
      const file = words.snapshotIn === undefined ? undefined : options.readInput("--snapshot-in", words.snapshotIn);
      const snapshot = file && (await unpack(file));
      // An option that was given counts; if it is another than the snapshot's, the machine says so.
      const saved = snapshot && savedConfig(snapshot);
      const bios = words.bios === undefined ? undefined : options.readInput("--bios", words.bios);
      const needsBios = (["vgabios", "cdrom", "floppy", "keys", "screen"] as const).find(
        (name) => words[name] !== undefined,
      );
      if (!bios && (needsBios || disksOf(words, "ide").length)) {
        throw new UsageError(`--${needsBios ?? "disk"}: needs firmware that boots a PC's drives; name one with --bios`);
      }
      const mine = (["kernel", "initrd", "append"] as const).find((name) => words[name] !== undefined);
      if (bios && mine)
        throw new UsageError(`--${mine}: firmware does not load kernels yet; leave out --bios or --${mine}`);
      // A topology says how many there are.
      const counted = words.topology && !given("cpus") ? words.topology.maxcpus : words.cpus;
      const vcpus = saved && !given("cpus") && !words.topology ? saved.vcpus : counted;
      const topology = words.topology
        ? options.fitTopology(words.topology, vcpus)
        : saved && parseTopology(saved.topology);
      const kernel = words.kernel === undefined ? embeddedGuest() : options.readInput("--kernel", words.kernel);
      const made = { ...(bios ? { bios, ...(await pc(words)) } : { kernel }), ...(await cards(words)) };
      const chunks = touchedChunks();
      const all: RunOptions = {
        ...made,
        kernelName: words.kernel === undefined ? "tabhyve" : basename(words.kernel),
        ...(initrd && { initrd }),
        ...(words.append !== undefined && { append: words.append }),
        memoryBytes: saved && !given("memory") ? saved.memoryBytes : words.memory,
        vcpus,
        ...(topology && { topology }),
        cpu: saved && !given("cpu") ? saved.cpu : words.cpu,
        transport: words.deterministic ? "inline" : words.transport,
        ...(words.deterministic && { deterministic: repeatable(words) }),
        engine: words.verify && !given("engine") ? "auto" : words.engine,
        ...(words.jitThreshold !== undefined && { jitThreshold: words.jitThreshold }),
        serial: words.serial,
        send: words.send ?? [],
        ...(words.until && { until: words.until }),
        ...(words.timeout !== undefined && { timeout: words.timeout }),
        debugExit: words.debugExit ?? saved?.debugExit ?? false,
        ...(words.gdb && { gdb: words.gdb }),
        trace: words.trace ?? false,
        ...(words.symbols !== undefined && { symbols: readSymbols("--symbols", words.symbols) }),
        restart: words.restart && (!snapshot || words.kernel !== undefined),
        ...(words.stats !== undefined && { stats: words.stats }),
        ...(words.recordPrefetch !== undefined && chunks && { prefetch: { file: words.recordPrefetch, chunks } }),
        waits,
        statsDetail: words.statsDetail ?? false,
        ...(snapshot && { snapshot }),
        ...(words.snapshotOut !== undefined && { snapshotOut: words.snapshotOut }),
        verbose: words.verbose ?? false,
      };
      process.exit(
        words.verify
          ? await verify(core(), { ...all, bundle: words.bundle, ...(file && { snapshotFile: file }) })
          : await run(core(), all),
      );
    });
}

export function addVerify(program: Command): void {
  program
    .command("verify")
    .description("run again what --verify has found")
    .argument("<bundle>", "the folder that --verify has left")
    .addHelpText("after", "\nStatus: 0 the engines agree, 1 they differ, 2 the folder cannot be used.\n")
    .action(async (folder: string) => {
      process.exit(await verifyBundle(core(), folder));
    });
}
