import { describe, expect, it } from "vitest";
import { FW_CFG_FILE_DIR, FwCfg } from "../../src/machine/fwCfg.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { fakeLog } from "../io/fakes.ts";

const file = Uint8Array.from([1, 2, 3]);

function device() {
  const log = fakeLog();
  const config = {
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
  return { dev, log, item };
}

describe("fwCfg", () => {
  it("answers what kvm-unit-tests and firmware ask", () => {
    const { item } = device();
    expect(String.fromCharCode(...item(0, 4))).toBe("QEMU");
    expect(item(1, 4)).toEqual([1, 0, 0, 0]);
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
    expect(() => new FwCfg({ cpus: 1, ramSize: 1, files: { ["x".repeat(56)]: file } }, () => {})).toThrow(RangeError);
  });

  it("logs a byte written to it and stays where it was", () => {
    const { dev, log, item } = device();
    item(0, 1);
    dev.write(1, 1, 7);
    dev.write(0, 1, 7);
    expect([log.messages.length, String.fromCharCode(dev.read(1, 1))]).toEqual([2, "E"]);
    expect(dev.read(0, 2)).toBe(0xffff);
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
