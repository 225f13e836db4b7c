import { proxy, wrap } from "comlink";
import type { Console } from "../console/console.ts";
import type { Screen } from "../console/screen.ts";
import { Speaker } from "../console/speaker.ts";
import { openDialog } from "./dialogs.ts";
import { embeddedGuest, fetchGuests, type Guest, isPc, ownGuest } from "./guests.ts";
import { startHelper } from "./helpers.ts";
import { type ImageRole, NAMES, titleOf } from "./images.ts";
import type { InspectorUi } from "./inspector/inspector.ts";
import { inspectFault } from "./inspector/toggle.ts";
import type { Course } from "./lesson/course.ts";
import { fetchLessons, type LessonEntry, openLessonLink } from "./lesson/index.ts";
import { LinkError } from "./link/bootLink.ts";
import { forgetLink, Links } from "./link/links.ts";
import type { MachineHandle, MachineState, StopDetail } from "./machineHandle.ts";
import { offerFile } from "./offerFile.ts";
import { type OwnFiles, sortFiles } from "./ownFiles.ts";
import {
  type Problem,
  type ProblemAction,
  problemOfLesson,
  problemOfManifest,
  problemOfMissingFirmware,
} from "./problems.ts";
import { Saved } from "./saved/saved.ts";
import { type Plan, Session, withScreen } from "./session.ts";
import {
  chooseTransport,
  effective,
  FONT_MAX,
  FONT_MIN,
  type GuestSettings,
  loadSettings,
  type Settings,
  saveSettings,
} from "./settings.ts";
import { chunksAreKept, forgetChunks } from "./storage/chunkCache.ts";
import type { DiskWorker } from "./storage/diskWorker.ts";
import { forgetDisk, type KeptDisk, keptDisks } from "./storage/keptDisks.ts";
import { askToPersist, type Room, room } from "./storage/room.ts";
import { SaveError, saveDisk } from "./storage/saveDisk.ts";

/**
 * The page's state and everything a person can do. Views read it and call its methods; after each change it asks
 * for a render. There is one App, and at most one Session in it.
 */
