/** A lesson that is open: its files, the learner's program, the last verdict. */
import { type Remote, wrap } from "comlink";
import type { TemplateResult } from "lit";
import type { CheckVerdict, Verdict } from "../../lessons/grade.ts";
import { type Lesson, LessonError, readLesson } from "../../lessons/lesson.ts";
import type { App } from "../app.ts";
import { loadEngine } from "../engine.ts";
import { ownGuest } from "../guests.ts";
import { LinkError } from "../link/bootLink.ts";
import { chooseTransport } from "../settings.ts";
import { Editor } from "./editor.ts";
import type { Built, Files, Grader } from "./gradeWorker.ts";
import { fetchLessonFile, namedFragment } from "./index.ts";
import { lessonFragment, parseLessonLink, saveFolder } from "./share.ts";
import { coursePane } from "./view.ts";

/** Milliseconds without a key after which the source is assembled, for its errors. */
const QUIET_MS = 400;
const KEPT = "tabhyve.lesson.";

export class Course {
  readonly #app: App;
  readonly #worker = new Worker(new URL("./gradeWorker.ts", import.meta.url), { type: "module" });
  readonly #grader: Remote<Grader> = wrap<Grader>(this.#worker);
  readonly #editor: Editor;
  /** The element that the editor is in; it goes wherever the page puts it. */
  readonly element = document.createElement("div");
  #files: Files;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The learner's program. */
  #program: string;
  /** Folder of a lesson that the page has and nobody has changed. */
  folder: string | undefined;
  lesson: Lesson;
  /** Number of the step that is shown. */
  step = 0;
  verdict: Verdict | undefined;
  grading = false;
  /** A file of the lesson that is edited instead of the program, and what is wrong with the lesson since. */
  editing: string | undefined;
  mistakes: readonly string[] = [];

