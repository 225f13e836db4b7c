/** Runs a callback after the events that are already waiting: what setTimeout(0) would do without its 4 ms. */

type Immediate = (callback: () => void) => unknown;
const immediate = (globalThis as { setImmediate?: Immediate }).setImmediate;

interface Port {
  postMessage(message: unknown): void;
  onmessage: (() => void) | null;
}
type Channel = new () => { port1: Port; port2: Port };

const waiting: (() => void)[] = [];
let port: Port | undefined;

export function triggerYield(callback: () => void): void {
  if (immediate) {
    immediate(callback);
    return;
  }
  if (!port) {
    const channel = new (globalThis as unknown as { MessageChannel: Channel }).MessageChannel();
    channel.port1.onmessage = () => waiting.shift()?.();
    port = channel.port2;
  }
  waiting.push(callback);
  port.postMessage(0);
}
