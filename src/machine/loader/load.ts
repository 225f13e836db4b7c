/** The way in: loads whatever kernel it is given. */

import type { GuestMemory } from "../../shared/device.ts";
import { loadBzImage } from "./bzImage.ts";
import { identify } from "./identify.ts";
import { loadMultiboot } from "./multiboot.ts";
import { loadPvh } from "./pvh.ts";
import type { LoadConfig, LoadedKernel } from "./types.ts";

/**
 * Tells the kernel's format by content and places kernel, initrd, command line, memory map and tables in guest RAM.
 * The result says how the boot CPU starts and what went where. RAM below 1 MiB other than `placed` is not touched.
 *
 * @throws LoaderError, with one line, for files that cannot be used and for what does not fit. Guest memory may
 * then have been written in part.
 */
export function loadKernel(memory: GuestMemory, config: LoadConfig): LoadedKernel {
  const image = identify(config.kernel);
  switch (image.format) {
    case "bzImage":
      return loadBzImage(memory, config);
    case "pvh":
      return loadPvh(memory, config, image.elf, image.entry);
    case "multiboot":
      return loadMultiboot(memory, config, image.header, image.elf);
  }
}
