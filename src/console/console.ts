import { Base64, ClipboardAddon, type ClipboardSelectionType, type IClipboardProvider } from "@xterm/addon-clipboard";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { startWorker } from "../ui/startWorker.ts";
import { InputPump, pasteText } from "./inputPump.ts";
import { consoleChord, RELEASE_CHORD } from "./keys.ts";
import { OutputPump } from "./outputPump.ts";
import { rootOf } from "./root.ts";
import { darkTheme, lightTheme } from "./themes.ts";
import webglWorkerUrl from "./webglWorker.ts?worker&url";

/**
 * The serial console: an xterm in an element, with the pumps before and behind it. Making one and opening it are tasks of tens
 * of milliseconds each, so that whoever does it may let the page have a turn between. Knows no machine; whoever owns it wires
 * `input`, `resized` and `hold` to one, and brings xterm's style sheet to where the element is.
 */

export interface ConsoleEvents {
  /** Bytes for the guest. */
  input(bytes: Uint8Array): void;
  resized(cols: number, rows: number): void;
  /** The console is behind (true) or has caught up (false). */
  hold(held: boolean): void;
  /** The release chord was pressed: put the keyboard focus somewhere outside. */
  released(): void;
  /** Something worth a short message: "Copied". */
  notice(text: string): void;
}

export interface ConsoleOptions {
  dark: boolean;
  fontSize: number;
  screenReader: boolean;
}

/** Until WebGL is looked for: where a rasteriser stands in for it, that alone takes a processor for a while. */
const LATER_MS = 3000;

const FONT =
  'ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

/** OSC 52: a guest may put text on the clipboard while its console has the focus; it may never read it. */
class GuestClipboard implements IClipboardProvider {
  readonly #focused: () => boolean;
  constructor(focused: () => boolean) {
    this.#focused = focused;
  }
  readText(): string {
    return "";
  }
  async writeText(_selection: ClipboardSelectionType, text: string): Promise<void> {
    if (this.#focused()) await navigator.clipboard?.writeText(text).catch(() => undefined);
  }
}

export class Console {
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #output: OutputPump;
  readonly #input: InputPump;
  readonly #events: ConsoleEvents;
  readonly #element: HTMLElement;
  readonly #observer = new ResizeObserver(() => this.fit());
  /** Whether guests expect input now; a powered-off console takes keys for scrolling and copying only. */
  #live = false;

