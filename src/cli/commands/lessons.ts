/** `tabhyve grade`. */
import type { Command } from "commander";
import { STATUS } from "../ending.ts";
import { type GradeWords, gradeFolder } from "../grade.ts";
import { UsageError } from "../options.ts";
import { core, say, single, word } from "./common.ts";

export function addGrade(program: Command): void {
  program
    .command("grade")
    .description("judge a program by a lesson's checks, as the page does")
    .argument("<lesson>", "the lesson's folder, with lesson.json")
    .addOption(single("--source <file>", "the program (default: the lesson's solution)", word))
    .addOption(single("--junit <file>", "write the verdict as JUnit's XML", word))
    .option("--json", "print the verdict as JSON")
    .addHelpText("after", "\nStatus: 0 passed, 1 not passed, 2 the lesson or a file cannot be used.\n")
    .action(async (folder: string, words: GradeWords) => {
      try {
        const { verdict, report } = await gradeFolder(core(), folder, words);
        process.stdout.write(report);
        process.exitCode = verdict.passed ? 0 : 1;
      } catch (error) {
        // A lesson may have several things to mend, each with a line of its own.
        if (!(error instanceof UsageError)) throw error;
        for (const line of error.message.split("\n")) say(line);
        process.exitCode = STATUS.USAGE;
      }
    });
}
