/** What cannot be used: one line on stderr that says what and why, status 2, and nothing else. */
import { closeSync, existsSync, openSync, readSync, statSync, truncateSync, utimesSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openMedium } from "../../src/cli/media.ts";
import { built, ROOT, Scratch, tabhyve } from "./command.ts";

const scratch = new Scratch();
beforeAll(built, 300_000);
afterAll(() => scratch.remove());

async function refused(args: readonly string[], why: RegExp): Promise<void> {
  const { status, stdout, stderr } = await tabhyve(args);
  expect(stderr).toMatch(/^tabhyve: [^\n]+\n$/);
  expect(stderr).toMatch(why);
  expect(stdout).toBe("");
  expect(status).toBe(2);
}

const MIB = 1 << 20;
const text = "This is not a kernel.\n".repeat(100);

/** An ELF header for a machine (System V ABI, e_machine), executable, without program headers. */
function elf(machine: number, bits: 32 | 64 = 64): Uint8Array {
  const out = new Uint8Array(4096);
  const view = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, machine, true);
  return out;
}

/** Linux's Image header (Documentation/arch/arm64/booting.rst, arch/riscv/boot-image-header.rst). */
function linuxImage(magic: string): Uint8Array {
  const out = new Uint8Array(4096);
  out.set(new TextEncoder().encode(magic), 0x38);
  return out;
}

/** The first sectors of a bzImage whose setup header promises 1 MiB more. */
function bzImage(length: number): Uint8Array {
  const out = new Uint8Array(4096);
  const view = new DataView(out.buffer);
  view.setUint8(0x1f1, 1); // setup_sects
  view.setUint32(0x1f4, MIB / 16, true); // syssize
  view.setUint16(0x1fe, 0xaa55, true); // boot_flag
  view.setUint16(0x200, 0x66eb, true); // jump
  view.setUint32(0x202, 0x5372_6448, true); // "HdrS"
  view.setUint16(0x206, 0x20f, true); // version
  view.setUint8(0x211, 1); // loadflags: LOADED_HIGH
  return out.subarray(0, length);
}

