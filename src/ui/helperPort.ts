/** Both ends of the port by which a worker is used that somebody else has started (helpers.ts). */
import { expose } from "comlink";
import type { HelperKind, StartHelper } from "./helpers.ts";

/** @param give brings a port to a new worker of a kind */
export const helpersBy =
  (give: (kind: HelperKind, port: MessagePort) => void): StartHelper =>
  (kind) => {
    const { port1, port2 } = new MessageChannel();
    give(kind, port2);
    return { endpoint: port1, terminate: () => port1.postMessage(null) };
  };

/** In the worker: offers it to who has started it, and to who is given a port, whose `terminate` ends it. */
export function offer(api: object): void {
  expose(api);
  addEventListener("message", ({ ports: [port] }) => {
    if (!port) return;
    expose(api, port);
    port.addEventListener("message", ({ data }) => {
      if (data === null) close();
    });
  });
}
