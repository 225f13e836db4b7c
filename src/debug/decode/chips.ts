/** The interrupt controllers and timers as a table of what their registers say (SDM vol. 3, chapter 11; the datasheets). */
import { APIC, DELIVERY, LVT_MASKED, SVR_ENABLE } from "../../io/apicRegs.ts";
import type { I8259V1 } from "../../io/i8259.ts";
import type { VatpicV1 } from "../../io/vatpic.ts";
import { PIT_HZ, type VatpitV1 } from "../../io/vatpit.ts";
import type { VhpetV1 } from "../../io/vhpet.ts";
import type { VioapicV1 } from "../../io/vioapic.ts";
import { hex } from "../cpuState.ts";

/** A chip, its registers by name, as text. */
export interface ChipTable {
  readonly name: string;
  readonly rows: readonly ChipRow[];
}
export interface ChipRow {
  readonly name: string;
  readonly value: string;
  readonly says: string;
}

const MODES = Object.fromEntries(
  Object.entries(DELIVERY).map(([name, mode]) => [mode, name.toLowerCase().replace("_", " ")]),
);
const delivery = (entry: number): string => MODES[(entry >> 8) & 7] ?? "reserved";
const TIMER_MODES = ["one-shot", "periodic", "TSC deadline", "reserved"];
const DIVIDERS = [2, 4, 8, 16, 32, 64, 128, 1];

/** Numbers of the bits that are set in registers of 32 bits each, lowest first. */
export const bitList = (words: readonly number[]): number[] =>
  words.flatMap((word, i) =>
    Array.from({ length: 32 }, (_, b) => b).flatMap((b) => ((word >>> b) & 1 ? [32 * i + b] : [])),
  );

const vectors = (list: readonly number[]): string => (list.length ? list.map((v) => hex(v, 2)).join(" ") : "none");
const level = (entry: number): string => `${entry & 0x8000 ? "level" : "edge"}${entry & 0x4000 ? ", remote IRR" : ""}`;

export interface ApicFacts {
  readonly id: number;
  /** A register by its offset in the page. */
  readonly register: (offset: number) => number;
  readonly apicBase: bigint;
  /** Guest ns until the timer fires; undefined: it is not armed. */
  readonly timerDue: number | undefined;
}

export function apicTable({ id, register, apicBase, timerDue }: ApicFacts): ChipTable {
  const set = (from: number): number[] => bitList(Array.from({ length: 8 }, (_, i) => register(from + 16 * i)));
  const row = (name: string, offset: number, says: (value: number) => string): ChipRow => {
    const value = register(offset) >>> 0;
    return { name, value: hex(value, 8), says: says(value) };
  };
  const lvt = (value: number): string =>
    `${value & LVT_MASKED ? "masked, " : ""}${delivery(value)}, vector ${hex(value & 0xff, 2)}`;
  const lint = (value: number): string => `${lvt(value)}, ${level(value)}`;
  const mode = !(apicBase & 0x800n) ? "disabled" : apicBase & 0x400n ? "x2APIC" : "xAPIC";
  const due = timerDue === undefined ? "not armed" : `due in ${(timerDue / 1000).toFixed(1)} µs`;
  return {
    name: `Local APIC of vCPU ${id}`,
    rows: [
      {
        name: "mode",
        value: mode,
        says: `IA32_APIC_BASE ${hex(apicBase)}${apicBase & 0x100n ? ", boot processor" : ""}`,
      },
      row("ID", APIC.ID, (v) => `APIC id ${mode === "x2APIC" ? v : v >>> 24}`),
      row(
        "SVR",
        APIC.SVR,
        (v) => `${v & SVR_ENABLE ? "enabled" : "disabled"} by software, spurious vector ${hex(v & 0xff, 2)}`,
      ),
      row("TPR", APIC.TPR, (v) => `task priority ${v >> 4}: vectors below ${hex(((v >> 4) + 1) * 16, 2)} wait`),
      row("PPR", APIC.PPR, (v) => `processor priority ${v >> 4}`),
      { name: "IRR", value: `${set(APIC.IRR).length}`, says: `requested: ${vectors(set(APIC.IRR))}` },
      { name: "ISR", value: `${set(APIC.ISR).length}`, says: `in service: ${vectors(set(APIC.ISR))}` },
      { name: "TMR", value: `${set(APIC.TMR).length}`, says: `level-triggered: ${vectors(set(APIC.TMR))}` },
      row(
        "LVT timer",
        APIC.LVT_TIMER,
        (v) => `${v & LVT_MASKED ? "masked, " : ""}${TIMER_MODES[(v >> 17) & 3]}, vector ${hex(v & 0xff, 2)}; ${due}`,
      ),
      row(
        "initial count",
        APIC.ICR_TIMER,
        (v) =>
          `divided by ${DIVIDERS[((register(APIC.DCR_TIMER) >> 1) & 4) | (register(APIC.DCR_TIMER) & 3)]}: ${v} ticks`,
      ),
      row("LVT LINT0", APIC.LVT_LINT0, lint),
      row("LVT LINT1", APIC.LVT_LINT1, lint),
      row("LVT error", APIC.LVT_ERROR, lvt),
      row("ESR", APIC.ESR, (v) => (v ? "errors since the last write" : "no errors")),
      row(
        "ICR",
        APIC.ICR_LOW,
        (v) =>
          `last IPI: ${delivery(v)}, vector ${hex(v & 0xff, 2)}, to ${["the destination", "itself", "all", "all others"][(v >> 18) & 3]}`,
      ),
    ],
  };
}

