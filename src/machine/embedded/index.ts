/**
 * The embedded guest: a few KB of x86-64 code that report on the machine and take commands on the serial line. It is
 * what boots when no kernel is given. The build assembles it (source.ts, scripts/assembled-images.mjs).
 */

import image from "virtual:embedded-guest";

/**
 * The guest as a Multiboot 1 image (flat, loaded at 1 MiB) for `loadKernel`; a new array at each call. It needs
 * 2 MiB of RAM. A word `version=…` on its command line goes into its banner.
 */
export function embeddedGuest(): Uint8Array {
  return Uint8Array.from(atob(image), (c) => c.charCodeAt(0));
}
