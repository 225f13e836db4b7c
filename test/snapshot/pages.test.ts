/**
 * Pages that come out of a snapshot when they are needed (src/vcpu/pages.ts): what nobody looks at stays packed, whoever
 * looks sees what was saved, several vCPUs at once too, and pages that cannot be unpacked end the machine.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Machine, StopReason } from "../../src/machine/machine.ts";
import { stateHash } from "../../src/machine/stateHash.ts";
import { CHUNK_PAGES, CONTROL, PAGE_BYTE, PAGE_SIZE } from "../../src/shared/layout.ts";
import { pack, unpack } from "../../src/snapshot/container.ts";
import { readMemory } from "../../src/snapshot/ram.ts";
import { DATA, DONE, smpGuest } from "../vcpu/smpGuest.ts";
import { cleanUp, machine, prepare, read32, type Settings, until } from "../vcpu/threads.ts";

beforeAll(prepare, 300_000);
afterAll(cleanUp);

const machines: Machine[] = [];
afterEach(async () => {
  for (const m of machines.splice(0)) await m.destroy();
});
async function make(source: string, settings: Settings): Promise<Machine> {
  const m = await machine(source, settings);
  machines.push(m);
  return m;
}

/** Where the guest has numbers: 2 MiB of them, all pages different. */
const NUMBERS = 0x20_0000;
const COUNT = 0x8_0000;
const GO = DATA + 0x100;
const SUM = DATA + 0x200;
/** The sum of the numbers, which are 3n + 7. */
const RIGHT = (Array.from({ length: COUNT }, (_, n) => n).reduce((sum, n) => sum + 3 * n + 7, 0) % 2 ** 32) >>> 0;

/** vCPU 0 writes the numbers; after the host has written GO, every vCPU adds them all up. */
const summing = (vcpus: number): string =>
  smpGuest(
    vcpus,
    `
    test ebp,ebp
    jnz wait
    mov edi,${NUMBERS}
    mov ecx,${COUNT}
    mov eax,7
  fill:
    stosd
    add eax,3
    dec ecx
    jnz fill
    mov dword [${GO + 4}],1
  wait:
    pause
    cmp dword [${GO}],1
    jne wait
    mov esi,${NUMBERS}
    mov ecx,${COUNT}
    xor ebx,ebx
  sum:
    lodsd
    add ebx,eax
    dec ecx
    jnz sum
    mov [${SUM}+ebp*4],ebx`,
  );

const go = (m: Machine): void => m.memory.write(GO, Uint8Array.of(1));
const absent = (m: Machine): number => m.memory.control.load(CONTROL.absent);

async function filled(vcpus: number, transport: "threaded" | "inline"): Promise<Machine> {
  const m = await make(summing(vcpus), { vcpus, transport });
  await m.start();
  expect(await until(() => read32(m, GO + 4) === 1, 30_000)).toBe(true);
  await m.pause();
  return m;
}

