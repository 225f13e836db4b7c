/** The embedded guest in the machine: what it finds there, its prompt, its exceptions and its ways to end. */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { embeddedGuest } from "../../src/machine/embedded/index.ts";
import { Machine, type StopReason } from "../../src/machine/machine.ts";
import { coreBytes } from "../core.ts";

const PROMPT = "tabhyve> ";
const MIB = 1 << 20;

let core: Uint8Array;
beforeAll(async () => {
  core = await coreBytes();
}, 300_000);

const sessions: Session[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) await session.machine.destroy();
});

/** A machine with the embedded guest, and the hands and eyes of its user. */
class Session {
  machine!: Machine;
  text = "";
  /** Everything before it has been looked at. */
  seen = 0;
  stopped: StopReason | undefined;
  starts = 0;
  #changed = (): void => {};

  static async boot(
    options: { append?: string; restart?: boolean; typed?: string; deterministic?: boolean } = {},
  ): Promise<Session> {
    const session = new Session();
    sessions.push(session);
    const decoder = new TextDecoder();
    session.machine = await Machine.create({
      core,
      kernel: embeddedGuest(),
      kernelName: "tabhyve",
      append: options.append ?? "version=1.2.3",
      memoryBytes: 16 * MIB,
      transport: "inline",
      ...(options.deterministic && { deterministic: {} }),
      restart: options.restart ?? false,
      serial: (bytes) => {
        session.text += decoder.decode(bytes);
        session.#changed();
      },
      onState: (state, reason) => {
        if (state === "running") session.starts++;
        if (state === "off" || state === "failed") session.stopped = reason;
        session.#changed();
      },
    });
    if (options.typed) session.type(options.typed);
    await session.machine.start();
    return session;
  }

