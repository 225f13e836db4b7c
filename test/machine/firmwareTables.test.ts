import { describe, expect, it } from "vitest";
import { firmwareTables } from "../../src/machine/firmwareTables.ts";

const config = { apicIds: [0, 1], comPorts: 1, pmTimerBits: 32, hpetTimers: 3, i8042: true, vga: true } as const;

const mp = { apicIds: [0, 1], cpuSignature: 0x506e3, cpuFeatures: 0x0789_fbff };

/** What firmware does with the script: places files, adds addresses to pointers, mends checksums. */
function load(files: Record<string, Uint8Array>, places: Record<string, number>) {
  const memory = new Uint8Array(0x2_0000);
  const view = new DataView(memory.buffer);
  const script = new DataView(files["etc/table-loader"].slice().buffer);
  const text = (at: number) => {
    const bytes = new Uint8Array(script.buffer, at, 56);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  };
  for (let at = 0; at < script.byteLength; at += 128) {
    const name = text(at + 4);
    const base = places[name];
    switch (script.getUint32(at, true)) {
      case 1:
        expect(base % script.getUint32(at + 60, true)).toBe(0);
        memory.set(files[name], base);
        break;
      case 2: {
        const place = base + script.getUint32(at + 116, true);
        const to = places[text(at + 60)];
        if (script.getUint8(at + 120) === 8)
          view.setBigUint64(place, view.getBigUint64(place, true) + BigInt(to), true);
        else view.setUint32(place, view.getUint32(place, true) + to, true);
        break;
      }
      case 3: {
        const start = base + script.getUint32(at + 64, true);
        const length = script.getUint32(at + 68, true);
        const sum = memory.subarray(start, start + length).reduce((a, b) => a + b, 0);
        memory[base + script.getUint32(at + 60, true)] -= sum;
        break;
      }
      default:
        throw new Error("no such command");
    }
  }
  return { memory, view };
}

describe("tables for firmware", () => {
  it("are whole wherever firmware puts them", () => {
    const files = firmwareTables(config, mp);
    for (const [tables, rsdp, mptable] of [
      [0x8000, 0x400, 0x1000],
      [0x1_0040, 0x1_f010, 0x1_e000],
    ]) {
      const { memory, view } = load(files, {
        "etc/acpi/tables": tables,
        "etc/acpi/rsdp": rsdp,
        "etc/mptable": mptable,
      });
      const sum = (at: number, length: number) => memory.subarray(at, at + length).reduce((a, b) => (a + b) & 0xff, 0);
      const name = (at: number) => String.fromCharCode(...memory.subarray(at, at + 4));
      const whole = (at: number, what: string) => {
        expect(name(at)).toBe(what);
        expect(sum(at, view.getUint32(at + 4, true)), what).toBe(0);
        return at;
      };
      expect([sum(rsdp, 20), sum(rsdp, 36)]).toEqual([0, 0]);
      const rsdt = whole(view.getUint32(rsdp + 16, true), "RSDT");
      const xsdt = whole(Number(view.getBigUint64(rsdp + 24, true)), "XSDT");
      const listed: string[] = [];
      for (let i = 0; 36 + 4 * i < view.getUint32(rsdt + 4, true); i++) {
        const at = view.getUint32(rsdt + 36 + 4 * i, true);
        expect(Number(view.getBigUint64(xsdt + 36 + 8 * i, true))).toBe(at);
        listed.push(name(whole(at, name(at))));
        if (name(at) !== "FACP") continue;
        expect(name(view.getUint32(at + 36, true))).toBe("FACS");
        const dsdt = whole(view.getUint32(at + 40, true), "DSDT");
        expect(Number(view.getBigUint64(at + 140, true))).toBe(dsdt);
      }
      expect(listed).toEqual(["FACP", "APIC", "HPET"]);
      const pcmp = view.getUint32(mptable + 4, true);
      expect([name(mptable), sum(mptable, 16)]).toEqual(["_MP_", 0]);
      expect([name(pcmp), sum(pcmp, view.getUint16(pcmp + 4, true))]).toEqual(["PCMP", 0]);
    }
  });
});