export function ioapicTable({ low, high, lines, id }: VioapicV1): ChipTable {
  const entries = low.map((entry, n): ChipRow => {
    const where = `${entry & 0x800 ? "logical" : "APIC"} ${hex(high[n] >>> 24, 2)}`;
    const masked =
      entry & LVT_MASKED
        ? "masked"
        : `${delivery(entry)}, vector ${hex(entry & 0xff, 2)} to ${where}, ${level(entry)}${entry & 0x2000 ? ", active low" : ""}`;
    return {
      name: `input ${n}`,
      value: hex((BigInt(high[n] >>> 0) << 32n) | BigInt(entry >>> 0), 16),
      says: `${masked}${(lines >> n) & 1 ? "; asserted" : ""}`,
    };
  });
  return { name: `I/O APIC (id ${id >>> 24})`, rows: entries };
}

function picRows(name: string, first: number, { imr, isr, edges, lines, elcr, icw2, phase, icw4 }: I8259V1): ChipRow[] {
  const irqs = (mask: number): string =>
    bitList([mask])
      .map((n) => `IRQ ${n + first}`)
      .join(" ") || "none";
  const request = edges | (lines & elcr);
  return [
    {
      name: `${name} state`,
      value: phase,
      says:
        phase === "ready"
          ? `IRQ ${first} is vector ${hex(icw2, 2)}${icw4 & 2 ? ", automatic EOI" : ""}`
          : "not initialised",
    },
    { name: `${name} IRR`, value: hex(request, 2), says: `requested: ${irqs(request)}` },
    { name: `${name} ISR`, value: hex(isr, 2), says: `in service: ${irqs(isr)}` },
    { name: `${name} IMR`, value: hex(imr, 2), says: `not masked: ${irqs(~imr & 0xff)}` },
    { name: `${name} ELCR`, value: hex(elcr, 2), says: `level-triggered: ${irqs(elcr)}` },
  ];
}

export const picTable = ({ master, slave }: VatpicV1): ChipTable => ({
  name: "8259 pair",
  rows: [...picRows("master", 0, master), ...picRows("slave", 8, slave)],
});

const PIT_MODES = [
  "interrupt on terminal count",
  "one-shot",
  "rate generator",
  "square wave",
  "software strobe",
  "hardware strobe",
];
const PIT_USES = ["IRQ 0", "memory refresh", "speaker"];

export const pitTable = ({ counters, port61, irq }: VatpitV1): ChipTable => ({
  name: "8254 timer",
  rows: [
    ...counters.map(({ mode, count, running, gate, bcd }, i): ChipRow => {
      const rate = count ? `${(PIT_HZ / count).toFixed(1)} Hz` : "no count yet";
      const state = `${running ? "counts" : "stands"}${gate ? "" : ", gate closed"}${bcd ? ", BCD" : ""}`;
      return {
        name: `counter ${i}`,
        value: `${count}`,
        says: `${PIT_USES[i]}: mode ${mode}, ${PIT_MODES[mode]}, ${rate}; ${state}`,
      };
    }),
    {
      name: "port 0x61",
      value: hex(port61, 2),
      says: `speaker ${(port61 & 3) === 3 ? "on" : "off"}; IRQ 0 is ${irq ? "high" : "low"}`,
    },
  ],
});

export const hpetTable = ({ config, counter, periodNs, interruptStatus, timers }: VhpetV1): ChipTable => ({
  name: "HPET",
  rows: [
    {
      name: "configuration",
      value: hex(config),
      says: `${config & 1 ? "runs" : "halted"}${config & 2 ? ", legacy replacement" : ""}`,
    },
    { name: "main counter", value: hex(counter, 16), says: `a tick each ${periodNs} ns` },
    {
      name: "interrupt status",
      value: hex(interruptStatus),
      says: `level-triggered timers that are active: ${bitList([interruptStatus]).join(" ") || "none"}`,
    },
    ...timers.map(({ config: own, comparator, period, dueIn }, i): ChipRow => {
      const kind = `${own & 8 ? `periodic, ${period} ticks` : "one-shot"}, ${own & 2 ? "level" : "edge"}, I/O APIC input ${(own >> 9) & 31}`;
      const due = dueIn === undefined ? "" : `, due in ${(Number(dueIn) / 1000).toFixed(1)} µs`;
      return { name: `timer ${i}`, value: hex(comparator), says: `${own & 4 ? "" : "interrupts off, "}${kind}${due}` };
    }),
  ],
});
