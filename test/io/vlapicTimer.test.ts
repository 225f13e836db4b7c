import { describe, expect, it } from "vitest";
import { APIC, LVT_MASKED, TIMER_PERIODIC, TIMER_TSC_DEADLINE } from "../../src/io/apicRegs.ts";
import { ATTENTION } from "../../src/shared/layout.ts";
import { one } from "./apicFakes.ts";

describe("vlapic timer", () => {
  it("counts the 25 MHz crystal down, once", () => {
    const { timers, core, page, read, write } = one();
    write(APIC.DCR_TIMER, 0xb);
    write(APIC.LVT_TIMER, 0x60);
    core.attention();
    write(APIC.ICR_TIMER, 1000);
    expect(core.attention()).toBe(ATTENTION.DEADLINE);
    expect(page.timer).toBe(40_000n);
    expect(page.timerPeriod).toBe(0n);
    expect(read(APIC.CCR_TIMER)).toBe(1000);
    timers.advance(39n);
    expect(read(APIC.CCR_TIMER)).toBe(1000);
    timers.advance(1n);
    expect(read(APIC.CCR_TIMER)).toBe(999);
    timers.advance(39_959n);
    expect(read(APIC.CCR_TIMER)).toBe(1);
    core.tick(timers.now());
    expect(core.take()).toBe(-1);
    timers.advance(1n);
    expect(read(APIC.CCR_TIMER)).toBe(0);
    core.tick(timers.now());
    expect(core.serve()).toEqual([0x60]);
    expect(page.timer).toBeUndefined();
    expect(read(APIC.ICR_TIMER)).toBe(1000);
    expect(read(APIC.CCR_TIMER)).toBe(0);
  });

  it("divides by 1 to 128", () => {
    const { page, write } = one();
    const codes = [0b0000, 0b0001, 0b0010, 0b0011, 0b1000, 0b1001, 0b1010, 0b1011];
    const ns = codes.map((code) => {
      write(APIC.DCR_TIMER, code);
      write(APIC.ICR_TIMER, 1);
      return Number(page.timer) / 40;
    });
    expect(ns).toEqual([2, 4, 8, 16, 32, 64, 128, 1]);
  });

  it("goes on at the new rate when the divisor changes", () => {
    const { timers, page, read, write } = one();
    write(APIC.DCR_TIMER, 0xb);
    write(APIC.LVT_TIMER, TIMER_PERIODIC | 0x60);
    write(APIC.ICR_TIMER, 100);
    timers.advance(40n * 30n);
    write(APIC.DCR_TIMER, 0);
    expect(read(APIC.CCR_TIMER)).toBe(70);
    expect(page.timer).toBe(40n * 30n + 80n * 70n);
    expect(page.timerPeriod).toBe(8000n);
  });

  it("repeats without drift, also when the core is late", () => {
    const { timers, core, page, read, write } = one();
    write(APIC.DCR_TIMER, 0xb);
    write(APIC.LVT_TIMER, TIMER_PERIODIC | 0x60);
    write(APIC.ICR_TIMER, 250);
    expect(page.timerPeriod).toBe(10_000n);
    timers.advance(10_400n);
    expect(read(APIC.CCR_TIMER)).toBe(240); // reloaded, though the core has not fired yet
    core.tick(timers.now());
    expect(page.timer).toBe(20_000n);
    expect(read(APIC.CCR_TIMER)).toBe(240);
    expect(core.serve()).toEqual([0x60]);
    write(APIC.ICR_TIMER, 0);
    expect(page.timer).toBeUndefined();
    expect(read(APIC.CCR_TIMER)).toBe(0);
  });

  it("changes between one-shot and periodic while it counts", () => {
    const { timers, core, page, write } = one();
    write(APIC.DCR_TIMER, 0xb);
    write(APIC.LVT_TIMER, 0x60);
    write(APIC.ICR_TIMER, 100);
    write(APIC.LVT_TIMER, TIMER_PERIODIC | 0x60);
    expect([page.timer, page.timerPeriod]).toEqual([4000n, 4000n]);
    timers.advance(4000n);
    core.tick(timers.now());
    write(APIC.LVT_TIMER, 0x60);
    expect([page.timer, page.timerPeriod]).toEqual([8000n, 0n]);
  });

  it("TSC-deadline mode: no counts; changing to it or from it disarms", () => {
    const { core, page, read, write } = one();
    write(APIC.DCR_TIMER, 0xb);
    write(APIC.ICR_TIMER, 100);
    write(APIC.LVT_TIMER, TIMER_TSC_DEADLINE | 0x60);
    expect(page.timer).toBeUndefined();
    write(APIC.ICR_TIMER, 100);
    expect([page.timer, read(APIC.ICR_TIMER)]).toEqual([undefined, 0]);
    page.timer = 5000n; // what the core does for IA32_TSC_DEADLINE
    page.tscDeadline = 777n;
    expect(read(APIC.CCR_TIMER)).toBe(0);
    write(APIC.LVT_TIMER, TIMER_TSC_DEADLINE | LVT_MASKED | 0x61);
    expect([page.timer, page.tscDeadline]).toEqual([5000n, 777n]);
    core.attention();
    write(APIC.LVT_TIMER, TIMER_PERIODIC | 0x61);
    expect([page.timer, page.tscDeadline]).toEqual([undefined, 0n]);
    expect(core.attention()).toBe(ATTENTION.DEADLINE);
  });

  it("does not interrupt while masked, but counts", () => {
    const { timers, core, read, write } = one();
    write(APIC.DCR_TIMER, 0xb);
    write(APIC.LVT_TIMER, LVT_MASKED | 0x60);
    write(APIC.ICR_TIMER, 10);
    timers.advance(200n);
    expect(read(APIC.CCR_TIMER)).toBe(5);
    timers.advance(200n);
    core.tick(timers.now());
    expect(core.take()).toBe(-1);
  });
});
