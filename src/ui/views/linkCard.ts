import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { bytes } from "../format.ts";
import { sumOfBytes } from "../guests.ts";
import { linkedSettings } from "../link/linked.ts";
import { filesOf } from "../prepared.ts";

/** What a link asks for, before anything of it is fetched or run. All that comes from the link is shown as text. */
export function linkCard(app: App): TemplateResult | typeof nothing {
  const linked = app.linked;
  if (!linked) return nothing;
  const { guest, link } = linked;
  const { memoryMb, vcpus, append } = linkedSettings(linked);
  const fetched = sumOfBytes(filesOf(app.planOf(linked)));
  const rows: [string, string][] = [
    ["Guest", guest.title],
    ["From this page", fetched ? bytes(fetched) : "nothing to fetch"],
    ...(link.disk
      ? ([
          ["Disk from", new URL(link.disk.url).host],
          ["Address", link.disk.url],
          ["Held to SHA-256", link.disk.sha256],
        ] as [string, string][])
      : []),
    ["Memory", `${memoryMb} MB`],
    ["Virtual CPUs", String(vcpus)],
    ...(append ? ([["Command line", append]] as [string, string][]) : []),
    ["Network", "off"],
    ["Written to disks", "gone at the end"],
  ];
  return html`
    <dialog
      class="sheet link-card"
      id="link"
      aria-labelledby="link-title"
      @cancel=${(event: Event) => {
        event.preventDefault();
        app.refuseLink();
      }}
    >
      <h2 id="link-title">Run the machine of this link?</h2>
      <p>
        Whoever made the link chose this. Nothing of it has been fetched or started yet.
        ${app.live ? "The machine that runs now would end." : nothing}
      </p>
      <dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
      <div class="sheet-footer">
        <button type="button" id="refuse-link" @click=${() => app.refuseLink()}>Not now</button>
        <button type="button" id="follow-link" class="primary" @click=${() => void app.followLink()}>Run it</button>
      </div>
    </dialog>
  `;
}
