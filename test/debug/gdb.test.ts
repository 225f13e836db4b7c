/** A machine in the hands of gdb (src/debug/gdb), on both transports: what it asks, and what the guest does meanwhile. */
import { describe, expect, it, vi } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { DATA, DONE, smpGuest } from "../vcpu/smpGuest.ts";
import { guest, keeping, machine, multibootOpening, multibootTables, read32, SHARED, until } from "../vcpu/threads.ts";
import { Gdb } from "./rsp.ts";

vi.setConfig({ testTimeout: 120_000 });

const keep = keeping();

/** Numbers of an i386's registers. */
const EAX = 0;
const ECX = 1;
const EBP = 5;
const EIP = 8;
const ST0 = 16;
const XMM0 = 32;

const COUNT = SHARED + 0x10;
const LOOP = `
  mov dword [${COUNT}],0
again:
  mov eax,[${COUNT}]
  inc eax
here:
  mov [${COUNT}],eax
  cmp dword [${SHARED}],0
  je again
  mov al,0x21
  out 0xf4,al
  hlt
`;
const PROGRAM = `${multibootOpening}${LOOP}${multibootTables(() => "iretd")}`;
const { symbols } = assemble(PROGRAM);
const at = (label: string): number => Number(symbols.get(label));
const hex = (n: number): string => n.toString(16);
const le = (n: number): string => Buffer.from(Uint32Array.of(n).buffer).toString("hex");

