import { describe, expect, it } from "vitest";
import { CoprocessorError } from "../../src/io/coprocessorError.ts";
import { SnapshotError } from "../../src/shared/device.ts";

function make() {
  const levels: boolean[] = [];
  let asserted = false;
  const ignne = {
    get: () => asserted,
    set: (on: boolean) => {
      asserted = on;
    },
  };
  const chip = new CoprocessorError({ set: (on) => levels.push(on) }, ignne);
  const write = () => chip.handlers[0].handler.write(0, 1, 0);
  return { chip, ignne, levels, write };
}

describe("coprocessor error", () => {
  it("drives interrupt 13 from FERR# to the write to port F0h, which asserts IGNNE#", () => {
    const { chip, ignne, levels, write } = make();
    chip.ferr();
    expect([levels.at(-1), ignne.get()]).toEqual([true, false]);
    write();
    expect([levels.at(-1), ignne.get()]).toEqual([false, true]);
  });

  it("does not assert IGNNE# when there is no error", () => {
    const { ignne, write } = make();
    write();
    expect(ignne.get()).toBe(false);
  });

  it("is saved and restored, reset, and refuses what is no state", () => {
    const { chip } = make();
    chip.ferr();
    const saved = chip.export();
    const other = make();
    other.chip.import(saved);
    expect(other.levels.at(-1)).toBe(true);
    expect(other.chip.export()).toEqual({ version: 1, error: true, ignne: false });
    other.write();
    expect(other.chip.export()).toEqual({ version: 1, error: false, ignne: true });
    other.chip.reset();
    expect(other.chip.export()).toEqual({ version: 1, error: false, ignne: false });
    expect(() => other.chip.import({ ...saved, error: 1 } as never)).toThrow(SnapshotError);
  });
});
