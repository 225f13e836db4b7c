import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { linkFacts } from "../link/linked.ts";

/** What a link asks for, before anything of it is fetched or run. All that comes from the link is shown as text. */
export function linkCard(app: App): TemplateResult | typeof nothing {
  const { asked, manifest } = app.links;
  if (manifest !== undefined) {
    return card(app, "link-manifest", "Fetch the description of a machine?", {
      text: html`Whoever made the link put it on a server. It is text; what it asks for is shown before anything is run.`,
      facts: [
        ["From", new URL(manifest).host],
        ["Address", manifest],
      ],
      yes: html`<button type="button" id="fetch-manifest" class="primary" @click=${() => void app.links.fetchManifest()}>Fetch it</button>`,
    });
  }
  if (!asked) return nothing;
  return card(app, "link", "Run the machine of this link?", {
    text: html`
      Whoever made the link chose this. Nothing of the machine has been fetched or started yet.
      ${app.live ? "The machine that runs now would end." : nothing}
    `,
    facts: linkFacts(asked, app.links.planOf(asked)),
    yes: html`<button type="button" id="follow-link" class="primary" @click=${() => void app.links.follow()}>Run it</button>`,
  });
}

interface Card {
  readonly text: TemplateResult;
  readonly facts: readonly (readonly [string, string])[];
  readonly yes: TemplateResult;
}

function card(app: App, id: string, title: string, { text, facts, yes }: Card): TemplateResult {
  return html`
    <dialog
      class="sheet link-card"
      id=${id}
      aria-labelledby="${id}-title"
      @cancel=${(event: Event) => {
        event.preventDefault();
        app.links.refuse();
      }}
    >
      <div class="sheet-body">
        <header><h2 id="${id}-title">${title}</h2></header>
        <p>${text}</p>
        <dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
        <div class="sheet-footer">
          <button type="button" id="refuse-link" @click=${() => app.links.refuse()}>Not now</button>
          ${yes}
        </div>
      </div>
    </dialog>
  `;
}
