import { describe, expect, it } from "vitest";
import { APIC } from "../../src/io/apicRegs.ts";
import type { VlapicV1 } from "../../src/io/vlapicState.ts";
import { ATTENTION } from "../../src/shared/layout.ts";
import { LVTS, makeBoard, one } from "./apicFakes.ts";
import { type Random, refusesSnapshots, snapshotProperty } from "./fakes.ts";

describe("vlapic saved state", () => {
  it("raises again what was pending", () => {
    const { apic, write, timers } = one();
    write(APIC.LVT_LINT0, 0x700);
    write(APIC.LVT_TIMER, 0x60);
    write(APIC.ICR_TIMER, 10);
    apic.post(0x41, false);
    apic.lint0.set(true);
    timers.advance(300n);
    const other = one();
    other.timers.advance(1_000_000n);
    other.core.attention();
    other.apic.import(apic.export());
    expect(other.core.attention()).toBe(ATTENTION.POSTED | ATTENTION.EXTINT | ATTENTION.DEADLINE);
    expect(other.core.extint).toBe(true);
    expect(other.page.timer).toBe(1_000_500n);
    expect(other.core.serve()).toEqual([0x41]);
  });

  it("saves and restores", () => {
    snapshotProperty((timers) => {
      const board = makeBoard(1, timers);
      const { apic, core } = board.cpus[0];
      const offsets = [...LVTS, APIC.SVR, APIC.DCR_TIMER, APIC.ICR_TIMER, APIC.ICR_LOW, APIC.ESR, APIC.LDR, 0x2f0];
      const step = (random: Random) => {
        switch (random.below(9)) {
          case 0:
          case 1:
          case 2: {
            const offset = random.pick(offsets);
            const value = offset === APIC.SVR ? random.below(4) * 0x80 + 0xff : random.next() >>> random.below(32);
            if (!apic.export().apicBase.toString(16).endsWith("c00")) apic.write(offset, 4, value);
            else apic.writeMsr(0x800 + offset / 16, BigInt(value & 0x700ff));
            break;
          }
          case 3:
            apic.post(random.below(256), random.coin());
            break;
          case 4:
            random.pick([apic.lint0, apic.lint1]).set(random.coin());
            break;
          case 5:
            timers.advance(BigInt(random.below(100_000)));
            core.tick(timers.now());
            break;
          case 6:
            return core.take();
          case 7:
            core.eoi();
            break;
          default:
            if (random.below(6) === 0) apic.writeApicBase(0xfee0_0000n | BigInt(random.pick([0, 0x800, 0xc00])));
            else apic.setExtintMessage(random.coin());
        }
        return [core.extint, apic.read(APIC.CCR_TIMER, 4), apic.readMsr(0x839)];
      };
      return { device: apic, timers, step };
    });
  });

  it("refuses states that cannot be its own", () => {
    const { apic, write } = one();
    write(APIC.LVT_LINT0, 0x700);
    const good = apic.export();
    const register = (offset: number, value: number): VlapicV1 => ({
      ...good,
      registers: good.registers.map((old, i) => (i === offset / 16 ? value : old)),
    });
    apic.import(register(APIC.TPR, 0x30));
    refusesSnapshots(apic, [
      undefined,
      { ...good, version: 2 },
      { ...good, id: 1 },
      { ...good, apicBase: 0xfee0_0500n },
      { ...good, apicBase: 0xfee0_0d00n },
      { ...good, apicBase: 1n << 41n },
      { ...good, registers: good.registers.slice(1) },
      { ...good, errors: 1 },
      { ...good, timerDueIn: 5 },
      { ...good, lint1: 0 },
      register(APIC.ID, 1 << 24),
      register(APIC.VERSION, 0x10),
      register(APIC.SVR, 0xff), // LINT0 would have to be masked
      register(APIC.LVT_TIMER, 0x100),
      register(APIC.TPR, 0x100),
      register(0x2f0, 1),
      register(APIC.ICR_HIGH, 1),
    ]);
  });
});