describe("a kernel that is none", () => {
  it.each<[string, string | Uint8Array, RegExp]>([
    ["an empty file", "", /kernel is an empty file; need a bzImage/],
    ["a text file", text, /kernel is a text file \(it begins "This is not a kernel/],
    ["an ELF for 32-bit ARM", elf(40, 32), /kernel is a 32-bit ELF file for 32-bit ARM .*need one for x86-64 or i386/],
    ["an ELF for AArch64", elf(183), /kernel is a 64-bit ELF file for AArch64/],
    ["an ELF for RISC-V", elf(243), /kernel is a 64-bit ELF file for RISC-V/],
    ["an ARM64 Image", linuxImage("ARMd"), /kernel is an ARM64 Linux Image/],
    ["a RISC-V Image", linuxImage("RSC\x05"), /kernel is a RISC-V Linux Image/],
    ["a gzip file", gzipSync(text), /kernel is gzip-compressed/],
    ["an ELF without an entry", elf(62), /without a PVH note or Multiboot header/],
    ["zeros", new Uint8Array(4096), /kernel is 4 KiB of zeros/],
  ])("%s", (name, content, why) => refused(["run", "--kernel", scratch.file(name, content)], why));
});

describe("a kernel that is cut short", () => {
  it.each([0x206, 600, 1024, 4096])("a bzImage after %i bytes", (length) =>
    refused(
      ["run", "--kernel", scratch.file("bzImage", bzImage(length))],
      new RegExp(`bzImage cut short: it should have 1049600 bytes but has ${length}; need the whole file`),
    ),
  );

  const head = (path: string, length: number): Uint8Array => {
    const out = new Uint8Array(length);
    const fd = openSync(path, "r");
    readSync(fd, out, 0, length, 0);
    closeSync(fd);
    return out;
  };
  const linux = `${ROOT}/guests/vmlinuz-cloud-amd64`;
  it.skipIf(!existsSync(linux)).each([0.5, 0.1, 0.001, 0.9])("%d of Debian's kernel", async (part) => {
    const cut = head(linux, Math.floor(statSync(linux).size * part));
    await refused(["run", "--kernel", scratch.file("vmlinuz", cut)], /bzImage cut short: it should have \d+ bytes/);
  });
  it.skipIf(!existsSync(linux)).each([64, 100, 511])("%d bytes of Debian's kernel", async (length) => {
    await refused(["run", "--kernel", scratch.file("vmlinuz", head(linux, length))], /need a bzImage, an ELF/);
  });

  const vmlinux = `${ROOT}/guests/vmlinux-cloud-amd64`;
  it.skipIf(!existsSync(vmlinux)).each([40, 100, 1_000_000])("%d bytes of its vmlinux", async (length) => {
    await refused(["run", "--kernel", scratch.file("vmlinux", head(vmlinux, length))], /ELF file cut short/);
  });
});

describe("a machine that is too small", () => {
  it("1 MiB for the embedded guest", () =>
    refused(["run", "--memory", "1M"], /kernel needs RAM up to .* the machine has 1 MiB/));

  const linux = `${ROOT}/guests/vmlinuz-cloud-amd64`;
  it.skipIf(!existsSync(linux))("1 MiB for Debian's kernel", () =>
    refused(["run", "--memory", "1M", "--kernel", linux], /kernel 6\S+ needs RAM up to .* the machine has 1 MiB/),
  );

  it("an initrd larger than RAM", () =>
    refused(
      ["run", "--memory", "4M", "--initrd", scratch.file("initrd", new Uint8Array(8 * MIB))],
      /initrd of 8 MiB does not fit: .* in 4 MiB of RAM/,
    ));
});

describe("a file", () => {
  it.each(["--kernel", "--initrd"])("%s that is missing", (option) =>
    refused(["run", option, scratch.path("missing")], new RegExp(`${option} .*missing: no such file or directory`)),
  );
  it.each(["--kernel", "--initrd"])("%s that is a folder", (option) =>
    refused(["run", option, scratch.folder], new RegExp(`${option} .*: is a directory`)),
  );
  it("that is a device without end", () =>
    refused(["run", "--kernel", "/dev/zero"], /--kernel \/dev\/zero: is a device/));
  // Also root may not read this one: the first page of a process's memory is not mapped.
  it.skipIf(!existsSync("/proc/self/mem"))("that cannot be read", () =>
    refused(["run", "--kernel", "/proc/self/mem"], /--kernel \/proc\/self\/mem: i\/o error/),
  );
  it("under a name that is a file's", () =>
    refused(["run", "--kernel", `${scratch.file("plain", text)}/x`], /not a directory/));
  it("an empty initrd", () => refused(["run", "--initrd", scratch.file("none", "")], /--initrd .*none: is empty/));
  it.each(["--serial", "--stats"])("%s that cannot be written", (option) =>
    refused(
      ["run", option, scratch.path("nowhere/file")],
      new RegExp(`${option} .*: cannot be written \\(no such file or directory\\)`),
    ),
  );
});

describe("an option", () => {
  it.each([
    ["--disk", "x"],
    ["--cdrom", "x"],
    ["--floppy", "x"],
    ["--keys", "a=>b"],
    ["--screen", "x"],
    ["--vgabios", "x"],
  ])("%s without firmware", (name, value) =>
    refused(["run", name, value], new RegExp(`${name}: needs firmware that boots a PC's drives; name one with --bios`)),
  );
  it("media that are none", async () => {
    const bios = scratch.file("bios", new Uint8Array(4096));
    const cut = scratch.file("cut", new Uint8Array(1000));
    const large = scratch.file("large", new Uint8Array(3_000_320));
    for (const [words, why] of [
      [["--disk", cut], /cut: 1000 bytes are not a whole number of sectors of 512; is it cut off\?/],
      [["--disk", scratch.file("none", "")], /none: is empty/],
      [["--disk", "/nowhere"], /--disk \/nowhere: no such file or directory/],
      [["--floppy", large], /more than a floppy disk has, 2880 KiB/],
      [["--cdrom", `${cut},overlay`], /a CD is not written, so ,overlay means nothing/],
    ] as [string[], RegExp][]) {
      await refused(["run", "--bios", bios, ...words], why);
    }
  }, 20_000);
  it("media on servers, and media that change", async () => {
    const bios = scratch.file("zeros", new Uint8Array(4096));
    const image = new Uint8Array(51_200);
    const server = createServer(({ url, headers }, response) => {
      const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "");
      if (url === "/none") response.writeHead(404).end();
      else if (url === "/whole" || !range) response.end(image);
      else {
        const [from, to] = [Number(range[1]), Number(range[2])];
        const size = url === "/odd" ? 1000 : image.length;
        response.writeHead(206, { "content-range": `bytes ${from}-${to}/${size}` }).end(image.subarray(from, to + 1));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const at = `http://127.0.0.1:${port}`;
      for (const [words, why] of [
        [["--disk", `${at}/none`], /--disk \S+\/none: the server answered 404/],
        [["--cdrom", `${at}/whole`], /--cdrom \S+: the server does not send parts of a file/],
        [["--disk", `${at}/odd`], /odd: 1000 bytes are not a whole number of sectors of 512/],
        [["--floppy", "http://127.0.0.1:9/x"], /--floppy \S+: cannot be fetched; the server is not there, or/],
        [["--deterministic", "--disk", `${at}/disk`], /when a server answers is not repeatable/],
        [
          Array(5)
            .fill(["--disk", `${at}/disk`])
            .flat(),
          /--disk: at most four drives, the CD drive included/,
        ],
      ] as [string[], RegExp][]) {
        await refused(["run", "--bios", bios, ...words], why);
      }
      // Four disks, one of them a server's, leave no room for a CD drive; and an image that lacks its end.
      const disk = new Uint8Array(51_200);
      disk.set([0x80, 0, 0, 0, 0x83], 446);
      disk.set([200], 446 + 12);
      disk.set([0x55, 0xaa], 510);
      const file = scratch.file("cut.img", disk);
      const disks = [file, `${file},overlay`, file, `${at}/disk`].flatMap((name) => ["--disk", name]);
      const { status, stderr } = await tabhyve(["run", "--bios", bios, ...disks, "--timeout", "0.3"]);
      expect(status).toBe(124);
      expect(stderr).toMatch(
        /^tabhyve: --disk \S+cut\.img: is cut off: partition 1 ends at byte 102400, the image at 51200$/m,
      );
    } finally {
      server.close();
    }
  }, 60_000);
  it("images whose end is missing", async () => {
    const cd = new Uint8Array(512 * 1000);
    cd.set(new TextEncoder().encode("\x01CD001\x01"), 0x8000);
    new DataView(cd.buffer).setUint32(0x8000 + 80, 300, true);
    new DataView(cd.buffer).setUint16(0x8000 + 128, 2048, true);
    const floppy = new Uint8Array(1024);
    floppy.set([0, 2], 11);
    floppy.set([0x40, 0x0b], 19);
    floppy.set([0x55, 0xaa], 510);
    for (const [kind, bytes, why] of [
      ["cdrom", cd, "its volume ends at byte 614400, the image at 512000"],
      ["cdrom", cd.subarray(0, 1000), "a CD's volume descriptor ends at byte 34816, the image at 1000"],
      ["floppy", floppy, "its file system ends at byte 1474560, the image at 1024"],
    ] as const) {
      const file = scratch.file("short", bytes);
      const told: string[] = [];
      await openMedium(kind, file, { tell: (line) => told.push(line) });
      expect(told).toEqual([`--${kind} ${file}: is cut off: ${why}`]);
    }
    // The command tells, and goes on with what is there.
    const bios = scratch.file("nothing", new Uint8Array(4096));
    const file = scratch.file("short.iso", cd);
    const { status, stderr } = await tabhyve(["run", "--bios", bios, "--cdrom", file, "--timeout", "0.3"]);
    expect(status).toBe(124);
    expect(stderr).toMatch(/^tabhyve: --cdrom \S+short\.iso: is cut off: its volume ends at byte 614400/m);
  }, 60_000);
  it("a file that changes under the machine", async () => {
    const file = scratch.file("changes", new Uint8Array(1024));
    const told: string[] = [];
    const medium = await openMedium("disk", `${file},overlay`, { tell: (line) => told.push(line) });
    const into = new Uint8Array(512);
    await medium.read(0, into);
    utimesSync(file, 1, 1);
    expect(() => medium.read(0, into)).toThrow(/changes: was changed while the machine used it/);
    const shrinks = scratch.file("shrinks", new Uint8Array(1024));
    const written = await openMedium("disk", shrinks, { tell: (line) => told.push(line) });
    truncateSync(shrinks, 512);
    expect(() => written.read(512, into)).toThrow(/shrinks: has become shorter than the 1024 bytes it had/);
    expect(told.map((line) => line.replace(/^.*\//, ""))).toEqual([
      "changes: was changed while the machine used it",
      "shrinks: has become shorter than the 1024 bytes it had",
    ]);
  });
  it.each<[string[], RegExp]>([
    [["run", "--kernal", "x"], /unknown option '--kernal'/],
    [["run", "vmlinuz"], /'vmlinuz': not an option of run/],
    [["run", "--kernel"], /'--kernel <file>' argument missing/],
    [["run", "--kernel", "a", "--kernel", "b"], /--kernel: given more than once/],
    [["run", "--timeout", "1", "--timeout", "1"], /--timeout: given more than once/],
    [["run", "--transport", "pigeon"], /--transport pigeon: not one of threaded, inline/],
    [["run", "--engine", "steam"], /--engine steam: not one of interp, jit, auto/],
    [["run", "--topology", "cores"], /--topology cores: 'cores' is not sockets=N, cores=N or threads=N/],
    [["run", "--gdb", "w,x,1234"], /--gdb w,x,1234: not \[w,\]\[i386,\]\[addr:\]port/],
    [["run", "--gdb", "w,w,1"], /--gdb w,w,1: not /],
    [["run", "--gdb", "70000"], /--gdb 70000: not /],
    [["run", "--gdb", "192.0.2.1:1"], /--gdb 192\.0\.2\.1:1: cannot assign requested address|address not available/],
    [["run", "--verify", "--gdb", "1"], /--verify: does not go with --gdb/],
    [["run", "--cpus", "4", "--topology", "cores=2"], /--topology: 1 sockets of 2 cores of 1 threads are not 4 vCPUs/],
    [["run", "--until", "("], /--until '\(': not a regular expression \(unterminated group\)/],
    [["run", "--send", "[=>x"], /--send '\[': not a regular expression/],
    [["run", "--send", "prompt"], /--send 'prompt': no => in it/],
    [["walk"], /no command 'walk'/],
    [[], /no command; there are run, chunks, disk, asm, grade, verify, vectors, fuzz, and gdb-bridge \(--help\)/],
    [["--frobnicate"], /unknown option '--frobnicate'/],
    [["vectors"], /missing required argument 'files'/],
  ])("%j", (args, why) => refused(args, why));
});

describe("a file of vectors", () => {
  const good = gzipSync(
    `${JSON.stringify({
      id: "self:add/64/0",
      mode: 64,
      code: "4801d8",
      rip: "101000",
      before: { gpr: Array(16).fill("0"), rflags: "202", mem: [] },
      after: { rip: "101003", rflags: "246" },
    })}\n`,
  );
  it.each<[string, string | Uint8Array, RegExp]>([
    ["empty", "", /is empty; need instruction vectors/],
    ["text", text, /line 1: not JSON/],
    ["other JSON", '{"id": "x", "before": {}, "after": {}}\n', /line 1: JSON, but not an instruction vector/],
    ["JSON null", "null\n", /line 1: JSON, but not an instruction vector/],
    ["truncated", good.subarray(0, good.length - 12), /not a whole gzip file/],
  ])("%s", (name, content, why) => refused(["vectors", scratch.file(`${name}.jsonl.gz`, content)], why));
  it("missing", () => refused(["vectors", scratch.path("no.jsonl.gz")], /no\.jsonl\.gz: no such file/));
  it("a folder", () => refused(["vectors", scratch.folder], /is a directory/));
});

it("a help text is none of these", async () => {
  for (const args of [["--help"], ["run", "--help"], ["vectors", "--help"]]) {
    const { status, stdout, stderr } = await tabhyve(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^Usage: tabhyve /);
  }
  const { stdout } = await tabhyve(["run", "--help"]);
  expect(stdout).toContain("--no-restart");
});
