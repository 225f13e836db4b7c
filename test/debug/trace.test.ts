/** What a machine records while it is looked at: events with their values, the last instructions; and looks while it runs. */
import { describe, expect, it, vi } from "vitest";
import { autopsy } from "../../src/debug/autopsy.ts";
import { failed, Inspector } from "../../src/debug/inspector.ts";
import { eventLine, isAccess } from "../../src/debug/timeline.ts";
import { recordedOf, setRecording } from "../../src/debug/trace.ts";
import { assemble } from "../../src/isa/assemble.ts";
import { heatOf } from "../../src/machine/machineConfig.ts";
import { VCPU } from "../../src/shared/layout.ts";
import { keeping, machine, multibootOpening, multibootTables, read32, SHARED, until } from "../vcpu/threads.ts";

vi.setConfig({ testTimeout: 60_000 });
const keep = keeping();

const FAULT = `${multibootOpening}
  mov ecx,3
again:
  mov al,'x'
  out 0xe9,al
  in al,0x61
  call nothing
  loop again
  lidt [none]
  ud2
nothing: ret
none: dw 0
  dd 0
${multibootTables(() => "iretd")}`;

const COUNT = `${multibootOpening}
  mov dword [${SHARED}],0
again:
  inc dword [${SHARED}]
  call work
here:
  jmp again
work:
  push eax
  pop eax
  ret
${multibootTables(() => "iretd")}`;

describe.each([
  ["threaded", "interp"],
  ["inline", "interp"],
  ["inline", "jit"],
] as const)("%s, %s", (transport, engine) => {
  it("has events in their order, with values, and the last instructions one by one", async () => {
    const m = await machine(FAULT, { transport, engine });
    keep(m);
    await m.glance(() => setRecording(m.debug, { events: true, code: true }, heatOf(m.config)));
    await m.start();
    expect(await until(() => m.state === "failed")).toBe(true);
    const { events } = recordedOf(m.debug, 0);
    // The 8259s are masked first, by the opening.
    expect(events.filter(isAccess).map(eventLine).slice(2)).toEqual(
      [1, 2, 3].flatMap(() => [
        "write port 0xe9, 1 byte: 0x78",
        expect.stringMatching(/^read port 0x61 \(port B\), 1 byte: 0x/),
      ]),
    );
    expect(events.at(-2)).toMatchObject({ kind: "EXCEPTION", where: 6, vcpu: 0 });
    expect(events.at(-1)).toMatchObject({ kind: "SHUTDOWN", vcpu: 0 });
    expect(events.every(({ ns }, i) => i === 0 || ns >= events[i - 1].ns)).toBe(true);
    expect(recordedOf(m.debug, 0, events.length - 1).events).toHaveLength(1);
    const found = autopsy(m.debug, m.memory, 0, { recorded: recordedOf(m.debug, 0) });
    const texts = found?.last.map(({ text }) => text.split(" ")[0]).slice(-20);
    const turn = ["mov", "out", "in", "call", "ret", "loop"];
    expect(texts).toEqual(["mov", ...turn, ...turn, ...turn, "lidt"]);
    expect(found?.code[0].text).toBe("ud2");
  });

  it("is looked at while it runs, and goes on; nobody hears of it", async () => {
    const states: string[] = [];
    const m = await machine(COUNT, { transport, engine, onState: (state) => states.push(state) });
    keep(m);
    await m.start();
    const inspector = new Inspector(m);
    const counts: number[] = [];
    for (let i = 0; i < 5; i++) {
      const { cpu, state, code } = await inspector.look({ vcpu: 0, code: { at: "rip", before: 2, after: 4 } });
      expect(state).toBe("running");
      expect(code && "lines" in code && code.lines.some(({ address }) => address === cpu.rip)).toBe(true);
      counts.push(read32(m, SHARED));
      await until(() => read32(m, SHARED) > counts[i]);
    }
    expect(counts.every((n, i) => i === 0 || n > counts[i - 1])).toBe(true);
    expect(states).toEqual(["running"]);
    expect(m.view().get(VCPU.traceEvents)).toBe(0);
  });

  it("steps, over a call too, runs to a place and stops at breakpoints; what is wrong is said", async () => {
    const { symbols } = assemble(COUNT);
    const at = (label: string): bigint => BigInt(symbols.get(label)!);
    const m = await machine(COUNT, { transport, engine });
    keep(m);
    await m.start();
    await m.pause();
    const inspector = new Inspector(m);
    const look = () => inspector.look({ vcpu: 0 });
    const stands = async (): Promise<bigint> => {
      expect(await until(() => m.state === "paused")).toBe(true);
      return (await look()).cpu.rip;
    };
    expect(await inspector.runTo(0, `0x${at("again").toString(16)}`)).toBeUndefined();
    await until(() => m.state === "paused" && m.debug.breakpoints.length === 0);
    expect(await stands()).toBe(at("again"));
    const before = read32(m, SHARED);
    await inspector.step(0);
    expect(read32(m, SHARED)).toBe(before + 1);
    await inspector.stepOver(0);
    await until(() => m.debug.breakpoints.length === 0);
    expect(await stands()).toBe(at("here"));
    await inspector.setBreakpoints([{ kind: "execute", address: at("work"), length: 1 }]);
    await m.resume();
    expect(await stands()).toBe(at("work"));
    expect((await look()).stop).toMatchObject({ kind: "breakpoint", vcpu: 0, address: at("work") });
    expect(await inspector.runTo(0, "nowhere")).toMatch(/^nowhere: a number/);
    const { memory, walk } = await inspector.look({
      vcpu: 0,
      memory: { at: "bad one", length: 4, physical: false },
      walk: { at: "esp", access: { kind: "read", user: false } },
    });
    expect(failed(memory)).toMatch(/a number in hexadecimal/);
    expect(walk && "told" in walk && walk.verdict).toMatchObject({ ok: true, section: "4.1.1" });
  });
});
