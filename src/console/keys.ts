/** The chords the console keeps for itself. Everything else, Ctrl-C included, goes to the guest. */

export type ConsoleChord = "copy" | "paste" | "release";

type Key = Pick<KeyboardEvent, "code" | "ctrlKey" | "shiftKey" | "altKey" | "metaKey">;

/** As people read it; shown beside the console at all times (WCAG 2.1.2, no keyboard trap). */
export const RELEASE_CHORD = "Ctrl+Alt+G";

/**
 * By physical key, so that they are the same on every layout. Ctrl+Shift+C/V are what Linux terminals use;
 * Ctrl+Alt+G is QEMU's chord for letting go of the keyboard.
 */
export function consoleChord(key: Key): ConsoleChord | undefined {
  if (key.metaKey || !key.ctrlKey) return undefined;
  if (key.shiftKey && !key.altKey) {
    if (key.code === "KeyC") return "copy";
    if (key.code === "KeyV") return "paste";
  }
  if (key.altKey && !key.shiftKey && key.code === "KeyG") return "release";
  return undefined;
}
