import { expect, test } from "vitest";
import { Buffers } from "../../src/io/buffers.ts";

test("a buffer is one command's until it is given back, and then another's", () => {
  const buffers = new Buffers();
  const [a, b] = [buffers.take(4096), buffers.take(4096)];
  expect(a.buffer).not.toBe(b.buffer);
  buffers.give(a);
  const c = buffers.take(100);
  expect(c.buffer).toBe(a.buffer);
  expect(c).toHaveLength(100);
  expect(buffers.take(100).buffer).not.toBe(a.buffer);
});

test("a buffer that is too small is not used, and no more is kept than a few commands need", () => {
  const buffers = new Buffers();
  buffers.give(buffers.take(1));
  const large = buffers.take(5000);
  expect(large).toHaveLength(5000);
  const many = Array.from({ length: 64 }, () => buffers.take(1 << 20));
  for (const one of many) buffers.give(one);
  const again = Array.from({ length: 64 }, () => buffers.take(1 << 20));
  const kept = again.filter(({ buffer }) => many.some((one) => one.buffer === buffer));
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.length).toBeLessThan(9);
  const huge = buffers.take((16 << 20) + 16);
  buffers.give(huge);
  expect(buffers.take(16).buffer).not.toBe(huge.buffer);
});
