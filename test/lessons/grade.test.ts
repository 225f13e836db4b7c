/** `tabhyve grade`: verdicts as text, JSON and JUnit's XML; and what is said of a lesson that cannot be used. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gradeFolder } from "../../src/cli/grade.ts";
import { UsageError } from "../../src/cli/options.ts";
import { parseLesson } from "../../src/lessons/schema.ts";
import { coreBytes } from "../core.ts";

const LESSON = join(import.meta.dirname, "../../public/lessons/boot-sector");
const folder = mkdtempSync(join(tmpdir(), "grade-"));
const at = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

describe("tabhyve grade", { timeout: 60_000 }, () => {
  let core: Uint8Array;
  beforeAll(async () => {
    core = await coreBytes();
  }, 300_000);

  it("passes the solution", async () => {
    const { verdict, report } = await gradeFolder(core, LESSON, { junit: at("good.xml") });
    expect(verdict.passed).toBe(true);
    expect(report).toContain("3. A line of text\n   passed  The first line of the screen is “Hello, world”\n");
    expect(report).toMatch(/A boot sector: passed, 5 of 5 checks\n$/);
    const made = readFileSync(at("good.xml"), "utf8");
    expect(made.match(/<testcase /g)).toHaveLength(5);
    expect(made).not.toContain("<failure");
  });

  it("says what it has seen and why that is wrong, in words and in XML", async () => {
    const source = readFileSync(join(LESSON, "solution.asm"), "utf8").replace("dw 0xaa55", "dw 0x55aa");
    writeFileSync(at("wrong.asm"), source);
    const { verdict, report } = await gradeFolder(core, LESSON, { source: at("wrong.asm"), junit: at("wrong.xml") });
    expect(verdict.passed).toBe(false);
    expect(report).toContain("Bytes 510 to 511 of the program are aa 55, not 55 aa.");
    expect(report).toContain("the wrong order");
    expect(verdict.screen[0]).toContain("Not a boot sector");
    const made = readFileSync(at("wrong.xml"), "utf8");
    expect(made).toContain('<testsuite name="512 bytes and a signature" id="0" tests="2" failures="1">');
    expect(made).toContain('<failure message="Bytes 510 to 511');
  });

  it("says where a source cannot be assembled", async () => {
    writeFileSync(at("broken.asm"), "  bits 16\n  mov ax, nothing\n");
    const { verdict, report } = await gradeFolder(core, LESSON, { source: at("broken.asm"), json: true });
    expect(verdict).toMatchObject({ passed: false, error: { line: 2, column: 11, reason: "nothing is not defined" } });
    expect(JSON.parse(report)).toEqual(verdict);
  });

  it("names each thing that is wrong with a lesson, in a line", async () => {
    cpSync(LESSON, at("lesson"), { recursive: true });
    const json = JSON.parse(readFileSync(join(LESSON, "lesson.json"), "utf8"));
    json.steps[0].text = "none.md";
    json.wrong[0].changes[0][0] = "not there";
    writeFileSync(at("lesson/lesson.json"), JSON.stringify(json));
    await expect(gradeFolder(core, at("lesson"), {})).rejects.toThrow(
      new UsageError(
        `${at("lesson")}: none.md: no such file\n${at("lesson")}: lesson.json: wrong answer “the signature's bytes swapped”: “not there” is 0 times in the solution`,
      ),
    );
    await expect(gradeFolder(core, at("no"), {})).rejects.toThrow(/lesson\.json: no such file/);
  });
});

describe("lesson.json", () => {
  const good = { title: "T", summary: "S", source: "a.asm", solution: "b.asm" };
  const step = (is: unknown) => [{ title: "T", text: "1.md", checks: [{ id: "c", title: "C", is }] }];
  const of = (rest: object): string => {
    try {
      parseLesson(JSON.stringify({ ...good, ...rest }));
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  it.each([
    [{ steps: step({ what: "size", max: 512 }) }, ""],
    [{}, "lesson.json: steps is missing"],
    [{ steps: [] }, "lesson.json: steps has no step"],
    [{ steps: step({ what: "siz", max: 512 }) }, "lesson.json: steps[0].checks[0].is.what is no kind of question"],
    [{ steps: step({ what: "size" }) }, "lesson.json: steps[0].checks[0].is.max is missing"],
    [
      { steps: step({ what: "not", of: { what: "register", register: "cr0", set: "bit 1" } }) },
      "lesson.json: steps[0].checks[0].is.of.set is no number, such as 512 or “0x200”",
    ],
    [{ steps: step({ what: "size", max: 1 }), more: 1 }, "lesson.json: more is not known here"],
    [
      { steps: step({ what: "source", matches: "(" }), source: "../a" },
      "lesson.json: source is no plain file name\nlesson.json: steps[0].checks[0].is.matches is no regular expression",
    ],
    [
      { steps: step({ what: "size", max: 1 }), wrong: [{ name: "n", changes: [["a", "b"]], check: "x", says: "y" }] },
      "lesson.json: wrong answer “n”: there is no check “x”",
    ],
    [{ steps: step({ what: "size", max: 1 }), machine: { vcpus: 99 } }, "lesson.json: machine.vcpus is more than 8"],
  ])("%j", (rest, want) => {
    expect(of(rest)).toBe(want);
  });
});
