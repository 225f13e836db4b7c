import { type ImageRole, identifyImage, NO_BOOT_SECTOR } from "./images.ts";
import type { KeptMedium } from "./machineHandle.ts";
import { type Problem, problemOfFile } from "./problems.ts";

/** A file a person brought. Its content is read when a machine starts, not before. */
export interface OwnFile {
  /** Or a disk that the browser keeps whole. */
  file: File | (KeptMedium & { readonly size: number });
  what: string;
}

export type OwnFiles = Partial<Record<ImageRole, OwnFile>>;

/** An ISO 9660 image has its magic at 32 KiB; everything else is known from the first 8. */
const HEAD = 36 * 1024;

/**
 * Sorts dropped or chosen files into kernel, initrd, firmware and media. A file that is neither is refused and named; the others
 * still count. Of two kernels the last one is taken; of two disks, one with a boot sector comes first.
 */
export async function sortFiles(files: Iterable<File>): Promise<{ found: OwnFiles; problem?: Problem }> {
  const found: OwnFiles = {};
  let problem: Problem | undefined;
  for (const file of files) {
    try {
      const kind = identifyImage(
        new Uint8Array(await file.slice(0, HEAD).arrayBuffer()),
        file.size,
        new Uint8Array(await file.slice(-16).arrayBuffer()),
        file.name,
      );
      const own = { file, what: kind.what };
      if (kind.role === "disk") addDisk(found, own);
      else if (kind.role) found[kind.role] = own;
      else problem = problemOfFile(file.name, kind.what);
    } catch {
      // A folder, or a file that went away between the drop and now.
      problem = problemOfFile(file.name, "not readable: a folder, or removed since");
    }
  }
  return problem ? { found, problem } : { found };
}

function addDisk(found: OwnFiles, disk: OwnFile): void {
  if (!found.disk) found.disk = disk;
  else if (found.disk.what === NO_BOOT_SECTOR && disk.what !== NO_BOOT_SECTOR) {
    found.disk2 = found.disk;
    found.disk = disk;
  } else found.disk2 = disk;
}