  constructor(element: HTMLElement, options: ConsoleOptions, events: ConsoleEvents) {
    this.#element = element;
    this.#events = events;
    this.#terminal = new Terminal({
      theme: options.dark ? darkTheme : lightTheme,
      fontFamily: FONT,
      fontSize: options.fontSize,
      lineHeight: 1.15,
      scrollback: 10_000,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      minimumContrastRatio: 4.5,
      screenReaderMode: options.screenReader,
      macOptionIsMeta: true,
    });
    this.#input = new InputPump((bytes) => {
      if (this.#live) events.input(bytes);
    });
    this.#output = new OutputPump({
      write: (bytes, parsed) => this.#terminal.write(bytes, parsed),
      hold: (held) => events.hold(held),
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.loadAddon(new ClipboardAddon(new Base64(), new GuestClipboard(() => this.focused)));
    this.#terminal.attachCustomKeyEventHandler((event) => this.#chord(event));
    this.#terminal.onData((data) => this.#input.key(data));
    this.#terminal.onBinary((data) => this.#input.key(Uint8Array.from(data, (ch) => ch.charCodeAt(0))));
    this.#terminal.onResize(({ cols, rows }) => events.resized(cols, rows));
  }

  /** Shows it, once. */
  open(): void {
    const element = this.#element;
    this.#terminal.open(element);
    this.#terminal.textarea?.setAttribute("aria-label", `Serial console. ${RELEASE_CHORD} releases the keyboard.`);
    // Before xterm's own listener: its paste neither filters control characters nor paces.
    element.addEventListener("paste", (event) => this.#onPaste(event), { capture: true });
    void this.#useWebgl();
    this.#observer.observe(element);
  }

  get cols(): number {
    return this.#terminal.cols;
  }

  get rows(): number {
    return this.#terminal.rows;
  }

  get focused(): boolean {
    return this.#element.contains(rootOf(this.#element).activeElement);
  }

  /** Guest output. */
  write(bytes: Uint8Array): void {
    this.#output.push(bytes);
  }

  /** Starts or stops taking input; a new machine begins with an empty screen. */
  setLive(live: boolean): void {
    this.#live = live;
    if (!live) this.#input.clear();
  }

  /** Empties screen, scrollback and everything under way. */
  reset(): void {
    this.#output.clear();
    this.#input.clear();
    this.#terminal.reset();
  }

  clear(): void {
    this.#terminal.clear();
  }

  focus(): void {
    this.#terminal.focus();
  }

  /** Sizes the grid to the element. */
  fit(): void {
    // An element that is not displayed has no size; fitting to it would leave a 2x1 terminal.
    if (this.#element.clientWidth > 0 && this.#element.clientHeight > 0) this.#fit.fit();
  }

  setDark(dark: boolean): void {
    this.#terminal.options.theme = dark ? darkTheme : lightTheme;
  }

  setFontSize(px: number): void {
    this.#terminal.options.fontSize = px;
    this.fit();
  }

  setScreenReader(on: boolean): void {
    this.#terminal.options.screenReaderMode = on;
  }

  /** Types text as if on the keyboard. */
  type(text: string): void {
    this.#input.key(text);
  }

  /** The whole buffer as text, wrapped lines joined; for saving and for tests. */
  text(): string {
    const buffer = this.#terminal.buffer.active;
    let text = "";
    for (let y = 0; y < buffer.length; y++) {
      const line = buffer.getLine(y);
      text += `${line?.isWrapped || y === 0 ? "" : "\n"}${line?.translateToString(true) ?? ""}`;
    }
    return text.trimEnd();
  }

  /** Copies the selection. Says so, or says why not. */
  async copy(): Promise<void> {
    const selection = this.#terminal.getSelection();
    if (!selection) return this.#events.notice("Nothing is selected in the console.");
    try {
      await navigator.clipboard.writeText(selection);
      this.#events.notice(`Copied ${selection.length} characters.`);
    } catch {
      this.#events.notice("The browser did not allow copying.");
    }
  }

  /** Pastes from the clipboard, for a button; the chord goes through the browser's own paste event. */
  async paste(): Promise<void> {
    try {
      this.#paste(await navigator.clipboard.readText());
      this.focus();
    } catch {
      this.#events.notice("The browser did not allow pasting from a button: press Ctrl+Shift+V in the console.");
    }
  }

  dispose(): void {
    this.#observer.disconnect();
    this.clear();
    this.#terminal.dispose();
  }

  #paste(text: string): void {
    this.#terminal.scrollToBottom();
    this.#input.paste(pasteText(text, this.#terminal.modes.bracketedPasteMode));
  }

  #onPaste(event: ClipboardEvent): void {
    event.preventDefault();
    event.stopPropagation();
    this.#paste(event.clipboardData?.getData("text/plain") ?? "");
  }

  /** @returns whether xterm should handle the key */
  #chord(event: KeyboardEvent): boolean {
    const chord = consoleChord(event);
    if (!chord) return true;
    if (chord === "paste") return false; // the browser pastes as plain text, which raises a paste event
    event.preventDefault();
    if (event.type === "keydown") {
      if (chord === "copy") void this.copy();
      else this.#events.released();
    }
    return false;
  }

  /** WebGL draws several times faster; without it, or when the context is lost, xterm's DOM renderer goes on. */
  async #useWebgl(): Promise<void> {
    try {
      if (!(await hasFastWebgl())) return;
      const { WebglAddon } = await import("@xterm/addon-webgl");
      const addon = new WebglAddon();
      addon.onContextLoss(() => addon.dispose());
      this.#terminal.loadAddon(addon);
    } catch {
      // no WebGL 2 here
    }
  }
}

/** Asks a worker (./webglWorker.ts), not while a machine may be starting; false: it cannot say. */
async function hasFastWebgl(): Promise<boolean> {
  await new Promise((settle) => setTimeout(settle, LATER_MS));
  const worker = startWorker(webglWorkerUrl);
  const fast = await new Promise<boolean>((settle) => {
    worker.onmessage = ({ data }) => settle(data === true);
    worker.onerror = () => settle(false);
  });
  worker.terminate();
  return fast;
}
