import { html, nothing, type TemplateResult } from "lit";
import { unsafeHTML } from "lit/directives/unsafe-html.js";
import type { CheckVerdict } from "../../lessons/grade.ts";
import { icons } from "../views/icons.ts";
import type { Course } from "./course.ts";
import { toHtml } from "./markdown.ts";
import { readFolder } from "./share.ts";

/** The lesson's text and checks, in place of the list of guests. */
export function coursePane(course: Course): TemplateResult {
  const { lesson, step, verdict } = course;
  const { title } = lesson.steps[step]!;
  const last = step === lesson.steps.length - 1;
  const done = course.passed(step);
  return html`
    <section class="guests lesson" aria-labelledby="lesson-title">
      <div class="lesson-head">
        <button type="button" class="icon-button" aria-label="Close the lesson" title="Close the lesson" @click=${() => course.close()}>
          ${icons.close}
        </button>
        <h2 id="lesson-title">${lesson.title}</h2>
      </div>
      <ol class="lesson-steps" aria-label="Steps">
        ${lesson.steps.map(
          ({ title: name }, i) => html`<li>
            <button
              type="button"
              aria-current=${i === step ? "step" : nothing}
              ?data-done=${course.passed(i)}
              title=${name}
              aria-label="Step ${i + 1}: ${name}${course.passed(i) ? ", done" : ""}"
              @click=${() => course.showStep(i)}
            >${course.passed(i) ? "✓" : i + 1}</button>
          </li>`,
        )}
      </ol>
      <div class="scroll" tabindex="0" role="region" aria-label="Step ${step + 1}">
        <h3 id="step-title" tabindex="-1">${title}</h3>
        <div class="prose">${unsafeHTML(toHtml(course.markdown(step)))}</div>
        ${checks(course)}
        ${verdict?.passed && last ? html`<p class="lesson-done">That is the whole lesson. Close it, and take the next one.</p>` : nothing}
        ${own(course)}
      </div>
      <div class="lesson-foot">
        <button type="button" id="grade" class=${done ? "" : "primary"} ?disabled=${course.grading || course.mistakes.length > 0} @click=${() => course.run()}>
          ${icons.play} ${course.grading ? "Running…" : "Run and check"}
        </button>
        <button type="button" ?disabled=${step === 0} @click=${() => course.showStep(step - 1)}>Back</button>
        <button type="button" class=${done && !last ? "primary" : ""} ?disabled=${last} @click=${() => course.showStep(step + 1)}>Next</button>
      </div>
    </section>
  `;
}

function checks(course: Course): TemplateResult {
  const { verdict, lesson, step } = course;
  const found = course.verdictsOf(step);
  return html`
    <h4>Checks</h4>
    ${
      verdict?.error
        ? html`<p class="check-say" role="alert">
            ${verdict.error.file === lesson.source ? "" : `${verdict.error.file}, `}Line ${verdict.error.line}:
            ${verdict.error.reason}. The program cannot be assembled, so nothing was run.
          </p>`
        : nothing
    }
    <ul class="checks">
      ${lesson.steps[step]!.checks.map(({ id, title }) =>
        check(
          title,
          found.find((c) => c.id === id),
        ),
      )}
    </ul>
  `;
}

function check(title: string, verdict: CheckVerdict | undefined): TemplateResult {
  const state = !verdict ? "open" : verdict.passed ? "passed" : "failed";
  const words = { open: "not run yet", passed: "passed", failed: "not yet" }[state];
  return html`
    <li data-state=${state}>
      <span class="check-title">${title} <span class="check-state">${words}</span></span>
      ${verdict && !verdict.passed ? html`<p class="check-seen">${verdict.seen}</p>` : nothing}
      ${verdict?.say ? html`<p class="check-say">${verdict.say}</p>` : nothing}
    </li>
  `;
}

/** For the learner to begin again, and for teachers to make another lesson of it. */
function own(course: Course): TemplateResult {
  return html`
    <details class="note lesson-own" ?open=${course.editing !== undefined || course.mistakes.length > 0}>
      <summary>${icons.info} Start over, solution, make it yours</summary>
      <div class="buttons">
        <button type="button" @click=${() => course.take("source")}>Start over</button>
        <button type="button" @click=${() => course.take("solution")}>Show the solution</button>
      </div>
      <p>
        Teachers: change any file of this lesson, and share what comes of it. A link holds the whole lesson; a folder can be graded
        by <code>tabhyve grade</code>, too.
      </p>
      <label class="lesson-file">
        In the editor
        <select @change=${(event: Event) => course.edit((event.target as HTMLSelectElement).value || undefined)}>
          <option value="" ?selected=${course.editing === undefined}>The program</option>
          ${course.files.map((name) => html`<option value=${name} ?selected=${course.editing === name}>${name}</option>`)}
        </select>
      </label>
      ${course.mistakes.length ? html`<ul class="check-say" role="alert">${course.mistakes.map((line) => html`<li>${line}</li>`)}</ul>` : nothing}
      <div class="buttons">
        <button type="button" @click=${() => course.copyLink()}>${icons.copy} Copy link</button>
        <button type="button" @click=${() => course.saveFolder()}>Save as a folder…</button>
        <button type="button" @click=${() => document.querySelector<HTMLInputElement>("#lesson-folder")?.click()}>Open a folder…</button>
        <input
          id="lesson-folder"
          type="file"
          hidden
          webkitdirectory
          aria-label="Folder of a lesson"
          @change=${async (event: Event) => {
            const input = event.target as HTMLInputElement;
            if (input.files?.length) await course.openFolder(await readFolder(input.files));
            input.value = "";
          }}
        />
      </div>
    </details>
  `;
}
