/** What lesson.json holds. */
import * as v from "valibot";

/** A number: `512`, `"0x200"`. */
const NUMBER = /^(0x[0-9a-f]+|\d+)$/i;
const LABEL = /^[A-Za-z_.?@][\w.?@$#~]*$/;
const file = v.pipe(v.string(), v.regex(/^(?!\.)[\w.-]+$/, "is no plain file name"));
const count = v.pipe(v.number(), v.integer("is no whole number"), v.minValue(0, "is negative"));
const NO_NUMBER = "is no number, such as 512 or “0x200”";
const value = v.union([count, v.pipe(v.string(), v.regex(NUMBER, NO_NUMBER))], NO_NUMBER);
const NO_PLACE = "is no number and no label";
/** A number, or a label or EQU of the learner's source. */
const address = v.union(
  [count, v.pipe(v.string(), v.regex(new RegExp(`${NUMBER.source}|${LABEL.source}`, "i"), NO_PLACE))],
  NO_PLACE,
);
const text = v.pipe(v.string(), v.nonEmpty("is empty"));
const pattern = v.pipe(
  text,
  v.check((p) => {
    try {
      new RegExp(p);
      return true;
    } catch {
      return false;
    }
  }, "is no regular expression"),
);
const bytes = v.pipe(v.string(), v.regex(/^([0-9a-f]{2} ?)+$/i, "is no row of bytes, such as “55 aa”"));
const vcpu = v.optional(count, 0);

/** What there may be in a number: the value itself, bits that are set or clear, the least it must be. */
const number = { is: v.optional(address), set: v.optional(value), clear: v.optional(value), min: v.optional(value) };

/** What can be asked of the program and of the machine that has run it. */
const plain = [
  /** Bytes of the assembled program. */
  v.strictObject({ what: v.literal("image"), at: count, bytes }),
  v.strictObject({ what: v.literal("size"), max: count }),
  /** The source, without its comments, matches a regular expression. */
  v.strictObject({ what: v.literal("source"), matches: pattern }),
  /** How the run has ended: halted for good, still running at the end of its time, or by itself. */
  v.strictObject({
    what: v.literal("end"),
    is: v.picklist(["halted", "running", "triple fault", "power-off", "reset"], "is no way to end"),
  }),
  /** The exception at which a triple fault has begun. */
  v.strictObject({ what: v.literal("fault"), vector: count }),
  v.strictObject({ what: v.literal("register"), register: text, vcpu, ...number }),
  v.strictObject({
    what: v.literal("segment"),
    register: v.picklist(["es", "cs", "ss", "ds", "fs", "gs", "tr"], "is no segment register"),
    vcpu,
    selector: v.optional(value),
    base: v.optional(value),
    limit: v.optional(value),
    /** Of a code segment: bits of its code. */
    size: v.optional(v.picklist([16, 32, 64], "is not 16, 32 or 64")),
  }),
  /** Physical memory: a number of `size` bytes, these bytes, or text. */
  v.strictObject({
    what: v.literal("memory"),
    at: address,
    size: v.optional(v.picklist([1, 2, 4, 8], "is not 1, 2, 4 or 8"), 4),
    ...number,
    bytes: v.optional(bytes),
    text: v.optional(text),
  }),
  /** Where a linear address leads to by the page tables: a physical one, or null: nowhere. */
  v.strictObject({
    what: v.literal("page"),
    linear: address,
    vcpu,
    leads: v.optional(v.nullable(address)),
    flags: v.optional(v.array(text)),
    without: v.optional(v.array(text)),
  }),
  v.strictObject({ what: v.literal("serial"), contains: text }),
  /** A line of the text screen, from 0; without one, any. */
  v.strictObject({ what: v.literal("screen"), contains: text, row: v.optional(count) }),
  /** Whether a vCPU has executed anything: it waits for its start-up interrupt until then. */
  v.strictObject({ what: v.literal("started"), vcpu: count }),
] as const;

/** A question about the program or the machine. */
export type Question =
  | v.InferOutput<(typeof plain)[number]>
  | { what: "not"; of: Question }
  | { what: "all" | "any"; of: Question[] };

const question: v.GenericSchema<unknown, Question> = v.lazy(
  (input): v.GenericSchema<unknown, Question> =>
    (input as { what?: unknown } | null)?.what === "not"
      ? v.strictObject({ what: v.literal("not"), of: question })
      : ["all", "any"].includes((input as { what: string } | null)?.what ?? "")
        ? v.strictObject({ what: v.picklist(["all", "any"]), of: v.array(question) })
        : (v.variant("what", plain, "is no kind of question") as v.GenericSchema<unknown, Question>),
);

const check = v.strictObject({
  id: v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/, "is not made of small letters, digits and hyphens")),
  /** What must be so, as the learner reads it. */
  title: text,
  is: question,
  /** Typical wrong answers, the first that holds is told. */
  mistakes: v.optional(v.array(v.strictObject({ when: question, say: text })), []),
  /** What to look at, where none of them holds. */
  hint: v.optional(text),
});