  async #until(what: string, done: () => boolean, ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (!done()) {
      const left = end - performance.now();
      if (left <= 0) throw new Error(`no ${what} within ${ms} ms; the console says:\n${this.text}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** What comes up to the next `mark`, without it, with plain line ends. */
  async upTo(mark = PROMPT): Promise<string> {
    await this.#until(JSON.stringify(mark), () => this.text.indexOf(mark, this.seen) >= 0, 30_000);
    const at = this.text.indexOf(mark, this.seen);
    const part = this.text.slice(this.seen, at);
    this.seen = at + mark.length;
    return part.replaceAll("\r\n", "\n");
  }

  type(keys: string): void {
    this.machine.serialInput(new TextEncoder().encode(keys));
  }

  /** Types a line at the prompt; the answer includes the echo. */
  async command(line: string): Promise<string> {
    this.type(`${line}\r`);
    return this.upTo();
  }

  async stop(): Promise<StopReason> {
    await this.#until("end of the machine", () => this.stopped !== undefined, 10_000);
    if (!this.stopped) throw new Error("stopped without a reason");
    return this.stopped;
  }
}

const number = (text: string, pattern: RegExp): number => {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`${pattern} is not in:\n${text}`);
  return Number(found);
};

describe("the embedded guest's report", { timeout: 60_000 }, () => {
  it("opens with its version and shows loader, command line, memory, processor and tables", async () => {
    const session = await Session.boot({ append: "one version=1.2.3 two" });
    const report = await session.upTo();
    expect(report).toMatch(/^Tabhyve 1\.2\.3, embedded guest\n/);
    expect(report).toContain("Loader: tabhyve\n");
    expect(report).toContain("Command line: tabhyve one version=1.2.3 two\n");
    expect(report).toMatch(/ {2}0x0{16}-0x000000000009fbff +639 KiB RAM\n/);
    expect(report).toMatch(/ {2}0x0000000000100000-0x0000000000ffffff +15360 KiB RAM\n/);
    expect(report).toContain("  15999 KiB of RAM\n");
    expect(report).toMatch(/Processor\n {2}\w{12} family \d+ model \d+ stepping \d+/);
    expect(report).toMatch(/^ {2}fpu .*\btsc\b.*\bapic\b/m);
    expect(report).toMatch(/ lm\b/);
    expect(report).toMatch(/^ACPI FACP at 0x[0-9a-f]{8} APIC at 0x[0-9a-f]{8} HPET at 0x[0-9a-f]{8}$/m);
    for (const line of report.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });

  it("does without a version", async () => {
    const session = await Session.boot({ append: "" });
    expect(await session.upTo()).toMatch(/^Tabhyve, embedded guest\n/);
  });

  it("counts 100 interrupts a second from each timer, and finds the clocks' frequencies", async () => {
    // Time by instructions: on a busy host ticks would be late, and late ones merge.
    const report = await (await Session.boot({ deterministic: true })).upTo();
    const counts = [...report.matchAll(/^ {2}(\w+) 100 Hz: (\d+) ticks in (\d+) ms \(/gm)];
    expect(counts.map((c) => c[1])).toEqual(["lapic", "hpet", "pit"]);
    for (const [line, , ticks, ms] of counts) {
      expect(Math.abs(Number(ticks) - Number(ms) / 10), line).toBeLessThanOrEqual(1.5);
    }
    expect(number(report, /tsc: ([\d.]+) MHz measured, CPUID 15H says 1000\.000 MHz/) / 1000).toBeCloseTo(1, 2);
    expect(number(report, /lapic .*\(([\d.]+) MHz\)/) / 25).toBeCloseTo(1, 2);
    expect(report).toMatch(/hpet .*\(10\.000 MHz, IOAPIC input 2[0-3]\)/);
    expect(report).toMatch(/pit .*\(1\.193 MHz, IOAPIC input 2\)/);
  });
});

describe("the embedded guest's prompt", { timeout: 60_000 }, () => {
  it("echoes, rubs out, drops a line on Ctrl-C and passes over cursor keys", async () => {
    const session = await Session.boot();
    await session.upTo();
    const [echo, answer] = (await session.command("hexl\x7f\b\x1b[A\x1bOPlp")).split("\n");
    expect(echo).toBe("hexl\b \b\b \blp");
    expect(answer).toMatch(/^ {2}help +this list$/);
    session.type("\x7f\b");
    session.type("poweroff\x03");
    expect(await session.upTo()).toBe("poweroff^C\n");
    expect(await session.command("")).toBe("\n");
    session.type("a\r\nb\n");
    expect(await session.upTo()).toMatch(/^a\na: /);
    expect(await session.upTo()).toMatch(/^b\nb: /);
    expect(session.stopped).toBeUndefined();
  });

  it("answers an unknown command with one line, and takes no more than fits", async () => {
    const session = await Session.boot();
    await session.upTo();
    expect(await session.command("  frob nicate ")).toBe(
      '  frob nicate \nfrob nicate : no such command; "help" lists them\n',
    );
    expect(await session.command("helpx")).toMatch(/^helpx\nhelpx: no such command/);
    const [echo] = (await session.command("x".repeat(200))).split("\n");
    expect(echo).toBe("x".repeat(120) + "\x07".repeat(80));
  });

  it("keeps what is typed before it starts and while it is busy", async () => {
    const words = "zero one two three four five six seven eight nine".split(" ");
    const session = await Session.boot({ typed: words.map((word) => `${word}\r`).join("") });
    await session.upTo("Clocks");
    session.type("ten\r");
    await session.upTo();
    for (const word of [...words, "ten"]) expect(await session.upTo()).toMatch(new RegExp(`^${word}\n${word}: `));
  });

  it("shows the registers of 64-bit mode", async () => {
    const session = await Session.boot();
    await session.upTo();
    const registers = await session.command("regs");
    const value = (name: string): number => number(registers, new RegExp(`^ {2}${name} +(0x[0-9a-f]{16})$`, "m"));
    expect(value("CR0") & 0x8001_0001).toBe(0x8001_0001 | 0);
    expect(value("CR3")).toBe(0x10_2000);
    expect(value("CR4") & 0x20).toBe(0x20);
    expect(value("EFER") & 0x500).toBe(0x500);
    expect(value("APIC_BASE")).toBe(0xfee0_0900);
    expect(value("RFLAGS") & 0x200).toBe(0x200);
    expect(value("CS")).toBe(8);
  });

  it("sleeps while nobody types", async () => {
    const session = await Session.boot();
    await session.upTo();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = session.machine.stats().instructions;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(session.machine.stats().instructions - before).toBeLessThan(1000);
    expect(await session.command("x")).toMatch(/^x\nx: /);
  });
});

describe("the embedded guest's exceptions", { timeout: 60_000 }, () => {
  it("are caught, said and survived", async () => {
    const session = await Session.boot();
    await session.upTo();
    for (let round = 0; round < 2; round++) {
      const divide = await session.command("divide");
      expect(divide).toMatch(/#DE exception, vector 0, error code none\n {2}RIP 0x0{10}10[0-9a-f]{4}, CR2 /);
      const page = await session.command("pagefault");
      expect(page).toMatch(/#PF exception, vector 14, error code 0x0000\n {2}RIP .*, CR2 0x0000123456789000\n/);
      expect(await session.command("ud")).toMatch(/#UD exception, vector 6, error code none\n/);
    }
    expect(await session.command("help")).toContain("poweroff");
  });

  it("become a triple fault with an empty IDT", async () => {
    const session = await Session.boot();
    await session.upTo();
    session.type("fault\r");
    const reason = await session.stop();
    expect(reason.kind).toBe("triple-fault");
    expect(session.text).toContain("Triple fault: ");
  });
});

describe("the embedded guest's endings", { timeout: 60_000 }, () => {
  it("poweroff switches the machine off", async () => {
    const session = await Session.boot();
    await session.upTo();
    session.type("poweroff\r");
    expect(await session.stop()).toEqual({ kind: "power-off" });
    expect(session.machine.state).toBe("off");
  });

  it("reboot resets it, and the guest comes up again", async () => {
    const session = await Session.boot({ restart: true });
    await session.upTo();
    session.type("reboot\r");
    expect(await session.upTo()).toMatch(/^reboot\nResetting\.\nTabhyve 1\.2\.3, embedded guest\n/);
    expect(session.starts).toBe(2);
    expect(await session.command("x")).toMatch(/^x\nx: /);
  });

  it("halt stops the processor: nothing is answered, and no time is used", async () => {
    const session = await Session.boot();
    await session.upTo();
    session.type("halt\r");
    await session.upTo("Halted.");
    session.type("help\r");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(session.text.slice(session.seen)).toBe("\r\n");
    expect(session.stopped).toBeUndefined();
  });
});
