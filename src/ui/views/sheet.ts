import { html, type TemplateResult } from "lit";
import { closeDialog } from "../dialogs.ts";
import { icons } from "./icons.ts";

/** A modal dialog with a title, so that the browser keeps the focus inside and Escape closes it, as the backdrop does. */
export function sheet(id: string, title: string, body: TemplateResult): TemplateResult {
  const close = (): void => closeDialog(id);
  return html`
    <dialog
      id=${id}
      class="sheet"
      aria-labelledby="${id}-title"
      @click=${(e: MouseEvent) => {
        if (e.target === e.currentTarget) close();
      }}
    >
      <div class="sheet-body">
        <header>
          <h2 id="${id}-title">${title}</h2>
          <button type="button" class="icon-button" aria-label="Close ${title.toLowerCase()}" @click=${close}>${icons.close}</button>
        </header>
        ${body}
      </div>
    </dialog>
  `;
}
