/**
 * Snapshots of a machine that runs: the embedded guest goes on in another machine, on either transport, with its timers,
 * its console and what was typed; and files that cannot be used change nothing.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { embeddedGuest } from "../../src/machine/embedded/index.ts";
import { Machine } from "../../src/machine/machine.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { PAGE_SIZE, VCPU } from "../../src/shared/layout.ts";
import { pack, SCHEMA, unpack } from "../../src/snapshot/container.ts";
import { PackedPages } from "../../src/snapshot/packed.ts";
import { readMemory, unpackChunks } from "../../src/snapshot/ram.ts";
import { corePath } from "../core.ts";
import { cleanUp, prepare, spawn, until } from "../vcpu/threads.ts";

const PROMPT = "tabhyve> ";
let core: Uint8Array;

beforeAll(async () => {
  await prepare();
  core = readFileSync(corePath);
});
afterAll(cleanUp);

/** The memory of a machine in which all is zeros. */
const NO_MEMORY = new Uint8Array(8);

/** The pages of a file that are not all zeros, by number. */
async function pagesOf(file: Uint8Array): Promise<Map<number, string>> {
  const image = readMemory((await unpack(file)).memory, 2 ** 20);
  const all = Buffer.concat(await unpackChunks(image));
  const pages = new Map<number, string>();
  for (let i = 0; i < image.runs.length; i += 3) {
    const [page, n, content] = image.runs.subarray(i, i + 3);
    for (let k = 0; k < n; k++) {
      const at = (content + k) * PAGE_SIZE;
      pages.set(page + k, all.toString("latin1", at, at + PAGE_SIZE));
    }
  }
  return pages;
}

/** A state as data. */
// biome-ignore lint/suspicious/noExplicitAny: what is spoiled has no type
type Plain = any;

/** Without what the engine counts, in which a restore counts too. */
const plain = (state: unknown): unknown => {
  const copy = structuredClone(state) as Plain;
  for (const v of copy.vcpus) v.stats = undefined;
  return copy;
};

const machines: Machine[] = [];
afterEach(async () => {
  for (const m of machines.splice(0)) await m.destroy();
});

class Console {
  text = "";
  machine!: Machine;

  static async on(transport: "inline" | "threaded", changes: Partial<Parameters<typeof Machine.create>[0]> = {}) {
    const c = new Console();
    const decoder = new TextDecoder();
    c.machine = await Machine.create({
      core,
      kernel: embeddedGuest(),
      append: "version=1.2.3",
      memoryBytes: 16 << 20,
      transport,
      spawn,
      serial: (bytes) => {
        c.text += decoder.decode(bytes);
      },
      ...changes,
    });
    machines.push(c.machine);
    return c;
  }

  /** Waits for `mark` after what was there at the last call. */
  async upTo(mark: string): Promise<string> {
    expect(await until(() => this.text.includes(mark), 30_000), this.text).toBe(true);
    const at = this.text.indexOf(mark);
    const part = this.text.slice(0, at);
    this.text = this.text.slice(at + mark.length);
    return part;
  }

  async command(line: string): Promise<string> {
    this.machine.serialInput(new TextEncoder().encode(`${line}\r`));
    return this.upTo(PROMPT);
  }
}

async function booted(transport: "inline" | "threaded"): Promise<Console> {
  const c = await Console.on(transport);
  await c.machine.start();
  await c.upTo(PROMPT);
  return c;
}