export class App {
  readonly isolated = globalThis.crossOriginIsolated === true;
  readonly #render: () => void;
  readonly #files = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly #darkQuery = matchMedia("(prefers-color-scheme: dark)");
  #console: Console | undefined;
  #attached = (): void => {};
  readonly #hasConsole = new Promise<void>((settle) => {
    this.#attached = settle;
  });
  #screen: Screen | undefined;
  readonly #speaker = new Speaker();
  #toastTimer: ReturnType<typeof setTimeout> | undefined;

  settings: Settings = loadSettings(safeStorage(), matchMedia("(max-width: 600px)").matches);
  /** Undefined until the manifest was looked for, so that the list does not change under a person's eyes. */
  guests: Guest[] | undefined;
  selected: Guest = embeddedGuest;
  own: OwnFiles = {};
  session: Session | undefined;
  /** Machines that are saved, and what is done with them. */
  readonly saved = new Saved(this);
  /** What is kept of disks, whether there are fetched parts of others, and the room for it. */
  kept: KeptDisk[] = [];
  fetched = false;
  room: Room = { persisted: false };
  /** Lessons that the page has, and the one that is open. */
  lessons: readonly LessonEntry[] = [];
  course: Course | undefined;
  /** Boot links: the page's address as one, and the selected guest as one. */
  readonly links = new Links(this);
  /** A problem that no session owns: a bad file, a bad manifest. */
  pageProblem: Problem | undefined;
  /** Looks into the machine; loaded when it is opened first. */
  inspector: InspectorUi | undefined;
  /** On narrow screens one of the panes is shown. */
  pane: "guests" | "console" | "inspector" = "guests";
  /** What of a machine with a display is shown. */
  view: "screen" | "console" = "console";
  toast = "";
  dragging = false;

  constructor(render: () => void) {
    this.#render = render;
    this.#darkQuery.addEventListener("change", () => this.#applyTheme());
    this.#applyTheme();
  }

  changed(): void {
    this.#render();
  }

  attachConsole(console: Console): void {
    this.#console = console;
    this.#attached();
  }

  get console(): Console | undefined {
    return this.#console;
  }

  attachScreen(screen: Screen): void {
    this.#screen = screen;
  }

  get screen(): Screen | undefined {
    return this.#screen;
  }

  /** Whether the machine there is has a display. */
  get hasScreen(): boolean {
    return this.session !== undefined && withScreen(this.session.plan);
  }

  show(view: "screen" | "console"): void {
    this.view = view;
    this.changed();
    // The element is focusable only when it is shown.
    queueMicrotask(() => (view === "screen" ? this.#screen : this.#console)?.focus());
  }

  /** Looks what is kept of disks, and how much the browser lets the page keep. */
  async loadKept(): Promise<void> {
    this.kept = await keptDisks();
    this.fetched = await chunksAreKept();
    this.room = await room();
    this.changed();
  }

  async forgetFetched(): Promise<void> {
    await forgetChunks();
    await this.loadKept();
  }

  /** Takes an image into the browser, as a disk that needs no file any more. */
  async importDisk(file: File): Promise<void> {
    const { found } = await sortFiles([file]);
    if (!found.disk) return this.say(`${file.name} is not a disk image: give it a name that ends in .img if it is.`);
    askToPersist();
    const worker = startHelper("disk");
    const done = await wrap<DiskWorker>(worker.endpoint).import(
      file,
      proxy((share: number) => this.say(`${file.name}: ${Math.round(100 * share)} %`, true)),
    );
    worker.terminate();
    this.say("failed" in done ? done.failed : `${file.name} is kept in the browser.`);
    await this.loadKept();
  }

  /** Puts a disk that is kept whole among what a person has brought. */
  useKept(disk: KeptDisk): void {
    this.#bring({ disk: { file: { kept: disk.id, name: disk.name, size: disk.size }, what: "kept in the browser" } });
    this.changed();
  }

  /** Writes a disk into a file of the person's choice, as a raw image. */
  async saveKept(disk: KeptDisk): Promise<void> {
    try {
      await saveDisk(disk, this.own, (share) => this.say(`${disk.name}: ${Math.round(100 * share)} %`, true));
      this.say(`${disk.name} is saved.`);
    } catch (error) {
      if (error instanceof SaveError) this.say(error.message);
      else if ((error as DOMException).name !== "AbortError") throw error;
    }
  }

  async forget(disk: KeptDisk): Promise<void> {
    const done = await forgetDisk(disk.id);
    this.say(
      done ? `What was written to ${disk.name} is forgotten.` : `${disk.name} is open in a machine; end it first.`,
    );
    await this.loadKept();
  }

  setPrepared(on: boolean): void {
    this.#update({ prepared: on });
  }

  setKeepDisks(on: boolean): void {
    this.#update({ keepDisks: on });
  }

  /** What there is to start: guests and lessons, which come at once so that nothing moves under a person's eyes. */
  async loadGuests(): Promise<void> {
    const lessons = fetchLessons();
    let listed: Guest[] = [];
    try {
      listed = await fetchGuests(new URL(document.baseURI));
    } catch (error) {
      this.pageProblem = problemOfManifest((error as Error).message);
    }
    this.lessons = await lessons;
    this.guests = [...listed, embeddedGuest, ownGuest];
    this.selected = this.guests.find((g) => g.id === this.settings.selected) ?? this.guests[0]!;
    this.changed();
  }

  // What the views ask

  get problem(): Problem | undefined {
    return this.pageProblem ?? this.session?.problem;
  }

  get state(): MachineState | "preparing" | "none" {
    return this.session?.state ?? "none";
  }

  get live(): boolean {
    return this.state === "running" || this.state === "paused";
  }

  /** Whether the stage shows what the selected guest is, rather than a console. */
  get showsSummary(): boolean {
    // A lesson's machine is started by the lesson.
    if (this.course) return false;
    if (!this.session) return true;
    return (this.state === "off" || this.state === "failed") && this.session.plan.guest.id !== this.selected.id;
  }

  get startable(): boolean {
    return (
      this.state !== "preparing" &&
      (this.selected.kind !== "own" || this.own.kernel !== undefined || this.own.bios !== undefined)
    );
  }

  get dark(): boolean {
    return this.settings.theme === "system" ? this.#darkQuery.matches : this.settings.theme === "dark";
  }

  // What a person does

  select(guest: Guest): void {
    this.selected = guest;
    this.pageProblem = undefined;
    this.#update({ selected: guest.id });
  }

  showPane(pane: App["pane"]): void {
    this.pane = pane;
    this.changed();
  }

  /** Boots the selected guest with its settings, in place of whatever runs. */
  async start(transport = chooseTransport(this.settings.transport, this.isolated)): Promise<void> {
    if (this.course) await this.course.run();
    else if (this.startable) await this.run(this.planFor(this.selected, transport));
  }

  /** What a guest is started with. */
  planFor(guest: Guest, transport = chooseTransport(this.settings.transport, this.isolated)): Plan {
    const { memoryMb, append, vcpus, url } = effective(guest, this.settings);
    const { engine, keepDisks, prepared } = this.settings;
    const memoryBytes = memoryMb * 2 ** 20;
    return { guest, own: this.own, append, memoryBytes, vcpus, transport, engine, url, keepDisks, prepared };
  }

  /** Opens the lesson that a fragment names or holds. What shows lessons is loaded only now. */
  async openLesson(fragment: string): Promise<void> {
    await this.#openCourse(() => openLessonLink(this, fragment));
    // A reload, or a bookmark, comes back to it.
    if (this.course) history.replaceState(null, "", fragment);
    else forgetLink();
  }

  /** Opens a lesson that is no lesson of the page's. */
  openFiles(files: ReadonlyMap<string, string>): Promise<void> {
    return this.#openCourse(async () => (await import("./lesson/course.ts")).Course.fromFiles(this, files));
  }

  async #openCourse(open: () => Promise<Course>): Promise<void> {
    let course: Course;
    try {
      course = await open();
    } catch (error) {
      // What a lesson's author must mend: a line for each thing.
      if (!(error instanceof LinkError) && (error as Error).name !== "LessonError") throw error;
      this.pageProblem = problemOfLesson((error as Error).message);
      this.changed();
      return;
    }
    this.course?.close();
    this.course = course;
    this.pageProblem = undefined;
    this.pane = "guests";
    this.changed();
    course.showStep(0);
  }

  /** @internal By the lesson that is open, when it is closed. */
  closeCourse(): void {
    this.course = undefined;
    forgetLink();
    this.changed();
  }

  /** Runs a machine in place of whatever runs. */
  async run(plan: Plan): Promise<void> {
    const old = this.session;
    this.saved.begins(plan);
    const session = new Session(plan, this.#files, {
      changed: () => this.changed(),
      serial: (bytes) => this.#console?.write(bytes),
      screen: (lines) => this.#screen?.update(lines),
      tone: (hz) => this.#speaker.play(hz),
      notice: (text, stays) => this.say(text, stays),
      consoleSize: () => this.#fittedSize(),
      created: (handle) => this.#onCreated(handle),
      state: (state, detail) => this.#onState(state, detail),
    });
    this.session = session;
    this.pageProblem = undefined;
    if (!this.course) this.pane = "console";
    this.view = this.hasScreen ? "screen" : "console";
    this.#console?.setLive(false);
    this.#console?.reset();
    this.#screen?.clear();
    this.changed();
    this.#speaker.play(0);
    await old?.end();
    await this.#hasConsole;
    if (!session.gone) await session.start();
  }

  /** Gives up a start that is under way. */
  cancel(): void {
    void this.session?.end();
    this.session = undefined;
    this.changed();
  }

  async pauseOrResume(): Promise<void> {
    if (this.state === "paused") await this.session?.command((m) => m.resume());
    else await this.session?.command((m) => m.pause());
  }

  async reset(): Promise<void> {
    this.#console?.reset();
    await this.session?.reset();
    (this.view === "screen" ? this.#screen : this.#console)?.focus();
  }

  async powerOff(): Promise<void> {
    await this.session?.command((m) => m.powerOff());
  }

  async addFiles(files: Iterable<File>): Promise<void> {
    const { found, problem } = await sortFiles(await this.saved.takeFrom(files));
    this.pageProblem = problem;
    if (this.live && this.hasScreen && (found.cdrom || found.floppy)) return this.#insert(found);
    this.#bring(found);
    if (!this.live) this.pane = "console";
    this.changed();
  }

  /** Adds to what a person has brought, and chooses the guest that it goes with. */
  #bring(found: OwnFiles): void {
    const roles = (Object.keys(found) as ImageRole[]).sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
    if (roles.length) {
      // A second disk belongs to the first that it came with.
      const { disk2: _, ...others } = this.own;
      this.own = { ...(found.disk ? others : this.own), ...found };
      // A medium goes into the PC that is offered, unless firmware was brought along.
      const pc = this.guests?.find(isPc);
      const kernel = roles.includes("kernel") || roles.includes("initrd");
      // A disk goes with a kernel that was brought before.
      const goesWith =
        this.selected.kind === "own" && this.own.kernel && roles.every((role) => role === "disk" || role === "disk2");
      if (kernel || goesWith) this.selected = ownGuest;
      else this.selected = pc && !this.own.bios ? pc : ownGuest;
      if (!kernel && !goesWith && !pc && !this.own.bios) this.pageProblem ??= problemOfMissingFirmware();
      const said = roles.map((role, i) => (i ? NAMES[role] : titleOf(role)));
      this.say(`${said.join(" and ")} added.`);
    }
  }

  /** Changes what is in the drives of the machine that runs. */
  async #insert(found: OwnFiles): Promise<void> {
    const changed = REMOVABLE.filter((role) => found[role]);
    for (const role of changed) await this.session?.command(async (m) => m.insert?.(role, found[role]?.file as File));
    this.own = { ...this.own, ...Object.fromEntries(changed.map((role) => [role, found[role]])) };
    for (const role of changed)
      if (this.session) this.session.plan.own = { ...this.session.plan.own, [role]: found[role] };
    this.say(`${changed.map((role, i) => (i ? NAMES[role] : titleOf(role))).join(" and ")} inserted.`);
  }

  /** Takes a CD or floppy disk out of the machine that runs. */
  async eject(role: (typeof REMOVABLE)[number]): Promise<void> {
    await this.session?.command(async (m) => m.insert?.(role, undefined));
    this.removeFile(role);
    if (this.session) {
      const { [role]: _, ...rest } = this.session.plan.own;
      this.session.plan.own = rest;
    }
    this.say(`${titleOf(role)} taken out.`);
  }

  removeFile(role: ImageRole): void {
    const { [role]: _, ...rest } = this.own;
    this.own = rest;
    this.changed();
  }

  dismissProblem(): void {
    this.pageProblem = undefined;
    if (this.session) {
      this.session.problem = undefined;
      // A start that failed before there was a machine leaves no console worth looking at.
      if (!this.session.handle) this.session = undefined;
    }
    this.changed();
  }

  async act(action: ProblemAction): Promise<void> {
    switch (action) {
      case "retry":
        return this.start(this.session?.plan.transport);
      case "smaller":
        return this.#startSmaller();
      case "inline":
        return this.start("inline");
      case "reset":
        return this.reset();
      case "reload":
        return location.reload();
      case "inspect":
        return inspectFault(this);
      case "settings":
        this.dismissProblem();
        return openDialog("settings");
      case "files":
        this.dismissProblem();
        document.querySelector<HTMLInputElement>("#files")?.click();
    }
  }

  /** The same machine with half its memory, this time. */
  async #startSmaller(): Promise<void> {
    const plan = this.session?.plan;
    if (plan) await this.run({ ...plan, memoryBytes: Math.floor(plan.memoryBytes / 2 ** 21) * 2 ** 20 });
  }

  /** Types the console's size as an `stty` command: over a serial line a guest has no other way to learn it. */
  sendSttySize(): void {
    const { cols, rows } = this.#console!;
    this.#console!.type(` stty rows ${rows} cols ${cols}\r`);
    this.#console!.focus();
  }

  saveConsole(): void {
    const text = new Blob([this.#console!.text(), "\n"], { type: "text/plain" });
    offerFile(text, `${this.session?.plan.guest.id ?? "console"}.txt`);
  }

  setTheme(theme: Settings["theme"]): void {
    this.#update({ theme });
    this.#applyTheme();
  }

  setTransport(transport: Settings["transport"]): void {
    this.#update({ transport });
  }

  setEngine(engine: Settings["engine"]): void {
    this.#update({ engine });
  }

  setFontSize(px: number): void {
    this.#update({ fontSize: Math.min(FONT_MAX, Math.max(FONT_MIN, px)) });
    this.#console?.setFontSize(this.settings.fontSize);
  }

  setScreenReader(on: boolean): void {
    this.#update({ screenReader: on });
    this.#console?.setScreenReader(on);
    this.say(on ? "Screen-reader mode is on." : "Screen-reader mode is off.");
  }

  /** Changes the selected guest's settings; undefined goes back to the guest's defaults. */
  setGuest(change: GuestSettings | undefined): void {
    const { [this.selected.id]: own, ...rest } = this.settings.guests;
    this.#update({ guests: change ? { ...rest, [this.selected.id]: { ...own, ...change } } : rest });
  }

  /** A short message, shown for a while, or until the next one, and read out by screen readers. */
  say(text: string, stays = false): void {
    this.toast = text;
    clearTimeout(this.#toastTimer);
    if (!stays)
      this.#toastTimer = setTimeout(() => {
        this.toast = "";
        this.changed();
      }, 4000);
    this.changed();
  }

  /** A machine has a disk: what it writes shall not be the first that the browser throws away. */
  async #keep(): Promise<void> {
    if (this.settings.keepDisks) askToPersist();
    await this.loadKept();
  }

  #fittedSize(): { cols: number; rows: number } | undefined {
    // The pane was hidden until now on narrow screens, so the grid may not fit yet.
    this.#console?.fit();
    return this.#console && { cols: this.#console.cols, rows: this.#console.rows };
  }

  #onCreated(handle: MachineHandle): void {
    const c = this.#console;
    const size = this.#fittedSize();
    if (!c || !size) return;
    c.setLive(true);
    if (this.session?.plan.own.disk || this.session?.plan.own.floppy) void this.#keep();
    handle.setConsoleSize(size.cols, size.rows);
    // Who edits a program goes on editing it.
    if (!this.course) (this.view === "screen" ? this.#screen : c)?.focus();
  }

  #onState(state: MachineState, detail: StopDetail | undefined): void {
    this.#console?.setLive(state === "running" || state === "paused");
    void this.saved.onState(state);
    if (this.inspector) void this.inspector.refresh();
    if (detail && state !== "failed") this.say(detail.what);
    else if (state === "paused" && !this.inspector) this.say("Paused.");
  }

  #update(change: Partial<Settings>): void {
    this.settings = { ...this.settings, ...change };
    saveSettings(this.settings);
    this.changed();
  }

  #applyTheme(): void {
    const { theme } = this.settings;
    if (theme === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = theme;
    for (const meta of document.querySelectorAll<HTMLMetaElement>("meta[name=theme-color]")) {
      meta.content = this.dark ? "#15181c" : "#f6f7f8";
    }
    this.#console?.setDark(this.dark);
    this.changed();
  }
}

/** What can be changed while a machine runs. */
const REMOVABLE = ["cdrom", "floppy"] as const;

/** The order in which they are named. */
const ORDER = Object.keys(NAMES) as ImageRole[];

/** localStorage, or nothing where the browser forbids even to look at it. */
function safeStorage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}
