import { describe, expect, test } from "vitest";
import { InputPump, PASTE_END, PASTE_START, pasteText, portions } from "../../src/console/inputPump.ts";
import { consoleChord } from "../../src/console/keys.ts";
import { HIGH_WATER, LOW_WATER, OutputPump } from "../../src/console/outputPump.ts";
import { bytes, count, duration } from "../../src/ui/format.ts";
import { ManifestError, parseManifest, parseMemory } from "../../src/ui/guests.ts";
import { identifyImage } from "../../src/ui/images.ts";
import { sortFiles } from "../../src/ui/ownFiles.ts";
import { problemOf } from "../../src/ui/problems.ts";
import { loadSettings } from "../../src/ui/settings.ts";

/** The page's parts that need no browser. */

const file = (size: number, ...parts: [at: number, ...data: number[]][]): Uint8Array => {
  const data = new Uint8Array(size);
  for (const [at, ...values] of parts) data.set(values, at);
  return data;
};
const text = (s: string): number[] => [...new TextEncoder().encode(s)];

describe("identifyImage", () => {
  test.each([
    ["bzImage", file(0x400, [510, 0x55, 0xaa], [0x202, ...text("HdrS")], [0x206, 15, 2]), "kernel", /2\.15/],
    ["x86-64 ELF", file(64, [0, 0x7f, ...text("ELF"), 2, 1], [18, 62, 0]), "kernel", /64-bit ELF for x86-64/],
    ["i386 ELF", file(64, [0, 0x7f, ...text("ELF"), 1, 1], [18, 3, 0]), "kernel", /32-bit ELF for i386/],
    ["AArch64 ELF", file(64, [0, 0x7f, ...text("ELF"), 2, 1], [18, 183, 0]), undefined, /AArch64/],
    ["big-endian PowerPC64 ELF", file(64, [0, 0x7f, ...text("ELF"), 2, 2], [18, 0, 21]), undefined, /PowerPC64/],
    ["Multiboot", file(8192, [4096, 0x02, 0xb0, 0xad, 0x1b]), "kernel", /Multiboot/],
    ["Multiboot magic out of reach", file(16384, [8192, 0x02, 0xb0, 0xad, 0x1b]), undefined, /unknown/],
    ["gzip", file(32, [0, 0x1f, 0x8b]), "initrd", /gzip/],
    ["xz", file(32, [0, 0xfd, ...text("7zXZ"), 0]), "initrd", /xz/],
    ["zstd", file(32, [0, 0x28, 0xb5, 0x2f, 0xfd]), "initrd", /zstd/],
    ["lz4", file(32, [0, 0x02, 0x21, 0x4c, 0x18]), "initrd", /lz4/],
    ["cpio", file(128, [0, ...text("070701")]), "initrd", /cpio/],
    ["AArch64 Image", file(128, [0x38, ...text("ARM"), 0x64]), undefined, /AArch64/],
    ["ISO", file(0x9000, [0x8001, ...text("CD001")]), "cdrom", /ISO 9660/],
    ["disk", file(1024, [510, 0x55, 0xaa]), "disk", /boot sector/],
    ["disk that is cut off", file(1030, [510, 0x55, 0xaa]), undefined, /cut off/],
    ["floppy disk", file(737_280, [0, 0xeb]), "floppy", /720 KB/],
    ["firmware", file(0x2_0000, [0x1_fff0, 0xea]), "bios", /firmware/],
    ["VGA BIOS", file(0x9000, [0, 0x55, 0xaa, 0x48]), "vgabios", /option ROM/],
    ["text", Uint8Array.from(text("hello\n")), undefined, /text/],
    ["nothing", new Uint8Array(0), undefined, /empty/],
    ["truncated bzImage", file(0x204, [0x202, 0x48, 0x64]), undefined, /unknown/],
  ])("%s", (_, data, role, what) => {
    const kind = identifyImage(data);
    expect(kind.role).toBe(role);
    expect(kind.what).toMatch(what);
  });
});

