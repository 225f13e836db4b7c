/** States of a machine, and of the page before there is one, for people. */
export const STATE_NAMES = {
  none: "No machine",
  preparing: "Starting",
  ready: "Ready",
  running: "Running",
  paused: "Paused",
  off: "Off",
  failed: "Stopped",
} as const;
