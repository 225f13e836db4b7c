/** Ports without a round trip (assembly/ports.ts): which writes go through the ring, which reads are answered at once. */
import { beforeAll, expect, test } from "vitest";
import { PortHooks } from "../../src/bus/portHooks.ts";
import { CONTROL, RING_SIZE } from "../../src/shared/layout.ts";
import { RING } from "../../src/shared/ring.ts";
import { drainRing } from "../../src/vcpu/ring.ts";
import { guestMemory, loadCore, runGuest } from "./guest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

interface Outcome {
  /** Through the ring, in order: "port/bytes=value" in hexadecimal. */
  readonly ring: string[];
  /** By exits, in order: "port=value". */
  readonly out: string[];
}

function run(body: string, hook: (hooks: PortHooks) => void): Outcome {
  const memory = guestMemory();
  hook(new PortHooks(memory.control));
  const { out, end } = runGuest(realGuest({ body: `${body}\n  cli\n  hlt\n` }), { memory, input: () => 0x5a });
  expect(end).toBe("HALT");
  const ring: string[] = [];
  drainRing(memory.control, (kind, _vcpu, low, high) => {
    expect(kind).toBe(RING.PORT);
    ring.push(`${(high & 0xffff).toString(16)}/${high >>> 16}=${low.toString(16)}`);
  });
  return { ring, out };
}

const out = (port: number, value: number, register = "al"): string =>
  `  mov dx,${port}\n  mov eax,${value}\n  out dx,${register}\n`;

test("bytes for a port, and only bytes", () => {
  const writes = [0x300, 0x301, 0x302].map((port) => out(port, 0x1234)).join("");
  expect(run(writes + out(0x301, 0x1234, "ax") + out(0x301, 0x12345678, "eax"), (h) => h.coalesce(0x301))).toEqual({
    ring: ["301/1=34"],
    out: ["300=34", "302=34", "301=1234", "301=12345678"],
  });
});

test("a hook that is taken back, and its place given to another", () => {
  const body = out(0x300, 1) + out(0x301, 1);
  expect(
    run(body, (h) => {
      for (let i = 0; i < 100; i++) {
        h.coalesce(0x300 + i);
        h.coalesce(0x300 + i, false);
      }
      h.coalesce(0x301);
    }),
  ).toEqual({ ring: ["301/1=1"], out: ["300=1"] });
  const { control } = guestMemory();
  const hooks = new PortHooks(control);
  for (let i = 0; i < CONTROL.portHooks.count; i++) hooks.publish(i, 0);
  expect(() => hooks.publish(0x100, 0)).toThrow(RangeError);
});

test("reads of bytes that are published, and only those", () => {
  const read = (port: number, register = "al"): string =>
    `  mov eax,0\n  mov dx,${port}\n  in ${register},dx\n  mov dx,0x10\n  out dx,eax\n`;
  expect(run(read(0x300) + read(0x301) + read(0x300, "ax"), (h) => h.publish(0x300, 0xa5)).out).toEqual([
    "10=a5",
    "10=5a",
    "10=5a",
  ]);
});

test("a ring that is nearly full takes no more: the write leaves, and nothing is lost or out of order", () => {
  const { ring, out: left } = run(
    `  mov dx,0x300\n  mov cx,${RING_SIZE / 16 + 10}\nagain:\n  mov al,cl\n  out dx,al\n  loop again\n`,
    (h) => h.coalesce(0x300),
  );
  expect(ring.length + left.length).toBe(RING_SIZE / 16 + 10);
  expect(left.length).toBeGreaterThan(10);
  const values = [...ring.map((entry) => entry.split("=")[1]), ...left.map((entry) => entry.split("=")[1])];
  expect(values).toEqual(values.map((_, n) => ((RING_SIZE / 16 + 10 - n) & 0xff).toString(16)));
});
