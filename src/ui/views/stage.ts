import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../app.ts";
import { openDialog } from "../dialogs.ts";
import { bytes } from "../format.ts";
import { isPc } from "../guests.ts";
import { type ImageRole, MEDIA, titleOf } from "../images.ts";
import { preparedOf } from "../prepared.ts";
import type { Problem, ProblemAction } from "../problems.ts";
import { hasDrives } from "../session.ts";
import { chooseTransport, effective } from "../settings.ts";
import { icons } from "./icons.ts";
import { problemPanel, progressPanel } from "./panels.ts";

/**
 * The console, and what may lie over it: the selected guest before a start, progress during one, a problem after.
 * The console's element keeps its place and size under all of them, so nothing jumps.
 */
export function stage(app: App): TemplateResult {
  return html`
    <div class="stage">
      <div
        id="console"
        ?inert=${app.showsSummary || app.problem !== undefined || app.view === "screen"}
        ?data-covered=${app.view === "screen"}
      ></div>
      <div id="screen" ?hidden=${app.view !== "screen"} ?inert=${app.showsSummary || app.problem !== undefined}></div>
      ${app.problem ? problem(app, app.problem) : app.showsSummary ? summary(app) : progress(app)}
    </div>
  `;
}

function summary(app: App): TemplateResult {
  if (!app.guests) return html`<div class="over opaque"></div>`; // which guest is not known yet
  const guest = app.selected;
  const { memoryMb, append, vcpus, url } = effective(guest, app.settings);
  const own = guest.kind === "own";
  const rows: [string, TemplateResult | string][] = own
    ? (app.own.bios ? (["bios", "vgabios", ...MEDIA] as const) : (["kernel", "initrd", "disk", "disk2"] as const)).map(
        (r) => ownRow(app, r),
      )
    : guest.files.map((f) => [titleOf(f.role), html`${f.name} <span class="dim">${bytes(f.bytes)}</span>`]);
  const snapshot = preparedOf(app.planFor(guest));
  if (snapshot)
    rows.push([
      "Starts from",
      html`${snapshot.name} <span class="dim">${bytes(snapshot.bytes)}, where it has booted</span>`,
    ]);
  if (isPc(guest)) rows.push(...MEDIA.map((role) => ownRow(app, role)));
  if (guest.kind !== "embedded" && !isPc(guest) && !(own && app.own.bios))
    rows.push(["Command line", html`<code>${append || "(empty)"}</code>`]);
  if (guest.packages.length) {
    rows.push([
      "Made from",
      html`${guest.packages.map((p) => html`<span>${p.name} <span class="dim">${p.version}</span></span>`)}`,
    ]);
  }
  if (url && hasDrives(guest)) rows.push(["On a web server", html`<code>${url}</code>`]);
  rows.push(["Memory", `${memoryMb} MB`]);
  if (vcpus > 1) rows.push(["Virtual CPUs", `${vcpus}`]);
  rows.push(["Transport", chooseTransport(app.settings.transport, app.isolated)]);
  return html`
    <div class="over opaque">
      <div class="panel summary">
        <h2>${guest.title}</h2>
        <p class="lead">${guest.description}</p>
        <dl class="facts">${rows.map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>
        <div class="buttons">
          <button type="button" class="primary large" id="start" ?disabled=${!app.startable} @click=${() => app.start()}>
            ${icons.play} Start
          </button>
          <button type="button" class="large" @click=${() => openDialog("settings")}>${icons.settings} Settings</button>
          <button type="button" class="large" id="share-button" ?disabled=${own && !app.startable} @click=${() => app.links.share()}>${icons.share} Share…</button>
        </div>
        <p class="hint">${own && !app.own.kernel ? "Open a kernel, or drop one anywhere on this page." : "Nothing leaves this tab: the machine runs in your browser."}</p>
      </div>
    </div>
  `;
}

function ownRow(app: App, role: ImageRole): [string, TemplateResult] {
  const brought = app.own[role];
  const name = titleOf(role);
  if (!brought) {
    const choose = (): void => document.querySelector<HTMLInputElement>("#files")?.click();
    return [
      name,
      html`<button type="button" class="link" @click=${choose}>Choose a file…</button>
        <span class="dim">${role === "kernel" ? "needed" : "optional"}</span>`,
    ];
  }
  return [
    name,
    html`${brought.file.name}
      <button type="button" class="icon-button small" aria-label="Remove ${name.toLowerCase()}" title="Remove" @click=${() => app.removeFile(role)}>
        ${icons.close}
      </button>
      <span class="dim">${bytes(brought.file.size)}, ${brought.what}</span>`,
  ];
}

function progress(app: App): TemplateResult | typeof nothing {
  const { session } = app;
  if (!session?.steps) return nothing;
  const instructions = session.handle ? session.meter.instructions : 0;
  const cancel = html`<button type="button" @click=${() => app.cancel()}>Cancel</button>`;
  return progressPanel(session.plan.guest.title, session.steps, instructions, cancel);
}

const ACTIONS: Record<ProblemAction, string> = {
  retry: "Try again",
  reset: "Reset the machine",
  smaller: "Start with half the memory",
  settings: "Open settings",
  inline: "Start with the inline transport",
  files: "Choose files…",
  reload: "Reload the page",
  inspect: "What happened?",
};

function problem(app: App, p: Problem): TemplateResult {
  return problemPanel(
    p,
    html`
      ${p.actions.map(
        (action, i) =>
          html`<button type="button" class=${i === 0 ? "primary" : ""} @click=${() => app.act(action)}>${ACTIONS[action]}</button>`,
      )}
      <button type="button" @click=${() => app.dismissProblem()}>Dismiss</button>
    `,
  );
}
