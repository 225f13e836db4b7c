/** The command `tabhyve`. */

import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError, Option } from "commander";
import type { BlockSource } from "../block/block.ts";
import { TouchedBlocks } from "../block/chunks/touched.ts";
import { Waits } from "../block/waits.ts";
import { CPU_MODELS } from "../isa/cpuModel.ts";
import type { Width } from "../isa/operand.ts";
import { embeddedGuest } from "../machine/embedded/index.ts";
import { LoaderError } from "../machine/loader/types.ts";
import type { SharedFolder } from "../machine/pciCards.ts";
import { parseTopology, savedConfig } from "../machine/snapshot.ts";
import { SnapshotError } from "../shared/device.ts";
import { VM_MAXCPU } from "../shared/layout.ts";
import { unpack } from "../snapshot/container.ts";
import type { EngineKind } from "../vcpu/jit.ts";
import { OutOfMemoryError } from "../vmm/memory.ts";
import type { VmTopology } from "../vmm/topology.ts";
import { type AsmWords, asm } from "./asm.ts";
import { type ChunkWords, makeChunks } from "./chunks.ts";
import { exportDisk, importDisk } from "./disk.ts";
import { STATUS } from "./ending.ts";
import { ENGINES as FUZZ_ENGINES } from "./fuzz/engine.ts";
import { type FuzzOptions, fuzz } from "./fuzz/fuzz.ts";
import { KINDS, type Kind } from "./fuzz/generate.ts";
import { fuzzWorlds } from "./fuzz/world/fuzz.ts";
import { type GdbPlace, parseGdb } from "./gdbPort.ts";
import { HostDirectory } from "./hostFolder.ts";
import { behind, type Controller, isUrl, type MediumKind, openMedium } from "./media.ts";
import * as options from "./options.ts";
import { type Send, type Share, UsageError } from "./options.ts";
import { type ReplayWords, replay } from "./replay.ts";
import { type RunOptions, run } from "./run.ts";
import { verify, verifyBundle } from "./verify/verify.ts";

const ENGINES: readonly EngineKind[] = ["interp", "jit", "auto"];

/** Where --verify leaves a difference. */
const BUNDLE = "tabhyve-difference";
const DEFAULT_MEMORY = 256 * 2 ** 20;

/** A line for the person, beside what the guest says. */
const say = (line: string): void => void process.stderr.write(`tabhyve: ${line}\n`);

interface RunWords {
  kernel?: string;
  bios?: string;
  initrd?: string;
  append?: string;
  memory: number;
  cpus: number;
  topology?: VmTopology;
  cpu: string;
  transport: "threaded" | "inline";
  engine: EngineKind;
  rng?: boolean;
  share?: Share[];
  balloon?: number | true;
  jitThreshold?: number;
  verify?: boolean;
  bundle: string;
  deterministic?: boolean;
  record?: string;
  replay?: string;
  serial: string;
  vgabios?: string;
  disk: string[];
  cdrom?: string;
  floppy?: string;
  keys?: Send[];
  screen?: string;
  recordPrefetch?: string;
  send?: Send[];
  until?: RegExp;
  timeout?: number;
  debugExit?: boolean;
  gdb?: GdbPlace;
  restart: boolean;
  stats?: string;
  statsDetail?: boolean;
  snapshotIn?: string;
  snapshotOut?: string;
  verbose?: boolean;
}

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

interface FuzzWords extends Omit<FuzzOptions, "modes" | "kinds"> {
  mode: Width[];
  /** Empty: worlds. */
  kind: (Kind | typeof WORLDS)[];
  first?: number;
}
/** What src/cli/fuzz/world makes. */
const WORLDS = "worlds";

