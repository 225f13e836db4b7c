import { html, nothing, type TemplateResult } from "lit";
import { bytes, count } from "../format.ts";
import type { Problem } from "../problems.ts";
import type { Step } from "../session.ts";
import { icons } from "./icons.ts";

/** Panels over a console, in the page and in other people's: what is under way, and what went wrong. */

/** @param instructions that the guest has executed, once it boots; else 0 */
export function progressPanel(
  title: string,
  steps: readonly Step[],
  instructions: number,
  buttons: TemplateResult,
): TemplateResult {
  return html`
    <div class="over opaque">
      <div class="panel progress" role="group" aria-label="Progress">
        <h2>Starting ${title}</h2>
        <ul class="steps">
          ${steps.map((s) => step(s, instructions))}
        </ul>
        <div class="buttons">${buttons}</div>
      </div>
    </div>
  `;
}

function step(s: Step, instructions: number): TemplateResult {
  const text =
    s.state === "checking"
      ? "checking SHA-256"
      : s.total !== undefined
        ? `${bytes(s.done)} of ${bytes(s.total)}`
        : s.label === "Boot" && instructions > 0
          ? `${count(instructions)} instructions, no output yet`
          : { waiting: "waiting", busy: "working", done: "ready" }[s.state];
  const check = s.verified === undefined ? "" : s.verified ? "SHA-256 verified" : "not verified (page is not on https)";
  return html`
    <li data-state=${s.state}>
      <span class="step-label">${s.label}</span>
      <progress
        aria-label=${s.label}
        max=${s.total || 1}
        value=${s.state === "done" ? s.total || 1 : s.total ? s.done : s.state === "waiting" ? 0 : nothing}
      ></progress>
      <span class="step-text">${text}${check ? html` · ${check}` : nothing}</span>
    </li>
  `;
}

export function problemPanel(p: Problem, buttons: unknown): TemplateResult {
  const where = Object.entries(p.where ?? {});
  return html`
    <div class="over">
      <div class="panel problem" role="alertdialog" aria-labelledby="problem-title" aria-describedby="problem-cause" data-kind=${p.kind}>
        <h2 id="problem-title">${icons.alert}<span>${p.title}</span></h2>
        <p id="problem-cause" class="cause">${p.cause}</p>
        ${where.length ? html`<dl class="facts registers">${where.map(([k, v]) => html`<dt>${k}</dt><dd><code>${v}</code></dd>`)}</dl>` : nothing}
        <p class="remedy">${p.remedy}</p>
        <div class="buttons">${buttons}</div>
      </div>
    </div>
  `;
}
