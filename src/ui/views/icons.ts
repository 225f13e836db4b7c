import { html, type SVGTemplateResult, svg, type TemplateResult } from "lit";

/** Icons: 16x16, drawn with the text's colour, hidden from assistive technology (a label stands beside each). */
const icon = (body: SVGTemplateResult): TemplateResult =>
  html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">${body}</svg>`;

const line = (d: string): TemplateResult =>
  icon(
    svg`<path d=${d} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>`,
  );
const solid = (d: string): TemplateResult => icon(svg`<path d=${d} fill="currentColor"/>`);

export const icons = {
  play: solid("M4.5 2.6v10.8a.6.6 0 0 0 .9.5l8.6-5.4a.6.6 0 0 0 0-1L5.4 2.1a.6.6 0 0 0-.9.5z"),
  pause: solid("M4 2.5h2.6v11H4zM9.4 2.5H12v11H9.4z"),
  reset: line("M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3"),
  power: line("M8 2v6M4.5 4.3a5 5 0 1 0 7 0"),
  copy: line("M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3"),
  share: line("M8 10V2M5 4.5L8 1.8l3 2.7M4.5 7.5h-2v6.5h11V7.5h-2"),
  paste: line("M5.5 3H3.5v10.5h9V3h-2M5.5 1.8h5v2.6h-5z"),
  more: solid(
    "M3 6.7a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6zm5 0a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6zm5 0a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6z",
  ),
  saved: line("M2.5 2.5h9l2 2v9h-11zM5 2.5v3.5h5v-3.5M5 13.5v-4h6v4"),
  inspect: line("M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.3 10.3L14 14"),
  settings: line(
    "M2 4.5h6M12 4.5h2M2 11.5h2M8 11.5h6M10 2.7a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zM6 9.7a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6z",
  ),
  sun: line(
    "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM8 1.2v1.3M8 13.5v1.3M1.2 8h1.3M13.5 8h1.3M3.2 3.2l.9.9M11.9 11.9l.9.9M3.2 12.8l.9-.9M11.9 4.1l.9-.9",
  ),
  moon: line("M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1z"),
  file: line("M4 1.8h5l3.5 3.5v8.9H4zM9 1.8v3.5h3.5"),
  close: line("M4 4l8 8M12 4l-8 8"),
  check: line("M3 8.5l3.2 3.2L13 5"),
  alert: line("M8 2L1.5 13.5h13zM8 6.5v3M8 11.6v.1"),
  info: line("M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 7.3v3.5M8 5.2v.1"),
  tick: solid("M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6z"),
};

/** The mark: a cell of a comb with a prompt in it. */
export const logo = html`<svg class="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
  <path d="M16 1.8 28.3 8.9v14.2L16 30.2 3.7 23.1V8.9z" fill="var(--honey)" />
  <path d="M10.5 11.5 15 16l-4.5 4.5M17.5 20.5h5" fill="none" stroke="#231a04" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" />
</svg>`;