  private constructor(app: App, lesson: Lesson, files: Files, folder: string | undefined) {
    this.#app = app;
    this.lesson = lesson;
    this.#files = files;
    this.folder = folder;
    this.element.className = "lesson-editor";
    this.#editor = new Editor(this.element, {
      changed: (text) => this.#changed(text),
      run: () => void this.run(),
    });
    this.#program = this.#kept() ?? this.#text(lesson.source);
    this.#editor.show(this.#program, true);
    // While the text is read, what the first run needs comes.
    void this.#check();
    loadEngine().catch(() => {}); // The run says so.
  }

  /** Opens the lesson that a fragment names or holds. @throws LinkError, LessonError */
  static async fromLink(app: App, fragment: string): Promise<Course> {
    const linked = await parseLessonLink(fragment);
    if ("files" in linked) return Course.fromFiles(app, linked.files);
    const files = new Map<string, string>();
    const read = async (name: string): Promise<string | undefined> => {
      const text = await fetchLessonFile(linked.folder, name);
      if (text !== undefined) files.set(name, text);
      return text;
    };
    const lesson = await readLesson(read);
    return new Course(app, lesson, files, linked.folder);
  }

  /** Opens a lesson of a person's own. @throws LessonError */
  static async fromFiles(app: App, files: Files): Promise<Course> {
    return new Course(app, await readLesson((name) => files.get(name)), files, undefined);
  }

  /** What is left of the machine while a lesson is open. */
  pane(): TemplateResult {
    return coursePane(this);
  }

  get files(): readonly string[] {
    return [...this.#files.keys()];
  }

  #text(name: string): string {
    return this.#files.get(name) ?? "";
  }

  /** Checks of a step, as the last run has left them. */
  verdictsOf(step: number): readonly CheckVerdict[] {
    return this.verdict?.checks.filter((c) => c.step === step) ?? [];
  }

  passed(step: number): boolean {
    const { checks } = this.lesson.steps[step]!;
    return this.verdictsOf(step).filter((c) => c.passed).length === checks.length;
  }

  markdown(step: number): string {
    return this.#text(this.lesson.steps[step]!.text);
  }

  showStep(step: number): void {
    this.step = step;
    this.#app.changed();
    queueMicrotask(() => document.querySelector<HTMLElement>("#step-title")?.focus());
  }

  /** Assembles the program, boots it in the machine, and grades it. */
  async run(): Promise<void> {
    if (this.grading) return;
    if (this.editing) this.edit(undefined);
    this.grading = true;
    this.#app.changed();
    try {
      const source = this.#program;
      const built = await this.#grader.build(this.#files, source);
      this.#mark(built);
      if ("error" in built) {
        this.verdict = { passed: false, error: built.error, checks: [], screen: [], serial: "" };
        this.#app.say(`Line ${built.error.line}: ${built.error.reason}`);
        this.#editor.focus();
        return;
      }
      // One after the other: what is to be seen first shall not wait for a processor.
      await this.#boot(built);
      this.verdict = await this.#grader.grade(this.#files, source);
      this.#tell();
    } catch (error) {
      this.#app.say(`The program could not be graded: ${(error as Error).message}`);
    } finally {
      this.grading = false;
      this.#app.changed();
      queueMicrotask(() => document.querySelector(".checks")?.scrollIntoView({ block: "nearest" }));
    }
  }

  #boot({ disk, firmware }: Extract<Built, { disk: Uint8Array }>): Promise<void> {
    const file = (bytes: Uint8Array, name: string): File => new File([bytes as Uint8Array<ArrayBuffer>], name);
    const { memory, vcpus } = this.lesson.machine;
    return this.#app.run({
      guest: { ...ownGuest, id: "lesson", title: this.lesson.title },
      own: {
        bios: { file: file(firmware, "firmware.bin"), what: "the lessons' firmware" },
        disk: { file: file(disk, "program.img"), what: "your program" },
      },
      append: "",
      memoryBytes: memory * 2 ** 20,
      vcpus,
      transport: chooseTransport(this.#app.settings.transport, this.#app.isolated),
      engine: "interp",
      url: "",
      keepDisks: false,
    });
  }

  /** Goes to the first step that is not done, and says how far the program is. */
  #tell(): void {
    const { checks, passed } = this.verdict!;
    const open = this.lesson.steps.findIndex((_, step) => !this.passed(step));
    if (this.step > open && open >= 0) this.step = open;
    const right = checks.filter((c) => c.passed).length;
    if (passed) this.#app.say(`${this.lesson.title}: all ${checks.length} checks passed.`);
    else if (this.passed(this.step)) this.#app.say(`Step ${this.step + 1} is done.`);
    else this.#app.say(`${right} of ${checks.length} checks passed.`);
  }

  #mark(built: Built): void {
    const mine = "error" in built && built.error.file === this.lesson.source;
    this.#editor.mark(mine ? [{ ...built.error, message: built.error.reason }] : []);
  }

  #changed(text: string): void {
    clearTimeout(this.#timer);
    if (this.editing) {
      this.#timer = setTimeout(() => void this.#fork(this.editing!, text), QUIET_MS);
      return;
    }
    this.#program = text;
    this.#keep();
    if (this.mistakes.length) return;
    this.#timer = setTimeout(() => void this.#check(), QUIET_MS);
  }

  /** Marks what is wrong with the program as it is. */
  async #check(): Promise<void> {
    const text = this.#program;
    const built = await this.#grader.build(this.#files, text);
    if (text === this.#program && !this.editing) this.#mark(built);
  }

  /** Shows the program (undefined) or a file of the lesson in the editor. */
  edit(name: string | undefined): void {
    this.editing = name;
    const text = name === undefined ? this.#program : this.#text(name);
    this.#editor.show(text, name === undefined || /\.(asm|inc)$/.test(name));
    this.#app.changed();
  }

  /** A changed file makes another lesson of it, as soon as that is one. */
  async #fork(name: string, text: string): Promise<void> {
    const files = new Map(this.#files).set(name, text);
    this.folder = undefined;
    this.#files = files;
    try {
      this.lesson = await readLesson((file) => files.get(file));
      this.mistakes = [];
      this.verdict = undefined;
      this.step = Math.min(this.step, this.lesson.steps.length - 1);
      // The address holds it from now on, so that a reload does not lose it.
      history.replaceState(null, "", await lessonFragment(files));
    } catch (error) {
      if (error instanceof LinkError) return this.#app.say(error.message);
      if (!(error instanceof LessonError)) throw error;
      this.mistakes = error.lines;
    }
    this.#app.changed();
  }

  /** The program is again what the lesson begins with, or its solution. */
  take(which: "source" | "solution"): void {
    this.editing = undefined;
    this.#program = this.#text(this.lesson[which]);
    this.#keep();
    this.#editor.show(this.#program, true);
    this.#app.changed();
    this.#editor.focus();
  }

  async copyLink(): Promise<void> {
    try {
      const fragment = this.folder ? namedFragment(this.folder) : await lessonFragment(this.#files);
      const text = new URL(fragment, location.href).href;
      await navigator.clipboard.writeText(text);
      this.#app.say(`Link to this lesson copied, ${text.length} characters.`);
    } catch (error) {
      this.#app.say(error instanceof LinkError ? error.message : "The browser does not let the page copy.");
    }
  }

  async saveFolder(): Promise<void> {
    try {
      await saveFolder(this.#files);
      this.#app.say("The lesson's files are saved.");
    } catch (error) {
      if ((error as DOMException).name !== "AbortError") throw error;
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#editor.destroy();
    this.#worker.terminate();
    this.#app.closeCourse();
    // The focus goes back to where it was opened.
    queueMicrotask(() => {
      const opener = document.getElementById(`lesson-${this.folder}`);
      (opener ?? document.querySelector<HTMLElement>(".lesson-list button"))?.focus();
    });
  }

  async openFolder(files: Files): Promise<void> {
    await this.#app.openFiles(files);
  }

  /** Where the browser keeps the learner's program: by the lesson's folder, or its title where it has none here. */
  get #key(): string {
    return KEPT + (this.folder ?? `own.${this.lesson.title}`);
  }

  #kept(): string | undefined {
    try {
      return localStorage.getItem(this.#key) ?? undefined;
    } catch {
      return undefined;
    }
  }

  #keep(): void {
    try {
      localStorage.setItem(this.#key, this.#program);
    } catch {
      // Not kept, then.
    }
  }
}
