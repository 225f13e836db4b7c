/** `tabhyve asm`, `tabhyve vectors` and `tabhyve fuzz`: single instructions, without a machine. */
import type { Command } from "commander";
import type { Width } from "../../isa/operand.ts";
import { type AsmWords, asm } from "../asm.ts";
import { ENGINES } from "../fuzz/engine.ts";
import { type FuzzOptions, fuzz } from "../fuzz/fuzz.ts";
import { KINDS, type Kind } from "../fuzz/generate.ts";
import { fuzzWorlds } from "../fuzz/world/fuzz.ts";
import * as options from "../options.ts";
import { UsageError } from "../options.ts";
import { type ReplayWords, replay } from "../replay.ts";
import { core, engine, noArguments, single, threshold, word } from "./common.ts";

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

export function addAsm(program: Command): void {
  program
    .command("asm")
    .description("assemble a source in NASM's syntax to a flat binary")
    .argument("<file>", "the source")
    .addOption(single("-o, --output <file>", "what takes the bytes (default: the source without its ending)", word))
    .addOption(single("--symbols <file>", "write labels and EQUs, as System.map has them", word))
    .action((file: string, words: AsmWords) => {
      process.stdout.write(`${asm(file, words)} bytes\n`);
    });
}

export function addVectors(program: Command): void {
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
}

export function addFuzz(program: Command): void {
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
        options.parseChoice(name, ENGINES, text),
      ).default("interp"),
    )
    .addOption(
      single("--against <kind>", "what is right: native, or another engine", (text, name) =>
        options.parseChoice(name, ["native", ...ENGINES], text),
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
}