const FUZZ_NOTES = `
Code runs in ring 3 on both, from the same registers and memory to its first exception. What differs and may not is
made as small as possible and printed as a vector, which \`tabhyve vectors\` replays. The native CPU needs Linux on
x86-64, and gcc.

--kind worlds compares interp with jit, whatever --engine and --against say: programs in ring 0 that see memory twice,
change their code and their page table, and fault. What differs is printed with the options that make it again.

Status: 0 no difference, 1 some, 2 something cannot be used.
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
const several = (text: string, all: string[]): string[] => [...all, text];

const engine = (): Option =>
  single("--engine <kind>", "interp; auto: hot code is compiled; jit: all code is", (text, name) =>
    options.parseChoice(name, ENGINES, text),
  ).default("interp");

const threshold = (): Option =>
  single(
    "--jit-threshold <n>",
    "executions of code before it is compiled (default: 30000 with auto, 1 with jit)",
    (t, n) => options.parseThreshold(n, t),
  );

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
      `${name === undefined ? "no command" : `no command '${name}'`}; there are run, chunks, disk, verify, vectors and fuzz (--help)`,
    );
  });

/** What `--record` and `--replay` say. */
function repeatable({ record, replay }: RunWords): NonNullable<RunOptions["deterministic"]> {
  const text = replay === undefined ? undefined : new TextDecoder().decode(options.readInput("--replay", replay));
  return {
    ...(record !== undefined && { record }),
    ...(text !== undefined && { replay: options.parseInputLog(`--replay ${replay}`, text) }),
  };
}

/** Media of the disks behind a controller, as `openMedium` takes them. */
const disksOf = (words: RunWords, controller: Controller): string[] =>
  words.disk.map(behind).flatMap((disk) => (disk.controller === controller ? disk.medium : []));

const waits = new Waits(say);
const mediumOptions = { tell: say, waiting: (name: string) => waits.of(name) };
/** The disk that --record-prefetch looks at. */
let touched: TouchedBlocks | undefined;
const observe = (image: BlockSource): BlockSource => {
  touched = new TouchedBlocks(image);
  return touched;
};

/** Opens disks in their order, so that what is told of them is in order, too. */
async function disks(words: RunWords, controller: Controller): Promise<BlockSource[]> {
  const all: BlockSource[] = [];
  for (const medium of disksOf(words, controller)) {
    refuseUnrepeatable(words, medium);
    all.push(await openMedium("disk", medium, { ...mediumOptions, ...(words.recordPrefetch && { observe }) }));
  }
  return all;
}

function refuseUnrepeatable(words: RunWords, medium: string): void {
  if (!words.deterministic || !isUrl(medium)) return;
  throw new UsageError(`${medium}: when a server answers is not repeatable; leave out --deterministic, or fetch it`);
}

/** Cards in PCI slots, which need no firmware. */
async function cards(words: RunWords): Promise<Pick<RunOptions, "cards">> {
  const nvme = await disks(words, "nvme");
  const virtioBlk = await disks(words, "virtio");
  const { balloon } = words;
  return {
    cards: {
      ...{ nvme, virtioBlk, rng: words.rng ?? false },
      folders: (words.share ?? []).map((share) => sharedFolder(words, share)),
      ...(balloon !== undefined && { balloon: balloon === true ? 0 : balloon }),
    },
  };
}

function sharedFolder(words: RunWords, { directory, tag, readOnly }: Share): SharedFolder {
  if (words.deterministic) {
    throw new UsageError(`--share ${directory}: its times and contents are not repeatable; leave out --deterministic`);
  }
  try {
    return { tag, folder: new HostDirectory(directory, readOnly) };
  } catch (error) {
    throw new UsageError(`--share ${directory}: ${options.reason(error)}`);
  }
}

/** Places on the two IDE channels. */
const IDE_DRIVES = 4;

/** Options that --verify has no use for, or none yet: its machines are two, and inline. */
function verifiable(words: RunWords, given: (name: string) => boolean): void {
  const without = [
    "bios",
    "gdb",
    "rng",
    "share",
    "balloon",
    "record",
    "replay",
    "stats",
    "snapshotOut",
    "screen",
  ] as const;
  const name = without.find((n) => words[n] !== undefined);
  const flag = name?.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
  if (flag) throw new UsageError(`--verify: does not go with --${flag}`);
  if (words.disk.length) throw new UsageError("--verify: does not go with --disk");
  if (given("engine") && words.engine === "interp") throw new UsageError("--verify: --engine interp is one of the two");
}

/** What goes with firmware: the VGA's ROM and the drives. With four disks there is no room for a CD drive. */
async function pc(words: RunWords): Promise<Pick<RunOptions, "vgaBios" | "drives" | "keys" | "screen">> {
  const beside = join(dirname(words.bios ?? ""), "vgabios-stdvga.bin");
  const rom = words.vgabios ?? (existsSync(beside) ? beside : undefined);
  if (disksOf(words, "ide").length > (words.cdrom === undefined ? IDE_DRIVES : IDE_DRIVES - 1))
    throw new UsageError("--disk: at most four drives, the CD drive included");
  const removable = async (kind: MediumKind, medium: string | undefined): Promise<BlockSource | null> => {
    if (medium === undefined) return null;
    refuseUnrepeatable(words, medium);
    return openMedium(kind, medium, mediumOptions);
  };
  const ide = await disks(words, "ide");
  const cdrom = await removable("cdrom", words.cdrom);
  return {
    ...(rom !== undefined && { vgaBios: options.readInput("--vgabios", rom) }),
    drives: {
      disks: ide,
      ...((cdrom || ide.length < IDE_DRIVES) && { cdrom }),
      floppy: await removable("floppy", words.floppy),
    },
    ...(words.keys && { keys: words.keys }),
    ...(words.screen !== undefined && { screen: words.screen }),
  };
}

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
  .option("--verify", "run on the interpreter and on --engine (default: auto) in lockstep, up to the first difference")
  .addOption(single("--bundle <folder>", "with --verify: takes what makes a difference again", word).default(BUNDLE))
  .option("--deterministic", "time goes by instructions: the same input makes the same run; implies --transport inline")
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
    single("--gdb <place>", "[w,][i386,][addr:]port: where gdb can connect; w: the guest waits for it", (text, name) =>
      parseGdb(name, text),
    ),
  )
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
    const all: RunOptions = {
      ...(bios ? { bios, ...(await pc(words)) } : { kernel }),
      ...(await cards(words)),
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
      restart: words.restart && (!snapshot || words.kernel !== undefined),
      ...(words.stats !== undefined && { stats: words.stats }),
      ...(words.recordPrefetch !== undefined &&
        touched && { prefetch: { file: words.recordPrefetch, chunks: touched.chunks } }),
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

program
  .command("chunks")
  .description("make a disk in chunks of an image, for --disk FOLDER/manifest.json or its URL on any server of files")
  .argument("<image>", "a disk: raw, qcow2 or in chunks, a file or URL")
  .argument("<folder>", "takes manifest.json and chunks/")
  .addOption(single("--prefetch <list>", "what a boot reads, as run --record-prefetch has written it", word))
  .action(async (image: string, folder: string, words: ChunkWords) => {
    const { chunks, zeros, written, bytes, stored } = await makeChunks(image, folder, words);
    process.stdout.write(
      `${chunks} chunks, ${zeros} of them zeros, ${written} written; ${stored} bytes for a disk of ${bytes}\n`,
    );
  });

const disk = program
  .command("disk")
  .description("what a guest has written to a disk with ,overlay=FOLDER, as a raw image, and back");
disk
  .command("export")
  .description("write the disk, as it was last flushed, as a raw image")
  .argument("<folder>", "the overlay's")
  .argument("<image>", "what it lies over")
  .argument("<out>", "a file that is not there yet")
  .action(async (folder: string, image: string, out: string) => {
    process.stdout.write(`${await exportDisk(folder, image, out)} bytes\n`);
  });
disk
  .command("import")
  .description("make the overlay hold what differs between the image and a raw image")
  .argument("<folder>", "the overlay's; made if it is not there")
  .argument("<image>", "what it lies over")
  .argument("<raw>", "what the guest is to see, as long as the image")
  .action(async (folder: string, image: string, raw: string) => {
    process.stdout.write(`${await importDisk(folder, image, raw)} bytes differ\n`);
  });

program
  .command("asm")
  .description("assemble a source in NASM's syntax to a flat binary")
  .argument("<file>", "the source")
  .addOption(single("-o, --output <file>", "what takes the bytes (default: the source without its ending)", word))
  .addOption(single("--symbols <file>", "write labels and EQUs, as System.map has them", word))
  .action((file: string, words: AsmWords) => {
    process.stdout.write(`${asm(file, words)} bytes\n`);
  });

program
  .command("verify")
  .description("run again what --verify has found")
  .argument("<bundle>", "the folder that --verify has left")
  .addHelpText("after", "\nStatus: 0 the engines agree, 1 they differ, 2 the folder cannot be used.\n")
  .action(async (folder: string) => {
    process.exit(await verifyBundle(core(), folder));
  });

program
  .command("vectors")
  .description("replay instruction vectors that were recorded on a real CPU")
  .argument("<files...>", "*.jsonl.gz, one file per tier")
  .addOption(engine())
  .addOption(threshold())
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

const fuzzCommand = program
  .command("fuzz")
  .description("compare an engine with the CPU that this runs on, by random code")
  .allowExcessArguments()
  .addOption(single("--seed <n>", "what is random follows from it", (t, n) => options.parseCount(n, t)).default(1))
  .addOption(single("--minutes <n>", "end after this long", (t, n) => options.parseSeconds(n, t)))
  .addOption(single("--count <n>", "end after so many cases (default: 100000)", (t, n) => options.parseCount(n, t)))
  .addOption(
    single("--mode <bits>", "64, 32, 16, or several with commas", (text, name) =>
      text.split(",").map((m) => Number(options.parseChoice(name, ["64", "32", "16"], m)) as Width),
    ).default([64, 32, 16], "64,32,16"),
  )
  .addOption(
    single("--kind <kind>", "rows of the table, bytes, programs, or several with commas; worlds", (text, name) =>
      text === WORLDS ? [] : text.split(",").map((k) => options.parseChoice(name, [...KINDS, WORLDS], k)),
    ).default([...KINDS], KINDS.join(",")),
  )
  .addOption(single("--first <n>", "with --kind worlds: number of the first one", (t, n) => options.parseCount(n, t)))
  .addOption(
    single("--engine <kind>", "what is tested: interp; step, one instruction at a time; jit", (text, name) =>
      options.parseChoice(name, FUZZ_ENGINES, text),
    ).default("interp"),
  )
  .addOption(
    single("--against <kind>", "what is right: native, or another engine", (text, name) =>
      options.parseChoice(name, ["native", ...FUZZ_ENGINES], text),
    ).default("native"),
  )
  .addOption(
    single("--rows <pattern>", "only rows with such a mnemonic", (text, name) => options.parsePattern(name, text)),
  )
  .addOption(single("--out <file>", "write differences as vectors, too", word))
  .addHelpText("after", FUZZ_NOTES)
  .action((words: FuzzWords) => {
    noArguments(fuzzCommand);
    const { mode, kind, rows, first = 0, ...rest } = words;
    if (!kind.length) {
      process.exitCode = fuzzWorlds(core(), { ...rest, first, modes: mode });
      return;
    }
    if (kind.includes(WORLDS)) throw new UsageError("--kind: worlds go alone");
    process.exitCode = fuzz(core(), {
      ...rest,
      modes: mode,
      kinds: kind as Kind[],
      ...(rows && { rows: new RegExp(rows.source, "i") }),
    });
  });

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
