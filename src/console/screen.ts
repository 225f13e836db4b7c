/**
 * The screen of a machine with a display: a canvas, the text of a text screen for screen readers, keyboard and mouse.
 *
 * A text area under the picture has the focus, since only such an element gets what phones' keyboards type (beforeinput);
 * keys that have a code go to the machine as keys. A click on the picture takes the mouse until Escape or the release chord.
 */
import { consoleChord, RELEASE_CHORD } from "./keys.ts";
import { rootOf } from "./root.ts";

/** Lines of a picture that have changed. */
export interface ScreenUpdate {
  width: number;
  height: number;
  /** First line of `pixels`, which are red, green, blue and opaque, 32 bits each. */
  top: number;
  pixels: Uint32Array;
  /** Lines of a text screen; undefined: graphics. */
  text: string[] | undefined;
}

export interface ScreenEvents {
  /** A key by KeyboardEvent.code; false: the machine has no such key. */
  key(code: string, pressed: boolean): void;
  type(text: string): void;
  mouse(dx: number, dy: number, wheel: number, buttons: number): void;
  released(): void;
}

/** What keys without a code type, by KeyboardEvent.key. */
const WITHOUT_CODE: Readonly<Record<string, string>> = { Backspace: "\b", Enter: "\n", Tab: "\t" };

export class Screen {
  readonly #host: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  /** Made with the first picture: most machines have none, and the browser takes its time. */
  #context: CanvasRenderingContext2D | null = null;
  readonly #input: HTMLTextAreaElement;
  readonly #text: HTMLElement;
  readonly #events: ScreenEvents;
  readonly #down = new Set<string>();

  constructor(host: HTMLElement, events: ScreenEvents) {
    this.#host = host;
    this.#events = events;
    this.#canvas = document.createElement("canvas");
    this.#canvas.width = 720;
    this.#canvas.height = 400;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", "Picture on the machine's screen");
    this.#input = document.createElement("textarea");
    this.#input.className = "screen-keys";
    this.#input.setAttribute("aria-label", `Keyboard of the machine (${RELEASE_CHORD} lets go)`);
    this.#input.setAttribute("aria-describedby", "screen-text");
    for (const name of ["autocapitalize", "autocomplete", "autocorrect"]) this.#input.setAttribute(name, "off");
    this.#input.spellcheck = false;
    this.#text = document.createElement("pre");
    this.#text.id = "screen-text";
    this.#text.className = "screen-text";
    host.append(this.#input, this.#canvas, this.#text);
    new ResizeObserver(() => this.#fit()).observe(host);
    this.#listen();
  }

  update({ width, height, top, pixels, text }: ScreenUpdate): void {
    const canvas = this.#canvas;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.#fit();
    }
    const lines = pixels.length / width;
    if (lines) {
      const bytes = new Uint8ClampedArray(pixels.buffer as ArrayBuffer, pixels.byteOffset, pixels.byteLength);
      this.#context ??= canvas.getContext("2d");
      this.#context?.putImageData(new ImageData(bytes, width, lines), 0, top);
    }
    const all = text?.join("\n") ?? "";
    if (this.#text.textContent !== all) this.#text.textContent = all;
  }

  /** The text on the screen; empty with graphics. */
  text(): string {
    return this.#text.textContent ?? "";
  }

  clear(): void {
    this.#context?.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#text.textContent = "";
  }

  focus(): void {
    this.#input.focus({ preventScroll: true });
  }

  /** Presses keys one after the other, and lets them go in reverse. */
  chord(...codes: string[]): void {
    for (const code of codes) this.#events.key(code, true);
    for (const code of codes.reverse()) this.#events.key(code, false);
  }

  /** Makes each pixel as many of the page's as there is room for, so that all are alike; what has no room, the style shrinks. */
  #fit(): void {
    const { width, height } = this.#canvas;
    const style = getComputedStyle(this.#host);
    const room = (size: number, ...edges: string[]) =>
      size - edges.reduce((sum, edge) => sum + Number.parseFloat(edge), 0);
    const across = room(this.#host.clientWidth, style.paddingLeft, style.paddingRight) / width;
    const down = room(this.#host.clientHeight, style.paddingTop, style.paddingBottom) / height;
    const times = Math.floor(Math.min(across, down));
    this.#canvas.style.width = times > 1 ? `${times * width}px` : "";
  }

  #listen(): void {
    const input = this.#input;
    const canvas = this.#canvas;
    input.addEventListener("keydown", (event) => {
      if (consoleChord(event) === "release") {
        event.preventDefault();
        this.#release();
        return;
      }
      // The browser's own paste, which comes as an event below.
      if (consoleChord(event) === "paste" || event.isComposing || event.key === "Unidentified") return;
      if (!event.code) {
        // Keyboards on the screen have no codes, and nothing to delete in an empty field.
        const text = WITHOUT_CODE[event.key];
        if (text === undefined) return;
        event.preventDefault();
        this.#events.type(text);
        return;
      }
      event.preventDefault();
      this.#down.add(event.code);
      this.#events.key(event.code, true);
    });
    input.addEventListener("keyup", (event) => {
      if (!this.#down.delete(event.code)) return;
      event.preventDefault();
      this.#events.key(event.code, false);
    });
    // What is being composed, as of a word that is completed or swiped, comes whole each time, and cannot be prevented.
    let composed = "";
    input.addEventListener("compositionend", () => {
      composed = "";
      input.value = "";
    });
    input.addEventListener("beforeinput", (event) => {
      if (event.inputType === "insertCompositionText") {
        const now = event.data ?? "";
        let same = 0;
        while (same < now.length && now[same] === composed[same]) same++;
        this.#events.type("\b".repeat(composed.length - same) + now.slice(same));
        composed = now;
        return;
      }
      event.preventDefault();
      if (event.inputType === "deleteContentBackward") this.#events.type("\b");
      else if (event.inputType === "insertLineBreak" || event.inputType === "insertParagraph") this.#events.type("\n");
      else if (event.data) this.#events.type(event.data);
    });
    input.addEventListener("paste", (event) => {
      event.preventDefault();
      const text = event.clipboardData?.getData("text");
      if (text) this.#events.type(text);
    });
    // Keys that are down when the focus goes would stay down.
    input.addEventListener("blur", () => this.#letGo());
    canvas.addEventListener("mousedown", (event) => {
      event.preventDefault();
      this.focus();
      if (rootOf(canvas).pointerLockElement === canvas) this.#mouse(event);
      else void canvas.requestPointerLock?.();
    });
    canvas.addEventListener("mouseup", (event) => {
      if (rootOf(canvas).pointerLockElement === canvas) this.#mouse(event);
    });
    canvas.addEventListener("mousemove", (event) => {
      if (rootOf(canvas).pointerLockElement === canvas) this.#mouse(event);
    });
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (rootOf(canvas).pointerLockElement !== canvas) return;
        event.preventDefault();
        this.#events.mouse(0, 0, Math.sign(event.deltaY), event.buttons & 7);
      },
      { passive: false },
    );
  }

  #mouse(event: MouseEvent): void {
    this.#events.mouse(event.movementX, event.movementY, 0, event.buttons & 7);
  }

  #letGo(): void {
    for (const code of this.#down) this.#events.key(code, false);
    this.#down.clear();
  }

  #release(): void {
    document.exitPointerLock?.();
    this.#letGo();
    this.#events.released();
  }
}
