/** SeaBIOS and its VGA ROM, where they are prepared (npm run guests -- pc); else a line says so. */
import { existsSync } from "node:fs";
import { join } from "node:path";

const files = ["bios-256k.bin", "vgabios-stdvga.bin"].map((name) => join(import.meta.dirname, "../../guests", name));

export const firmware: readonly string[] | undefined = files.every((path) => existsSync(path)) ? files : undefined;
if (!firmware)
  process.stderr.write("\n*** NOT TESTED: SeaBIOS is not in guests/. Prepare it: npm run guests -- pc\n\n");
