import {
  type CreateMachine,
  type MachineCallbacks,
  type MachineConfig,
  MachineError,
  type MachineHandle,
  type MachineState,
  type MachineStats,
  type StopDetail,
} from "./machineHandle.ts";

/**
 * A machine without an engine, for page tests and for work on the page (`?fake` in development). It prints a
 * boot, then echoes the serial line. It does not run any guest code and its statistics are invented.
 *
 * Scenarios (`?fake=NAME`): `oom` (of more than 100 MB), `bad-image`, `no-shared-memory` and `crash` fail in create; anything
 * else boots.
 * Commands on its console: `fault`, `engine`, `reboot`, `halt`, `flood` (1 MB of numbered lines), `size`.
 */
export function createFakeMachine(scenario: string): CreateMachine {
  return async (config, callbacks) => {
    await sleep(scenario === "slow" ? 1500 : 60);
    switch (scenario) {
      case "oom":
        if (config.memoryBytes > 100 * 2 ** 20) {
          throw new MachineError("out-of-memory", `The browser refused ${config.memoryBytes >> 20} MB of memory.`);
        }
        break;
      case "bad-image":
        throw new MachineError(
          "bad-image",
          "The kernel is a 64-bit ELF for AArch64; needed is an x86 bzImage, a PVH ELF or a Multiboot image.",
        );
      case "no-shared-memory":
        if (config.transport === "threaded") {
          throw new MachineError("no-shared-memory", "SharedArrayBuffer is not available on this page.");
        }
        break;
      case "crash":
        throw new Error("worker: CompileError: invalid section");
    }
    return new FakeMachine(config, callbacks);
  };
}

const TRIPLE_FAULT: StopDetail = {
  reason: "triple-fault",
  what: "The guest took a triple fault: #PF while delivering #DF, which was raised while delivering #PF.",
  where: {
    rip: "0xffffffff81a0003c",
    cs: "0x0010 (64-bit, ring 0)",
    cr2: "0x00000000deadbee8",
    cr3: "0x0000000001c0a000",
    "fault chain": "#PF(0x2) → #DF(0x0) → #PF(0x0)",
  },
  remedy: "Check that the IDT and the stack named by the TSS are mapped before the first exception.",
};
const PROMPT = "tabhyve:/# ";
const encoder = new TextEncoder();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

class FakeMachine implements MachineHandle {
  readonly #config: MachineConfig;
  readonly #callbacks: MachineCallbacks;
  #state: MachineState = "ready";
  #line = "";
  #size = "unknown";
  #boots = 0;
  #ranSince = 0;
  #ranMs = 0;

  constructor(config: MachineConfig, callbacks: MachineCallbacks) {
    this.#config = config;
    this.#callbacks = callbacks;
  }

  async start(): Promise<void> {
    if (this.#state === "ready") await this.#boot();
  }

  async pause(): Promise<void> {
    if (this.#state === "running") this.#enter("paused");
  }

  async resume(): Promise<void> {
    if (this.#state === "paused") this.#enter("running");
  }

  async reset(): Promise<void> {
    await this.#boot({ reason: "reset", what: "The machine was reset." });
  }

  async powerOff(): Promise<void> {
    this.#enter("off", { reason: "power-off", what: "Powered off from the page." });
  }

  serialInput(bytes: Uint8Array): void {
    if (this.#state !== "running") return;
    for (const ch of new TextDecoder().decode(bytes)) this.#key(ch);
  }

  setConsoleSize(cols: number, rows: number): void {
    this.#size = `${cols}x${rows}`;
  }

  stats(): MachineStats {
    const ms = this.#ranMs + (this.#state === "running" ? performance.now() - this.#ranSince : 0);
    const instructions = Math.floor(ms * 123_456);
    return { state: this.#state, instructions, vcpuSeconds: ms / 1000, exits: Math.floor(ms * 41) };
  }

  async destroy(): Promise<void> {
    this.#boots++;
  }

  #enter(state: MachineState, detail?: StopDetail): void {
    if (this.#state === "running") this.#ranMs += performance.now() - this.#ranSince;
    if (state === "running") this.#ranSince = performance.now();
    this.#state = state;
    this.#callbacks.state(state, detail);
  }

  #print(text: string): void {
    this.#callbacks.serial(encoder.encode(text));
  }

  async #boot(detail?: StopDetail): Promise<void> {
    const boot = ++this.#boots;
    this.#line = "";
    this.#enter("running", detail);
    const kb = this.#config.memoryBytes / 1024;
    const guest = this.#config.embedded ? "embedded guest" : `kernel of ${this.#config.kernel?.length} bytes`;
    const lines = [
      `\x1b[1mTabhyve fake machine\x1b[0m, ${guest}`,
      `[    0.000000] Command line: ${this.#config.append}`,
      "[    0.000000] BIOS-provided physical RAM map:",
      "[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable",
      `[    0.004113] Memory: ${kb}K/${kb}K available (${this.#config.transport} transport)`,
      "[    0.051200] tsc: Detected 1000.000 MHz processor",
      "[    0.212004] \x1b[33mserial8250\x1b[0m: ttyS0 at I/O 0x3f8 (irq = 4, base_baud = 115200) is a 16550A",
      "[    0.498117] \x1b[32mRun /init as init process\x1b[0m",
    ];
    for (const line of lines) {
      await sleep(15);
      while (this.#state === "paused" && boot === this.#boots) await sleep(20);
      if (boot !== this.#boots || this.#state !== "running") return;
      this.#print(`${line}\r\n`);
    }
    this.#print(PROMPT);
  }

  #key(ch: string): void {
    if (ch === "\r") {
      this.#print("\r\n");
      this.#command(this.#line.trim());
      this.#line = "";
    } else if (ch === "\x03") {
      this.#line = "";
      this.#print(`^C\r\n${PROMPT}`);
    } else if (ch === "\x7f") {
      if (this.#line) this.#print("\b \b");
      this.#line = this.#line.slice(0, -1);
    } else {
      this.#line += ch;
      this.#print(ch);
    }
  }

  #command(line: string): void {
    switch (line) {
      case "fault":
        this.#enter("failed", TRIPLE_FAULT);
        return;
      case "engine":
        this.#enter("failed", { reason: "engine-error", what: "RuntimeError: unreachable (vcpu 0)" });
        return;
      case "halt":
        this.#enter("off", { reason: "power-off", what: "The guest powered itself off." });
        return;
      case "reboot":
        void this.#boot({ reason: "reset", what: "The guest reset itself." });
        return;
      case "flood":
        for (let i = 0; i < 25_000; i += 500) {
          let text = "";
          for (let j = i; j < i + 500; j++)
            text += `${String(j).padStart(6, "0")} the quick brown fox jumps over t\r\n`;
          this.#print(text);
        }
        break;
      case "size":
        this.#print(`${this.#size}\r\n`);
        break;
      case "":
        break;
      default:
        this.#print(`you typed ${line.length} characters: ${line}\r\n`);
    }
    this.#print(PROMPT);
  }
}
