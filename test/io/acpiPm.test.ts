import { describe, expect, it } from "vitest";
import { ACPI_DISABLE, ACPI_ENABLE, AcpiPm, SLP_TYP_S5 } from "../../src/io/acpiPm.ts";
import { Vpmtmr } from "../../src/io/vpmtmr.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { FakePin, FakeTimers, fakeLog, Random, SECOND } from "./fakes.ts";

const [STS, EN, CNT, TMR, GPE_STS, GPE_EN] = [0, 2, 4, 8, 12, 14];
const TMR_BIT = 0x0001;
const PWRBTN = 0x0100;

function board(bits: 24 | 32 = 32) {
  const timers = new FakeTimers();
  const sci = new FakePin(timers);
  const log = fakeLog();
  const vpmtmr = new Vpmtmr(timers, { bits });
  let powerOffs = 0;
  const pm = new AcpiPm(sci, vpmtmr, () => powerOffs++, log);
  return { timers, sci, log, vpmtmr, pm, powerOffs: () => powerOffs };
}

describe("vpmtmr", () => {
  it("counts 3579545 Hz exactly, at any distance from power-on", () => {
    const { timers, vpmtmr } = board();
    timers.advance(SECOND - 1n);
    expect(vpmtmr.count()).toBe(3_579_544);
    timers.advance(1n);
    expect(vpmtmr.count()).toBe(3_579_545);
    const year = 365n * 86_400n;
    timers.advance(year * SECOND - SECOND);
    expect(vpmtmr.count()).toBe(Number((year * 3_579_545n) % (1n << 32n)));
  });

  it("is 24 or 32 bits wide", () => {
    for (const bits of [24, 32] as const) {
      const { timers, vpmtmr } = board(bits);
      timers.advance(5n * SECOND);
      expect(vpmtmr.read(0, 4)).toBe(bits === 24 ? 17_897_725 % 2 ** 24 : 17_897_725);
      timers.advance(1195n * SECOND);
      expect(vpmtmr.read(0, 4)).toBe(Number((1200n * 3_579_545n) % (1n << BigInt(bits))));
    }
  });

  it("ignores writes and gives its bytes to narrow reads", () => {
    const { timers, vpmtmr } = board();
    timers.advance(7n * SECOND);
    const value = vpmtmr.read(0, 4);
    vpmtmr.write();
    expect([0, 1, 2, 3].map((at) => vpmtmr.read(at, 1) * 2 ** (8 * at)).reduce((a, b) => a + b)).toBe(value);
    expect(vpmtmr.read(2, 2)).toBe(value >>> 16);
  });

  it("refuses the state of a timer of another width", () => {
    expect(() => board(24).vpmtmr.import(board(32).vpmtmr.export())).toThrow(SnapshotError);
  });
});

