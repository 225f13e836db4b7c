/** The host's end of a guest's time (src/vmm/clock.ts). */
import { expect, it } from "vitest";
import { CONTROL } from "../../src/shared/layout.ts";
import { GuestClock } from "../../src/vmm/clock.ts";
import { MachineMemory } from "../../src/vmm/memory.ts";

it("never runs backwards when a vCPU takes time back, and goes on when that has passed", () => {
  const { control } = new MachineMemory({ regions: [{ gpa: 0, length: 0x1_0000 }], vcpus: 1, shared: false });
  let host = 1000;
  const clock = new GuestClock(() => host, control);
  host += 100;
  expect(clock.now()).toBe(100_000_000n);
  control.set(CONTROL.timeBase, control.get(CONTROL.timeBase) + 80);
  expect(clock.now()).toBe(100_000_000n);
  host += 79;
  expect(clock.now()).toBe(100_000_000n);
  host += 2;
  expect(clock.now()).toBe(101_000_000n);
  // Who sets it, or leaves out what it has told already, is believed.
  clock.set(5_000_000n);
  expect(clock.now()).toBe(5_000_000n);
  host += 50;
  expect(clock.now()).toBe(55_000_000n);
  clock.leaveOut(40);
  expect(clock.now()).toBe(15_000_000n);
});
