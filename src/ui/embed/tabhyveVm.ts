/**
 * `<tabhyve-vm>`: a machine in anybody's page.
 *
 *     <script type="module" src="https://SITE/tabhyve-vm.js"></script>
 *     <tabhyve-vm guest="cloud" memory="256M" controls></tabhyve-vm>
 *
 * | attribute   |                                                                                     |
 * |-------------|-------------------------------------------------------------------------------------|
 * | `guest`     | id of a guest of the site; default `embedded`                                       |
 * | `src`       | instead: addresses of a kernel, an initial RAM disk, firmware, told apart by content |
 * | `disk`      | address of a disk, or of a CD if it ends in .iso, for a guest that has drives        |
 * | `append`    | kernel command line                                                                 |
 * | `memory`    | `256M`                                                                              |
 * | `vcpus`     | 1 to 16                                                                             |
 * | `engine`    | `interp` (default) or `auto`: hot code is compiled                                  |
 * | `transport` | `auto` (default), `threaded`, which a page that is not isolated cannot have, `inline` |
 * | `autostart` | starts as soon as it is in the page                                                 |
 * | `controls`  | shows buttons for pause, reset and power                                            |
 * | `isolate`   | for pages in the site's folder on a host that sends no isolation headers: its service worker adds them, after the page has been loaded once more |
 * | `theme`     | `light` or `dark`; else the system's                                                |
 *
 * They count when a machine is made. The property `files` takes files instead of `src`; `handle` is what a script drives it
 * with (vmHandle.ts), and events are those of VmEvents. Its size is the page's to choose.
 */
import xtermCss from "@xterm/xterm/css/xterm.css?inline";
import { render } from "lit";
import { Console } from "../../console/console.ts";
import { Screen } from "../../console/screen.ts";
import type { MachineHandle } from "../machineHandle.ts";
import { enableOffline } from "../offline.ts";
import { type Plan, withScreen } from "../session.ts";
import baseCss from "../styles/base.css?inline";
import machineCss from "../styles/machine.css?inline";
import tokensCss from "../styles/tokens.css?inline";
import { EmbeddedMachine, type Surroundings } from "./embeddedMachine.ts";
import css from "./tabhyveVm.css?inline";
import { vmView } from "./view.ts";
import type { VmEvents, VmHandle } from "./vmHandle.ts";
import { planOf } from "./vmOptions.ts";

const DARK = matchMedia("(prefers-color-scheme: dark)");
let sheets: CSSStyleSheet[] | undefined;

/** Made once for all elements. */
function styles(): CSSStyleSheet[] {
  sheets ??= [tokensCss, baseCss, machineCss, xtermCss, css].map((text) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(text);
    return sheet;
  });
  return sheets;
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: how the types of an element's own events are said
export class TabhyveVm extends HTMLElement {
  /** Where the site lies that guests come from. */
  static site = new URL(document.baseURI);
  static readonly observedAttributes = ["theme", "controls"];

  readonly #root = this.attachShadow({ mode: "open" });
  readonly #machine: EmbeddedMachine;
  #console: Console | undefined;
  #screen: Screen | undefined;
  #scheduled = false;
  /** The last notice, until the next one. */
  #notice = "";
  /** Files instead of those of `src`. */
  files: readonly File[] = [];
  /** What of a machine with a display is shown. */
  #view: "screen" | "console" = "console";
  /** What the machine is to be; default: what the attributes say. */
  planner: () => Promise<Plan> = () =>
    planOf(
      {
        files: this.files,
        guest: this.getAttribute("guest") ?? undefined,
        src: this.getAttribute("src") ?? undefined,
        disk: this.getAttribute("disk") ?? undefined,
        append: this.getAttribute("append") ?? undefined,
        memory: this.getAttribute("memory") ?? undefined,
        vcpus: this.getAttribute("vcpus") ?? undefined,
        engine: this.getAttribute("engine") ?? undefined,
        transport: this.getAttribute("transport") ?? undefined,
      },
      TabhyveVm.site,
    );
  /** What is shown before the first start, by names and values. */
  facts: readonly (readonly [string, string])[] = [];

  constructor() {
    super();
    this.#root.adoptedStyleSheets = styles();
    this.#machine = new EmbeddedMachine(this.#surroundings());
  }

  /** Drives the machine. */
  get handle(): VmHandle {
    return this.#machine;
  }

  /** The console's text, as it is shown. */
  get text(): string {
    return this.#view === "screen" ? (this.#screen?.text() ?? "") : (this.#console?.text() ?? "");
  }

