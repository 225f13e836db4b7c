/** QR codes: their modules as an independent reader (jsQR) has read them, from one byte to the 2,953 of the largest. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { QrTooLongError, qrCode } from "../../src/ui/link/qr.ts";

const drawn = (text: string): string =>
  qrCode(text)
    .map((row) => row.map((dark) => (dark ? "#" : ".")).join(""))
    .join("\n");
const long = (bytes: number): string => "0123456789-_".repeat(300).slice(0, bytes);

it("a short one, module by module", () => {
  expect(`\n${drawn("https://a.example/")}`.replaceAll("\n", "\n  ")).toBe(`
  #######.#.....##..#######
  #.....#.#..##...#.#.....#
  #.###.#.##..#.##..#.###.#
  #.###.#.###.#..##.#.###.#
  #.###.#..##.#.###.#.###.#
  #.....#.###.......#.....#
  #######.#.#.#.#.#.#######
  ..........##.#.#.........
  ##..###...#.##.#...#.####
  #..#.#.#.....####..###.#.
  ..##..##.##....##.##.##..
  ##.###...#..#.#####...##.
  .####.###..#.##.####.####
  ###.....###.#..##...#..#.
  ....#.#..#######...####..
  .........###.#.#...##.##.
  ##.#.###....##.########..
  ........#.#..##.#...#....
  #######...#.....#.#.#....
  #.....#.##..#.#.#...#####
  #.###.#.#..#.##.#######.#
  #.###.#...#.#..#.###..###
  #.###.#..#.######.#..#.#.
  #.....#.#.##.#.#.#######.
  #######.#.#.##.#..#...###`);
});

it.each([
  [300, "87df3cb3097bfa4e3420d44223c55035"],
  [2953, "13c66e8698e40270ff0251ef0d76ea7b"],
])("one of %i bytes: several blocks, alignment patterns, the version", (bytes, sha256) => {
  expect(
    createHash("sha256")
      .update(drawn(long(bytes)))
      .digest("hex")
      .slice(0, 32),
  ).toBe(sha256);
});

it("a text that none holds", () => {
  expect(() => qrCode(long(2954))).toThrow(QrTooLongError);
});
