/**
 * uart16550: a National Semiconductor PC16550D UART as a PC wires it to COM1–COM4.
 *
 * Behaviour follows the datasheet (TL/C/8652, sections 8.0–8.7). What differs, or is not there:
 *  - Bytes leave the moment the guest writes them, so LSR always shows THRE and TEMT; with `pace` both directions
 *    take the time the divisor asks for.
 *  - Received bytes never overrun: the host is told how many were taken and keeps the rest. An overrun therefore
 *    comes only from loopback.
 *  - OUT2 does not gate the interrupt as on an IBM board: xv6 never sets it and takes interrupts all the same.
 *  - Characters have 8 bits whatever LCR says, and a divisor of 0 counts as 1: small polled guests write without
 *    programming either. Word length counts in the character time.
 *  - No DMA signals, no parity or framing errors (there is no wire); break can be received.
 */

import type { Device, InterruptPin, IoHandler, Log, Timers, Width } from "../shared/device.ts";
import { readBytes, writeBytes } from "./byteAccess.ts";
import { Due } from "./due.ts";
import {
  characterTime,
  FCR_CLEAR_RX,
  FCR_CLEAR_TX,
  FCR_ENABLE,
  FIFO_SIZE,
  IER_EDSSI,
  IER_ELSI,
  IER_ERBFI,
  IER_ETBEI,
  IER_MASK,
  IIR_CTI,
  IIR_FIFO,
  IIR_MODEM,
  IIR_NONE,
  IIR_RDA,
  IIR_RLS,
  IIR_THRE,
  LCR_BREAK,
  LCR_DLAB,
  LSR_BI,
  LSR_DR,
  LSR_ERRORS,
  LSR_FE,
  LSR_FIFO_ERROR,
  LSR_OE,
  LSR_TEMT,
  LSR_THRE,
  MCR_LOOP,
  MCR_MASK,
  MSR_CTS,
  MSR_DCD,
  MSR_DSR,
  MSR_RI,
  RESET_DIVISOR,
  TRIGGER,
} from "./uart16550Regs.ts";
import { checkUart16550, type Uart16550V1 } from "./uart16550State.ts";

export interface Uart16550Options {
  /** For messages and deadline names; default "uart16550". */
  readonly name?: string;
  /** Take as long for each character as the programmed baud rate says, in both directions. */
  readonly pace?: boolean;
  /** Called when there is room again after `receive` took less than it was given. May call `receive`. */
  readonly onRoom?: () => void;
  /**
   * Hears what IIR, LSR and MSR (by register number) read as whenever that has changed: undefined while reading has a
   * side effect, or while a write of THR that is still under way may change the value. The core may answer reads of
   * what is published by itself.
   */
  readonly publish?: (register: number, value: number | undefined) => void;
}

export class Uart16550 implements IoHandler, Device<Uart16550V1> {
  readonly name: string;
  private readonly irq: InterruptPin;
  private readonly sink: (byte: number) => void;
  private readonly timers: Timers;
  private readonly log: Log;
  private readonly pace: boolean;
  private readonly onRoom: (() => void) | undefined;
  private readonly publish: ((register: number, value: number | undefined) => void) | undefined;
  /** What was published last, by register. */
  private readonly shown: (number | undefined)[] = [];
  private readonly txDue: Due;
  private readonly lineDue: Due;
  private readonly timeoutDue: Due;

  private ier = 0;
  private fcr = 0;
  private lcr = 0;
  private mcr = 0;
  private scr = 0;
  private divisor = RESET_DIVISOR;
  private errors = 0;
  private modem = MSR_CTS | MSR_DSR | MSR_DCD;
  private deltas = 0;
  private thrPending = false;
  private timeoutPending = false;
  private starved = false;
  private rx: number[] = [];
  private tx: number[] = [];
  private shifting = -1;
  private line: number[] = [];

  /** `irq` is the COM port's interrupt wire; `sink` gets each byte the guest transmits. */
  constructor(
    irq: InterruptPin,
    sink: (byte: number) => void,
    timers: Timers,
    log: Log,
    options: Uart16550Options = {},
  ) {
    this.name = options.name ?? "uart16550";
    this.irq = irq;
    this.sink = sink;
    this.timers = timers;
    this.log = log;
    this.pace = options.pace ?? false;
    this.onRoom = options.onRoom;
    this.publish = options.publish;
    this.txDue = new Due(timers, `${this.name} transmit`, (at) => this.shiftedOut(at));
    this.lineDue = new Due(timers, `${this.name} receive`, (at) => this.shiftedIn(at));
    this.timeoutDue = new Due(timers, `${this.name} receive timeout`, () => this.receiveTimeout());
    this.publishAll();
  }

