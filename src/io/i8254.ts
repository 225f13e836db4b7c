/**
 * One counter of an Intel 8254 programmable interval timer. `vatpit.ts` puts three of them on the bus.
 * (Intel 8254 datasheet, order number 231164: "Mode Definitions" for the six modes, "Read Operations" for latches.)
 *
 * Time is the number of the CLK pulse, handed in with every call and never smaller than before. Nothing ticks: the
 * state says at which pulse the counting element was loaded and with what; count and OUT follow from it.
 *
 * What it does not do: count in the datasheet's undefined ways. A count of 1 in modes 2 and 3 leaves OUT high; BCD
 * digits above 9 count with their weight; a counter with a control word and no count yet shows its old count.
 */

import type { SnapshotFields } from "./snapshotFields.ts";

/** RW1 and RW0 of the control word: which bytes of the count are read and written. */
const ACCESS_LOW = 1;
const ACCESS_HIGH = 2;
const ACCESS_BOTH = 3;

/** Saved state of one counter. "Pulse" is a number of CLK pulses since power-on. */
export interface I8254CounterV1 {
  /** 0 to 5. */
  mode: number;
  bcd: boolean;
  /** 1 low byte, 2 high byte, 3 low byte then high byte. */
  access: number;
  gate: boolean;
  /** CR, in pulses: 1 to 65536 (a written 0 is the largest count); 0 if none was written since the control word. */
  count: number;
  /** First byte of a two-byte count, -1 if none waits for its second. */
  lowByte: number;
  /** The next read gives the high byte. */
  readHigh: boolean;
  /** OL: the latched count, -1 if none. */
  latch: number;
  /** The latched status byte, -1 if none. */
  status: number;
  /** NULL COUNT: CR holds what CE has not taken yet. */
  nullCount: boolean;
  /** CE was loaded since the control word and counts. */
  running: boolean;
  /** What CE shows while it is not running, as read (BCD or binary). */
  held: number;
  /** What CE was loaded with, in pulses. */
  loaded: number;
  /** Pulse at which CE was loaded (moved on by what GATE held up). */
  start: number;
  /** Level OUT took at that pulse, in mode 3. */
  startHigh: boolean;
  /** GATE holds the counting; `elapsed` pulses were counted until then. */
  stopped: boolean;
  elapsed: number;
  /** Pulse at which CE will take CR, -1 if none is awaited. */
  pending: number;
  /** Level OUT takes at that pulse, in mode 3. */
  pendingHigh: boolean;
}

/** One counter. All `t` are CLK pulse numbers. */
export class I8254Counter {
  private state: I8254CounterV1;
  private readonly gateAtReset: boolean;

  /** @param gateAtReset level of GATE until `setGate` */
  constructor(gateAtReset: boolean) {
    this.gateAtReset = gateAtReset;
    this.state = powerOn(gateAtReset);
  }

  reset(): void {
    this.state = powerOn(this.gateAtReset);
  }

  /** Pulses of a period of OUT's square wave (mode 3); undefined: there is none. */
  get period(): number | undefined {
    return this.state.mode === 3 && this.state.count > 1 ? this.state.count : undefined;
  }

  /** Pulses from one rise of OUT to the next, in the modes that repeat (2 and 3); undefined: it does not repeat. */
  get cycle(): number | undefined {
    const { mode, loaded } = this.state;
    return (mode === 2 || mode === 3) && loaded > 1 ? loaded : undefined;
  }

  /** Control word for this counter (not a latch command). */
  program(t: number, access: number, mode: number, bcd: boolean): void {
    const held = this.count(t);
    this.state = { ...powerOn(this.state.gate), access, mode, bcd, held, nullCount: true };
  }

  /** Writes a byte of the count as the access mode says. */
  write(t: number, byte: number): void {
    const s = this.state;
    this.settle(t);
    if (s.access === ACCESS_BOTH && s.lowByte < 0) {
      s.lowByte = byte;
      if (s.mode === 0) {
        // "Writing the first byte disables counting. OUT is set low immediately."
        s.held = this.count(t);
        s.running = false;
        s.pending = -1;
      }
      return;
    }
    const low = s.access === ACCESS_BOTH ? s.lowByte : s.access === ACCESS_LOW ? byte : 0;
    s.lowByte = -1;
    s.count = this.decode(s.access === ACCESS_LOW ? low : low | (byte << 8));
    s.nullCount = true;
    this.schedule(t);
  }