describe("a machine that runs", { timeout: 240_000 }, () => {
  it.each([
    ["inline", "inline"],
    ["inline", "threaded"],
    ["threaded", "inline"],
    ["threaded", "threaded"],
  ] as const)("goes on from %s to %s, and the original too", async (first, second) => {
    const one = await booted(first);
    // A line that is half typed is part of the state: its beginning is in the guest, or waits at the UART.
    one.machine.serialInput(new TextEncoder().encode("hel"));
    await one.upTo("hel");
    const shares: number[] = [];
    const file = await one.machine.save({ progress: (share) => shares.push(share) });
    expect(shares.at(-1)).toBe(1);
    expect(one.machine.state).toBe("running");

    const two = await Console.on(second);
    await two.machine.restore(file);
    expect(two.machine.state).toBe("paused");
    await two.machine.resume();
    for (const c of [one, two]) {
      expect(await c.command("p")).toMatch(/this list/);
      // Interrupt-driven timers go on ticking.
      expect(await c.command("ticks")).toMatch(/lapic/i);
    }
  });

  it("is the same machine: a snapshot of the restored one is equal but for time's passing", async () => {
    const one = await booted("inline");
    await one.machine.pause();
    const file = await one.machine.save();
    const two = await Console.on("threaded");
    await two.machine.restore(file);
    const again = await two.machine.save();
    const [a, b] = [await unpack(file), await unpack(again)];
    expect(plain(b.state)).toEqual(plain(a.state));
    expect(Buffer.compare(a.memory, b.memory)).toBe(0);
    // And it would not be after running on.
    await two.machine.resume();
    await two.command("help");
    expect(plain((await unpack(await two.machine.save())).state)).not.toEqual(plain(a.state));
  });

  it.each(["inline", "threaded"] as const)(
    "is saved again and again (%s): only what was written since is packed",
    async (transport) => {
      const one = await booted(transport);
      const packed = new PackedPages(true);
      const pageBytes = one.machine.memory.pageBytes;
      for (const command of ["help", "ticks", "help", "machine"]) {
        await one.command(command);
        await one.machine.pause();
        const before = packed.missing({ pageBytes });
        const file = await one.machine.save({ packed });
        // All that is in memory, as one that was never saved before would write it.
        expect(await pagesOf(file)).toEqual(await pagesOf(await one.machine.save()));
        expect(packed.missing({ pageBytes })).toBeLessThan(before / 2);
        await one.machine.resume();
      }
      const two = await Console.on(transport);
      await two.machine.restore(await one.machine.save({ packed }));
      await two.machine.resume();
      expect(await two.command("help")).toMatch(/this list/);
    },
  );

  it("takes what its console has shown along, the last of it", async () => {
    const one = await booted("inline");
    const shown = new TextDecoder().decode(one.machine.scrollback);
    expect(shown).toMatch(/for the commands.*tabhyve> $/s);
    const two = await Console.on("threaded");
    await two.machine.restore(await one.machine.save());
    expect(new TextDecoder().decode(two.machine.scrollback)).toBe(shown);
    // It is not shown again: whoever shows the console asks for it.
    expect(two.text).toBe("");
    await two.machine.resume();
    await two.command("p");
    expect(new TextDecoder().decode(two.machine.scrollback).startsWith(`${shown}p`)).toBe(true);
  });

  it("is small: pages of zeros are left out, the rest is compressed", async () => {
    const one = await booted("inline");
    const file = await one.machine.save();
    expect(file.length).toBeLessThan(1 << 20);
  });
});