describe("parseManifest", () => {
  const kernel = { file: "vmlinuz", bytes: 10, sha256: "AB".repeat(32) };
  const parse = (change: object) => parseManifest({ guests: [{ id: "a", title: "A", kernel, ...change }] });

  test("fills in what may be absent", () => {
    expect(parse({ memory: "256M" })).toMatchObject([
      {
        id: "a",
        files: [{ role: "kernel", sha256: "ab".repeat(32) }],
        memory: 256 << 20,
        packages: [],
        kind: "manifest",
      },
    ]);
  });

  test.each([
    [{ kernel: { ...kernel, file: "../x" } }, /plain file name/],
    [{ kernel: { ...kernel, file: "a?b" } }, /plain file name/],
    [{ kernel: { ...kernel, sha256: "12" } }, /64 hex digits/],
    [{ kernel: { ...kernel, bytes: -1 } }, /not a size/],
    [{ kernel: undefined }, /kernel.file/],
    [{ initrd: {} }, /initrd.file/],
    [{ memory: "lots" }, /memory/],
    [{ id: "embedded" }, /used twice/],
    [{ title: 3 }, /title/],
  ])("refuses %j", (change, message) => {
    expect(() => parse(change)).toThrow(ManifestError);
    expect(() => parse(change)).toThrow(message);
  });

  test("refuses what is no list", () => {
    for (const data of [null, [], "x", { guests: {} }]) expect(() => parseManifest(data)).toThrow(ManifestError);
  });

  test("memory sizes", () => {
    expect([64, "64K", "1G", "2 MiB", "", "1.5G", -1, null].map(parseMemory)).toEqual([
      64,
      65536,
      2 ** 30,
      2 ** 21,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe("OutputPump", () => {
  /** A terminal that parses when told to. */
  const rig = () => {
    const written: number[] = [];
    const holds: boolean[] = [];
    const parsed: (() => void)[] = [];
    const later: (() => void)[] = [];
    const clock = { now: 0 };
    const pump = new OutputPump({
      write: (b, done) => {
        written.push(...b);
        parsed.push(done);
      },
      hold: (held) => void holds.push(held),
      now: () => clock.now,
      later: (run) => void later.push(run),
    });
    return { pump, written, holds, parsed, later, clock };
  };

  test("one small chunk at a time, all bytes in order", () => {
    const { pump, written, parsed, later } = rig();
    const data = Uint8Array.from({ length: 20_000 }, (_, i) => i * 7);
    pump.push(data.slice(0, 9000));
    pump.push(data.slice(9000));
    expect(parsed.length).toBe(1);
    expect(written.length).toBeLessThanOrEqual(4096);
    for (let done = parsed.shift(); done; done = parsed.shift()) done();
    expect(later.length).toBe(0);
    expect(written).toEqual([...data]);
    expect(pump.pending).toBe(0);
  });

  test("gives the browser a turn when its slice is used up", () => {
    const { pump, parsed, later, clock } = rig();
    pump.push(new Uint8Array(10_000));
    clock.now = 9;
    parsed.shift()!();
    expect(parsed.length).toBe(0);
    expect(later.length).toBe(1);
    later.shift()!();
    expect(parsed.length).toBe(1);
  });

  test("holds the UART above the high mark until below the low one", () => {
    const { pump, holds, parsed } = rig();
    pump.push(new Uint8Array(HIGH_WATER + 8192));
    expect(holds).toEqual([true]);
    while (pump.pending > LOW_WATER + 4096) parsed.shift()!();
    expect(holds).toEqual([true]);
    while (pump.pending > LOW_WATER) parsed.shift()!();
    parsed.shift()!();
    expect(holds).toEqual([true, false]);
  });

  test("clear releases a hold and drops what is queued", () => {
    const { pump, holds, written, parsed } = rig();
    pump.push(new Uint8Array(HIGH_WATER + 8192));
    pump.clear();
    parsed.shift()!();
    expect(holds).toEqual([true, false]);
    expect(written.length).toBe(4096);
  });
});

describe("pasting", () => {
  test("removes what could end the bracket or press control keys", () => {
    const nasty = "a\x1b[201~b\x03c\x9bd\te\r\nf\ng\x7f";
    expect(pasteText(nasty, false)).toBe("a[201~bcd\te\rf\rg");
    expect(pasteText(nasty, true)).toBe(`${PASTE_START}a[201~bcd\te\rf\rg${PASTE_END}`);
  });

  test("portions put together are the whole, and cut neither characters nor markers", () => {
    for (let pad = 100; pad < 140; pad++) {
      const whole = new TextEncoder().encode(pasteText(`${"x".repeat(pad)}€😀${"é".repeat(100)}`, true));
      const cut = [...portions(whole)];
      expect(cut.flatMap((p) => [...p])).toEqual([...whole]);
      for (const p of cut) {
        expect(() => new TextDecoder("utf-8", { fatal: true }).decode(p)).not.toThrow();
        const esc = p.lastIndexOf(0x1b);
        if (esc >= 0) expect(p.length - esc).toBeGreaterThanOrEqual(6);
      }
    }
  });

  test("keys wait behind a paste; without one they go at once", async () => {
    const sent: string[] = [];
    const pump = new InputPump((b) => void sent.push(new TextDecoder().decode(b)));
    pump.key("k");
    expect(sent.join("")).toBe("k");
    pump.paste("p".repeat(300));
    pump.key("z");
    expect(sent.join("")).toBe(`k${"p".repeat(128)}`);
    await expect.poll(() => sent.join("")).toBe(`k${"p".repeat(300)}z`);
  });
});

test("chords: Ctrl-C belongs to the guest", () => {
  const key = (code: string, mods: string) => ({
    code,
    ctrlKey: mods.includes("c"),
    shiftKey: mods.includes("s"),
    altKey: mods.includes("a"),
    metaKey: mods.includes("m"),
  });
  expect(consoleChord(key("KeyC", "c"))).toBeUndefined();
  expect(consoleChord(key("KeyC", "cs"))).toBe("copy");
  expect(consoleChord(key("KeyV", "cs"))).toBe("paste");
  expect(consoleChord(key("KeyG", "ca"))).toBe("release");
  expect(consoleChord(key("KeyG", "c"))).toBeUndefined();
  expect(consoleChord(key("KeyC", "csm"))).toBeUndefined();
});

test("numbers", () => {
  expect([0, 1023, 1536, 5 << 20, 3 * 2 ** 30].map(bytes)).toEqual(["0 B", "1023 B", "1.5 KB", "5.0 MB", "3.00 GB"]);
  expect([7, 1234, 123_456_789, 2e9].map(count)).toEqual(["7", "1.2 k", "123.5 M", "2.00 G"]);
  expect([5.9, 65, 3661].map(duration)).toEqual(["0:05", "1:05", "1:01:01"]);
});

test("problems: a clone of a MachineError, and a host's RangeError", () => {
  expect(problemOf({ code: "bad-image", message: "m", remedy: "r" })).toMatchObject({
    kind: "bad-image",
    cause: "m",
    remedy: "r",
  });
  expect(problemOf(new RangeError("could not allocate memory")).kind).toBe("memory");
  expect(problemOf("odd")).toMatchObject({ kind: "engine", cause: "odd" });
});

test("a disk whose kernel has a Multiboot header is a disk", () => {
  const disk = new Uint8Array(64 * 1024);
  disk.set([0x55, 0xaa], 510);
  disk.set([0x02, 0xb0, 0xad, 0x1b], 1024);
  expect(identifyImage(disk).role).toBe("disk");
  disk.fill(0, 510, 512);
  expect(identifyImage(disk).role).toBe("kernel");
});

test("a floppy disk without its end is known by its boot sector, or by its name where it is a CD as well", () => {
  const data = file(0x9200, [19, 0x40, 0x0b], [510, 0x55, 0xaa]);
  expect(identifyImage(data)).toMatchObject({ role: "floppy", what: "floppy disk, of which there are 36.5 KB" });
  data.set([0, 0], 19);
  expect(identifyImage(data).role).toBe("disk");
  data.set(text("CD001"), 0x8001);
  expect(identifyImage(data, data.length, data.subarray(-16), "rescue.img").role).toBe("floppy");
  expect(identifyImage(data, data.length, data.subarray(-16), "rescue.iso").role).toBe("cdrom");
});

test("of two disks, one with a boot sector comes first; one without is known by its name", async () => {
  const boot = new Uint8Array(1000 * 512);
  boot.set([0x55, 0xaa], 510);
  const [first, second] = [new File([new Uint8Array(1000 * 512)], "data.img"), new File([boot], "boot.bin")];
  const { found, problem } = await sortFiles([first, second]);
  expect([found.disk?.file, found.disk2?.file, problem]).toEqual([second, first, undefined]);
  expect((await sortFiles([new File([new Uint8Array(1000 * 512)], "data")])).problem?.cause).toMatch(/unknown format/);
  expect((await sortFiles([new File([new Uint8Array(700)], "data.img")])).found).toEqual({});
});

test("settings that make no sense get their defaults", () => {
  const load = (stored: string) => loadSettings({ getItem: () => stored }, false);
  const odd =
    '{"theme":"pink","fontSize":900,"engine":"fast","guests":{"a":{"memoryMb":-1,"append":5,"vcpus":17,"url":1}}}';
  for (const bad of ["", "[", "null", odd]) {
    expect(load(bad).guests.a ?? {}).toEqual({});
    expect(load(bad)).toMatchObject({ theme: "system", transport: "auto", engine: "interp", fontSize: 14 });
  }
  expect(load('{"guests":{"a":{"memoryMb":64,"append":"x"}}}').guests.a).toEqual({ memoryMb: 64, append: "x" });
});