  /** Reads status if latched, else the latched count, else the count as it is. */
  read(t: number): number {
    const s = this.state;
    if (s.status >= 0) {
      const status = s.status;
      s.status = -1;
      return status;
    }
    const count = s.latch >= 0 ? s.latch : this.count(t);
    const high = s.access === ACCESS_BOTH ? s.readHigh : s.access === ACCESS_HIGH;
    if (s.access === ACCESS_BOTH) s.readHigh = !s.readHigh;
    if (s.access !== ACCESS_BOTH || high) s.latch = -1;
    return high ? count >> 8 : count & 0xff;
  }

  /** Counter latch command. A count latched before and not yet read stays. */
  latchCount(t: number): void {
    if (this.state.latch < 0) this.state.latch = this.count(t);
  }

  /** Read-back command for the status:  | OUT NULL RW1 RW0 | M2 M1 M0 BCD |. One not yet read stays. */
  latchStatus(t: number): void {
    const s = this.state;
    if (s.status >= 0) return;
    const out = this.out(t) ? 0x80 : 0; // settles, so that NULL is right
    s.status = out | (s.nullCount ? 0x40 : 0) | (s.access << 4) | (s.mode << 1) | (s.bcd ? 1 : 0);
  }

  /** Level of GATE from now on. */
  setGate(t: number, high: boolean): void {
    const s = this.state;
    this.settle(t);
    if (s.gate === high) return;
    s.gate = high;
    const triggered = s.mode === 1 || s.mode === 5;
    const reloads = s.mode === 2 || s.mode === 3;
    if (high) {
      if ((triggered || reloads) && s.count > 0) {
        s.pending = t + 1;
        s.pendingHigh = true;
      } else if (!triggered && s.stopped) {
        s.stopped = false;
        s.start = t - s.elapsed;
      }
    } else if (!triggered) {
      s.elapsed = s.running ? t - s.start : 0;
      s.stopped = true;
      if (reloads && s.running) s.pending = -1;
    }
  }

  /** Level of OUT. */
  out(t: number): boolean {
    const s = this.state;
    this.settle(t);
    const elapsed = this.elapsed(t);
    switch (s.mode) {
      case 0:
        return s.running && s.pending < 0 && elapsed >= s.loaded;
      case 1:
        return !(s.running && elapsed < s.loaded);
      case 2:
        return !s.running || s.stopped || s.loaded === 1 || elapsed % s.loaded !== s.loaded - 1;
      case 3:
        return !s.running || s.stopped || this.position(t) < highHalf(s.loaded);
      default:
        return !(s.running && elapsed === s.loaded);
    }
  }

  /**
   * The first pulse after `t` at which OUT rises, undefined if it will not; for a counter whose GATE never moves.
   * @param spacing in modes 2 and 3, rises nearer to `t` than this many pulses are left out
   */
  nextRise(t: number, spacing = 0): number | undefined {
    const s = this.state;
    this.settle(t);
    const first = s.pending >= 0;
    if (s.mode === 2 || s.mode === 3) {
      if (first && s.running) return s.mode === 2 || s.pendingHigh ? s.pending : s.pending + (s.count >> 1);
      if (!first && !s.running) return undefined;
      const period = first ? s.count : s.loaded;
      if (period === 1) return undefined;
      const rise = first ? s.pending + period : t + period - this.position(t);
      return rise + Math.max(0, Math.ceil((t + spacing - rise) / period)) * period;
    }
    if (!first && !s.running) return undefined;
    const strobe = s.mode >= 4 ? 1 : 0;
    const rise = (first ? s.pending + s.count : s.start + s.loaded) + strobe;
    return rise > t ? rise : undefined;
  }

  export(): I8254CounterV1 {
    return { ...this.state };
  }

