import { describe, expect, it } from "vitest";
import { smbiosFiles } from "../../src/machine/smbios.ts";

const MIB = 2 ** 20;

/** The structures by the specification's rules (DSP0134, 6.1): formatted area, then strings. */
function structures(bytes: Uint8Array) {
  const out: { type: number; handle: number; data: DataView; strings: string[] }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [type, length] = bytes.subarray(at, at + 2);
    const data = new DataView(bytes.slice(at, at + length).buffer);
    at += length;
    const strings: string[] = [];
    if (bytes[at] === 0) at++;
    while (bytes[at] !== 0) {
      const end = bytes.indexOf(0, at);
      strings.push(new TextDecoder().decode(bytes.subarray(at, end)));
      at = end + 1;
    }
    at++;
    out.push({ type, handle: data.getUint16(2, true), data, strings });
  }
  return out;
}

describe("SMBIOS tables", () => {
  const files = smbiosFiles({ sockets: 2, cores: 2, threads: 2, cpuFeatures: 0x1234_5678, ramSize: 512 * MIB });
  const all = structures(files["etc/smbios/smbios-tables"]);
  const only = (type: number) => all.filter((s) => s.type === type);

  it("have an entry point that tells their size, with checksums", () => {
    const anchor = files["etc/smbios/smbios-anchor"];
    const view = new DataView(anchor.buffer);
    const sum = (from: number, to: number) => anchor.subarray(from, to).reduce((a, b) => a + b, 0) & 0xff;
    expect(new TextDecoder().decode(anchor.subarray(0, 4))).toBe("_SM_");
    expect([anchor.length, anchor[5], sum(0, 31), sum(16, 31)]).toEqual([31, 31, 0, 0]);
    expect(view.getUint16(0x16, true)).toBe(files["etc/smbios/smbios-tables"].length);
    expect(view.getUint16(0x1c, true)).toBe(all.length);
  });

  it("name the machine, its sockets and its memory, and end", () => {
    expect(all.map(({ type }) => type)).toEqual([1, 3, 4, 4, 16, 17, 19, 32, 127]);
    expect(new Set(all.map(({ handle }) => handle)).size).toBe(all.length);
    expect(only(1)[0].strings).toEqual(["Tabhyve", "PC"]);
    // Lengths that version 2.8 has.
    expect(all.map(({ data }) => data.byteLength)).toEqual([0x1b, 0x16, 0x2a, 0x2a, 0x17, 0x28, 0x1f, 0x0b, 4]);
    const [first, second] = only(4);
    expect([first.strings[0], second.strings[0]]).toEqual(["CPU 0", "CPU 1"]);
    expect(first.data.getUint32(0x0c, true)).toBe(0x1234_5678);
    expect([0x23, 0x24, 0x25].map((at) => first.data.getUint8(at))).toEqual([2, 2, 4]);
    expect(only(17)[0].data.getUint16(0x0c, true)).toBe(512);
    expect(only(19)[0].data.getUint32(8, true)).toBe(512 * 1024 - 1);
  });

  it("tell of memory on both sides of the PCI hole", () => {
    const { "etc/smbios/smbios-tables": tables } = smbiosFiles({
      ...{ sockets: 1, cores: 1, threads: 1, cpuFeatures: 0 },
      ramSize: 4096 * MIB,
    });
    const places = structures(tables)
      .filter(({ type }) => type === 19)
      .map(({ data }) => [data.getUint32(4, true), data.getUint32(8, true)]);
    expect(places).toHaveLength(2);
    expect(places[0][0]).toBe(0);
    expect(places[1][0]).toBe(4 * 2 ** 20);
    // All of it, in KiB.
    expect(places.reduce((sum, [from, to]) => sum + to + 1 - from, 0)).toBe(4 * 2 ** 20);
  });
});
