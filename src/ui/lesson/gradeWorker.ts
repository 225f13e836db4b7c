/** Assembles and grades off the page's thread. */
import { expose } from "comlink";
import coreUrl from "../../../dist/core/core.wasm?url";
import { AssembleError } from "../../isa/assemble.ts";
import { lessonFirmware } from "../../lessons/firmware/index.ts";
import { assembleFor, grade, type Verdict } from "../../lessons/grade.ts";
import { type Lesson, readLesson } from "../../lessons/lesson.ts";
import { diskOf } from "../../lessons/run.ts";

/** A lesson's files by name, as they cross to the worker. */
export type Files = ReadonlyMap<string, string>;

export type Built =
  | { readonly disk: Uint8Array; readonly firmware: Uint8Array }
  | { readonly error: NonNullable<Verdict["error"]> };

let core: Promise<Uint8Array> | undefined;
const loadCore = async (): Promise<Uint8Array> => new Uint8Array(await (await fetch(coreUrl)).arrayBuffer());
const lessonOf = (files: Files): Promise<Lesson> => readLesson((name) => files.get(name));

export const grader = {
  /** A program as the disk that boots it, and the firmware that does; or what is wrong with its source. */
  async build(files: Files, source: string): Promise<Built> {
    const lesson = await lessonOf(files);
    try {
      return { disk: diskOf(assembleFor(lesson, source).bytes), firmware: lessonFirmware() };
    } catch (error) {
      if (!(error instanceof AssembleError)) throw error;
      const { line, column, file, reason } = error;
      return { error: { line, column, file, reason } };
    }
  },

  async grade(files: Files, source: string): Promise<Verdict> {
    core ??= loadCore();
    return grade(await lessonOf(files), source, await core);
  },
};

export type Grader = typeof grader;

expose(grader);