describe.each(["threaded", "inline"] as const)("gdb, %s", (transport) => {
  /** A machine that gdb has found running. */
  async function attached(source = PROGRAM, vcpus = 1): Promise<{ m: Machine; gdb: Gdb }> {
    let gdb: Gdb | undefined;
    const m = await machine(source, { transport, vcpus, onState: (state, why) => gdb?.server.onState(state, why) });
    keep(m);
    await m.start();
    gdb = new Gdb(m);
    return { m, gdb };
  }

  it("stops the guest that it finds running, and lets it go when it goes", async () => {
    const { m, gdb } = await attached();
    expect(await gdb.ask("?")).toBe("T05thread:1;");
    expect(m.state).toBe("paused");
    expect(await gdb.ask(`Z0,${hex(at("here"))},1`)).toBe("OK");
    expect(await gdb.ask("vCont;c")).toBe("T05thread:1;swbreak:;");
    expect(await gdb.ask("D")).toBe("OK");
    await until(() => gdb.ended === "detached");
    const seen = read32(m, COUNT);
    expect(await until(() => read32(m, COUNT) > seen + 1000)).toBe(true);
  });

  it("stops before the instruction with a breakpoint each time, and goes on from there", async () => {
    const { m, gdb } = await attached();
    await gdb.ask("?");
    await gdb.ask(`Z1,${hex(at("here"))},1`);
    expect(await gdb.ask("vCont;c")).toBe("T05thread:1;hwbreak:;");
    const first = await gdb.register(EAX);
    expect(await gdb.register(EIP)).toBe(at("here"));
    expect(read32(m, COUNT)).toBe(first - 1);
    for (let i = 1; i < 20; i++) {
      expect(await gdb.ask("vCont;c")).toBe("T05thread:1;hwbreak:;");
      expect(await gdb.register(EAX)).toBe(first + i);
      expect(read32(m, COUNT)).toBe(first + i - 1);
    }
    expect(await gdb.ask(`z1,${hex(at("here"))},1`)).toBe("OK");
    expect(await gdb.ask("vCont;s")).toBe("T05thread:1;");
    expect(await gdb.register(EIP)).toBeGreaterThan(at("here"));
    expect(read32(m, COUNT)).toBe(first + 19);
  });

  it("steps one instruction at a time", async () => {
    const { gdb } = await attached();
    await gdb.ask("?");
    await gdb.ask(`Z0,${hex(at("again"))},1`);
    await gdb.ask("vCont;c");
    await gdb.ask(`z0,${hex(at("again"))},1`);
    const places: number[] = [];
    for (let i = 0; i < 6; i++) {
      places.push(await gdb.register(EIP));
      expect(await gdb.ask("vCont;s:1")).toBe("T05thread:1;");
    }
    expect(places[0]).toBe(at("again"));
    expect(places[2]).toBe(at("here"));
    expect(places[5]).toBe(at("again"));
  });

  it("stops after an instruction that writes or touches what is watched, wherever that is in it", async () => {
    const { gdb } = await attached();
    await gdb.ask("?");
    await gdb.ask(`Z0,${hex(at("again"))},1`);
    await gdb.ask("vCont;c");
    await gdb.ask(`z0,${hex(at("again"))},1`);
    await gdb.ask(`Z2,${hex(COUNT + 1)},2`);
    expect(await gdb.ask("vCont;c")).toBe(`T05thread:1;watch:${hex(COUNT)};`);
    expect(await gdb.register(EIP)).toBe(at("here") + 5);
    await gdb.ask(`z2,${hex(COUNT + 1)},2`);
    await gdb.ask(`Z4,${hex(COUNT)},4`);
    const ips = [];
    for (let i = 0; i < 4; i++) {
      expect(await gdb.ask("vCont;c")).toBe(`T05thread:1;awatch:${hex(COUNT)};`);
      ips.push(await gdb.register(EIP));
    }
    expect(new Set(ips)).toEqual(new Set([at("again") + 5, at("here") + 5]));
    expect(await gdb.ask(`z4,${hex(COUNT)},4`)).toBe("OK");
    // More than the CPU's four, which watch other places.
    for (let i = 0; i < 20; i++) expect(await gdb.ask(`Z2,${hex(SHARED + 0x100 + 8 * i)},8`)).toBe("OK");
    gdb.server.receive(Buffer.from("$vCont;c#a8"));
    expect(await gdb.interrupt()).toBe("T02thread:1;");
  });

  it("reads and writes registers and memory", async () => {
    const { m, gdb } = await attached();
    await gdb.ask("?");
    await gdb.ask(`Z0,${hex(at("here"))},1`);
    await gdb.ask("vCont;c");
    await gdb.ask(`z0,${hex(at("here"))},1`);
    expect(await gdb.ask(`P0=${le(1_000_000)}`)).toBe("OK");
    expect(await gdb.ask("vCont;s")).toBe("T05thread:1;");
    expect(read32(m, COUNT)).toBe(1_000_000);
    expect(await gdb.ask(`m${hex(COUNT)},4`)).toBe(le(1_000_000));
    expect(await gdb.ask(`M${hex(COUNT)},4:${le(77)}`)).toBe("OK");
    expect(read32(m, COUNT)).toBe(77);
    expect(await gdb.ask(`X${hex(COUNT)},4:$#}*`)).toBe("OK");
    expect(await gdb.ask(`m${hex(COUNT)},4`)).toBe(Buffer.from("$#}*").toString("hex"));
    const all = await gdb.ask("g");
    expect(all.slice(8 * ECX, 8 * ECX + 8)).toBe(await gdb.ask(`p${hex(ECX)}`));
    expect(await gdb.ask(`G${all}`)).toBe("OK");
    expect(await gdb.ask("g")).toBe(all);
    for (const [n, value] of [
      [ST0, "000000000000008000" + "40"],
      [XMM0, "00112233445566778899aabbccddeeff"],
    ] as const) {
      expect(await gdb.ask(`P${hex(n)}=${value}`)).toBe("OK");
      expect(await gdb.ask(`p${hex(n)}`)).toBe(value);
    }
    // Beyond memory, and not a register.
    expect(await gdb.ask("mfff00000,4")).toBe("E0e");
    expect(await gdb.ask("M7ffffe,4:01020304")).toBe("E0e");
    expect(await gdb.ask("m7ffffe,4")).toHaveLength(4);
    for (const bad of ["p999", "P0=12", "Gff", "mzz,4", "M0,4:12", "Z0,zz,1", "Z2,0,0", "vCont;q"]) {
      expect(await gdb.ask(bad), bad).toBe("E16");
    }
    expect(await gdb.ask("vFlashDone")).toBe("");
  });

  it("says what it can do, in pieces that fit", async () => {
    const { gdb } = await attached();
    expect(await gdb.ask("qSupported:swbreak+")).toContain("qXfer:features:read+");
    const whole = await gdb.ask("qXfer:features:read:target.xml:0,3fff");
    let xml = "";
    for (let more = true; more; ) {
      const part = await gdb.ask(`qXfer:features:read:target.xml:${hex(xml.length)},100`);
      xml += part.slice(1);
      more = part[0] === "m";
    }
    expect(`l${xml}`).toBe(whole);
    const sizes = [...xml.matchAll(/bitsize="(\d+)"/g)].map((found) => Number(found[1]) / 4);
    expect((await gdb.ask("g")).length).toBe(sizes.reduce((a, b) => a + b));
  });

  it("the end of the guest is told, a triple fault with the machine still there", async () => {
    const { m, gdb } = await attached();
    await gdb.ask("?");
    await gdb.ask(`M${hex(SHARED)},4:01000000`);
    expect(await gdb.ask("vCont;c")).toBe("W43");
    expect(gdb.console).toBe("The guest has ended: debug-exit.\n");
    await m.destroy();

    const bad = `${multibootOpening}lidt [empty]\nbroken: int3\nempty: times 6 db 0\n${multibootTables(() => "iretd")}`;
    const other = await attached(bad);
    // It may have ended before gdb was there.
    const end = await other.gdb.ask("?");
    expect(end).toBe("T05thread:1;");
    if (other.m.state === "paused") expect(await other.gdb.ask("vCont;c")).toBe("T0bthread:1;");
    expect(await other.gdb.register(EIP)).toBe(Number(assemble(bad).symbols.get("broken")));
    expect(await other.gdb.ask("vCont;c")).toBe("E13");
  });

  it("monitor shows what gdb has no command for", async () => {
    const source = guest("stay: jmp $");
    const { gdb } = await attached(source);
    await gdb.ask("?");
    await gdb.ask(`Z0,${assemble(source).symbols.get("stay")?.toString(16)},1`);
    await gdb.ask("vCont;c");
    expect(await gdb.monitor("registers")).toMatch(/^cr0 0x11 .*\nES .*\n(.*\n)*IDTR base 0x0000000000120000 /);
    expect(await gdb.monitor("walk 0x1234")).toBe("no paging: 0x1234\n");
    expect(await gdb.monitor("walk there")).toMatch(/an address is needed/);
    expect(await gdb.monitor("dance")).toMatch(/^dance: no such command/);
    expect(await gdb.monitor("help")).toMatch(/walk ADDRESS/);
  });

  it("monitor reset leaves the machine at its first instruction", async () => {
    const { m, gdb } = await attached();
    await gdb.ask("?");
    expect(await gdb.monitor("reset")).toBe("The machine has been reset.\n");
    expect(m.state).toBe("paused");
    expect(await gdb.register(EIP)).toBe(Number(m.loaded!.cpu.rip));
    await gdb.ask(`Z0,${hex(at("here"))},1`);
    expect(await gdb.ask("vCont;c")).toBe("T05thread:1;swbreak:;");
    expect(read32(m, COUNT)).toBe(0);
  });

  it("vCPUs are threads: which one has stopped, and who goes on", async () => {
    // Each counts for itself until it is told to stop.
    const body = `
      lea esi,[ebp*4+${DATA}]
    count: inc dword [esi]
    counted: cmp dword [${DATA + 0x100}],0
      je count`;
    const source = smpGuest(3, body);
    const { m, gdb } = await attached(source, 3);
    const counted = Number(assemble(source).symbols.get("counted"));
    const counts = (): number[] => [0, 1, 2].map((id) => read32(m, DATA + 4 * id));
    await gdb.ask("?");
    gdb.server.receive(Buffer.from("$vCont;c#a8"));
    await until(() => counts().every((n) => n > 0), 30_000);
    expect(await gdb.interrupt()).toMatch(/^T02thread:[123];$/);
    expect(await gdb.ask("qfThreadInfo")).toBe("m1,2,3");
    expect(await gdb.ask("qsThreadInfo")).toBe("l");
    expect(Buffer.from(await gdb.ask("qThreadExtraInfo,3"), "hex").toString()).toBe("vCPU 2, running");
    for (const [thread, there] of [
      ["3", "OK"],
      ["4", "E16"],
    ]) {
      expect(await gdb.ask(`T${thread}`)).toBe(there);
      expect(await gdb.ask(`Hg${thread}`)).toBe(there);
    }
    // Alone, it comes round; the others stand still. vCPUs have their numbers, in EBP, in the order in which they came.
    await gdb.ask("Hg2");
    const own = await gdb.register(EBP);
    await gdb.ask(`Z0,${hex(counted)},1`);
    const before = counts();
    const which = [0, 0, 0];
    for (let i = 0; i < 4; i++) {
      const told = await gdb.ask("vCont;c:2");
      which[Number(/thread:(\d)/.exec(told)?.[1]) - 1]++;
    }
    expect(which).toEqual([0, 4, 0]);
    counts().forEach((n, i) => {
      if (i === own) expect(n).toBeGreaterThanOrEqual(before[i] + 3);
      else expect(n).toBe(before[i]);
    });
    // All together, each stops there again and again, and none is forgotten.
    const seen = new Set<string>();
    for (let i = 0; i < 60 && seen.size < 3; i++) seen.add((await gdb.ask("vCont;c")).slice(0, 12));
    expect(seen).toEqual(new Set(["T05thread:1;", "T05thread:2;", "T05thread:3;"]));
    await gdb.ask(`z0,${hex(counted)},1`);
    await gdb.ask(`M${hex(DATA + 0x100)},4:01000000`);
    await gdb.ask("D");
    expect(await until(() => read32(m, DONE) === 1, 30_000)).toBe(true);
  });
});

