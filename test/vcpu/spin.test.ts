/** Looking before sleeping: when, how long, and when not. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Spin, spareCores } from "../../src/vcpu/spin.ts";

/** A clock in microseconds that each look moves by one. */
interface Clock {
  now: number;
}

/** A wait that ends `after` so many microseconds: whether looking found that, and how long it looked. */
function waits(spin: Spin, clock: Clock, after: number): { found: boolean; looked: number } {
  const from = clock.now;
  const found = spin.until(() => ++clock.now - from >= after);
  const looked = clock.now - from;
  // Else it sleeps.
  clock.now = Math.max(clock.now, from + after);
  spin.ended();
  return { found, looked };
}

function spinning(spare = true): [Spin, Clock] {
  const clock = { now: 0 };
  return [new Spin(spare, () => clock.now / 1000), clock];
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a thread that waits", () => {
  it("looks once short waits have been seen, and finds what comes soon", () => {
    const [spin, clock] = spinning();
    expect(waits(spin, clock, 80).found).toBe(false);
    for (let i = 0; i < 3; i++) expect(waits(spin, clock, 80)).toEqual({ found: true, looked: 80 });
  });

  it("sleeps at once after a wait that was long, and never looks much longer than is worth its while", () => {
    const [spin, clock] = spinning();
    waits(spin, clock, 50);
    const long = waits(spin, clock, 5000);
    expect(long.found).toBe(false);
    expect(long.looked).toBeLessThan(140);
    for (let i = 0; i < 3; i++) expect(waits(spin, clock, 5000).looked).toBeLessThan(40);
  });

  it("looks once where there is no core to spare, but misses nothing that is there", () => {
    const [spin, clock] = spinning(false);
    for (let i = 0; i < 5; i++) expect(waits(spin, clock, 50)).toEqual({ found: false, looked: 1 });
    expect(spin.until(() => true)).toBe(true);
  });
});

describe("a thread whose core another takes while it looks", () => {
  /** Looks until the core is taken for 20 ms. */
  function taken(spin: Spin, clock: Clock): void {
    waits(spin, clock, 50);
    let looks = 0;
    expect(
      spin.until(() => {
        clock.now += ++looks === 40 ? 20_000 : 1;
        return false;
      }),
    ).toBe(false);
    spin.ended();
    expect(looks).toBeLessThan(100);
  }
  /** Milliseconds until it looks again. */
  function rest(spin: Spin, clock: Clock): number {
    const from = clock.now;
    while (waits(spin, clock, 80).looked < 10 || !waits(spin, clock, 80).found) if (clock.now - from > 2e7) break;
    return (clock.now - from) / 1000;
  }

  it("sleeps at once for a while, and longer each time that it happens again", () => {
    const [spin, clock] = spinning();
    const rests = Array.from({ length: 6 }, () => {
      taken(spin, clock);
      return rest(spin, clock);
    });
    for (const [n, ms] of [50, 200, 800, 3200, 5000, 5000].entries()) {
      expect(rests[n]).toBeGreaterThanOrEqual(ms);
      expect(rests[n]).toBeLessThan(ms + 1);
    }
  });

  it("has forgotten it after a quiet time", () => {
    const [spin, clock] = spinning();
    for (let i = 0; i < 3; i++) {
      taken(spin, clock);
      rest(spin, clock);
    }
    clock.now += 6e6;
    taken(spin, clock);
    expect(rest(spin, clock)).toBeLessThan(51);
  });
});

describe("cores to spare", () => {
  it("are there when each vCPU and the device thread have one", () => {
    expect([1, 2, 3].map((vcpus) => spareCores(vcpus, 2))).toEqual([true, false, false]);
    expect(spareCores(1, undefined)).toBe(false);
  });

  it("are none where a thread may not block, as a page's", () => {
    vi.spyOn(Atomics, "wait").mockImplementation(() => {
      throw new TypeError("Atomics.wait cannot be called in this context");
    });
    expect(spareCores(1, 64)).toBe(false);
  });
});
