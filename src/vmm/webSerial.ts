/**
 * A serial port of the host behind a guest's 16550 (Web Serial: wicg.github.io/serial): bytes both ways, DTR, RTS and
 * break to the port, its modem inputs back. The port's speed and framing are those it was opened with, whatever the guest
 * programs: a port that is open cannot change them.
 */
import { Uart16550 } from "../io/uart16550.ts";
import { LCR_BREAK, MCR_DTR, MCR_RTS, MSR_CTS, MSR_DCD, MSR_DSR, MSR_RI } from "../io/uart16550Regs.ts";
import { type IoHandler, noLog, type Width } from "../shared/device.ts";
import type { PptDevice, PptHost } from "./ppt.ts";

/** How a port is opened (SerialOptions). */
export interface SerialSettings {
  readonly baudRate: number;
  readonly dataBits?: 7 | 8;
  readonly stopBits?: 1 | 2;
  readonly parity?: "none" | "even" | "odd";
  readonly flowControl?: "none" | "hardware";
}

/** A SerialPort of Web Serial, as far as it is used. */
export interface SerialPortLike {
  readonly readable: ReadableStream<Uint8Array> | null;
  readonly writable: WritableStream<Uint8Array> | null;
  /** Takes the port. */
  open(settings: SerialSettings): Promise<void>;
  /** Gives it back. */
  close(): Promise<void>;
  /** Sets outputs of the line. */
  setSignals(signals: { dataTerminalReady?: boolean; requestToSend?: boolean; break?: boolean }): Promise<void>;
  /** Reads its inputs. */
  getSignals(): Promise<{
    clearToSend: boolean;
    dataSetReady: boolean;
    dataCarrierDetect: boolean;
    ringIndicator: boolean;
  }>;
}

const LCR = 3;
const MCR = 4;
const MSR = 6;

export class WebSerialDevice implements PptDevice {
  readonly name: string;
  readonly portCount = 8;
  readonly #port: SerialPortLike;
  readonly #settings: SerialSettings;
  #uart: Uart16550 | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #reading: Promise<void> | undefined;
  /** Bytes that the receiver has not taken, and who waits until it has. */
  #waiting = new Uint8Array(0);
  #room: (() => void) | undefined;
  #sending: number[] = [];
  #writing: Promise<void> = Promise.resolve();
  #signals = 0;
  #lost: unknown;

  constructor(port: SerialPortLike, settings: SerialSettings, name = "webserial") {
    this.#port = port;
    this.#settings = settings;
    this.name = name;
  }

  /** Why the port is gone (unplugged, say); undefined: it is not. The guest then sees no carrier. */
  get lost(): unknown {
    return this.#lost;
  }

  async attach(host: PptHost): Promise<IoHandler> {
    await this.#port.open(this.#settings);
    const { readable, writable } = this.#port;
    if (!readable || !writable) {
      await this.#port.close();
      throw new TypeError("the port has no streams");
    }
    this.#lost = undefined;
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    const uart = new Uart16550(host.irq, (byte) => this.#send(byte), host.timers, noLog, {
      name: this.name,
      onRoom: () => this.#feed(),
    });
    this.#uart = uart;
    this.#reading = this.#receive();
    await this.#askSignals();
    // How the lines are now is no change.
    uart.read(MSR, 1);
    return {
      read: (offset, size) => {
        if (offset <= MSR && offset + size > MSR) void this.#askSignals();
        return uart.read(offset, size);
      },
      write: (offset: number, size: Width, value: number) => {
        uart.write(offset, size, value);
        if (offset <= MCR && offset + size > LCR) this.#tellSignals();
      },
    };
  }

  async detach(): Promise<void> {
    this.#uart = undefined;
    this.#room?.();
    await this.#writing;
    await this.#reader?.cancel().catch(() => {});
    await this.#reading;
    this.#reader?.releaseLock();
    await this.#writer?.close().catch(() => {});
    this.#writer?.releaseLock();
    this.#waiting = new Uint8Array(0);
    await this.#port.close();
  }

  // From the port to the guest

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await (this.#reader as ReadableStreamDefaultReader<Uint8Array>).read();
        if (done || !this.#uart) return;
        this.#waiting = Uint8Array.from(value);
        this.#feed();
        // No more is taken from the port than the guest takes.
        while (this.#uart && this.#waiting.length) await new Promise<void>((resolve) => (this.#room = resolve));
      }
    } catch (error) {
      this.#lose(error);
    }
  }

  #feed(): void {
    while (this.#uart && this.#waiting.length) {
      const taken = this.#uart.receive(this.#waiting);
      if (taken === 0) return;
      this.#waiting = this.#waiting.slice(taken);
    }
    this.#room?.();
    this.#room = undefined;
  }

  // From the guest to the port

  #send(byte: number): void {
    if (this.#sending.push(byte) > 1) return;
    // What comes in one go of the guest goes out in one piece.
    this.#writing = this.#writing.then(async () => {
      const bytes = Uint8Array.from(this.#sending);
      this.#sending = [];
      await this.#writer?.write(bytes).catch((error) => this.#lose(error));
    });
  }

  #tellSignals(): void {
    const uart = this.#uart;
    if (!uart) return;
    const mcr = uart.read(MCR, 1);
    const signals = (mcr & (MCR_DTR | MCR_RTS)) | (uart.read(LCR, 1) & LCR_BREAK);
    if (signals === this.#signals) return;
    this.#signals = signals;
    void this.#port
      .setSignals({
        dataTerminalReady: (mcr & MCR_DTR) !== 0,
        requestToSend: (mcr & MCR_RTS) !== 0,
        break: (signals & LCR_BREAK) !== 0,
      })
      .catch((error) => this.#lose(error));
  }

  /** Web Serial tells nobody when an input changes: each read of MSR asks, and the next one sees the answer. */
  async #askSignals(): Promise<void> {
    try {
      const s = await this.#port.getSignals();
      this.#uart?.setModem(
        (s.clearToSend ? MSR_CTS : 0) |
          (s.dataSetReady ? MSR_DSR : 0) |
          (s.ringIndicator ? MSR_RI : 0) |
          (s.dataCarrierDetect ? MSR_DCD : 0),
      );
    } catch (error) {
      this.#lose(error);
    }
  }

  #lose(error: unknown): void {
    this.#lost ??= error;
    this.#uart?.setModem(0);
  }
}