describe("breakpoints", () => {
  it("change nothing of a run that goes by instructions", async () => {
    const source = guest(`
      mov ecx,20000
    round: inc dword [${COUNT}]
      dec ecx
      jnz round
      mov eax,[${COUNT}]
      out 0xf4,al
      hlt`);
    const round = assemble(source).symbols.get("round") as bigint;
    const run = async (stops: number): Promise<{ instructions: number; told: number }> => {
      let told = 0;
      let ended!: () => void;
      const end = new Promise<void>((resolve) => {
        ended = resolve;
      });
      const m = await machine(source, {
        transport: "inline",
        deterministic: {},
        onState: (state) => state === "off" && ended(),
      });
      keep(m);
      m.debug.onStop = async () => {
        if (++told === stops) await m.setBreakpoints([]);
        await m.resume();
      };
      if (stops) {
        await m.setBreakpoints([
          { kind: "execute", address: round, length: 1 },
          { kind: "write", address: BigInt(COUNT), length: 4 },
        ]);
      }
      await m.start();
      await end;
      const { instructions } = m.stats();
      await m.destroy();
      return { instructions, told };
    };
    const plain = await run(0);
    expect(plain.told).toBe(0);
    expect(await run(101)).toEqual({ instructions: plain.instructions, told: 101 });
  });

  it("of lengths that are none, or too many, are refused", async () => {
    const m = keep(await machine(PROGRAM, { transport: "inline" }));
    const one = { kind: "write", address: 0n, length: 1 } as const;
    await expect(m.setBreakpoints([{ ...one, length: 0 }])).rejects.toThrow(/with 0 bytes/);
    await expect(m.setBreakpoints(Array(4097).fill(one))).rejects.toThrow(/there can be 4096/);
    await m.setBreakpoints(Array(4096).fill(one));
    await m.setBreakpoints([]);
  });
});
