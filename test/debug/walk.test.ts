/** A page walk that is told (src/debug/walk.ts) is the one that the core makes, in every paging mode. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { physicalOf, readCpu } from "../../src/debug/cpuState.ts";
import { walkText } from "../../src/debug/gdb/monitor.ts";
import { type Walk, walk } from "../../src/debug/walk.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { VCPU } from "../../src/shared/layout.ts";
import { cleanUp, machine, multibootOpening, multibootTables, prepare } from "../vcpu/threads.ts";

const PG = 0x8000_0011n;
const MODES = {
  none: { cr0: 0x11n, cr4: 0n, efer: 0n, levels: 0, bytes: 4, large: [] },
  "32-bit": { cr0: PG, cr4: 0x10n, efer: 0n, levels: 2, bytes: 4, large: [1] },
  PAE: { cr0: PG, cr4: 0x20n, efer: 0n, levels: 3, bytes: 8, large: [1] },
  "4-level": { cr0: PG, cr4: 0x20n, efer: 0xd00n, levels: 4, bytes: 8, large: [1, 2] },
  "5-level": { cr0: PG, cr4: 0x1020n, efer: 0xd00n, levels: 5, bytes: 8, large: [1, 2] },
} as const;

/** Tables begin here, a page for each level; what they lead to is below 8 MiB, most of it. */
const TABLES = 0x20_0000;

let m: Machine;
beforeAll(async () => {
  await prepare();
  m = await machine(`${multibootOpening}hlt\n${multibootTables(() => "iretd")}`, { transport: "inline" });
}, 300_000);
afterAll(async () => {
  await m?.destroy();
  cleanUp();
});

const tell = (linear: bigint): Walk => walk(readCpu(m.debug, 0), physicalOf(m.memory), linear);

/** Pseudo-random numbers below `n`, the same in each run. */
function numbers(seed: number): (n: number) => number {
  let x = seed;
  return (n) => {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((x / 2 ** 32) * n);
  };
}

function put(at: number, value: bigint, bytes: number): void {
  const raw = new Uint8Array(8);
  new DataView(raw.buffer).setBigUint64(0, value, true);
  m.memory.write(at, raw.subarray(0, bytes));
}

/** Makes the way of a linear address, with large pages and entries that are not present now and then. */
function lay(mode: keyof typeof MODES, linear: bigint, below: (n: number) => number): void {
  const { cr0, cr4, efer, levels, bytes, large } = MODES[mode];
  const view = m.debug.view(0);
  view.set64(VCPU.cr0, cr0);
  view.set64(VCPU.cr4, cr4);
  view.set64(VCPU.efer, efer);
  view.set64(VCPU.cr3, BigInt(TABLES));
  const bits = bytes === 4 ? 10n : 9n;
  for (let level = levels - 1; level >= 0; level--) {
    const registers = mode === "PAE" && level === 2;
    const index = (linear >> (12n + bits * BigInt(level))) & (registers ? 3n : (1n << bits) - 1n);
    const leaf = level === 0 || ((large as readonly number[]).includes(level) && below(4) === 0);
    const size = 1n << (12n + bits * BigInt(level));
    const frame = leaf ? (BigInt(below(0x800)) << 12n) & ~(size - 1n) : BigInt(TABLES + 0x1000 * (levels - level));
    const flags = (below(12) ? 1n : 0n) | (registers ? 0n : 6n) | (leaf && level ? 0x80n : 0n);
    if (registers) view.set64(VCPU.pdpte, frame | flags, Number(index));
    else put(TABLES + 0x1000 * (levels - 1 - level) + Number(index) * bytes, frame | flags, bytes);
    if (leaf) return;
  }
}

describe.each(Object.keys(MODES) as (keyof typeof MODES)[])("a page walk, %s", (mode) => {
  it("ends where the core's does", () => {
    const below = numbers(mode.length);
    const seen = { there: 0, not: 0, large: 0 };
    for (let i = 0; i < 1000; i++) {
      const wide = mode === "4-level" ? 47 : mode === "5-level" ? 56 : 32;
      const linear = BigInt.asUintN(wide, (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32)));
      lay(mode, linear, below);
      const told = tell(linear);
      expect(told.mode).toBe(mode);
      expect(told.gpa, walkText(told)).toBe(m.debug.translate(0, linear));
      if (told.gpa === undefined) seen.not++;
      else seen.there++;
      if ((told.pageSize ?? 0) > 4096) seen.large++;
      else if (told.gpa !== undefined) expect(told.steps).toHaveLength(MODES[mode].levels);
    }
    expect(seen.there).toBeGreaterThan(100);
    if (mode !== "none") expect(Math.min(seen.not, seen.large)).toBeGreaterThan(50);
  });
});

describe("a walk as text", () => {
  it("says each entry by its name, with its flags, and what is missing", () => {
    const step = { at: 0x1000, index: 3, value: 0x2063n, leaf: false, shift: 39, flags: ["P", "R/W", "A"] };
    const all: Walk = {
      mode: "4-level",
      linear: 0n,
      steps: [
        { ...step, entry: "PML4E" },
        { ...step, entry: "PDPTE", value: 0n, flags: [] },
      ],
      gpa: undefined,
      pageSize: undefined,
    };
    expect(walkText(all)).toBe(
      "PML4E [3] at 0x1000: 0x0000000000002063  P R/W A\n" +
        "PDPTE [3] at 0x1000: 0x0000000000000000  not present\nthe PDPTE is not present\n",
    );
  });

  it("does not follow an entry out of memory", () => {
    const below = numbers(1);
    lay("4-level", 0n, below);
    put(TABLES, 0x7f_ffff_f007n, 8);
    const told = tell(0n);
    expect(told.gpa).toBeUndefined();
    expect(walkText(told)).toMatch(/the next table is outside of memory\n$/);
  });
});
