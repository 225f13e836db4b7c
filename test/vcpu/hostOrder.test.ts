/** Which hosts may run several vCPUs at once, and what the others do instead. */
import { readFileSync } from "node:fs";
import { arch } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { Machine } from "../../src/machine/machine.ts";
import { hostOrder } from "../../src/vcpu/hostOrder.ts";
import { corePath } from "../core.ts";
import { DATA, DONE, smpGuest } from "./smpGuest.ts";
import { cleanUp, prepare, read32, until } from "./threads.ts";

beforeAll(prepare, 300_000);
afterAll(cleanUp);

/** A NaN with these upper 16 bits. */
function nan(upper: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint16(0, upper);
  return view.getFloat64(0);
}

describe("the host's memory order", () => {
  it("is that of its CPU", () => {
    expect(hostOrder()).toBe(["x64", "ia32"].includes(arch()) ? "tso" : "weak");
    expect(hostOrder(() => nan(0xfff8))).toBe("tso");
    expect(hostOrder(() => nan(0x7ff8))).toBe("weak");
  });

  it("where it is weaker, several vCPUs take turns on one thread; one has a thread all the same", async () => {
    let spawned = 0;
    const config = {
      core: readFileSync(corePath),
      memoryBytes: 8 << 20,
      transport: "threaded",
      hostOrder: "weak",
      serial: () => {},
      spawn: () => {
        spawned++;
        throw new Error("no thread was to be made");
      },
    } as const;
    const body = `mov ecx,1000\nmore:\n lock inc dword [${DATA}]\n dec ecx\n jnz more`;
    const m = await Machine.create({ ...config, vcpus: 3, kernel: assemble(smpGuest(3, body)).bytes });
    expect(m.transport).toBe("inline");
    await m.start();
    expect(await until(() => read32(m, DONE) === 1, 60_000)).toBe(true);
    expect(read32(m, DATA)).toBe(3000);
    await m.destroy();
    expect(spawned).toBe(0);
    await expect(Machine.create({ ...config, kernel: assemble(smpGuest(1, body)).bytes })).rejects.toThrow(/no thread/);
    expect(spawned).toBe(1);
  });
});
