import { describe, expect, it } from "vitest";
import { FW_CFG_FILE_DIR, FwCfg } from "../../src/machine/fwCfg.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { FakeMemory, fakeLog } from "../io/fakes.ts";

const file = Uint8Array.from([1, 2, 3]);

function device() {
  const log = fakeLog();
  const memory = new FakeMemory(0x4_0000);
  const config = {
    memory,
    cpus: 2,
    maxCpus: 4,
    ramSize: 0x1_2000_0000,
    nographic: true,
    e820: [{ base: 0x10_0000, length: 0x1_0000_0000, type: 1 }],
    files: { "opt/x": file },
  };
  const dev = new FwCfg(config, log);
  const item = (selector: number, size: number) => {
    dev.write(0, 2, selector);
    return Array.from({ length: size }, () => dev.read(1, 1));
  };
  /** A request at 0x100, as a little-endian processor writes it to the ports; what its control word is then. */
  const request = (control: number, length: number, gpa: bigint): number => {
    const view = new DataView(memory.bytes.buffer, 0x100);
    view.setUint32(0, control);
    view.setUint32(4, length);
    view.setBigUint64(8, gpa);
    dev.write(4, 4, 0);
    dev.write(8, 4, 0x0001_0000);
    return view.getUint32(0);
  };
  return { dev, log, item, memory, request };
}

describe("fwCfg", () => {
  it("answers what kvm-unit-tests and firmware ask", () => {
    const { item } = device();
    expect(String.fromCharCode(...item(0, 4))).toBe("QEMU");
    expect(item(1, 4)).toEqual([3, 0, 0, 0]);
    expect(item(3, 8)).toEqual([0, 0, 0, 0x20, 1, 0, 0, 0]);
    expect(item(4, 2)).toEqual([1, 0]);
    expect(item(5, 2)).toEqual([2, 0]);
    expect(item(0x0f, 2)).toEqual([4, 0]);
  });

  it("gives zeros past an item's end, for absent items, and starts over on a selection", () => {
    const { item } = device();
    expect(item(5, 4)).toEqual([2, 0, 0, 0]);
    expect(item(0x3f, 2)).toEqual([0, 0]);
    expect(item(0xc005, 1)).toEqual([0]);
    expect(item(0x4005, 2)).toEqual([2, 0]);
  });

  it("has a big-endian file directory, sorted, and the files behind it", () => {
    const { item } = device();
    const bytes = Uint8Array.from(item(FW_CFG_FILE_DIR, 4 + 2 * 64));
    const view = new DataView(bytes.buffer);
    expect(view.getUint32(0)).toBe(2);
    const entries = [0, 1].map((i) => {
      const at = 4 + 64 * i;
      const name = new TextDecoder().decode(bytes.subarray(at + 8, at + 64)).replace(/\0+$/, "");
      return { size: view.getUint32(at), selector: view.getUint16(at + 4), name };
    });
    expect(entries.map(({ name, size }) => [name, size])).toEqual([
      ["etc/e820", 20],
      ["opt/x", 3],
    ]);
    expect(item(entries[1].selector, 4)).toEqual([1, 2, 3, 0]);
    expect(item(entries[0].selector, 20)).toEqual([0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
  });

  it("refuses a file name that does not fit", () => {
    expect(
      () => new FwCfg({ memory: new FakeMemory(0), cpus: 1, ramSize: 1, files: { ["x".repeat(56)]: file } }, () => {}),
    ).toThrow(RangeError);
  });

  it("logs a byte written to it and stays where it was", () => {
    const { dev, log, item } = device();
    item(0, 1);
    dev.write(1, 1, 7);
    dev.write(0, 1, 7);
    expect([log.messages.length, String.fromCharCode(dev.read(1, 1))]).toEqual([2, "E"]);
    expect(dev.read(0, 2)).toBe(0xffff);
  });

  it("shows by a signature that it takes requests", () => {
    const { dev } = device();
    expect(String.fromCharCode(...Array.from({ length: 8 }, (_, i) => dev.read(4 + i, 1)))).toBe("QEMU CFG");
    expect(dev.read(4, 4)).toBe(0x554d_4551);
  });

  it("moves an item to memory by a request, with zeros behind its end, and goes on from there", () => {
    const { memory, request } = device();
    memory.bytes.fill(0xaa, 0x1000, 0x1020);
    // READ and SELECT: items 0x20 and 0x21 are the files.
    expect(request(0x0021_000a, 2, 0x1000n)).toBe(0);
    expect([...memory.bytes.subarray(0x1000, 0x1003)]).toEqual([1, 2, 0xaa]);
    expect(request(2, 4, 0x1008n)).toBe(0);
    expect([...memory.bytes.subarray(0x1008, 0x100d)]).toEqual([3, 0, 0, 0, 0xaa]);
    // SKIP, and bytes by port behind it.
    expect(request(0x0020_000c, 2, 0n)).toBe(0);
    expect(request(2, 1, 0x1000n)).toBe(0);
    expect(memory.bytes[0x1000]).toBe(0x10);
    // More than a piece.
    memory.bytes.fill(0xaa, 0x1_0000);
    expect(request(0x0020_000a, 0x2_0000, 0x1_0000n)).toBe(0);
    expect(memory.bytes[0x1_0002]).toBe(0x10);
    expect(memory.bytes.subarray(0x1_0014, 0x3_0000).every((byte) => byte === 0)).toBe(true);
    expect(memory.bytes[0x3_0000]).toBe(0xaa);
  });

  it("refuses to be written, and takes requests that make no sense", () => {
    const { dev, memory, request, item } = device();
    expect(request(0x0021_0018, 3, 0x1000n)).toBe(1);
    expect(item(0x21, 3)).toEqual([1, 2, 3]);
    expect(request(0, 3, 0x1000n)).toBe(0);
    expect(request(0x0021_000a, 0xffff_ffff, 0xffff_ffff_ffff_f000n)).toBe(0);
    expect(memory.bytes.subarray(0x1000).every((byte) => byte === 0)).toBe(true);
    // A request that lies in no memory.
    dev.write(4, 4, 0xffff_ffff);
    dev.write(8, 4, 0xffff_ffff);
  });

  it("keeps the upper half of a request's address over a restore; older states have none", () => {
    const { dev } = device();
    dev.write(4, 4, 0x0200_0000);
    expect(dev.export()).toMatchObject({ high: 2 });
    dev.import({ version: 1, selected: 0, position: 0 });
    expect(dev.export()).toMatchObject({ high: 0 });
    expect(() => dev.import({ version: 1, selected: 0, position: 0, high: -1 })).toThrow(SnapshotError);
  });

  it("goes on in the middle of an item after a restore", () => {
    const { dev, item } = device();
    item(0, 1);
    const saved = dev.export();
    item(5, 2);
    expect(dev.export()).not.toEqual(saved);
    expect(() => dev.import({ ...saved, position: -1 })).toThrow(SnapshotError);
    dev.import(structuredClone(saved));
    expect(dev.export()).toEqual(saved);
    expect(String.fromCharCode(dev.read(1, 1), dev.read(1, 1), dev.read(1, 1))).toBe("EMU");
  });
});
