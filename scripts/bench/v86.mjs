// Runs v86 (the npm package) on a Linux kernel or on disks, its COM1 on stdin and stdout: node v86.mjs OPTIONS-AS-JSON
// {bios, vgaBios, kernel, initrd, hda, hdb: paths; share: path of a file for its shared folder; append: string;
// memory: bytes}
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const main = createRequire(import.meta.url).resolve("v86");
const { V86 } = await import(pathToFileURL(main).href);
const options = JSON.parse(process.argv[2]);

function file(path) {
  const data = readFileSync(path);
  return { buffer: data.buffer.slice(data.byteOffset, data.byteOffset + data.length) };
}

const emulator = new V86({
  wasm_path: join(dirname(main), "v86.wasm"),
  bios: file(options.bios),
  vga_bios: file(options.vgaBios),
  ...(options.kernel && { bzimage: file(options.kernel), initrd: file(options.initrd), cmdline: options.append }),
  ...(options.hda && { hda: file(options.hda) }),
  ...(options.hdb && { hdb: file(options.hdb) }),
  ...(options.share && { filesystem: {} }),
  memory_size: options.memory,
  disable_speaker: true,
  autostart: !options.share,
});
if (options.share) {
  emulator.add_listener("emulator-ready", async () => {
    await emulator.create_file(basename(options.share), new Uint8Array(readFileSync(options.share)));
    emulator.run();
  });
}
// On a pipe each write is done when it returns, so whoever takes the time sees a byte when the guest has sent it.
emulator.add_listener("serial0-output-byte", (byte) => process.stdout.write(Buffer.of(byte)));
process.stdin.setEncoding("latin1").on("data", (text) => emulator.serial0_send(text));
