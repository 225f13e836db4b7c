/** The terminal: raw while a guest has it, the chord that leaves, and a terminal that is given back. */
import { spawnSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { beforeAll, describe, expect, it } from "vitest";
import { type Input, Terminal } from "../../src/cli/terminal.ts";
import { BUNDLE, built, Running, Scratch, tabhyve } from "./command.ts";

class FakeInput extends EventEmitter {
  readonly isTTY: boolean;
  readonly modes: boolean[] = [];
  paused = false;

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }
  setRawMode(on: boolean): void {
    this.modes.push(on);
  }
  pause(): void {
    this.paused = true;
  }
}

function open(isTTY: boolean) {
  const stdin = new FakeInput(isTTY);
  const terminal = new Terminal(stdin as unknown as Input);
  const seen = { typed: "", left: 0 };
  terminal.open(
    (bytes) => {
      seen.typed += Buffer.from(bytes).toString("latin1");
    },
    () => {
      seen.left++;
    },
  );
  return { stdin, terminal, seen, type: (keys: string) => stdin.emit("data", Buffer.from(keys, "latin1")) };
}

describe("keys", () => {
  it("go to the guest, Ctrl-C and bytes above 127 included", () => {
    const { seen, type } = open(true);
    type("a\x03\x04\x1a\xff\r");
    expect(seen).toEqual({ typed: "a\x03\x04\x1a\xff\r", left: 0 });
  });
  it.each(["x", "X"])("Ctrl-A %s leaves, in one piece or in two", (x) => {
    for (const keys of [[`\x01${x}`], ["\x01", x], [`\x01${x}rest`]]) {
      const { seen, type } = open(true);
      for (const k of keys) type(k);
      expect(seen).toEqual({ typed: "", left: 1 });
    }
  });
  it("Ctrl-A a and Ctrl-A Ctrl-A send one Ctrl-A; before another key it is only itself gone", () => {
    const { seen, type } = open(true);
    type("\x01a");
    type("\x01\x01");
    type("\x01q\x01");
    type("ax");
    expect(seen).toEqual({ typed: "\x01\x01q\x01x", left: 0 });
  });
  it("from a pipe are bytes, the chord's included", () => {
    const { seen, type, stdin } = open(false);
    type("\x01x\x03");
    expect(seen).toEqual({ typed: "\x01x\x03", left: 0 });
    expect(stdin.modes).toEqual([]);
  });
  it("stop when it is closed, which gives the terminal back once", () => {
    const { seen, type, stdin, terminal } = open(true);
    expect(stdin.modes).toEqual([true]);
    terminal.close();
    terminal.close();
    type("late");
    expect(seen.typed).toBe("");
    expect(stdin).toMatchObject({ modes: [true, false], paused: true });
  });
});

const hasScript = spawnSync("script", ["--version"]).stdout?.includes("util-linux");
describe.skipIf(!hasScript)("on a pseudo-terminal", { timeout: 60_000 }, () => {
  beforeAll(built, 300_000);

  /** The command in a shell on a terminal of its own, which afterwards says how it ended and how the terminal is. */
  function onTerminal(options = "--memory 16M"): Running {
    const command = `'${process.execPath}' '${BUNDLE}' run ${options} --timeout 50`;
    const shell = `sh -c "echo PID \\$\\$ END; exec ${command}"; echo "[STATUS $?]"; stty -a; echo "[DONE]"`;
    return new Running("script", ["-qec", shell, "/dev/null"], { env: { ...process.env, SHELL: "/bin/sh" } });
  }
  async function ended(terminal: Running): Promise<{ status: number; modes: string }> {
    const [, status, modes] = await terminal.shows(/\[STATUS (\d+)\]([\s\S]*)\[DONE\]/);
    terminal.endInput();
    await terminal.result;
    return { status: Number(status), modes };
  }
  const restored = /[^-]icanon[\s\S]*[^-]echo /;

  it("Ctrl-C and Ctrl-D go to the guest, Ctrl-A x leaves and restores the terminal", async () => {
    const terminal = onTerminal();
    await terminal.shows(/Ctrl-A x leaves[\s\S]*tabhyve> $/);
    terminal.type("help\r");
    await terminal.shows(/> help\s[\s\S]*poweroff[\s\S]*tabhyve> $/);
    terminal.type("\x03\x04\x1a");
    terminal.type("\rmachine\r");
    await terminal.shows(/> machine\s[\s\S]*KiB of RAM[\s\S]*tabhyve> $/);
    terminal.type("\x01");
    terminal.type("x");
    const { status, modes } = await ended(terminal);
    expect(status).toBe(0);
    expect(modes).toMatch(restored);
  });

  it("a machine from a snapshot shows its scrollback there", async () => {
    const scratch = new Scratch();
    try {
      const file = scratch.path("snapshot");
      const saved = await tabhyve(["run", "--memory", "16M", "--until", "> $", "--snapshot-out", file]);
      expect(saved).toMatchObject({ status: 0, stderr: "" });
      const terminal = onTerminal(`--snapshot-in '${file}'`);
      await terminal.shows(/for the commands[\s\S]*tabhyve> $/);
      terminal.type("machine\r");
      await terminal.shows(/> machine\s[\s\S]*KiB of RAM[\s\S]*tabhyve> $/);
      terminal.type("\x01x");
      expect((await ended(terminal)).status).toBe(0);
    } finally {
      scratch.remove();
    }
  });

  it("a signal and a fault restore it, too", async () => {
    for (const [end, expected] of [
      [(_: Running, pid: number) => process.kill(pid, "SIGTERM"), 143],
      [(terminal: Running) => terminal.type("fault\r"), 3],
    ] as const) {
      const terminal = onTerminal();
      const [, pid] = await terminal.shows(/PID (\d+) END/);
      await terminal.shows(/tabhyve> $/);
      end(terminal, Number(pid));
      const { status, modes } = await ended(terminal);
      expect(status).toBe(expected);
      expect(modes).toMatch(restored);
    }
  });
});