const lesson = v.strictObject({
  title: text,
  summary: text,
  machine: v.optional(
    v.strictObject({
      /** MiB of RAM. */
      memory: v.optional(
        v.pipe(count, v.minValue(1, "is less than 1 MiB"), v.maxValue(256, "is more than 256 MiB")),
        4,
      ),
      vcpus: v.optional(v.pipe(count, v.minValue(1, "is less than 1"), v.maxValue(8, "is more than 8")), 1),
      /** Milliseconds of the guest's time that a run has at most. */
      time: v.optional(v.pipe(count, v.minValue(1, "is less than 1 ms"), v.maxValue(5000, "is more than 5000 ms")), 20),
    }),
    {},
  ),
  /** What the learner begins with, and the solution. */
  source: file,
  solution: file,
  /** Other files that %include may name. */
  files: v.optional(v.array(file), []),
  steps: v.pipe(
    v.array(v.strictObject({ title: text, text: file, checks: v.array(check) })),
    v.nonEmpty("has no step"),
  ),
  /** Wrong answers: changes of the solution, and which check explains them by which words. */
  wrong: v.optional(
    v.array(
      v.strictObject({
        name: text,
        changes: v.pipe(v.array(v.strictTuple([text, v.string()])), v.nonEmpty("has no change")),
        check: text,
        says: text,
      }),
    ),
    [],
  ),
});

export type Check = v.InferOutput<typeof check>;
export type LessonJson = v.InferOutput<typeof lesson>;

/** A lesson that cannot be used: a line for each thing that is wrong. */
export class LessonError extends Error {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join("\n"));
    this.name = "LessonError";
    this.lines = lines;
  }
}

/** Checks a lesson.json. @throws LessonError with a line for each field that is wrong */
export function parseLesson(json: string): LessonJson {
  let data: unknown;
  try {
    data = JSON.parse(json);
  } catch (error) {
    throw new LessonError([`lesson.json: ${(error as Error).message}`]);
  }
  const done = v.safeParse(lesson, data);
  if (!done.success) throw new LessonError(done.issues.map(lineOf));
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const { id } of done.output.steps.flatMap((s) => s.checks)) {
    if (seen.has(id)) lines.push(`lesson.json: the check “${id}” is there twice`);
    seen.add(id);
  }
  for (const { name, check: id } of done.output.wrong) {
    if (!seen.has(id)) lines.push(`lesson.json: wrong answer “${name}”: there is no check “${id}”`);
  }
  if (lines.length) throw new LessonError(lines);
  return done.output;
}

function lineOf(issue: v.BaseIssue<unknown>): string {
  const path = (issue.path ?? []).map((p) => (typeof p.key === "number" ? `[${p.key}]` : `.${String(p.key)}`)).join("");
  const where = path.replace(/^\./, "");
  if (issue.kind === "schema" && issue.input === undefined) return `lesson.json: ${where} is missing`;
  if (issue.type === "strict_object") return `lesson.json: ${where} is not known here`;
  const what = /^(is|has) /.test(issue.message) ? issue.message : `must be ${issue.expected}, not ${issue.received}`;
  return `lesson.json: ${where || "it"} ${what}`;
}
