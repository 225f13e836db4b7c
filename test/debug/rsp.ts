/** What a gdb says and hears, for tests: packets to a GdbServer without a connection between. */

import { fromHex, latin1, packet } from "../../src/debug/gdb/packets.ts";
import type { GdbArch } from "../../src/debug/gdb/registers.ts";
import { GdbServer } from "../../src/debug/gdb/server.ts";
import type { Machine } from "../../src/machine/machine.ts";

export class Gdb {
  readonly server: GdbServer;
  /** What it has heard on its console. */
  console = "";
  ended: string | undefined;
  #heard = "";
  #wake = (): void => {};

  constructor(machine: Machine, arch: GdbArch = "i386") {
    this.server = new GdbServer(machine, {
      arch,
      send: (bytes) => {
        this.#heard += String.fromCharCode(...bytes);
        this.#wake();
      },
      onEnd: (how) => {
        this.ended = how;
      },
    });
  }

  /** The next answer; what is for the console goes there. */
  async answer(): Promise<string> {
    for (;;) {
      const found = /^[+]*\$([^#]*)#[0-9a-f]{2}/.exec(this.#heard);
      if (found) {
        this.#heard = this.#heard.slice(found[0].length);
        const console = /^O([0-9a-f]+)$/.exec(found[1]);
        if (!console) return found[1];
        this.console += new TextDecoder().decode(fromHex(console[1]));
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  ask(data: string): Promise<string> {
    this.server.receive(packet(data));
    return this.answer();
  }

  interrupt(): Promise<string> {
    this.server.receive(Uint8Array.of(3));
    return this.answer();
  }

  /** A register by its number in the target description. */
  async register(n: number): Promise<number> {
    const bytes = fromHex(await this.ask(`p${n.toString(16)}`)) as Uint8Array;
    return bytes.reduceRight((value, b) => value * 256 + b, 0);
  }

  async monitor(command: string): Promise<string> {
    const text = Buffer.from(latin1(command)).toString("hex");
    return new TextDecoder().decode(fromHex(await this.ask(`qRcmd,${text}`)));
  }
}
