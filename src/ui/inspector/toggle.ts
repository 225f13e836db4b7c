/** Opening the inspector, which is not loaded before, and closing it. */
import type { App } from "../app.ts";

/** When it is there. */
const focusOn = (selector: string): void =>
  queueMicrotask(() => document.querySelector<HTMLElement>(selector)?.focus());

/** Opens the inspector at what a triple fault was made of. */
export async function inspectFault(app: App): Promise<void> {
  app.dismissProblem();
  if (!app.inspector) await toggleInspector(app);
  app.showPane("inspector");
  app.inspector?.show("autopsy");
  focusOn("#inspect-panel");
}

/** Opens the inspector, or closes it; the focus goes along. */
export async function toggleInspector(app: App): Promise<void> {
  const open = app.inspector;
  if (open) app.inspector = undefined;
  else app.inspector = new (await import("./inspector.ts")).InspectorUi(app);
  app.showPane(open ? "console" : "inspector");
  focusOn(open ? "#inspect-button" : "#inspect-panel");
  await open?.close();
}
