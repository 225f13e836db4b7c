/** Litmus programs, briefly; `npm run soak -- litmus` runs them for longer. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine.ts";
import { DONE } from "../vcpu/smpGuest.ts";
import { cleanUp, machine, prepare, read32, type Settings, until } from "../vcpu/threads.ts";
import { type Litmus, litmusGuest, PROGRAMS, ROUNDS_OF_BATCH, type Seen, seen, WRONG } from "./programs.ts";

beforeAll(prepare, 300_000);
afterAll(cleanUp);

let running: Machine | undefined;
afterEach(async () => {
  await running?.destroy();
  running = undefined;
});

async function run(program: Litmus, batches: number, settings: Settings): Promise<Seen> {
  const m = await machine(litmusGuest(program, batches), { vcpus: program.threads.length, ...settings });
  running = m;
  await m.start();
  expect(await until(() => read32(m, DONE) === 1, 90_000), program.name).toBe(true);
  await m.pause();
  return seen(program, (gpa) => read32(m, gpa));
}

const BATCHES = 12;

describe.each([
  ["threaded", "interp"],
  ["threaded", "jit"],
  ["inline", "interp"],
] as const)("%s, %s", { timeout: 120_000 }, (transport, engine) => {
  it.each(PROGRAMS.map((p) => [p.name, p] as const))("%s", async (_, program) => {
    const { rounds, outcomes, forbidden } = await run(program, BATCHES, { transport, engine });
    expect(rounds).toBe(BATCHES * ROUNDS_OF_BATCH);
    expect(forbidden, [...outcomes].map(([r, n]) => `${r}: ${n}`).join(", ")).toBe(0);
  });
});

it("what is forbidden is seen where a program has it the wrong way round", { timeout: 120_000 }, async () => {
  let found = 0;
  for (let attempt = 0; attempt < 20 && !found; attempt++) {
    found = (await run(WRONG, BATCHES, { transport: "threaded" })).forbidden;
    await running?.destroy();
  }
  expect(found).toBeGreaterThan(0);
});
