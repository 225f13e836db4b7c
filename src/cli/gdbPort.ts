/** `--gdb`: a TCP port where one gdb at a time can talk to the machine (src/debug/gdb). */
import { createServer, type Server, type Socket } from "node:net";
import { packet } from "../debug/gdb/packets.ts";
import type { GdbArch } from "../debug/gdb/registers.ts";
import { GdbServer } from "../debug/gdb/server.ts";
import type { Machine, MachineState, StopReason } from "../machine/machine.ts";
import { reason, UsageError } from "./options.ts";

/** `[w,][i386,][addr:]port` */
export interface GdbPlace {
  /** The guest waits for gdb to let it go. */
  readonly wait: boolean;
  readonly arch: GdbArch;
  readonly host: string;
  readonly port: number;
}

/** @throws UsageError */
export function parseGdb(option: string, text: string): GdbPlace {
  const words = text.split(",");
  const place = words.pop() ?? "";
  const [, host = "127.0.0.1", port = ""] = /^(?:(.*):)?(\d+)$/.exec(place) ?? [];
  const known = new Set(["w", "i386"]);
  if (!port || Number(port) > 65535 || words.some((w) => !known.delete(w))) {
    throw new UsageError(`${option} ${text}: not [w,][i386,][addr:]port`);
  }
  return {
    wait: words.includes("w"),
    arch: words.includes("i386") ? "i386" : "x86-64",
    host: host.replace(/^\[(.*)\]$/, "$1"),
    port: Number(port),
  };
}

export class GdbPort {
  readonly #machine: Machine;
  readonly #arch: GdbArch;
  readonly #server: Server;
  #talk: { readonly gdb: GdbServer; readonly socket: Socket } | undefined;
  /** What happens when gdb goes. */
  #later: (() => void) | undefined;

  private constructor(machine: Machine, arch: GdbArch, server: Server) {
    this.#machine = machine;
    this.#arch = arch;
    this.#server = server;
    server.on("connection", (socket) => this.#connected(socket));
  }

  /** @param say a line for the person @throws UsageError: nobody can listen there */
  static async listen(machine: Machine, place: GdbPlace, say: (line: string) => void): Promise<GdbPort> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(new UsageError(`--gdb ${place.host}:${place.port}: ${reason(error)}`)));
      server.listen(place.port, place.host, resolve);
    });
    const port = new GdbPort(machine, place.arch, server);
    const at = server.address();
    const where = typeof at === "object" && at ? `${place.host}:${at.port}` : place.host;
    say(`gdb can connect: target remote ${where}${place.wait ? "; the guest waits for it" : ""}`);
    return port;
  }

  #connected(socket: Socket): void {
    if (this.#talk) {
      socket.end(packet("E.another gdb is connected"));
      return;
    }
    const gdb = new GdbServer(this.#machine, {
      arch: this.#arch,
      send: (bytes) => void socket.write(bytes),
      onEnd: (how) => {
        if (how === "killed") void this.#machine.powerOff();
        socket.end();
      },
    });
    this.#talk = { gdb, socket };
    socket.on("data", (bytes) => gdb.receive(bytes));
    // What ends a connection early comes with a close of its own.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#talk = undefined;
      void gdb.close();
      this.#later?.();
    });
  }

  /** Tells gdb. True: it looks at the machine that has failed, and `later` is called when it has gone. */
  onState(state: MachineState, why: StopReason | undefined, later: () => void): boolean {
    this.#talk?.gdb.onState(state, why);
    if (!this.#talk || state !== "failed") return false;
    this.#later = later;
    return true;
  }

  close(): void {
    this.#talk?.socket.destroy();
    this.#server.close();
  }
}
