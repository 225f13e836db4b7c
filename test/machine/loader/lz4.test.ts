/** LZ4's legacy frame, and the kernel that a bzImage has packed with it. */
import { describe, expect, it } from "vitest";
import { unpackLegacyFrame } from "../../../src/machine/loader/lz4.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe("LZ4 legacy frames", () => {
  const block = (bytes: number[]): number[] => [bytes.length, 0, 0, 0, ...bytes];
  const MAGIC = [0x02, 0x21, 0x4c, 0x18];

  it("unpacks literals, matches that overlap themselves, and long lengths", () => {
    // 2 literals "ab", match of 4 + 15 + 255 + 6 = 280 at offset 2; then 16 literals (15 + 1).
    const sequence = [0x2f, 0x61, 0x62, 2, 0, 255, 6];
    const tail = Array.from("0123456789ABCDEF", (c) => c.charCodeAt(0));
    const frame = [...MAGIC, ...block([...sequence, 0xf0, 1, ...tail]), ...block([0x10, 0x7a])];
    expect(text(unpackLegacyFrame(Uint8Array.from(frame)))).toBe(`${"ab".repeat(141)}0123456789ABCDEFz`);
  });

  it("ends where Linux has appended the unpacked size", () => {
    const frame = Uint8Array.from([...MAGIC, ...block([0x10, 0x7a]), 1, 0, 0, 0]);
    expect(text(unpackLegacyFrame(frame))).toBe("z");
  });

  it("refuses what is damaged", () => {
    const frame = (bytes: number[]) => () => unpackLegacyFrame(Uint8Array.from([...MAGIC, ...bytes]));
    expect(() => unpackLegacyFrame(Uint8Array.of(1, 2, 3, 4, 5))).toThrow(/not an LZ4/);
    expect(frame([100, 0, 0, 0, 0x10])).toThrow(/exceeds the data/);
    expect(frame(block([0x50, 1, 2]))).toThrow(/literals/);
    expect(frame(block([0x10, 1, 9, 0, 0]))).toThrow(/match/);
  });
});