describe("files that cannot be used", { timeout: 240_000 }, () => {
  it("cut off or with a flipped bit: SnapshotError, and the machine goes on as it was", async () => {
    const one = await booted("inline");
    const file = await one.machine.save();
    const two = await booted("inline");
    const attempts: Uint8Array[] = [new Uint8Array(0), file.slice(0, 7), file.slice(0, 56), file.slice(0, -1)];
    for (let i = 0; i < 40; i++) {
      const damaged = file.slice();
      const bit = Math.floor((i * damaged.length * 8) / 40);
      damaged[bit >> 3] ^= 1 << (bit & 7);
      attempts.push(damaged);
    }
    attempts.push(Uint8Array.from([...file, 0]));
    for (const bad of attempts) await expect(two.machine.restore(bad)).rejects.toBeInstanceOf(SnapshotError);
    expect(two.machine.state).toBe("running");
    expect(await two.command("help")).toMatch(/help/);
  });

  it("of another machine: says what differs", async () => {
    const one = await booted("inline");
    const file = await one.machine.save();
    const other = await Console.on("inline", { memoryBytes: 8 << 20 });
    await expect(other.machine.restore(file)).rejects.toThrow(/memoryBytes: 16777216, this machine has 8388608/);
    const lesser = await Console.on("inline", { cpu: "x86-64" });
    await expect(lesser.machine.restore(file)).rejects.toThrow(/cpu/);
  });

  it("with a state that cannot be: no field has changed", async () => {
    const one = await booted("inline");
    await one.machine.pause();
    const file = await one.machine.save();
    const { state } = await unpack(file);
    const two = await booted("inline");
    await two.machine.pause();
    const before = await unpack(await two.machine.save());
    const spoil: ((s: Plain) => void)[] = [
      (s) => {
        s.version = 77;
      },
      (s) => {
        s.scrollback = "text";
      },
      (s) => {
        delete s.devices.vhpet;
      },
      (s) => {
        s.devices.com1.ier = 300;
      },
      // The last one that is imported: those before it are put back.
      (s) => {
        s.devices[Object.keys(s.devices).at(-1) as string].version = 77;
      },
      (s) => {
        s.vcpus[0].gpr[3] = -1n;
      },
      (s) => {
        s.vcpus[0].fpu = new Uint8Array(3);
      },
      (s) => {
        s.now = "soon";
      },
    ];
    for (const bad of spoil) {
      const changed = structuredClone(state);
      bad(changed);
      const made = await pack(changed, NO_MEMORY);
      await expect(two.machine.restore(made)).rejects.toBeInstanceOf(SnapshotError);
      const after = await unpack(await two.machine.save());
      expect(plain(after.state)).toEqual(plain(before.state));
      expect(Buffer.compare(before.memory, after.memory)).toBe(0);
    }
    // A run of pages beyond the memory.
    const run = Uint32Array.of(1, 1, 0x10_0000, 1, 0, 1);
    const beyond = await pack(state, new Uint8Array([...new Uint8Array(run.buffer), 0]));
    await expect(two.machine.restore(beyond)).rejects.toThrow(/memory/);
    await two.machine.resume();
    expect(await two.command("help")).toMatch(/help/);
    expect(two.machine.view().get(VCPU.slow)).toBe(0);
  });

  it("of schema 1, as it was written then: the guest goes on", async () => {
    // The embedded guest, with "hel" typed at its prompt, saved by the last build before schema 2.
    const file = readFileSync(join(import.meta.dirname, "data/schema1.snapshot"));
    expect(new DataView(file.buffer, file.byteOffset).getUint32(8, true)).toBe(1);
    for (const transport of ["inline", "threaded"] as const) {
      const one = await Console.on(transport, { memoryBytes: 4 << 20, vcpus: 2 });
      await one.machine.restore(file);
      expect(one.machine.scrollback).toHaveLength(0);
      await one.machine.resume();
      expect(await one.command("p")).toMatch(/this list/);
    }
    const damaged = Uint8Array.from(file);
    damaged[damaged.length - 9] ^= 4;
    const one = await Console.on("inline", { memoryBytes: 4 << 20, vcpus: 2 });
    await expect(one.machine.restore(damaged)).rejects.toThrow(/checksum/);
  });

  it("of an older schema are migrated step by step, of a newer one refused", async () => {
    const file = await pack({ version: 1, ticks: 5n }, NO_MEMORY);
    const steps = {
      [SCHEMA]: (s: Plain) => ({ ...s, ticks: undefined, timers: [s.ticks] }),
      [SCHEMA + 1]: (s: Plain) => ({ ...s, timers: (s.timers as bigint[]).map((at) => ({ at })) }),
    };
    expect((await unpack(file, steps, SCHEMA + 2)).state).toEqual({
      version: 1,
      ticks: undefined,
      timers: [{ at: 5n }],
    });
    await expect(unpack(file, {}, SCHEMA + 1)).rejects.toThrow(/cannot be read any more/);
    const newer = file.slice();
    await expect(unpack(newer, {}, SCHEMA - 1)).rejects.toThrow(/newer/);
  });
});
