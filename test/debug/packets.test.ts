/** Packets of gdb's remote serial protocol, as they come and go. */
import { describe, expect, it } from "vitest";
import { fromHex, hex, latin1, PacketReader, packet } from "../../src/debug/gdb/packets.ts";

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const data = (reader: PacketReader, bytes: string): string[] =>
  reader.take(latin1(bytes)).map((i) => (i.kind === "packet" ? `${i.good ? "" : "bad "}${text(i.data)}` : i.kind));

describe("gdb's packets", () => {
  it("carry their data's sum, and say bytes of their own as others", () => {
    expect(text(packet("OK"))).toBe("$OK#9a");
    expect(text(packet("}#$*"))).toBe(`$}]}\x03}\x04}\n#${sumOf("}]}\x03}\x04}\n")}`);
    expect(data(new PacketReader(100), text(packet("a}#$*b")))).toEqual(["a}#$*b"]);
  });

  it("may come in any pieces, with acknowledgements and interrupts between", () => {
    const reader = new PacketReader(100);
    const all = "+$g#67-\x03+$m0,4#fd";
    expect([...all].flatMap((c) => data(reader, c))).toEqual(["g", "again", "interrupt", "m0,4"]);
    expect(data(new PacketReader(100), all)).toEqual(["g", "again", "interrupt", "m0,4"]);
  });

  it("are no good with a wrong sum, or when they are too long; the next one is", () => {
    expect(data(new PacketReader(100), "$g#68$g#67")).toEqual(["bad g", "g"]);
    const long = data(new PacketReader(4), `${text(packet("12345678"))}$g#67`);
    expect(long[0]).toMatch(/^bad/);
    expect(long[1]).toBe("g");
  });

  it("a 3 within a packet is data, and a $ begins anew", () => {
    expect(data(new PacketReader(100), "$X\x03#5b")).toEqual(["X\x03"]);
    expect(data(new PacketReader(100), "$half$g#67")).toEqual(["g"]);
  });

  it("hexadecimal digits are bytes, two by two", () => {
    expect(hex(Uint8Array.of(0, 0x7f, 0xff))).toBe("007fff");
    expect(fromHex("007FfF")).toEqual(Uint8Array.of(0, 0x7f, 0xff));
    for (const bad of ["1", "0g", " 1"]) expect(fromHex(bad)).toBeUndefined();
  });
});

function sumOf(raw: string): string {
  return ([...raw].reduce((n, c) => n + c.charCodeAt(0), 0) & 0xff).toString(16).padStart(2, "0");
}
