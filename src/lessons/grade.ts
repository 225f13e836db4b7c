/** Grades a program by a lesson's checks: the same in Node and in the page. */
import { AssembleError, assemble } from "../isa/assemble.ts";
import { answer, type Subject } from "./checks.ts";
import type { Lesson } from "./lesson.ts";
import { runImage } from "./run.ts";
import type { Check } from "./schema.ts";

export interface CheckVerdict {
  readonly id: string;
  readonly title: string;
  /** Number of its step, from 0. */
  readonly step: number;
  readonly passed: boolean;
  /** What was seen. */
  readonly seen: string;
  /** Why it is wrong and what to do, where the lesson knows; "" if it passed. */
  readonly say: string;
}

export interface Verdict {
  readonly passed: boolean;
  /** The source cannot be assembled; there are no checks then. */
  readonly error?: { readonly line: number; readonly column: number; readonly file: string; readonly reason: string };
  readonly checks: readonly CheckVerdict[];
  /** What the program has shown. */
  readonly screen: readonly string[];
  readonly serial: string;
}

/** Assembles a lesson's program. @throws AssembleError */
export function assembleFor(lesson: Lesson, source: string): ReturnType<typeof assemble> {
  const encoder = new TextEncoder();
  const read = (name: string): Uint8Array | undefined =>
    lesson.files.includes(name) ? encoder.encode(lesson.texts.get(name)) : undefined;
  return assemble(source, { name: lesson.source, read });
}

/** Assembles, runs and judges `source`. */
export async function grade(lesson: Lesson, source: string, core: Uint8Array): Promise<Verdict> {
  let made: ReturnType<typeof assemble>;
  try {
    made = assembleFor(lesson, source);
  } catch (error) {
    if (!(error instanceof AssembleError)) throw error;
    const { line, column, file, reason } = error;
    return { passed: false, error: { line, column, file, reason }, checks: [], screen: [], serial: "" };
  }
  const { memory, vcpus, time } = lesson.machine;
  const ran = await runImage(made.bytes, { core, memoryBytes: memory * 2 ** 20, vcpus, ms: time });
  try {
    const rflags = await Promise.all(Array.from({ length: vcpus }, (_, id) => ran.machine.rflags(id)));
    const subject: Subject = { source, image: made.bytes, symbols: made.symbols, ran, rflags };
    const checks = lesson.steps.flatMap((step, number) => step.checks.map((check) => judge(check, number, subject)));
    return { passed: checks.every((c) => c.passed), checks, screen: ran.screen, serial: ran.serial };
  } finally {
    await ran.destroy();
  }
}

function judge(check: Check, step: number, subject: Subject): CheckVerdict {
  const { id, title } = check;
  const { holds, seen } = answer(check.is, subject);
  if (holds) return { id, title, step, passed: true, seen, say: "" };
  const mistake = check.mistakes.find(({ when }) => answer(when, subject).holds);
  return { id, title, step, passed: false, seen, say: mistake?.say ?? check.hint ?? "" };
}