describe("a machine that goes on from a snapshot", { timeout: 120_000 }, () => {
  it("has no page that nobody has asked for, and each as it was saved", async () => {
    const one = await filled(1, "inline");
    const file = await one.save();
    const two = await make(summing(1), { transport: "inline" });
    await two.restore(file);
    const all = absent(two);
    expect(all).toBeGreaterThan(COUNT / 1024 / CHUNK_PAGES - 1);
    // One chunk for a read, none for another place in it; the same for what a device writes, which changes nothing else.
    expect(read32(two, NUMBERS + 3 * PAGE_SIZE + 8)).toBe(3 * (3 * 1024 + 2) + 7);
    expect(absent(two)).toBe(all - 1);
    expect(read32(two, NUMBERS + 3 * PAGE_SIZE)).toBe(3 * 3 * 1024 + 7);
    expect(absent(two)).toBe(all - 1);
    const far = NUMBERS + 0x10_0000;
    two.memory.write(far + 5, Uint8Array.of(1, 2, 3));
    expect(absent(two)).toBe(all - 2);
    const got = new Uint8Array(12);
    two.memory.read(far, got);
    const expected = new Uint8Array(12);
    one.memory.read(far, expected);
    expected.set([1, 2, 3], 5);
    expect(got).toEqual(expected);
    one.memory.write(far + 5, Uint8Array.of(1, 2, 3));
    expect(await stateHash(two)).toBe(await stateHash(one));
    expect(absent(two)).toBe(0);
  });

  it("fetches the rest little by little", async () => {
    const one = await filled(1, "inline");
    const two = await make(summing(1), { transport: "threaded" });
    await two.restore(await one.save());
    await two.resume();
    expect(await until(() => absent(two) === 0, 60_000)).toBe(true);
    expect(two.memory.pageBytes.some((byte) => byte & PAGE_BYTE.ABSENT)).toBe(false);
    go(two);
    expect(await until(() => read32(two, DONE) === 1, 30_000)).toBe(true);
    expect(read32(two, SUM)).toBe(RIGHT);
  });

  it.each([
    [1, "inline"],
    [3, "inline"],
    [1, "threaded"],
    [4, "threaded"],
  ] as const)("gives every one of %d vCPUs the saved bytes, %s, again and again", async (vcpus, transport) => {
    const one = await filled(vcpus, transport);
    go(one);
    const file = await one.save();
    // The vCPUs read the same pages in the same order: they meet at every chunk.
    const two = await make(summing(vcpus), { vcpus, transport });
    for (let round = 0; round < 3; round++) {
      await two.restore(file);
      expect(read32(two, DONE)).toBe(0);
      await two.resume();
      expect(await until(() => read32(two, DONE) === 1, 60_000)).toBe(true);
      await two.pause();
      for (let id = 0; id < vcpus; id++) expect(read32(two, SUM + id * 4), `vCPU ${id}, round ${round}`).toBe(RIGHT);
    }
  });

  it("is saved with what has not been fetched, and packs the same way again", async () => {
    const one = await filled(1, "inline");
    const file = await one.save();
    const two = await make(summing(1), { transport: "threaded" });
    await two.restore(file);
    const again = await two.save();
    expect(Buffer.compare((await unpack(again)).memory, (await unpack(file)).memory)).toBe(0);
  });

  it("keeps a content once, however many pages have it", async () => {
    const one = await filled(1, "inline");
    const pages = one.memory.pageBytes.length;
    const before = readMemory((await unpack(await one.save())).memory, pages).contents;
    const page = Uint8Array.from({ length: PAGE_SIZE }, (_, i) => i * 7 + (i >> 8));
    for (let i = 0; i < 100; i++) one.memory.write(0x50_0000 + i * 2 * PAGE_SIZE, page);
    const file = await one.save();
    expect(readMemory((await unpack(file)).memory, pages).contents).toBe(before + 1);
    const two = await make(summing(1), { transport: "inline" });
    await two.restore(file);
    for (let i = 0; i < 100; i++) {
      const got = new Uint8Array(2 * PAGE_SIZE);
      two.memory.read(0x50_0000 + i * 2 * PAGE_SIZE, got);
      expect(Buffer.compare(got.subarray(0, PAGE_SIZE), page)).toBe(0);
      expect(got.subarray(PAGE_SIZE).every((b) => b === 0)).toBe(true);
    }
  });

  it.each(["inline", "threaded"] as const)("fails when pages cannot be unpacked, %s", async (transport) => {
    const one = await filled(1, "inline");
    go(one);
    const { state, memory } = await unpack(await one.save());
    const image = readMemory(memory, one.memory.pageBytes.length);
    // Every chunk but those of code, stack and tables: a type of block that there is none of.
    const spoiled = memory.slice();
    const data = spoiled.length - image.data.length;
    const { starts } = image;
    for (let i = starts.length - 2; i > (starts.length * 2) / 3; i--) spoiled[data + starts[i]] = 7;
    let why: StopReason | undefined;
    const two = await make(summing(1), {
      transport,
      onState: (state, reason) => {
        if (state === "failed") why = reason;
      },
    });
    await two.restore(await pack(state, spoiled));
    await two.resume();
    expect(await until(() => why !== undefined, 60_000)).toBe(true);
    expect(why).toMatchObject({ kind: "engine-error", message: expect.stringMatching(/cannot be unpacked/) });
  });
});
