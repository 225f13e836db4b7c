import { describe, expect, it } from "vitest";
import { Scrollback } from "../../src/machine/scrollback.ts";

const KEPT = 128 * 1024;
const bytes = (from: number, n: number): Uint8Array => {
  const out = new Uint8Array(n);
  for (let i = 0; i < n; i++) out[i] = (from + i) % 251;
  return out;
};

describe("scrollback", () => {
  it("is the last that was pushed, 128 KiB of it at least, 256 KiB at most", () => {
    for (const size of [997, 65_536, 100_000, KEPT, KEPT + 1, 3 * KEPT]) {
      const scrollback = new Scrollback();
      for (let at = 0; at < 4 * KEPT; at += size) {
        scrollback.push(bytes(at, size));
        const got = scrollback.bytes;
        expect(got.length).toBeGreaterThanOrEqual(Math.min(at + size, KEPT));
        expect(got.length).toBeLessThanOrEqual(2 * KEPT);
        expect(Buffer.compare(got, bytes(at + size - got.length, got.length))).toBe(0);
      }
    }
  });

  it("gives copies, and takes what another has given", () => {
    const [one, two] = [new Scrollback(), new Scrollback()];
    one.push(bytes(0, 10));
    const got = one.bytes;
    one.push(bytes(10, 10));
    expect(got).toEqual(bytes(0, 10));
    two.push(bytes(7, 5));
    two.replace(one.bytes);
    expect(two.bytes).toEqual(bytes(0, 20));
  });
});
