import { html, nothing, svg, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { icons } from "./icons.ts";
import { sheet } from "./sheet.ts";

/** The sheet with a link to the selected guest: what is in it, how long it is, and what else it can be passed on as. */
export function shareSheet(app: App): TemplateResult {
  const { shared } = app.links;
  return sheet("share", "Share this machine", shared ? body(app, shared) : html``);
}

function body(app: App, { link, says, snippet, code }: NonNullable<App["links"]["shared"]>): TemplateResult {
  const copy = (what: "link" | "snippet", id: string, label: string): TemplateResult =>
    html`<button type="button" id=${id} @click=${() => app.links.copy(what)}>${icons.copy} ${label}</button>`;
  const select = (event: Event): void => (event.target as HTMLInputElement).select();
  return html`
    <div class="setting">
      <label for="share-link">Link</label>
      <input id="share-link" type="text" readonly .value=${link} aria-describedby="share-says" @focus=${select} />
      <p class="hint" id="share-says">${link.length} characters: ${says}. No server sees what stands after the #.</p>
      ${copy("link", "copy-link", "Copy link")}
    </div>
    <div class="setting">
      <label for="share-snippet">Frame for a page of yours</label>
      <textarea id="share-snippet" readonly rows="4" .value=${snippet} @focus=${select}></textarea>
      ${copy("snippet", "copy-snippet", "Copy frame")}
    </div>
    ${code ? html`<div class="setting"><p class="setting-title">QR code</p>${qr(code)}</div>` : nothing}
  `;
}

/** Dark on white whatever the theme, with the quiet zone of four modules that readers want. */
function qr(code: readonly (readonly boolean[])[]): TemplateResult {
  const size = code.length + 8;
  const path = code.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x + 4} ${y + 4}h1v1h-1z` : ""))).join("");
  return html`<svg class="qr" viewBox="0 0 ${size} ${size}" role="img" aria-label="QR code of the link" shape-rendering="crispEdges">
    ${svg`<rect width=${size} height=${size} fill="#fff" /><path d=${path} fill="#000" />`}
  </svg>`;
}
