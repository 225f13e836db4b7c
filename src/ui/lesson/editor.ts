/** The editor: CodeMirror with NASM's syntax. Tab is not its own, so that the keyboard gets out of it. */
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { isMnemonic, isPrefix } from "../../isa/asm/encode.ts";
import { isDirective } from "../../isa/asm/parser.ts";
import { registerNamed } from "../../isa/registers.ts";

export interface EditorEvents {
  changed(text: string): void;
  /** Ctrl-Enter, or Command-Enter. */
  run(): void;
}

/** Line and column from 1. */
export interface Mark {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

const nasm = StreamLanguage.define<null>({
  name: "nasm",
  startState: () => null,
  token(stream) {
    if (stream.eatSpace()) return null;
    if (stream.match(/^;.*/)) return "comment";
    if (stream.match(/^('[^']*'|"[^"]*"|`[^`]*`)/)) return "string";
    if (stream.match(/^%[a-z]+/i)) return "meta";
    if (stream.match(/^\$?[0-9][\w]*/)) return "number";
    const word = stream.match(/^[a-z_.?@$][\w.?@$#~]*/i) as RegExpMatchArray | null;
    if (!word) {
      stream.next();
      return null;
    }
    const name = word[0].toLowerCase();
    if (stream.peek() === ":") return "labelName";
    if (registerNamed(name)) return "variableName";
    if (isDirective(name)) return "meta";
    return isMnemonic(name) || isPrefix(name) ? "keyword" : null;
  },
});

const colours = HighlightStyle.define([
  { tag: tags.comment, class: "tok-comment" },
  { tag: tags.string, class: "tok-string" },
  { tag: tags.number, class: "tok-number" },
  { tag: tags.keyword, class: "tok-keyword" },
  { tag: tags.meta, class: "tok-meta" },
  { tag: tags.labelName, class: "tok-label" },
  { tag: tags.variableName, class: "tok-register" },
]);

export class Editor {
  readonly #view: EditorView;
  readonly #events: EditorEvents;

  constructor(parent: HTMLElement, events: EditorEvents) {
    this.#events = events;
    this.#view = new EditorView({ parent, state: this.#state("", true) });
  }

  #state(text: string, assembly: boolean): EditorState {
    return EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        highlightActiveLine(),
        lintGutter(),
        assembly ? [nasm, syntaxHighlighting(colours)] : EditorView.lineWrapping,
        keymap.of([
          {
            key: "Mod-Enter",
            run: () => {
              this.#events.run();
              return true;
            },
          },
          ...defaultKeymap,
          ...historyKeymap,
          ...lintKeymap,
        ]),
        EditorView.contentAttributes.of({ "aria-label": "Source", spellcheck: "false", tabindex: "0" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) this.#events.changed(this.text);
        }),
      ],
    });
  }

  get text(): string {
    return this.#view.state.doc.toString();
  }

  /** Shows another text, with a history of its own. */
  show(text: string, assembly: boolean): void {
    this.#view.setState(this.#state(text, assembly));
  }

  /** Marks what is wrong; nothing: nothing is. */
  mark(marks: readonly Mark[]): void {
    const { doc } = this.#view.state;
    const diagnostics = marks.map(({ line, column, message }) => {
      const at = doc.line(Math.min(Math.max(1, line), doc.lines));
      const from = Math.min(at.from + column - 1, at.to);
      return { from, to: at.to, severity: "error" as const, message };
    });
    this.#view.dispatch(setDiagnostics(this.#view.state, diagnostics));
  }

  focus(): void {
    this.#view.focus();
  }

  destroy(): void {
    this.#view.destroy();
  }
}
