/** Opening the inspector, which is not loaded before, and closing it. */
import type { App } from "../app.ts";

/** Opens the inspector, or closes it; the focus goes along. */
export async function toggleInspector(app: App): Promise<void> {
  const open = app.inspector;
  if (open) app.inspector = undefined;
  else app.inspector = new (await import("./inspector.ts")).InspectorUi(app);
  app.showPane(open ? "console" : "inspector");
  const next = open ? "#inspect-button" : "#inspect-panel";
  queueMicrotask(() => document.querySelector<HTMLElement>(next)?.focus());
  await open?.close();
}
