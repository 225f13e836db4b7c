/**
 * A tab's end of `tabhyve gdb-bridge` (src/cli/bridge): what comes by the WebSocket goes to the machine's worker, and back.
 * It connects when a person gives it an address, and to this host alone.
 */
import type { MachineHandle } from "../machineHandle.ts";

export type LinkState = "connecting" | "no gdb" | "gdb" | "closed";

/** What is wrong with an address; undefined: nothing. */
export function wrongAddress(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const here = url?.protocol === "ws:" && /^(127\.0\.0\.1|localhost)$/.test(url.hostname);
  if (here && /^\/[0-9a-f]{32}$/.test(url.pathname)) return undefined;
  return "That is not what tabhyve gdb-bridge prints: ws://127.0.0.1, a port and a token.";
}

export class GdbLink {
  state: LinkState = "connecting";
  readonly #socket: WebSocket;
  readonly #port: MessagePort;

  /** @param changed hears of every change of state */
  constructor(address: string, handle: MachineHandle, changed: () => void) {
    const { port1, port2 } = new MessageChannel();
    void handle.serveGdb?.(port2);
    this.#port = port1;
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    const become = (state: LinkState): void => {
      this.state = state;
      changed();
    };
    socket.onopen = () => become("no gdb");
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      port1.postMessage(typeof data === "string" ? data : new Uint8Array(data));
      if (typeof data === "string") become(data === "open" ? "gdb" : "no gdb");
    };
    socket.onclose = () => {
      port1.postMessage("close");
      become("closed");
    };
    port1.onmessage = ({ data }: MessageEvent<Uint8Array<ArrayBuffer> | "end">) => socket.send(data);
  }

  close(): void {
    this.#socket.close();
    this.#port.postMessage("close");
  }
}
