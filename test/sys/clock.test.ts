/** What of the host's time is the guest's (assembly/time.ts). */
import { beforeAll, expect, test } from "vitest";
import { CONTROL } from "../../src/shared/layout.ts";
import { guestMemory, loadCore, runGuest } from "./guest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

const MS = 1_000_000;

/** TSC ticks that pass in `body`, on a host whose clock goes on by `step` ms whenever somebody looks at it. */
function passed(body: string, step: () => number, longestGap: number): number {
  const memory = guestMemory();
  memory.control.set(CONTROL.longestGap, longestGap);
  let host = 0;
  const now = (): number => {
    host += step();
    return host;
  };
  const input = (): number => {
    host += 1000;
    return 0;
  };
  const source = `  rdtsc\n  mov ebx,eax\n${body}\n  rdtsc\n  sub eax,ebx\n  mov dx,0x10\n  out dx,eax\n  cli\n  hlt\n`;
  const { out } = runGuest(realGuest({ body: source }), { memory, now, input });
  return Number.parseInt(out[0].slice(3), 16);
}

test("time in which the host had no core for the vCPU is not the guest's, but for a little", () => {
  expect(passed("", () => 100, 20)).toBe(20 * MS);
  expect(passed("", () => 100, 0)).toBe(100 * MS);
  // The host has slept.
  expect(passed("", () => 2000, 20)).toBe(2000 * MS);
});

test("time in which the guest runs is, and time in which it waits for a device", () => {
  expect(passed("  rdtsc\n".repeat(4), () => 19, 20)).toBe(5 * 19 * MS);
  expect(passed("  in al,0x20\n", () => 0.001, 20)).toBeGreaterThanOrEqual(1000 * MS);
});

test("a clock that has been taken back stands still for who has read it", () => {
  // The TSC has been read at what is left out next.
  let n = 0;
  expect(passed("  rdtsc\n".repeat(8), () => (n++ % 4 ? 0 : 50), 20)).toBeLessThanOrEqual(3 * 20 * MS + 9);
});

test("what was left out comes back little by little", () => {
  const missing = (looks: number): number => {
    const [all, left] = [0, 20].map((longestGap) => {
      let n = 0;
      return passed("  rdtsc\n".repeat(looks), () => (n++ === 20 ? 100 : 1), longestGap) / MS;
    });
    return all - left;
  };
  // 80 ms are left out, and 10 % faster is 80 ms in 800.
  expect(missing(30)).toBeGreaterThan(75);
  expect(missing(400)).toBeGreaterThan(35);
  expect(missing(400)).toBeLessThan(50);
  expect(missing(900)).toBeCloseTo(0, 3);
});
