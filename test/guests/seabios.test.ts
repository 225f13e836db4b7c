/** SeaBIOS, where it is prepared (npm run guests -- pc), boots a sector of our own from every kind of drive. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { assemble } from "../../src/isa/assemble.ts";
import { VGA_ROM } from "../../src/machine/firmwareTables.ts";
import { Machine } from "../../src/machine/machine.ts";
import type { Cards } from "../../src/machine/pciCards.ts";
import type { Drives } from "../../src/machine/pcParts.ts";
import { built, Scratch, tabhyve } from "../cli/command.ts";
import { corePath } from "../core.ts";
import { firmware } from "./firmware.ts";

/** Milliseconds that the screen may take to show what is waited for. */
const PATIENCE = 40_000;

let core: Uint8Array;
let boot: Uint8Array;
beforeAll(async () => {
  await built();
  core = new Uint8Array(readFileSync(corePath));
  const source = readFileSync(join(import.meta.dirname, "data/boot.asm"), "utf8");
  boot = assemble(source, { name: "boot.asm" }).bytes;
}, 300_000);

const machines: Machine[] = [];
afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.destroy();
});

async function start(drives: Drives, vcpus = 1, cards: Cards = {}) {
  const [bios, rom] = firmware!.map((path) => new Uint8Array(readFileSync(path)));
  const log: string[] = [];
  const machine = await Machine.create({
    core,
    bios,
    drives,
    cards,
    firmwareFiles: { [VGA_ROM]: rom },
    memoryBytes: 32 * 2 ** 20,
    vcpus,
    transport: "inline",
    serial: () => {},
    log: (channel, text) => {
      if (channel === "debugport") log.push(text);
    },
  });
  machines.push(machine);
  await machine.start();
  const screen = async (pattern: RegExp): Promise<string> => {
    for (let text = "", until = Date.now() + PATIENCE; ; ) {
      text = machine.board.pc?.display.text()?.join("\n") ?? "";
      if (pattern.test(text)) return text;
      if (Date.now() > until) throw new Error(`no ${pattern} on the screen:\n${text}${log.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return { machine, screen, log };
}

/** A medium with the sector at its start. */
function image(bytes: number, at = 0): Uint8Array {
  const out = new Uint8Array(bytes);
  out.set(boot, at);
  return out;
}

/** A CD with an El Torito catalog ("El Torito" 1.0): volume descriptors, catalog at 19, what is booted at 20. */
function cd(): Uint8Array {
  const out = image(64 * 2048, 20 * 2048);
  const view = new DataView(out.buffer);
  const text = (at: number, what: string) => out.set(new TextEncoder().encode(what), at);
  out[16 * 2048] = 1;
  text(16 * 2048 + 1, "CD001\x01");
  text(17 * 2048 + 1, "CD001\x01EL TORITO SPECIFICATION");
  view.setUint32(17 * 2048 + 0x47, 19, true);
  out[18 * 2048] = 255;
  text(18 * 2048 + 1, "CD001\x01");
  // Validation entry: its words add up to 0. Then the default entry: bootable, no emulation, two sectors of 512 bytes.
  out[19 * 2048] = 1;
  view.setUint16(19 * 2048 + 0x1e, 0xaa55, true);
  view.setUint16(19 * 2048 + 0x1c, -(1 + 0xaa55) & 0xffff, true);
  out[19 * 2048 + 0x20] = 0x88;
  view.setUint16(19 * 2048 + 0x26, 2, true);
  view.setUint32(19 * 2048 + 0x28, 20, true);
  // By INT 13h a CD's sectors are 2048 bytes: number 1 is the one the guest reads.
  out.set(boot.subarray(512), 2048);
  return out;
}

describe.skipIf(!firmware)("SeaBIOS", { timeout: 90_000 }, () => {
  it("boots a floppy disk, and writes to it", async () => {
    const floppy = image(1_474_560);
    const { machine, screen, log } = await start({ floppy: new MemoryBlocks(floppy) });
    await screen(/booted from 00, second sector; 7[0-9a-f]{3} KiB\ntype:$/m);
    machine.type("Hello, (A)!\n");
    await screen(/type: Hello, \(A\)!\nwritten 0/);
    expect(String.fromCharCode(floppy[512])).toBe("!");
    expect(log.join("\n")).toContain("ACPI: parse DSDT");
  });

  it.each([360, 720, 1200, 2880])("boots a floppy disk of %i KB, and writes to it", async (kib) => {
    const floppy = image(kib * 1024);
    const { machine, screen } = await start({ floppy: new MemoryBlocks(floppy) });
    await screen(/booted from 00, second sector; .*\ntype:$/m);
    machine.type("x\n");
    await screen(/written 0/);
    expect(String.fromCharCode(floppy[512])).toBe("!");
  });

  it("takes our memory map, SMBIOS, ACPI and MP tables by fw_cfg's requests", async () => {
    const { machine, screen, log } = await start({ floppy: new MemoryBlocks(image(1_474_560)) }, 2);
    await screen(/type:$/m);
    const said = log.join("\n");
    expect(said).toContain("QEMU fw_cfg DMA interface supported");
    // What INT 15h, AX=E820h answers: RAM up to the EBDA, and from 1 MiB on up to what the firmware keeps.
    expect(said).toMatch(/: 0{16} - 000000000009fc00 = 1 RAM$/m);
    expect(said).toMatch(/: 0000000000100000 - 0000000001f[0-9a-f]{5} = 1 RAM$/m);
    const read = (gpa: number, length: number): Buffer => {
      const out = Buffer.alloc(length);
      machine.memory.read(gpa, out);
      return out;
    };
    const sum = (bytes: Buffer): number => bytes.reduce((a, b) => (a + b) & 0xff, 0);
    const high = read(0xf_0000, 0x1_0000);
    const smbios = high.indexOf("_SM_");
    const tables = read(high.readUInt32LE(smbios + 0x18), high.readUInt16LE(smbios + 0x16)).toString("latin1");
    expect(tables).toContain("SeaBIOS");
    expect(tables).toContain("Tabhyve\0PC\0");

    const table = (gpa: number): Buffer => read(gpa, read(gpa + 4, 4).readUInt32LE());
    const rsdp = high.indexOf("RSD PTR ");
    const rsdt = table(high.readUInt32LE(rsdp + 16));
    const listed = Array.from({ length: (rsdt.length - 36) / 4 }, (_, i) => table(rsdt.readUInt32LE(36 + 4 * i)));
    expect([high.subarray(rsdp, rsdp + 20), rsdt, ...listed].map(sum)).toEqual([0, 0, 0, 0, 0]);
    expect(listed.map((bytes) => bytes.toString("latin1", 0, 4))).toEqual(["FACP", "APIC", "HPET"]);

    // The MP table that is found first is ours: an entry of type 0 and 20 bytes for each CPU, of whatever socket.
    const mp = high.readUInt32LE(high.indexOf("_MP_") + 4);
    const config = read(mp, read(mp + 4, 2).readUInt16LE());
    expect([config.toString("latin1", 8, 15), sum(config)]).toEqual(["TABHYVE", 0]);
    expect([44, 64, 84].map((at) => config[at])).toEqual([0, 0, 1]);
    expect([config[45], config[65]]).toEqual([0, 1]);
  });

  it("has room for the tables of 16 vCPUs and for every drive that there can be", async () => {
    const disk = () => new MemoryBlocks(new Uint8Array(512 * 100));
    const disks = [new MemoryBlocks(image(512 * 1000)), disk(), disk()];
    const cards = { nvme: [disk(), disk()], virtioBlk: [disk(), disk()], rng: true, balloon: 0 };
    const { screen, log } = await start({ disks, cdrom: null, floppy: null }, 16, cards);
    await screen(/booted from 80, second sector; .*\ntype:$/m);
    const said = log.join("\n");
    expect(said).toContain("Found 16 cpu(s)");
    expect(said).not.toContain("Unable to allocate");
  });

  it("writes to the floppy disk that was put in meanwhile", async () => {
    const [first, second] = [image(1_474_560), image(1_474_560)];
    const { machine, screen } = await start({ floppy: new MemoryBlocks(first) });
    await screen(/type:$/m);
    expect(machine.insert("floppy", new MemoryBlocks(second))).toBe(true);
    expect(machine.insert("cdrom", undefined)).toBe(false);
    machine.type("x\n");
    await screen(/written 0/);
    expect([first, second].map((bytes) => String.fromCharCode(bytes[512]))).toEqual([",", "!"]);
  });

  it("boots a hard disk, with two vCPUs", async () => {
    const disk = image(16 * 63 * 20 * 512);
    const { machine, screen, log } = await start({ disks: [new MemoryBlocks(disk)] }, 2);
    await screen(/booted from 80, second sector; 7[0-9a-f]{3} KiB\ntype:$/m);
    machine.type("x\n");
    await screen(/written 0/);
    expect(String.fromCharCode(disk[512])).toBe("!");
    expect(log.join("\n")).toContain("Found 2 cpu(s)");
  });

  it("boots a CD without emulation", async () => {
    const { screen } = await start({ cdrom: new MemoryBlocks(cd(), true) });
    await screen(/booted from (e0|ef|f0), second sector; 7[0-9a-f]{3} KiB\ntype:$/m);
  });

  it("does not try drives without a medium first, but one that has got one", async () => {
    const disk = image(512 * 1000);
    const { machine, screen, log } = await start({ disks: [new MemoryBlocks(disk)], cdrom: null, floppy: null });
    await screen(/booted from 80, second sector; .*\ntype:$/m);
    expect(log.join("\n")).not.toMatch(/Boot failed/);
    machine.insert("floppy", new MemoryBlocks(image(1_474_560)));
    await machine.reset();
    await screen(/booted from 00, second sector; .*\ntype:$/m);
  });

  it("boots one of four disks, with no room for a CD", async () => {
    const disks = [0, 1, 2, 3].map((n) => new MemoryBlocks(n ? new Uint8Array(512 * 100) : image(512 * 1000)));
    const { screen, log } = await start({ disks });
    await screen(/booted from 80, second sector; 7[0-9a-f]{3} KiB\ntype:$/m);
    expect(log.filter((line) => /TABHYVE HARDDISK/.test(line))).toHaveLength(4);
  });

  it("says what it could not boot", async () => {
    const { screen } = await start({ disks: [new MemoryBlocks(new Uint8Array(512 * 100))], cdrom: null, floppy: null });
    await screen(/Boot failed: not a bootable disk/);
  });

  it("is passed on by the command line when it boots nothing", async () => {
    const folder = new Scratch();
    try {
      const disk = folder.file("blank.img", new Uint8Array(512 * 100));
      const args = ["run", "--bios", firmware![0], "--memory", "32M", "--disk", disk, "--timeout", "30"];
      const screen = folder.path("screen.txt");
      const { status, stderr } = await tabhyve([...args, "--screen", screen, "--until", "No bootable device"]);
      expect(status).toBe(0);
      expect(stderr).toContain("tabhyve: the firmware says: Boot failed: not a bootable disk\n");
      expect(readFileSync(screen, "utf8")).toMatch(/Booting from Hard Disk\.\.\.\nBoot failed: not a bootable disk/);
    } finally {
      folder.remove();
    }
  });
});
