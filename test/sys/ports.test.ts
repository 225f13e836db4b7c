/** Ports without a round trip (assembly/ports.ts): which writes go through the ring, which reads are answered at once. */
import { beforeAll, expect, test } from "vitest";
import { PortHooks } from "../../src/bus/portHooks.ts";
import { CONTROL, RING_SIZE } from "../../src/shared/layout.ts";
import { drainRing, RING_PORT } from "../../src/vcpu/ring.ts";
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
    expect(kind).toBe(RING_PORT);
    ring.push(`${(high & 0xffff).toString(16)}/${high >>> 16}=${low.toString(16)}`);
  });
  return { ring, out };
}

const out = (port: number, value: number, register = "al"): string =>
  `  mov dx,${port}\n  mov eax,${value}\n  out dx,${register}\n`;

test("bytes for a port and those behind it, and only bytes", () => {
  const writes = [0x300, 0x301, 0x303, 0x304].map((port) => out(port, 0x1234)).join("");
  expect(
    run(writes + out(0x301, 0x1234, "ax") + out(0x301, 0x12345678, "eax"), (h) => h.coalesce(0x301, "bytes", 2)),
  ).toEqual({
    ring: ["301/1=34", "303/1=34"],
    out: ["300=34", "304=34", "301=1234", "301=12345678"],
  });
});

test("four bytes, and only four", () => {
  const body = out(0x304, 0xfedcba98, "eax") + out(0x304, 0x12) + out(0x304, 0x1234, "ax") + out(0x305, 7, "eax");
  expect(run(body, (h) => h.coalesce(0x304, "dwords"))).toEqual({
    ring: ["304/4=fedcba98"],
    out: ["304=12", "304=1234", "305=7"],
  });
});

test("what the port is published to read as", () => {
  const body = out(0x300, 8) + out(0x300, 9) + out(0x300, 0x108);
  const same = (published?: number) => (h: PortHooks) => {
    h.coalesce(0x300, "same");
    h.publish(0x300, published);
  };
  expect(run(body, same(8))).toEqual({ ring: ["300/1=8", "300/1=8"], out: ["300=9"] });
  expect(run(body, same(0))).toEqual({ ring: [], out: ["300=8", "300=9", "300=8"] });
  expect(run(body, same())).toEqual({ ring: [], out: ["300=8", "300=9", "300=8"] });
});

test("bytes with bits clear, or set", () => {
  const body = out(0x306, 0xe0) + out(0x306, 0xf0) + out(0x306, 0xef);
  const which = (set: boolean) => (h: PortHooks) => h.coalesce(0x306, { bits: 0x10, set });
  expect(run(body, which(false))).toEqual({ ring: ["306/1=e0", "306/1=ef"], out: ["306=f0"] });
  expect(run(body, which(true))).toEqual({ ring: ["306/1=f0"], out: ["306=e0", "306=ef"] });
  const bits = (h: PortHooks) => h.coalesce(0x306, { bits: 0x90, set: true });
  expect(run(out(0x306, 0x80) + out(0x306, 0x10) + out(0x306, 0x90), bits)).toEqual({
    ring: ["306/1=90"],
    out: ["306=80", "306=10"],
  });
});

test("a hook that is taken back, and its place given to another", () => {
  const body = out(0x300, 1) + out(0x301, 1);
  expect(
    run(body, (h) => {
      for (let i = 0; i < 100; i++) {
        h.coalesce(0x300 + i, "bytes");
        h.coalesce(0x300 + i, undefined);
      }
      h.coalesce(0x301, "bytes");
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
    (h) => h.coalesce(0x300, "bytes"),
  );
  expect(ring.length + left.length).toBe(RING_SIZE / 16 + 10);
  expect(left.length).toBeGreaterThan(10);
  const values = [...ring.map((entry) => entry.split("=")[1]), ...left.map((entry) => entry.split("=")[1])];
  expect(values).toEqual(values.map((_, n) => ((RING_SIZE / 16 + 10 - n) & 0xff).toString(16)));
});
