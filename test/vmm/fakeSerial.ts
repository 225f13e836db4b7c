/** A Web Serial port whose other end is a test. */
import type { SerialPortLike, SerialSettings } from "../../src/vmm/index.ts";

export class FakeSerialPort implements SerialPortLike {
  readable: ReadableStream<Uint8Array> | null = null;
  writable: WritableStream<Uint8Array> | null = null;
  /** What was asked of it, in order. */
  readonly calls: string[] = [];
  /** Bytes that came out. */
  readonly sent: number[] = [];
  inputs = { clearToSend: true, dataSetReady: true, dataCarrierDetect: false, ringIndicator: false };
  /** Why it cannot be opened. */
  broken: Error | undefined;
  #in: ReadableStreamDefaultController<Uint8Array> | undefined;

  async open(settings: SerialSettings): Promise<void> {
    this.calls.push(`open ${settings.baudRate}`);
    if (this.broken) throw this.broken;
    this.readable = new ReadableStream({
      start: (controller) => {
        this.#in = controller;
      },
    });
    this.writable = new WritableStream({
      write: (bytes) => {
        this.sent.push(...bytes);
      },
    });
  }

  async close(): Promise<void> {
    if (this.readable?.locked || this.writable?.locked) throw new TypeError("a stream is locked");
    this.calls.push("close");
  }

  async setSignals(signals: Parameters<SerialPortLike["setSignals"]>[0]): Promise<void> {
    this.calls.push(
      `dtr ${Number(signals.dataTerminalReady)} rts ${Number(signals.requestToSend)} break ${Number(signals.break)}`,
    );
  }

  async getSignals(): Promise<typeof this.inputs> {
    return this.inputs;
  }

  /** Bytes come in. */
  arrive(...bytes: number[]): void {
    this.#in?.enqueue(Uint8Array.from(bytes));
  }

  unplug(): void {
    this.#in?.error(new Error("the device has been lost"));
  }
}