  reset(): void {
    this.ier = this.fcr = this.lcr = this.mcr = this.scr = 0;
    this.divisor = RESET_DIVISOR;
    this.errors = this.deltas = 0;
    this.thrPending = this.timeoutPending = false;
    this.rx = [];
    this.tx = [];
    this.line = [];
    this.shifting = -1;
    this.txDue.set(undefined);
    this.lineDue.set(undefined);
    this.timeoutDue.set(undefined);
    this.update();
    this.roomAgain();
  }

  // Host side

  /**
   * Bytes for the guest. Returns how many were taken, from the front; 0 while the FIFO is full or the guest has
   * the chip in loopback. If that was fewer than given, `onRoom` is called when the guest has drained them.
   */
  receive(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.room());
    for (let i = 0; i < taken; i++) {
      if (this.pace) this.line.push(bytes[i]);
      else this.arrive(bytes[i], 0);
    }
    if (taken < bytes.length) this.starved = true;
    this.startLine();
    this.update();
    return taken;
  }

  /** A break on the line: a zero character marked BI. Returns whether there was room for it. */
  receiveBreak(): boolean {
    if (this.rx.length >= this.depth() || this.loop()) return false;
    this.arrive(0, LSR_BI | LSR_FE);
    this.update();
    return true;
  }

  /** Modem inputs as MSR_* bits. A terminal that is there asserts CTS, DSR and DCD, which is the default. */
  setModem(lines: number): void {
    const before = this.modemInputs();
    this.modem = lines & 0xf0;
    this.modemChanged(before);
    this.update();
  }

  // Guest side

  read(offset: number, size: Width): number {
    return readBytes(offset, size, (at) => this.read8(at & 7));
  }

  write(offset: number, size: Width, value: number): void {
    writeBytes(offset, size, value, (at, byte) => this.write8(at & 7, byte));
  }

  private read8(offset: number): number {
    const dlab = (this.lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case 0:
        return dlab ? this.divisor & 0xff : this.readRbr();
      case 1:
        return dlab ? this.divisor >> 8 : this.ier;
      case 2:
        return this.readIir();
      case 3:
        return this.lcr;
      case 4:
        return this.mcr;
      case 5:
        return this.readLsr();
      case 6:
        return this.readMsr();
      default:
        return this.scr;
    }
  }

  private write8(offset: number, value: number): void {
    const dlab = (this.lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case 0:
        if (dlab) this.divisor = (this.divisor & 0xff00) | value;
        else this.writeThr(value);
        break;
      case 1:
        if (dlab) this.divisor = (this.divisor & 0xff) | (value << 8);
        else this.writeIer(value);
        break;
      case 2:
        this.writeFcr(value);
        break;
      case 3:
        this.lcr = value;
        break;
      case 4:
        this.writeMcr(value & MCR_MASK);
        break;
      case 5:
      case 6:
        this.log(`${this.name}: write of ${value.toString(16)} to read-only ${offset === 5 ? "LSR" : "MSR"}`);
        break;
      default:
        this.scr = value;
    }
  }

  private readRbr(): number {
    const entry = this.rx.shift();
    if (entry === undefined) return 0;
    this.timeoutPending = false;
    this.restartTimeout();
    this.expose();
    this.update();
    this.startLine();
    this.roomAgain();
    return entry & 0xff;
  }

  /** The highest pending source; reading it takes the THRE interrupt back if that is the one reported. */
  private readIir(): number {
    const source = this.source();
    if (source === IIR_THRE) {
      this.thrPending = false;
      this.update();
    }
    return this.iir(source);
  }

  private iir(source: number): number {
    return source | (this.fifo() ? IIR_FIFO : 0);
  }

  private lsr(): number {
    const fifoError = this.fifo() && this.rx.some((entry) => entry >> 8 !== 0);
    return (
      (this.rx.length > 0 ? LSR_DR : 0) |
      this.errors |
      (this.tx.length === 0 ? LSR_THRE : 0) |
      (this.tx.length === 0 && this.shifting < 0 ? LSR_TEMT : 0) |
      (fifoError ? LSR_FIFO_ERROR : 0)
    );
  }

  private readLsr(): number {
    const value = this.lsr();
    this.errors = 0;
    if (this.rx.length > 0) this.rx[0] &= 0xff;
    this.update();
    return value;
  }

  private readMsr(): number {
    const value = this.modemInputs() | this.deltas;
    this.deltas = 0;
    this.update();
    return value;
  }

  private writeIer(value: number): void {
    // Enabling the interrupt while THR is empty raises it anew; Linux tests for that (UART_BUG_TXEN).
    if (value & ~this.ier & IER_ETBEI && this.tx.length === 0) this.thrPending = true;
    this.ier = value & IER_MASK;
    this.update();
  }

  private writeFcr(value: number): void {
    const enableChanged = ((value ^ this.fcr) & FCR_ENABLE) !== 0;
    if (enableChanged || value & FCR_CLEAR_RX) {
      this.rx = [];
      this.timeoutPending = false;
      this.timeoutDue.set(undefined);
    }
    if ((enableChanged || value & FCR_CLEAR_TX) && this.tx.length > 0) {
      this.tx = [];
      this.thrPending = true;
    }
    // The other bits can be programmed only while bit 0 is written as 1; the clear bits do not stay.
    this.fcr = value & FCR_ENABLE ? value & ~(FCR_CLEAR_RX | FCR_CLEAR_TX) : 0;
    this.update();
    this.startLine();
    this.roomAgain();
  }

  private writeMcr(value: number): void {
    const before = this.modemInputs();
    this.mcr = value;
    this.modemChanged(before);
    this.update();
    this.startLine();
    this.roomAgain();
  }

  private writeThr(value: number): void {
    // The write takes the THRE interrupt back; an edge-triggered 8259 must see the wire fall and rise again.
    this.thrPending = false;
    this.update();
    if (this.pace) {
      if (this.tx.length >= this.depth()) {
        this.log(`${this.name}: byte written to a full transmitter`);
        if (this.fifo()) return;
        this.tx.length = 0;
      }
      this.tx.push(value);
      if (this.shifting < 0) this.shiftNext(this.timers.now());
    } else {
      this.transmit(value);
      this.thrPending = true;
    }
    this.update();
  }

  // Transmitter and receiver

  private transmit(byte: number): void {
    if (this.loop()) this.arrive(byte, 0);
    else if ((this.lcr & LCR_BREAK) === 0) this.sink(byte);
  }

  /** THR (or the FIFO's oldest byte) moves into the shift register; the last one to leave makes THR empty. */
  private shiftNext(at: bigint): void {
    this.shifting = this.tx.shift()!;
    if (this.tx.length === 0) this.thrPending = true;
    this.txDue.set(at + characterTime(this.lcr, this.divisor));
  }

  private shiftedOut(at: bigint): void {
    const byte = this.shifting;
    this.shifting = -1;
    if (this.tx.length > 0) this.shiftNext(at);
    this.transmit(byte);
    this.update();
  }

  /** A whole character came in from the paced line. Where it does not fit, the line waits for the guest. */
  private shiftedIn(at: bigint): void {
    if (this.loop() || this.rx.length >= this.depth()) return;
    this.arrive(this.line.shift()!, 0);
    if (this.line.length > 0) this.lineDue.set(at + characterTime(this.lcr, this.divisor));
    this.update();
    this.roomAgain();
  }

  private startLine(): void {
    if (this.line.length === 0 || this.lineDue.armed) return;
    if (this.loop() || this.rx.length >= this.depth()) return;
    this.lineDue.set(this.timers.now() + characterTime(this.lcr, this.divisor));
  }

  /** Receiver shift register to RBR or FIFO, with overrun as section 8.4 has it. */
  private arrive(byte: number, errors: number): void {
    const full = this.rx.length >= this.depth();
    if (full) this.errors |= LSR_OE;
    if (full && this.fifo()) return;
    if (full) this.rx.length = 0;
    this.rx.push(byte | (errors << 8));
    if (this.rx.length === 1) this.expose();
    if (!this.timeoutPending) this.restartTimeout();
  }

  /** LSR shows the errors of the character that has become the oldest one. */
  private expose(): void {
    if (this.rx.length > 0) this.errors |= (this.rx[0] >> 8) & LSR_ERRORS;
  }

  /** The receiver timeout counts four character times from the last arrival or read (section 8.5). */
  private restartTimeout(): void {
    const runs = this.fifo() && this.rx.length > 0;
    this.timeoutDue.set(runs ? this.timers.now() + 4n * characterTime(this.lcr, this.divisor) : undefined);
  }

  private receiveTimeout(): void {
    this.timeoutPending = true;
    this.update();
  }

  private roomAgain(): void {
    if (!this.starved || this.room() < this.depth()) return;
    this.starved = false;
    this.onRoom?.();
  }

  /** How many bytes the host may hand over now. */
  private room(): number {
    if (this.loop()) return 0;
    return Math.max(0, this.depth() - (this.pace ? this.line.length : this.rx.length));
  }

  // Modem lines

  /** MSR 7:4; in loopback CTS, DSR, RI, DCD come from RTS, DTR, OUT1, OUT2 (section 8.6). */
  private modemInputs(): number {
    if (!this.loop()) return this.modem;
    const { mcr } = this;
    return ((mcr & 2) << 3) | ((mcr & 1) << 5) | ((mcr & 4) << 4) | ((mcr & 8) << 4);
  }

  private modemChanged(before: number): void {
    const now = this.modemInputs();
    const changed = before ^ now;
    // TERI marks only the end of a ring signal; the other three mark any change.
    const ringEnded = before & ~now & MSR_RI;
    this.deltas |= ((changed & (MSR_CTS | MSR_DSR | MSR_DCD)) | ringEnded) >> 4;
  }

  // Interrupts

  private source(): number {
    if (this.ier & IER_ELSI && this.errors) return IIR_RLS;
    if (this.ier & IER_ERBFI) {
      const level = this.fifo() ? TRIGGER[this.fcr >> 6] : 1;
      if (this.rx.length >= level) return IIR_RDA;
      if (this.timeoutPending) return IIR_CTI;
    }
    if (this.ier & IER_ETBEI && this.thrPending) return IIR_THRE;
    if (this.ier & IER_EDSSI && this.deltas) return IIR_MODEM;
    return IIR_NONE;
  }

  private update(): void {
    const source = this.source();
    // Before the interrupt, so that its handler finds what caused it.
    this.publishAll(source);
    this.irq.set(source !== IIR_NONE);
  }

  private publishAll(source = this.source()): void {
    if (!this.publish) return;
    const open = !this.pace && !this.loop();
    const lsr = this.lsr();
    // A byte on its way to THR may make THRE the source, unless one of higher priority hides it.
    const steady = source === IIR_RLS || source === IIR_RDA || source === IIR_CTI || (this.ier & IER_ETBEI) === 0;
    this.show(2, open && steady ? this.iir(source) : undefined);
    this.show(5, open && (lsr & (LSR_ERRORS | LSR_FIFO_ERROR)) === 0 ? lsr : undefined);
    this.show(6, open && this.deltas === 0 ? this.modemInputs() : undefined);
  }

  private show(register: number, value: number | undefined): void {
    if (this.shown[register] === value) return;
    this.shown[register] = value;
    this.publish?.(register, value);
  }

  private fifo(): boolean {
    return (this.fcr & FCR_ENABLE) !== 0;
  }

  private loop(): boolean {
    return (this.mcr & MCR_LOOP) !== 0;
  }

  private depth(): number {
    return this.fifo() ? FIFO_SIZE : 1;
  }

  export(): Uart16550V1 {
    return {
      version: 1,
      ier: this.ier,
      fcr: this.fcr,
      lcr: this.lcr,
      mcr: this.mcr,
      scr: this.scr,
      divisor: this.divisor,
      errors: this.errors,
      modem: this.modem,
      deltas: this.deltas,
      thrPending: this.thrPending,
      timeoutPending: this.timeoutPending,
      starved: this.starved,
      rx: [...this.rx],
      tx: [...this.tx],
      shifting: this.shifting,
      line: [...this.line],
      txIn: this.txDue.left,
      lineIn: this.lineDue.left,
      timeoutIn: this.timeoutDue.left,
    };
  }

  import(state: Uart16550V1): void {
    const { version: _, txIn, lineIn, timeoutIn, ...registers } = checkUart16550(this.name, state);
    Object.assign(this, registers);
    this.txDue.setIn(txIn);
    this.lineDue.setIn(lineIn);
    this.timeoutDue.setIn(timeoutIn);
    this.update();
  }
}
