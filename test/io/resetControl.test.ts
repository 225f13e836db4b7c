import { describe, expect, it } from "vitest";
import { PostCode } from "../../src/io/postCode.ts";
import { ResetControl } from "../../src/io/resetControl.ts";
import { FakePorts, fakeLog, type Random, refusesSnapshots, snapshotProperty } from "./fakes.ts";

function make() {
  const events: string[] = [];
  const control = new ResetControl({
    onReset: () => void events.push("reset"),
    onInit: () => void events.push("init"),
    onA20: (enabled) => void events.push(enabled ? "a20 on" : "a20 off"),
  });
  return { control, events, ports: new FakePorts(control.handlers) };
}

describe("resetControl", () => {
  it("resets the board as Linux asks for it: SRST first, then RCPU", () => {
    const { ports, events } = make();
    ports.out(0xcf9, 0x02);
    expect(events).toEqual([]);
    ports.out(0xcf9, 0x06);
    expect(events).toEqual(["reset"]);
    expect(ports.in(0xcf9)).toBe(0x06);
    ports.out(0xcf9, 0x06); // no edge
    expect(events).toEqual(["reset"]);
  });

  it("resets the processor only without SRST, the board with FULL", () => {
    const { ports, events } = make();
    ports.out(0xcf9, 0x04);
    ports.out(0xcf9, 0x00);
    ports.out(0xcf9, 0x0e);
    expect(events).toEqual(["init", "reset"]);
  });

  it("port 0x92 gates A20 and pulses INIT on a rising edge", () => {
    const { ports, events } = make();
    ports.out(0x92, 0xfe);
    expect(ports.in(0x92)).toBe(0x02);
    ports.out(0x92, 0x03);
    ports.out(0x92, 0x03);
    ports.out(0x92, 0x00);
    expect(events).toEqual(["a20 on", "init", "a20 off"]);
  });

  it("reset clears both and drops A20", () => {
    const { control, ports, events } = make();
    ports.out(0xcf9, 0x0a);
    ports.out(0x92, 0x02);
    control.reset();
    expect([ports.in(0xcf9), ports.in(0x92), events.at(-1)]).toEqual([0, 0, "a20 off"]);
  });

  it("saves and restores", () => {
    snapshotProperty((timers) => {
      const { control, ports, events } = make();
      const step = (random: Random) => {
        events.length = 0;
        ports.out(random.pick([0xcf9, 0x92]), random.below(256));
        return [...events, ports.in(0xcf9), ports.in(0x92)];
      };
      return { device: control, timers, step };
    });
    const { control, events } = make();
    control.import({ version: 1, rc: 2, port92: 2 });
    expect(events).toEqual(["a20 on"]);
    refusesSnapshots(control, [null, { version: 2, rc: 0, port92: 0 }, { version: 1, rc: 0, port92: "1" }]);
  });
});

describe("postCode", () => {
  it("latches the code, logs and keeps each change", () => {
    const log = fakeLog();
    const post = new PostCode(log);
    const ports = new FakePorts(post.handlers);
    for (const code of [0x11, 0x11, 0x11, 0x0a, 0x11]) ports.out(0x80, code);
    expect(ports.in(0x80)).toBe(0x11);
    expect(post.history()).toEqual([0x11, 0x0a, 0x11]);
    expect(log.messages).toEqual(["0x11", "0x0a", "0x11"]);
    for (let i = 0; i < 1000; i++) ports.out(0x80, i & 0xff);
    expect(post.history()).toHaveLength(64);
    post.reset();
    expect([ports.in(0x80), post.history()]).toEqual([0, []]);
  });

  it("saves and restores", () => {
    snapshotProperty((timers) => {
      const post = new PostCode();
      const ports = new FakePorts(post.handlers);
      const step = (random: Random) => {
        ports.out(0x80, random.below(4));
        return [ports.in(0x80), [...post.history()]];
      };
      return { device: post, timers, step };
    });
    refusesSnapshots(new PostCode(), [
      { version: 1, code: 0, history: Array(65).fill(1) },
      { version: 1, code: 256, history: [] },
    ]);
  });
});
