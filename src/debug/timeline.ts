/** What recorded events say about where time went, and a line of text for each. */
import { EXIT } from "../shared/exit.ts";
import { errorText, mnemonicOf, titleOfVector } from "./decode/exceptions.ts";
import type { TraceEvent } from "./trace.ts";

export const SPAN_KINDS = ["running", "halted", "exit"] as const;
/** What a vCPU was doing: executing, halted, or waiting for a device's answer. */
export type SpanKind = (typeof SPAN_KINDS)[number];

export interface Span {
  readonly vcpu: number;
  readonly kind: SpanKind;
  readonly from: number;
  readonly to: number;
}

const AFTER: Partial<Record<TraceEvent["kind"], SpanKind | "nothing">> = {
  HALT: "halted",
  WAKE: "running",
  EXIT: "exit",
  ANSWER: "running",
  SHUTDOWN: "nothing",
};

/** The spans of one vCPU from its first event up to `until`, in guest ns; what it did before the first is not known. */
export function spansOf(events: readonly TraceEvent[], until: number): Span[] {
  const spans: Span[] = [];
  let from: number | undefined;
  let kind: SpanKind | "nothing" = "running";
  const end = (vcpu: number, to: number): void => {
    if (from !== undefined && kind !== "nothing" && to > from) spans.push({ vcpu, kind, from, to });
    from = to;
  };
  for (const event of events) {
    const after = AFTER[event.kind];
    if (from === undefined) {
      from = event.ns;
      kind = after ?? "running";
    } else if (after && after !== kind) {
      end(event.vcpu, event.ns);
      kind = after;
    }
  }
  const last = events.at(-1);
  if (last) end(last.vcpu, Math.max(until, last.ns));
  return spans;
}

/** Share of the time in each state, 0 to 1. */
export function sharesOf(spans: readonly Span[]): Record<SpanKind, number> {
  const shares = { running: 0, halted: 0, exit: 0 };
  for (const { kind, from, to } of spans) shares[kind] += to - from;
  const all = shares.running + shares.halted + shares.exit || 1;
  return { running: shares.running / all, halted: shares.halted / all, exit: shares.exit / all };
}

const EXIT_NAMES = Object.fromEntries(Object.entries(EXIT).map(([name, code]) => [code, name]));

/** Ports of a PC's chips, from the first to the last. */
const PORTS: readonly (readonly [first: number, last: number, name: string])[] = [
  [0x00, 0x0f, "DMA 1"],
  [0x20, 0x21, "8259 master"],
  [0x40, 0x43, "8254 timer"],
  [0x60, 0x60, "keyboard data"],
  [0x61, 0x61, "port B"],
  [0x64, 0x64, "keyboard status"],
  [0x70, 0x71, "RTC"],
  [0x80, 0x80, "POST code"],
  [0x81, 0x8f, "DMA pages"],
  [0x92, 0x92, "A20 and reset"],
  [0xa0, 0xa1, "8259 slave"],
  [0xc0, 0xdf, "DMA 2"],
  [0x170, 0x177, "IDE secondary"],
  [0x1f0, 0x1f7, "IDE primary"],
  [0x3b0, 0x3df, "VGA"],
  [0x3f0, 0x3f5, "floppy"],
  [0x3f6, 0x3f6, "IDE primary control"],
  [0x3f8, 0x3ff, "COM1"],
  [0x402, 0x402, "debug console"],
  [0x4d0, 0x4d1, "8259 ELCR"],
  [0x510, 0x511, "fw_cfg"],
  [0xcf8, 0xcff, "PCI configuration"],
];

/** Addresses of a PC's chips. */
const ADDRESSES: typeof PORTS = [
  [0xa_0000, 0xb_ffff, "VGA memory"],
  [0xfec0_0000, 0xfec0_0fff, "I/O APIC"],
  [0xfed0_0000, 0xfed0_03ff, "HPET"],
  [0xfee0_0000, 0xfee0_0fff, "local APIC"],
];

const named = (list: typeof PORTS, at: number): string => {
  const name = list.find(([first, last]) => at >= first && at <= last)?.[2];
  return name ? ` (${name})` : "";
};

/** Whether an event is an access to a port or a device's memory, with the value that it has had. */
export const isAccess = ({ kind, code, write }: TraceEvent): boolean =>
  kind === "QUICK" || ((code === EXIT.INOUT || code === EXIT.INST_EMUL) && kind === (write ? "EXIT" : "ANSWER"));

/** Whether an event is delivered through the IDT. */
export const isDelivery = ({ kind }: TraceEvent): boolean =>
  kind === "EXCEPTION" || kind === "SOFTWARE" || kind === "INTERRUPT";

const hex = (value: number | bigint, digits = 1): string => `0x${value.toString(16).padStart(digits, "0")}`;

const DF = 8;

/** An event as a line: "interrupt 0x30", "out 0x3f8 (COM1) = 0x41". */
export function eventLine(event: TraceEvent): string {
  const { kind, value, code, size, write, where } = event;
  switch (kind) {
    case "INTERRUPT":
      return `interrupt ${hex(where, 2)}`;
    case "SOFTWARE":
      return `INT ${hex(where, 2)}`;
    case "EXCEPTION": {
      const error = value & 1n ? Number(value >> 32n) : undefined;
      const says = error === undefined || where === DF ? titleOfVector(where) : errorText(where, error);
      return `${mnemonicOf(where)}${error === undefined ? "" : `(${hex(error)})`}${says ? `: ${says}` : ""}`;
    }
    case "HALT":
      return "halted";
    case "WAKE":
      return "woken";
    case "SHUTDOWN":
      return "triple fault: the vCPU shuts down";
    default: {
      const port = kind === "QUICK" || code === EXIT.INOUT;
      if (!port && code !== EXIT.INST_EMUL) return `${kind === "EXIT" ? "exit" : "answer"} ${EXIT_NAMES[code] ?? code}`;
      const place = port ? `port ${hex(where)}${named(PORTS, where)}` : `${hex(where)}${named(ADDRESSES, where)}`;
      const text = `${write ? "write" : "read"} ${place}, ${size} ${size === 1 ? "byte" : "bytes"}`;
      return write || kind !== "EXIT" ? `${text}: ${hex(BigInt.asUintN(8 * size, value), 2 * size)}` : text;
    }
  }
}
