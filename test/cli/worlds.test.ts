/** `fuzz --kind worlds`: both engines agree, much of what runs is compiled, and a mistake in compiled code is found. */
import { beforeAll, describe, expect, it } from "vitest";
import { WorldFuzzer } from "../../src/cli/fuzz/world/fuzz.ts";
import { RegionCompiler } from "../../src/vcpu/jit.ts";
import { coreModule } from "../core.ts";

let core: WebAssembly.Module;
beforeAll(async () => {
  core = await coreModule();
}, 300_000);

const MODES = [64, 32, 16] as const;
const quiet = (): void => {};

/** i64.and (83) in place of i64.xor (85) with a constant of several bytes. */
class Wrong extends RegionCompiler {
  override compileRegions(vcpu: number, at: number, count: number): number {
    const bytes = Buffer.from(this.memory.buffer as ArrayBuffer, at >>> 0, 0x4_0000);
    for (let i = 0; i < 0x8000; i++) {
      if (bytes[i] !== 0x42 || bytes[i + 1] < 0x80) continue;
      let end = i + 1;
      while (bytes[end] >= 0x80) end++;
      if (bytes[end + 1] === 0x85) bytes[end + 1] = 0x83;
    }
    return super.compileRegions(vcpu, at, count);
  }
}

describe("worlds", () => {
  it("end alike on both engines", () => {
    const result = new WorldFuzzer(core, MODES).run({ seed: 8, first: 0, count: 150, modes: MODES }, quiet, quiet);
    expect(result.found).toEqual([]);
    expect(result.exceptions).toBeGreaterThan(100);
    // A region leaves a TLB miss to the interpreter, and worlds have many.
    expect(result.compiled / result.instructions).toBeGreaterThan(0.25);
  });

  it("show a region that gets XOR wrong, with the options that make it again", () => {
    const fuzzer = new WorldFuzzer(core, MODES, (memory) => new Wrong(memory));
    const { found } = fuzzer.run({ seed: 8, first: 0, count: 60, modes: MODES }, quiet, quiet);
    expect(found.length).toBeGreaterThan(0);
    const [, n] = /^--seed 8 --first (\d+) --count 1/.exec(found[0])!;
    const again = fuzzer.run({ seed: 8, first: Number(n), count: 1, modes: MODES }, quiet, quiet);
    expect(again.found).toEqual([found[0]]);
  });
});