describe("PM1", () => {
  it("sets TMR_STS whenever the top bit changes, to the tick", () => {
    const { timers, pm } = board(24);
    const edge = (k: bigint) => (k * (1n << 23n) * SECOND + 3_579_544n) / 3_579_545n;
    for (let k = 1n; k < 5n; k++) {
      timers.advance(edge(k) - 1n - timers.now());
      expect(pm.read(STS, 2) & TMR_BIT).toBe(0);
      timers.advance(1n);
      expect(pm.read(STS, 2) & TMR_BIT).toBe(1);
      pm.write(STS, 2, TMR_BIT);
      expect(pm.read(STS, 2) & TMR_BIT).toBe(0);
    }
  });

  it("raises the SCI for the timer only when enabled, and lowers it when cleared", () => {
    const { timers, pm, sci } = board(24);
    timers.advance(3n * SECOND);
    expect(sci.level).toBe(false);
    pm.write(STS, 2, TMR_BIT);
    pm.write(EN, 2, TMR_BIT);
    timers.advance(3n * SECOND);
    expect(sci.level).toBe(false);
    pm.write(STS, 2, TMR_BIT);
    pm.smi.write(0, 1, ACPI_ENABLE);
    expect(sci.level).toBe(false);
    timers.advance(3n * SECOND);
    expect(sci.level).toBe(true);
    pm.write(STS, 2, TMR_BIT);
    expect(sci.level).toBe(false);
    timers.advance(3n * SECOND);
    expect(sci.rises).toBe(2);
  });

  it("switches ACPI mode by the SMI command port and shows it in SCI_EN", () => {
    const { pm, log } = board();
    expect(pm.read(CNT, 2)).toBe(0);
    pm.smi.write(0, 1, ACPI_ENABLE);
    expect(pm.read(CNT, 2)).toBe(1);
    expect(pm.smi.read(0, 1)).toBe(ACPI_ENABLE);
    pm.smi.write(0, 1, ACPI_DISABLE);
    expect(pm.acpiMode).toBe(false);
    pm.smi.write(1, 1, 0x55);
    expect(pm.smi.read(1, 1)).toBe(0x55);
    expect(log.messages).toEqual([]);
    pm.smi.write(0, 1, 3);
    expect(log.messages.length).toBe(1);
  });

  it("reports the power button by SCI", () => {
    const { pm, sci } = board();
    pm.smi.write(0, 1, ACPI_ENABLE);
    pm.pressPowerButton();
    expect(sci.level).toBe(false);
    expect(pm.read(STS, 2)).toBe(PWRBTN);
    pm.write(EN, 2, PWRBTN);
    expect(sci.level).toBe(true);
    pm.write(STS, 2, PWRBTN);
    expect([sci.level, pm.read(STS, 2)]).toEqual([false, 0]);
  });

  it("powers off on SLP_EN with S5 only, and never reads SLP_EN back", () => {
    const { pm, powerOffs } = board();
    pm.write(CNT, 2, (5 << 10) | 0x2001);
    expect(powerOffs()).toBe(0);
    pm.write(CNT, 2, (SLP_TYP_S5 << 10) | 1);
    expect(powerOffs()).toBe(0);
    pm.write(CNT, 2, (SLP_TYP_S5 << 10) | 0x2001);
    expect(powerOffs()).toBe(1);
    expect(pm.read(CNT, 2)).toBe(1);
    pm.write(CNT + 1, 1, 0x20);
    expect(powerOffs()).toBe(2);
  });

  it("has the timer at offset 8 and an empty GPE block", () => {
    const { pm, timers, vpmtmr } = board();
    timers.advance(SECOND);
    expect(pm.read(TMR, 4)).toBe(vpmtmr.count());
    expect(pm.read(TMR + 1, 1)).toBe((vpmtmr.count() >> 8) & 0xff);
    pm.write(GPE_EN, 2, 0xabcd);
    expect(pm.read(GPE_STS, 4)).toBe(0xabcd_0000);
  });

  it("writes status and enable in one double word, and each byte alone", () => {
    const { pm } = board();
    pm.pressPowerButton();
    pm.write(STS, 4, 0x0521_0100);
    expect(pm.read(STS, 4)).toBe(0x0521_0000);
    pm.write(EN + 1, 1, 0x01);
    expect(pm.read(EN, 2)).toBe(0x0121);
  });
});

describe("saved state", () => {
  const scramble = (random: Random, b: ReturnType<typeof board>) => {
    for (let i = 0; i < 30; i++) {
      const kind = random.below(6);
      if (kind === 0) b.pm.pressPowerButton();
      else if (kind === 1) b.pm.smi.write(0, 1, random.pick([ACPI_ENABLE, ACPI_DISABLE, 7]));
      else if (kind === 2) b.timers.advance(BigInt(random.below(2 ** 31)));
      else if (kind === 3) b.pm.rtcAlarm();
      else b.pm.write(random.pick([STS, EN, CNT, GPE_EN]), 2, random.below(65536));
    }
  };

  it("is restored exactly, with the SCI raised again", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new Random(seed);
      const a = board(24);
      scramble(random, a);
      const saved = [a.pm.export(), a.vpmtmr.export()] as const;
      const level = a.sci.level;
      scramble(random, a);
      a.pm.write(GPE_EN, 2, saved[0].gpeEnable ^ 1);
      expect(a.pm.export()).not.toEqual(saved[0]);
      const b = board(24);
      b.timers.advance(a.timers.now());
      scramble(random, b);
      a.timers.advance(b.timers.now() - a.timers.now());
      b.vpmtmr.import(structuredClone(saved[1]));
      b.pm.import(structuredClone(saved[0]));
      expect([b.pm.export(), b.vpmtmr.export()]).toEqual(saved);
      if (level) expect(b.sci.level).toBe(true);
      a.vpmtmr.import(saved[1]);
      a.pm.import(saved[0]);
      const tail = random.next();
      scramble(new Random(tail), a);
      scramble(new Random(tail), b);
      expect(b.pm.export()).toEqual(a.pm.export());
      expect(b.sci.level).toBe(a.sci.level);
    }
  });

  it("refuses nonsense and changes nothing", () => {
    const { pm } = board();
    pm.write(GPE_EN, 2, 5);
    const good = pm.export();
    for (const [field, value] of [
      ["version", 0],
      ["smi", [1]],
      ["smi", [1, 256]],
      ["control", -1],
      ["gpeEnable", 1.5],
    ]) {
      expect(() => pm.import({ ...good, enable: 1, [field as string]: value } as never)).toThrow(SnapshotError);
      expect(pm.export()).toEqual(good);
    }
  });
});
