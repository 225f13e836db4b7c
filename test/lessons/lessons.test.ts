/** Every lesson that is shipped: its solution passes, its start does not, and each wrong answer is explained by its check. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { grade } from "../../src/lessons/grade.ts";
import { type Lesson, readLesson, wrongSource } from "../../src/lessons/lesson.ts";
import { coreBytes } from "../core.ts";

const FOLDER = join(import.meta.dirname, "../../public/lessons");
const index = JSON.parse(readFileSync(join(FOLDER, "index.json"), "utf8")) as { folder: string; title: string }[];

const lessonIn = (name: string): Promise<Lesson> =>
  readLesson((file) => {
    const path = join(FOLDER, name, file);
    return existsSync(path) ? readFileSync(path, "utf8") : undefined;
  });

let core: Uint8Array;
beforeAll(async () => {
  core = await coreBytes();
}, 300_000);

it("the index names the folders that there are, with their titles", async () => {
  const folders = readdirSync(FOLDER, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? [e.name] : []));
  expect(index.map((entry) => entry.folder).sort()).toEqual(folders.sort());
  for (const { folder, title } of index) expect((await lessonIn(folder)).title).toBe(title);
});

describe.each(index)("$folder", { timeout: 120_000 }, ({ folder: name }) => {
  it("is passed by its solution, to the same verdict each time, and not by its start", async () => {
    const lesson = await lessonIn(name);
    const solution = lesson.texts.get(lesson.solution) as string;
    const verdict = await grade(lesson, solution, core);
    expect(verdict.error).toBeUndefined();
    expect(verdict.checks.filter((c) => !c.passed)).toEqual([]);
    expect(await grade(lesson, solution, core)).toEqual(verdict);
    const start = await grade(lesson, lesson.texts.get(lesson.source) as string, core);
    expect(start.error).toBeUndefined();
    expect(start.passed).toBe(false);
  });

  it("explains its wrong answers", async () => {
    const lesson = await lessonIn(name);
    expect(lesson.wrong.length).toBeGreaterThan(2);
    const told: string[] = [];
    for (const { name: what, changes, check, says } of lesson.wrong) {
      const verdict = await grade(lesson, wrongSource(lesson, changes), core);
      const found = verdict.checks.find((c) => c.id === check);
      const ok = verdict.error === undefined && found?.passed === false && found.say.includes(says);
      if (!ok) told.push(`${what}: ${JSON.stringify(verdict.error ?? found)}`);
    }
    expect(told).toEqual([]);
  });
});
