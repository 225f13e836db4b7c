/**
 * What the device thread and a vCPU share of that vCPU's local APIC: the virtual-APIC page, the posted-interrupt
 * requests and a few words of the vCPU page (places: src/shared/layout.ts).
 *
 * Who writes what, so that neither side waits for the other:
 *
 *     registers, IRR, ISR, timer    the vCPU while it runs; the device thread while that vCPU waits for an exit of
 *                                   its own to be answered, or is stopped
 *     TMR, PIR, attention           anybody, by atomic operations
 *     extint                        the device thread
 */

import { AREA, ATTENTION, VCPU } from "../shared/layout.ts";
import { APIC_BASE_ENABLE, APIC_BASE_X2APIC } from "./apicBase.ts";
import { APIC, SVR_ENABLE } from "./apicRegs.ts";

const NEVER = 0xffff_ffff_ffff_ffffn;

/** The part of a WebAssembly.Memory that is needed; an object with an ArrayBuffer serves as well. */
export interface PageMemory {
  readonly buffer: ArrayBufferLike;
}

export class ApicPage {
  private readonly memory: PageMemory;
  private readonly base: number;
  private readonly wake: (() => void) | undefined;
  private words: Int32Array;
  private longs: BigUint64Array;

  /**
   * @param base byte offset of the vCPU's area in the memory, a multiple of 8
   * @param wake makes a halted vCPU look at its attention word; default: Atomics.notify on that word
   */
  constructor(memory: PageMemory, base: number, wake?: () => void) {
    this.memory = memory;
    this.base = base;
    this.wake = wake;
    this.words = new Int32Array(memory.buffer);
    this.longs = new BigUint64Array(memory.buffer);
  }

  /** A register by its xAPIC offset, unsigned. */
  register(offset: number): number {
    return this.view()[this.at(AREA.APIC + offset)] >>> 0;
  }

  setRegister(offset: number, value: number): void {
    this.view()[this.at(AREA.APIC + offset)] = value;
  }

  /** Sets or clears the TMR bit of a vector; the vCPU may be running. */
  setTrigger(vector: number, level: boolean): void {
    const word = this.at(AREA.APIC + APIC.TMR + (vector >> 5) * 16);
    if (level) Atomics.or(this.view(), word, 1 << (vector & 31));
    else Atomics.and(this.view(), word, ~(1 << (vector & 31)));
  }

  /** Requests a vector; the vCPU may be running. */
  request(vector: number): void {
    Atomics.or(this.view(), this.at(AREA.PIR + (vector >> 5) * 4), 1 << (vector & 31));
  }

  /** Word 0..7 of the requests that the vCPU has not yet taken into IRR, unsigned. */
  requested(word: number): number {
    return Atomics.load(this.view(), this.at(AREA.PIR + word * 4)) >>> 0;
  }

  clearRequests(): void {
    for (let i = 0; i < 8; i++) Atomics.store(this.view(), this.at(AREA.PIR + i * 4), 0);
  }

  /** Sets ATTENTION bits and wakes the vCPU if it is halted. */
  attend(bits: number): void {
    const word = this.at(VCPU.attention.offset);
    Atomics.or(this.view(), word, bits);
    if (this.wake !== undefined) this.wake();
    else Atomics.notify(this.words, word);
  }

  /** An NMI: two that come before the vCPU takes the first are two. */
  postNmi(): void {
    Atomics.add(this.view(), this.at(VCPU.nmiPosted.offset), 1);
    this.attend(ATTENTION.NMI);
  }

  get extint(): boolean {
    return Atomics.load(this.view(), this.at(VCPU.extint.offset)) !== 0;
  }

  set extint(level: boolean) {
    Atomics.store(this.view(), this.at(VCPU.extint.offset), level ? 1 : 0);
  }

  get apicBase(): bigint {
    return this.long(VCPU.apicBase.offset);
  }

  set apicBase(value: bigint) {
    this.setLong(VCPU.apicBase.offset, value);
  }

  /** EN in IA32_APIC_BASE. */
  get enabled(): boolean {
    return (this.apicBase & APIC_BASE_ENABLE) !== 0n;
  }

  /** EXTD in IA32_APIC_BASE: x2APIC mode. */
  get x2apic(): boolean {
    return (this.apicBase & APIC_BASE_X2APIC) !== 0n;
  }

  /** Enabled by software too: takes fixed interrupts. */
  get accepting(): boolean {
    return this.enabled && (this.register(APIC.SVR) & SVR_ENABLE) !== 0;
  }

  /** Guest ns at which the timer fires, undefined when it is not armed. */
  get timer(): bigint | undefined {
    const at = this.long(VCPU.apicTimer.offset);
    return at === NEVER ? undefined : at;
  }

  set timer(at: bigint | undefined) {
    this.setLong(VCPU.apicTimer.offset, at ?? NEVER);
  }

  /** Period of the timer in ns, 0 for none. */
  get timerPeriod(): bigint {
    return this.long(VCPU.apicTimerPeriod.offset);
  }

  set timerPeriod(ns: bigint) {
    this.setLong(VCPU.apicTimerPeriod.offset, ns);
  }

  /** IA32_TSC_DEADLINE. */
  get tscDeadline(): bigint {
    return this.long(VCPU.tscDeadline.offset);
  }

  set tscDeadline(value: bigint) {
    this.setLong(VCPU.tscDeadline.offset, value);
  }

  private long(offset: number): bigint {
    this.view();
    return this.longs[(this.base + offset) >>> 3];
  }

  private setLong(offset: number, value: bigint): void {
    this.view();
    this.longs[(this.base + offset) >>> 3] = value;
  }

  private at(offset: number): number {
    return (this.base + offset) >>> 2;
  }

  /** Memory that is not shared gets a new buffer when it grows. */
  private view(): Int32Array {
    const buffer = this.memory.buffer;
    if (this.words.buffer !== buffer) {
      this.words = new Int32Array(buffer);
      this.longs = new BigUint64Array(buffer);
    }
    return this.words;
  }
}
