/** `tabhyve grade`: judges a program by a lesson's checks, as the page does. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { grade, type Verdict } from "../lessons/grade.ts";
import { type Lesson, LessonError, readLesson } from "../lessons/lesson.ts";
import { readInput, reason, UsageError } from "./options.ts";

export interface GradeWords {
  /** The program; default: the lesson's solution. */
  readonly source?: string;
  /** Takes the verdict as JUnit's XML. */
  readonly junit?: string;
  readonly json?: boolean;
}

export interface Graded {
  readonly verdict: Verdict;
  /** What to print. */
  readonly report: string;
}

/**
 * Grades a program by the lesson in `folder`.
 *
 * @throws UsageError: the lesson cannot be used (a line for each thing that is wrong), or a file
 */
export async function gradeFolder(core: Uint8Array, folder: string, words: GradeWords): Promise<Graded> {
  const decoder = new TextDecoder();
  const textOf = (file: string): string => decoder.decode(readInput("", file));
  let lesson: Lesson;
  try {
    lesson = await readLesson((name) => (existsSync(join(folder, name)) ? textOf(join(folder, name)) : undefined));
  } catch (error) {
    if (!(error instanceof LessonError)) throw error;
    throw new UsageError(error.lines.map((line) => `${folder}: ${line}`).join("\n"));
  }
  const source = words.source === undefined ? (lesson.texts.get(lesson.solution) as string) : textOf(words.source);
  const verdict = await grade(lesson, source, core);
  if (words.junit !== undefined) write(words.junit, junit(lesson, verdict));
  const report = words.json ? `${JSON.stringify(verdict, undefined, 2)}\n` : told(lesson, verdict);
  return { verdict, report };
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`--junit ${file}: ${reason(error)}`);
  }
}

/** A line for each check, and what is wrong below it. */
function told(lesson: Lesson, { passed, error, checks }: Verdict): string {
  const lines: string[] = [];
  if (error) lines.push(`${error.file}:${error.line}:${error.column}: ${error.reason}`);
  lesson.steps.forEach((step, number) => {
    lines.push(`${number + 1}. ${step.title}`);
    for (const check of checks.filter((c) => c.step === number)) {
      lines.push(`   ${check.passed ? "passed" : "FAILED"}  ${check.title}`);
      if (!check.passed) lines.push(...[check.seen, check.say].filter(Boolean).map((text) => `           ${text}`));
    }
  });
  const right = checks.filter((c) => c.passed).length;
  lines.push(`${lesson.title}: ${passed ? "passed" : "not passed"}, ${right} of ${countChecks(lesson)} checks`);
  return `${lines.join("\n")}\n`;
}

const countChecks = (lesson: Lesson): number => lesson.steps.reduce((n, step) => n + step.checks.length, 0);

/** As XML takes it: what it cannot hold at all becomes a question mark. */
const xml = (text: string): string =>
  text.replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/g, "?").replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** JUnit's XML: a suite for each step, a case for each check. A source that cannot be assembled fails them all. */
export function junit(lesson: Lesson, { error, checks }: Verdict): string {
  const unread = error && `${error.file}:${error.line}:${error.column}: ${error.reason}`;
  const suites = lesson.steps.map((step, number) => {
    const cases = step.checks.map(({ id, title }) => {
      const found = checks.find((c) => c.id === id);
      const head = `    <testcase classname="${xml(step.title)}" name="${xml(title)}"`;
      if (found?.passed) return `${head}/>\n`;
      const message = unread ?? [found?.seen, found?.say].filter(Boolean).join(" ");
      return `${head}><failure message="${xml(message)}"/></testcase>\n`;
    });
    const failures = step.checks.filter(({ id }) => !checks.find((c) => c.id === id)?.passed).length;
    return `  <testsuite name="${xml(step.title)}" id="${number}" tests="${cases.length}" failures="${failures}">\n${cases.join("")}  </testsuite>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="${xml(lesson.title)}">\n${suites.join("")}</testsuites>\n`;
}