  /** Checks a saved state and returns what `import` takes. */
  check(fields: SnapshotFields): I8254CounterV1 {
    const pulse = (field: string, min = 0) => fields.int(field, min, Number.MAX_SAFE_INTEGER);
    const running = fields.bool("running");
    const pending = pulse("pending", -1);
    return {
      mode: fields.int("mode", 0, 5),
      bcd: fields.bool("bcd"),
      access: fields.int("access", ACCESS_LOW, ACCESS_BOTH),
      gate: fields.bool("gate"),
      count: fields.int("count", pending >= 0 ? 1 : 0, 0x10000),
      lowByte: fields.int("lowByte", -1, 0xff),
      readHigh: fields.bool("readHigh"),
      latch: fields.int("latch", -1, 0xffff),
      status: fields.int("status", -1, 0xff),
      nullCount: fields.bool("nullCount"),
      running,
      held: fields.int("held", 0, 0xffff),
      loaded: fields.int("loaded", running ? 1 : 0, 0x10000),
      start: pulse("start"),
      startHigh: fields.bool("startHigh"),
      stopped: fields.bool("stopped"),
      elapsed: pulse("elapsed"),
      pending,
      pendingHigh: fields.bool("pendingHigh"),
    };
  }

  import(checked: I8254CounterV1): void {
    this.state = { ...checked };
  }

  /** A count was written: when will CE take it? */
  private schedule(t: number): void {
    const s = this.state;
    if (s.mode === 0 || s.mode === 4) {
      s.pending = t + 1;
    } else if ((s.mode === 2 || s.mode === 3) && s.pending < 0) {
      if (!s.running) {
        s.pending = t + 1;
        s.pendingHigh = true;
      } else if (!s.stopped) {
        // Mode 2 reloads at the end of the period, mode 3 at the end of the half period.
        const half = highHalf(s.loaded);
        const position = this.position(t);
        const low = s.mode === 2 || position >= half;
        s.pending = t + (low ? s.loaded : half) - position;
        s.pendingHigh = low;
      }
    }
  }

  /** Loads CE if the pulse for it has come. */
  private settle(t: number): void {
    const s = this.state;
    if (s.pending < 0 || t < s.pending) return;
    s.loaded = s.count;
    s.start = s.pending;
    s.startHigh = s.pendingHigh;
    s.elapsed = 0;
    s.stopped = !s.gate && s.mode !== 1 && s.mode !== 5;
    s.running = true;
    s.nullCount = false;
    s.pending = -1;
  }

  private elapsed(t: number): number {
    return this.state.stopped ? this.state.elapsed : t - this.state.start;
  }

  /** Pulses into the period, in modes 2 and 3. The period of mode 3 starts with its high half. */
  private position(t: number): number {
    const s = this.state;
    const offset = s.mode === 3 && !s.startHigh ? highHalf(s.loaded) : 0;
    return (this.elapsed(t) + offset) % s.loaded;
  }

  /** CE as the guest reads it, 16 bits. */
  private count(t: number): number {
    const s = this.state;
    this.settle(t);
    if (!s.running) return s.held;
    if (s.mode === 2) return this.encode(s.loaded - this.position(t));
    if (s.mode === 3) {
      // Counts down by two in each half; an odd count starts one lower and spends a pulse at 0 in the high half.
      const position = this.position(t);
      const half = highHalf(s.loaded);
      const inHalf = position < half ? position : position - half;
      return this.encode(s.loaded - (s.loaded & 1) - 2 * inHalf);
    }
    return this.encode(s.loaded - this.elapsed(t));
  }

  /** A written count in pulses. */
  private decode(raw: number): number {
    if (!this.state.bcd) return raw === 0 ? 0x10000 : raw;
    return (raw >> 12) * 1000 + ((raw >> 8) & 15) * 100 + ((raw >> 4) & 15) * 10 + (raw & 15) || 10_000;
  }

  private encode(pulses: number): number {
    if (!this.state.bcd) return ((pulses % 0x10000) + 0x10000) % 0x10000;
    const value = ((pulses % 10_000) + 10_000) % 10_000;
    const digit = (weight: number) => Math.trunc(value / weight) % 10;
    return (digit(1000) << 12) | (digit(100) << 8) | (digit(10) << 4) | digit(1);
  }
}

/** Pulses for which OUT is high in a period of mode 3: the larger half of an odd count. */
function highHalf(count: number): number {
  return (count + 1) >> 1;
}

function powerOn(gate: boolean): I8254CounterV1 {
  return {
    mode: 0,
    bcd: false,
    access: ACCESS_BOTH,
    gate,
    count: 0,
    lowByte: -1,
    readHigh: false,
    latch: -1,
    status: -1,
    nullCount: true,
    running: false,
    held: 0,
    loaded: 0,
    start: 0,
    startHigh: true,
    stopped: !gate,
    elapsed: 0,
    pending: -1,
    pendingHigh: true,
  };
}
