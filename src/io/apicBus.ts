/**
 * Where interrupt messages go: the one place that turns a destination into local APICs (SDM vol. 3, 11.6.2 and
 * 11.12.10), for IPIs, the IOAPIC and message-signalled interrupts.
 *
 * Not there: SMI (no system management mode; logged), 15-bit destinations in MSI addresses, interrupt remapping.
 */

import type { Log } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import { DELIVERY, SHORTHAND } from "./apicRegs.ts";

/** An interrupt message. */
export interface ApicMessage {
  /** APIC id or set of logical ids; all ones (0xff, or 0xffffffff with `extended`) is everybody. */
  readonly destination: number;
  /** The destination has the 32 bits of x2APIC mode instead of 8. */
  readonly extended: boolean;
  readonly logical: boolean;
  /** One of DELIVERY. */
  readonly mode: number;
  readonly vector: number;
  /** Level triggered: the EOI is reported back. */
  readonly level: boolean;
}

/** A local APIC as the bus sees it. */
export interface ApicTarget {
  /** The message's destination names this APIC. An APIC that IA32_APIC_BASE disables is named by nothing. */
  matches(message: ApicMessage): boolean;
  /** Takes fixed interrupts: enabled by software. */
  readonly accepting: boolean;
  /** Task priority class, 0..15. */
  readonly priority: number;
  /** Takes the message in; false if it does not accept it. */
  receive(message: ApicMessage): boolean;
  /** Level of ExtINT that an IOAPIC entry routes here. */
  setExtintMessage(asserted: boolean): void;
}

/** What an IOAPIC hears from the bus. */
export interface ApicBusListener {
  /** A level-triggered vector has been serviced by some processor. */
  eoi(vector: number): void;
  /** A message that nobody accepted may be accepted now. */
  retry(): void;
}

/** Interrupt messages to the local APICs have addresses 0xfeexxxxx (SDM vol. 3, 11.11.1). */
const MSI_BASE = 0xfee;
/** DFR bits 31:28 of the flat model; 0 is the cluster model. */
const DFR_FLAT = 0xf;

export class ApicBus {
  private readonly targets: ApicTarget[] = [];
  private readonly listeners: ApicBusListener[] = [];
  private readonly log: Log;

  constructor(log: Log = noLog) {
    this.log = log;
  }

  /** Adds a local APIC. */
  attach(target: ApicTarget): void {
    this.targets.push(target);
  }

  /** Adds an IOAPIC. */
  listen(listener: ApicBusListener): void {
    this.listeners.push(listener);
  }

  /** Delivers a message. True if at least one local APIC accepted it. */
  deliver(message: ApicMessage): boolean {
    return this.deliverTo(this.find(message), message);
  }

  /**
   * Delivers an IPI.
   * @param shorthand one of SHORTHAND; other than NONE, the message's destination does not count. The combinations
   *     with a delivery mode that table 11-3 calls invalid are delivered as they read.
   */
  sendIpi(source: ApicTarget, shorthand: number, message: ApicMessage): void {
    const all = { ...message, destination: message.extended ? 0xffff_ffff : 0xff, logical: false };
    switch (shorthand) {
      case SHORTHAND.SELF:
        this.deliverTo([source], message);
        break;
      case SHORTHAND.ALL:
        this.deliver(all);
        break;
      case SHORTHAND.OTHERS:
        this.deliverTo(
          this.find(all).filter((target) => target !== source),
          message,
        );
        break;
      default:
        this.deliver(message);
    }
  }

  /**
   * A 32-bit write by a device to `address` (SDM vol. 3, 11.11):
   *
   *     address  31     20 19      12 11     4  3   2 1 0        data  15  14  13 11 10    8 7      0
   *             +---------+----------+--------+---+---+---+           +---+---+-----+-------+--------+
   *             |  0xfee  |   dest   |   0    |RH |LOG| 0 |           |TM | L |  0  | deliv | vector |
   *             +---------+----------+--------+---+---+---+           +---+---+-----+-------+--------+
   *
   * LOG counts without RH as well, against the manual's text but as processors do: Linux relies on it for its flat
   * logical mode. With both, a fixed interrupt goes to one of the destinations.
   *
   * @returns false if the address is not an interrupt message's: the write is one to memory
   */
  deliverMsi(address: number, data: number): boolean {
    if (Math.floor(address / 0x10_0000) !== MSI_BASE) return false;
    const logical = (address & 4) !== 0;
    const level = (data & 0x8000) !== 0;
    const deliver = (data >> 8) & 7;
    // A deassertion withdraws nothing: the processor has been told already.
    if (level && (data & 0x4000) === 0) return true;
    const redirect = logical && (address & 8) !== 0 && deliver === DELIVERY.FIXED;
    const mode = redirect ? DELIVERY.LOWEST_PRIORITY : deliver;
    this.deliver({
      destination: (address >>> 12) & 0xff,
      extended: false,
      logical,
      mode,
      vector: data & 0xff,
      level,
    });
    return true;
  }

  /** A processor has done EOI of a level-triggered vector (the core's ring says so). */
  eoi(vector: number): void {
    for (const listener of this.listeners) listener.eoi(vector);
  }

  /** A local APIC has been enabled or has another id: what was refused is sent again, as on the APIC bus. */
  retry(): void {
    for (const listener of this.listeners) listener.retry();
  }

  /** ExtINT is a wire rather than a message: each APIC that one of `messages` names sees it asserted, the others not. */
  setExtint(messages: readonly ApicMessage[]): void {
    for (const target of this.targets) target.setExtintMessage(messages.some((message) => target.matches(message)));
  }

  private find(message: ApicMessage): ApicTarget[] {
    return this.targets.filter((target) => target.matches(message));
  }

  private deliverTo(targets: ApicTarget[], message: ApicMessage): boolean {
    if (message.mode === DELIVERY.SMI) {
      this.log("apicBus: SMI is not there");
      return false;
    }
    if (message.mode !== DELIVERY.LOWEST_PRIORITY) {
      let accepted = false;
      for (const target of targets) accepted = target.receive(message) || accepted;
      return accepted;
    }
    const chosen = arbitrate(targets, message.vector);
    return chosen?.receive(message) ?? false;
  }
}

/**
 * Lowest-priority arbitration (SDM vol. 3, 11.6.2.4): the lowest task priority class; between equals, which the
 * manual leaves to the chipset, the vector chooses, so that interrupts spread and a replay is the same.
 */
function arbitrate(targets: ApicTarget[], vector: number): ApicTarget | undefined {
  const able = targets.filter((target) => target.accepting);
  const lowest = Math.min(...able.map((target) => target.priority));
  const equal = able.filter((target) => target.priority === lowest);
  return equal[vector % equal.length];
}

/**
 * Whether a message's destination names an APIC. A logical id is matched as the APIC's mode has it: in x2APIC mode
 * {cluster, set of 16}; in xAPIC mode by DFR, flat (set of 8) or {cluster, set of 4}.
 */
export function names(message: ApicMessage, id: number, x2apic: boolean, ldr: number, dfr: number): boolean {
  const { destination, extended, logical } = message;
  if (destination === (extended ? 0xffff_ffff : 0xff)) return true;
  if (!logical) return destination === (x2apic ? id : id & 0xff);
  if (x2apic) return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
  if (destination > 0xff) return false;
  const mine = ldr >>> 24;
  if (dfr >>> 28 === DFR_FLAT) return (destination & mine) !== 0;
  return (destination & 0xf0) === (mine & 0xf0) && (destination & mine & 0x0f) !== 0;
}
