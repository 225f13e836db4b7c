import "@xterm/xterm/css/xterm.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/machine.css";
import "./styles/saved.css";
import "./styles/lesson.css";
import "./styles/narrow.css"; // last: it overrides
import { render } from "lit";
import { RELEASE_CHORD } from "../console/keys.ts";
import { Screen } from "../console/screen.ts";
import { triggerYield } from "../machine/yield.ts";
import { App } from "./app.ts";
import { loadEngine } from "./engine.ts";
import { isLessonLink } from "./lesson/index.ts";
import { enableOffline } from "./offline.ts";
import { page } from "./views/page.ts";

/** What scripts, tests and curious people may use from the browser's own console. */
declare global {
  var tabhyve: { app: App; consoleText(): string; screenText(): string } | undefined;
}

const root = document.querySelector<HTMLElement>("#app")!;
let scheduled = false;
let rendered: App["problem"];

/** Renders once after the present task, however often the state changed in it. */
function scheduleRender(): void {
  if (scheduled) return;
  scheduled = true;
  // Not requestAnimationFrame: in a hidden tab it never comes, and the status would be stale on return.
  queueMicrotask(() => {
    scheduled = false;
    render(page(app), root);
    document.documentElement.dataset.machine = app.state;
    // A new problem takes the focus once, so that it is read out and its first remedy is one key away.
    // Not from who edits a lesson's program: that it fails is a part of learning, and the checks say why.
    if (app.problem && app.problem !== rendered && !app.course)
      root.querySelector<HTMLElement>(".problem .primary")?.focus();
    rendered = app.problem;
  });
}

const app: App = new App(scheduleRender);
render(page(app), root);
const screen = new Screen(root.querySelector<HTMLElement>("#screen")!, {
  key: (code, pressed) => app.session?.handle?.key?.(code, pressed),
  type: (text) => app.session?.handle?.type?.(text),
  mouse: (dx, dy, wheel, buttons) => app.session?.handle?.mouse?.(dx, dy, wheel, buttons),
  released: () => {
    root.querySelector<HTMLElement>("#main-control")?.focus();
    app.say(`Keyboard released (${RELEASE_CHORD}).`);
  },
});
app.attachScreen(screen);
globalThis.tabhyve = { app, consoleText: () => app.console?.text() ?? "", screenText: () => screen.text() };

const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
let depth = 0; // dragenter and dragleave come for every element the pointer crosses
const dragged = (change: number): void => {
  depth = change === 0 ? 0 : Math.max(0, depth + change);
  if (app.dragging === depth > 0) return;
  app.dragging = depth > 0;
  app.changed();
};
addEventListener("dragenter", (event) => hasFiles(event) && dragged(1));
addEventListener("dragleave", (event) => hasFiles(event) && dragged(-1));
addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  dragged(0);
  const files = [...event.dataTransfer!.files];
  // What is dropped on the inspector has symbols.
  const on = (event.target as Element).closest(".inspector") ? app.inspector : undefined;
  if (on && files[0]) void on.loadSymbols(files[0]);
  else void app.addFiles(files);
});
// Ctrl+W is "delete word" in a shell and "close tab" in a browser: ask before a running machine is lost.
addEventListener("beforeunload", (event) => {
  if (app.live) event.preventDefault();
});

/** Once the guests are known: a link names one of them. */
const followFragment = (): void => {
  if (isLessonLink(location.hash)) void app.openLesson(location.hash);
  else void app.links.open();
};
addEventListener("hashchange", followFragment);
/** Lets input, drawing and other events have their turn: what follows is a task of its own. */
const turn = (): Promise<void> => new Promise(triggerYield);
/** Most of the page's code is the terminal's: it comes while a person reads, and no machine is made before. */
async function loadConsole(): Promise<void> {
  const { Console } = await import("../console/console.ts");
  await turn();
  const console = new Console(
    root.querySelector<HTMLElement>("#console")!,
    { dark: app.dark, fontSize: app.settings.fontSize, screenReader: app.settings.screenReader },
    {
      input: (bytes) => app.session?.handle?.serialInput(bytes),
      resized: (cols, rows) => app.session?.handle?.setConsoleSize(cols, rows),
      hold: (held) => app.session?.handle?.holdSerial?.(held),
      released: () => {
        root.querySelector<HTMLElement>("#main-control")?.focus();
        app.say(`Keyboard released (${RELEASE_CHORD}).`);
      },
      notice: (text) => app.say(text),
    },
  );
  await turn();
  console.open();
  await turn();
  console.fit();
  app.attachConsole(console);
}

loadEngine().catch(() => {}); // A start says so.
void loadConsole().catch(() => app.say("The terminal did not load: reload the page."));
void app.loadGuests().then(followFragment);
void app.saved.open();
void app.loadKept();
void enableOffline(new URL(document.baseURI), () => app.state === "none");
