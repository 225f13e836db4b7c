/** A lesson: a folder with lesson.json, Markdown for its steps, and sources. */
import { LessonError, type LessonJson, parseLesson } from "./schema.ts";

export { LessonError } from "./schema.ts";

export interface Lesson extends LessonJson {
  /** Every file that lesson.json names, as text. */
  readonly texts: ReadonlyMap<string, string>;
}

/** A step of a wrong answer's change: what stands in the solution once, and what stands there instead. */
type Change = LessonJson["wrong"][number]["changes"][number];

/** Every file that belongs to a lesson, lesson.json aside. */
export const filesOf = ({ source, solution, files, steps }: LessonJson): string[] => [
  ...new Set([source, solution, ...files, ...steps.map((s) => s.text)]),
];

/**
 * Reads a lesson; `read` gives a file's text, undefined: there is none.
 *
 * @throws LessonError with a line for each thing that is wrong
 */
export async function readLesson(
  read: (name: string) => string | undefined | Promise<string | undefined>,
): Promise<Lesson> {
  const json = await read("lesson.json");
  if (json === undefined) throw new LessonError(["lesson.json: no such file"]);
  const parsed = parseLesson(json);
  const texts = new Map<string, string>();
  const lines: string[] = [];
  for (const name of filesOf(parsed)) {
    const text = await read(name);
    if (text === undefined) lines.push(`${name}: no such file`);
    else texts.set(name, text);
  }
  const solution = texts.get(parsed.solution);
  for (const wrong of solution === undefined ? [] : parsed.wrong) {
    for (const [from] of wrong.changes) {
      const times = (solution as string).split(from).length - 1;
      if (times !== 1)
        lines.push(`lesson.json: wrong answer “${wrong.name}”: “${from}” is ${times} times in the solution`);
    }
  }
  if (lines.length) throw new LessonError(lines);
  return { ...parsed, texts };
}

/** The source of a wrong answer. */
export const wrongSource = (lesson: Lesson, changes: readonly Change[]): string =>
  changes.reduce((text, [from, to]) => text.replace(from, () => to), lesson.texts.get(lesson.solution) ?? "");
