/** A machine in this process, with its console: what scripts that drive Linux themselves have in common. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildCore } from "../build-core.mjs";
import { buildNode } from "../build-node.mjs";
import { preparedGuest } from "../guest/prepared.mjs";
import { root } from "../prepare.mjs";
import { Heard } from "./heard.mjs";

/** The prompt of the shell guests (scripts/guest/profile), and the question for the cursor's place after it. */
export const PROMPT = "tabhyve:~# ";
const ASK_CURSOR = "\x1b[6n";

/** The package's entry for Node, and a guest of the manifest, made if need be. */
export async function prepare(id) {
  await buildCore();
  await buildNode();
  const { kernel, initrd, append } = preparedGuest(id);
  const lib = await import(join(root, "dist/node/lib.js"));
  return { lib, guest: { kernel: readFileSync(kernel), initrd: readFileSync(initrd), append } };
}

/** Counts the kernel messages that must not be there. */
export const TROUBLE = "grep -c 'detected stall\\|soft lockup\\|hard LOCKUP\\|BUG:\\|Oops\\|WARNING:\\|Call Trace'";

/** A machine with a guest of `prepare` and 256 MiB; `config` of Machine.create decides the rest. */
export const linux = ({ lib, guest }, config) =>
  Console.create(lib, {
    ...guest,
    append: `${guest.append} tabhyve.size=200x50`,
    memoryBytes: 256 * 2 ** 20,
    ...config,
  });

/** A machine and what its COM1 has said. */
export class Console {
  #heard = new Heard();
  machine;

  /** @param lib the package @param config of Machine.create, beyond what a console needs */
  static async create(lib, config) {
    const console = new Console();
    console.machine = await lib.Machine.create({
      core: lib.coreBytes(),
      spawn: lib.spawnWorker,
      serial: (bytes) => console.#heard.take(Buffer.from(bytes).toString("latin1")),
      onState: (state, reason) => {
        if (state !== "off" && state !== "failed") return;
        console.#heard.end(`the machine is ${state}: ${JSON.stringify(reason)}`);
      },
      ...config,
    });
    return console;
  }

  type(text) {
    this.machine.serialInput(Buffer.from(text, "latin1"));
  }

  /** What comes before `mark`, which is consumed. @throws Error if it does not come, or the machine has ended */
  async upTo(mark, seconds = 300) {
    return (await this.#heard.upTo(mark, seconds)).replaceAll(ASK_CURSOR, "");
  }

  /** A line at the prompt, shorter than the terminal is wide; what it answers. */
  async command(line, seconds = 300) {
    this.type(`${line}\r`);
    await this.upTo(`${line}\r\n`, seconds);
    return this.upTo(PROMPT, seconds);
  }
}
