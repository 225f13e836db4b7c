/** `tabhyve chunks` and `tabhyve disk`: disks as files. */
import type { Command } from "commander";
import { type ChunkWords, makeChunks } from "../chunks.ts";
import { exportDisk, importDisk } from "../disk.ts";
import { single, word } from "./common.ts";

export function addDisks(program: Command): void {
  program
    .command("chunks")
    .description("make a disk in chunks of an image, for --disk FOLDER/manifest.json or its URL on any server of files")
    .argument("<image>", "a disk: raw, qcow2 or in chunks, a file or URL")
    .argument("<folder>", "takes manifest.json and chunks/")
    .addOption(single("--prefetch <list>", "what a boot reads, as run --record-prefetch has written it", word))
    .action(async (image: string, folder: string, words: ChunkWords) => {
      const { chunks, zeros, written, bytes, stored } = await makeChunks(image, folder, words);
      process.stdout.write(
        `${chunks} chunks, ${zeros} of them zeros, ${written} written; ${stored} bytes for a disk of ${bytes}\n`,
      );
    });

  const disk = program
    .command("disk")
    .description("what a guest has written to a disk with ,overlay=FOLDER, as a raw image, and back");
  disk
    .command("export")
    .description("write the disk, as it was last flushed, as a raw image")
    .argument("<folder>", "the overlay's")
    .argument("<image>", "what it lies over")
    .argument("<out>", "a file that is not there yet")
    .action(async (folder: string, image: string, out: string) => {
      process.stdout.write(`${await exportDisk(folder, image, out)} bytes\n`);
    });
  disk
    .command("import")
    .description("make the overlay hold what differs between the image and a raw image")
    .argument("<folder>", "the overlay's; made if it is not there")
    .argument("<image>", "what it lies over")
    .argument("<raw>", "what the guest is to see, as long as the image")
    .action(async (folder: string, image: string, raw: string) => {
      process.stdout.write(`${await importDisk(folder, image, raw)} bytes differ\n`);
    });
}
