/** The firmware that boots a lesson's program. The build assembles it (source.ts, scripts/assembled-images.mjs). */
import image from "virtual:lessons-firmware";

/** The last 64 KiB below 4 GiB; a new array at each call. */
export const lessonFirmware = (): Uint8Array => Uint8Array.from(atob(image), (c) => c.charCodeAt(0));
