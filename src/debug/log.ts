/** Named log channels: what a guest did wrong, or what somebody debugging wants to know. Off unless there is a sink. */
import { type Log, noLog } from "../shared/device.ts";

export type LogSink = (channel: string, message: string) => void;

export class DebugLog {
  readonly #sink: LogSink | undefined;

  constructor(sink: LogSink | undefined) {
    this.#sink = sink;
  }

  channel(name: string): Log {
    const sink = this.#sink;
    return sink ? (message) => sink(name, message) : noLog;
  }

  /** A byte stream (a debug port) as lines of a channel. */
  bytes(name: string): (byte: number) => void {
    const sink = this.#sink;
    if (!sink) return () => {};
    let line = "";
    return (byte) => {
      if (byte === 10) {
        sink(name, line);
        line = "";
      } else if (byte !== 13) line += String.fromCharCode(byte);
    };
  }
}