  connectedCallback(): void {
    this.#draw();
    if (!this.#console) this.#open();
    DARK.addEventListener("change", this.#onTheme);
    void this.#begin();
  }

  async #begin(): Promise<void> {
    if (this.hasAttribute("isolate") && !crossOriginIsolated) {
      const all = document.querySelectorAll<TabhyveVm>("tabhyve-vm");
      await enableOffline(TabhyveVm.site, () => [...all].every((vm) => vm.handle.state === "none"));
    }
    // What goes wrong is shown, and told as an event.
    if (this.hasAttribute("autostart") && this.isConnected) this.#machine.start().catch(() => {});
  }

  disconnectedCallback(): void {
    DARK.removeEventListener("change", this.#onTheme);
    // An element that is moved is back by then.
    queueMicrotask(() => {
      if (!this.isConnected) this.#machine.stop().catch(() => {});
    });
  }

  attributeChangedCallback(): void {
    this.#onTheme();
    this.#changed();
  }

  readonly #onTheme = (): void => this.#console?.setDark(this.#dark);

  override focus(): void {
    (this.#view === "screen" ? this.#screen : this.#console)?.focus();
  }

  get #dark(): boolean {
    const theme = this.getAttribute("theme");
    return theme === "dark" || (theme !== "light" && DARK.matches);
  }

  #open(): void {
    const input = (): MachineHandle | undefined => this.#machine.session?.handle;
    this.#console = new Console(
      this.#root.querySelector<HTMLElement>("#console")!,
      { dark: this.#dark, fontSize: 13, screenReader: false },
      {
        input: (bytes) => input()?.serialInput(bytes),
        resized: (cols, rows) => input()?.setConsoleSize(cols, rows),
        hold: (held) => input()?.holdSerial?.(held),
        released: () => this.#root.querySelector<HTMLElement>("#main-control")?.focus(),
        notice: (text) => this.#say(text),
      },
    );
    this.#console.open();
    this.#console.fit();
    this.#screen = new Screen(this.#root.querySelector<HTMLElement>("#screen")!, {
      key: (code, pressed) => input()?.key?.(code, pressed),
      type: (text) => input()?.type?.(text),
      mouse: (dx, dy, wheel, buttons) => input()?.mouse?.(dx, dy, wheel, buttons),
      released: () => this.#root.querySelector<HTMLElement>("#main-control")?.focus(),
    });
  }

  #surroundings(): Surroundings {
    return {
      site: TabhyveVm.site,
      plan: () => this.planner(),
      changed: () => this.#changed(),
      ready: () => {
        this.#console?.setLive(true);
        this.#dispatch("ready", undefined);
      },
      state: (state, detail) => {
        this.#console?.setLive(state === "running" || state === "paused");
        this.#dispatch("state", { state, ...(detail && { detail }) });
        if ((state === "off" || state === "failed") && detail) this.#dispatch("exit", detail);
      },
      serial: (bytes) => {
        this.#console?.write(bytes);
        this.#dispatch("serial", bytes);
      },
      screen: (lines) => this.#screen?.update(lines),
      notice: (text) => this.#say(text),
      error: (problem) => this.#dispatch("error", problem),
      begins: (plan) => {
        this.#view = withScreen(plan) ? "screen" : "console";
        this.#console?.reset();
        this.#screen?.clear();
        this.#notice = "";
      },
      consoleSize: () => {
        this.#console?.fit();
        return this.#console && { cols: this.#console.cols, rows: this.#console.rows };
      },
    };
  }

  #dispatch<N extends keyof VmEvents>(name: N, detail: VmEvents[N]): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #say(text: string): void {
    this.#notice = text;
    this.#changed();
  }

  #changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw(): void {
    const view = vmView({
      machine: this.#machine,
      controls: this.hasAttribute("controls"),
      facts: this.facts,
      notice: this.#notice,
      view: this.#view,
      show: (face) => {
        this.#view = face;
        this.#changed();
        queueMicrotask(() => this.focus());
      },
      run: (command) => {
        // What goes wrong is shown as a problem.
        command(this.#machine).then(
          () => this.focus(),
          (error: Error) => {
            if (!this.#machine.problem) this.#say(error.message);
          },
        );
      },
    });
    render(view, this.#root);
  }
}

/** With the events' types. */
export interface TabhyveVm {
  addEventListener<N extends keyof VmEvents>(
    name: N,
    listener: (event: CustomEvent<VmEvents[N]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    name: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "tabhyve-vm": TabhyveVm;
  }
}
