/** Kernels with a learner's mistake, each booted to its triple fault: what the autopsy says, in its words. */
import { describe, expect, it, vi } from "vitest";
import { type Autopsy, autopsy } from "../../src/debug/autopsy.ts";
import { eventText } from "../../src/debug/decode/exceptions.ts";
import { recordedOf, setRecording } from "../../src/debug/trace.ts";
import { heatOf } from "../../src/machine/machineConfig.ts";
import { keeping, machine, until } from "../vcpu/threads.ts";
import { BROKEN_KERNELS } from "./brokenKernels.ts";

vi.setConfig({ testTimeout: 60_000 });
const keep = keeping();

async function examined(name: keyof typeof BROKEN_KERNELS): Promise<Autopsy> {
  const m = keep(await machine(BROKEN_KERNELS[name], { transport: "inline", engine: "interp" }));
  await m.glance(() => setRecording(m.debug, { events: false, code: true }, heatOf(m.config)));
  await m.start();
  expect(await until(() => m.state === "failed")).toBe(true);
  return autopsy(m.debug, m.memory, 0, { recorded: recordedOf(m.debug, 0) })!;
}

const chain = ({ links }: Autopsy): string[] =>
  links.map(({ event, met }) => `${eventText(event)} -> ${eventText(met)}`);
/** The check that has failed. */
const bad = ({ links }: Autopsy): string => {
  const { what, found } = links[0]!.delivery.checks.at(-1)!;
  return `${what}: ${found}`;
};
const lastTexts = ({ last }: Autopsy): string[] => last.slice(-3).map(({ text }) => text);

describe("a kernel with one mistake", () => {
  it("in its IDT: gates without P", async () => {
    const found = await examined("badIdt");
    expect(found.summary).toMatch(
      /^It began with #DE \(divide error\) at RIP 0x1000\w\w\. Its handler was not reached: the gate must be present \(bit 47, P\) \(SDM vol\. 3, 6\.15, interrupt 11\)\.$/,
    );
    expect(chain(found)).toEqual(["#DE -> #NP(0x3)", "#DF(0) -> #NP(0x43)"]);
    expect(bad(found)).toBe("gate's P: not present");
    expect(found.code[0]!.text).toBe("div ecx");
  });

  it("in its IDT: gates of 8 bytes in IA-32e mode", async () => {
    const found = await examined("badIdt64");
    expect(found.mode).toBe("64-bit mode");
    expect(found.summary).toMatch(
      /^It began with INT3 at RIP 0x1000\w\w\. Its handler was not reached: a gate of IA-32e mode has 16 bytes, and bits 12:8 of the last four must be 0; two gates of 8 bytes, as 32-bit code has them, are none \(SDM vol\. 3, 5\.8\.3\.1, of gates; 6\.14\.1 calls them reserved\)\.$/,
    );
    expect(chain(found)).toEqual(["INT3 -> #GP(0x1a)", "#GP(0x1a) -> #GP(0x6b)", "#DF(0) -> #GP(0x43)"]);
    expect(bad(found)).toBe("IDT entry 0x3, upper half: bits 12:8 of its last four bytes are 0xe");
    // Code of 32 bits is told as such, though the vCPU is in 64-bit mode by now.
    expect(lastTexts(found)).toEqual([
      "or eax,0x80000000",
      "mov cr0,eax",
      expect.stringMatching(/^jmp 0x30:0x1000\w\w$/),
    ]);
  });

  it("in its TSS: no stack for the handler", async () => {
    const found = await examined("badTss");
    expect(found.summary).toMatch(
      /^It began with INT 0x30 at RIP 0x1000\w\w\. Its handler was not reached: the stack's selector must not be null \(SDM vol\. 3, 6\.15, interrupt 10\)\.$/,
    );
    // EXT tells the fault of an instruction from that of a delivery (SDM vol. 3, 6.13).
    expect(chain(found)).toEqual(["INT 0x30 -> #TS(0)", "#TS(0) -> #TS(0x1)", "#DF(0) -> #TS(0x1)"]);
    expect(bad(found)).toBe("TSS, SS0: 0x0: null");
    expect(found.cpu.cpl).toBe(3);
  });

  it("in its CR3: tables that do not map what is being executed", async () => {
    const found = await examined("badCr3");
    expect(found.summary).toMatch(
      /^It began with #PF\(0\) at (0x1000\w\w) \(page fault\): the instruction at RIP \1 could not be fetched, because the PDE is not present \(bit 0, P, is 0\)\. Its handler was not reached: the CPU needs what is at 0x[0-9a-f]+ \(IDT entry 0xe\), but the PDE is not present \(bit 0, P, is 0\) \(SDM vol\. 3, 4\.7\)\.$/,
    );
    expect(found.links).toHaveLength(2);
    expect(found.began!.told.steps).toMatchObject([{ entry: "PDE", index: 0, at: 0x20_3000, flags: [] }]);
    // No address leads to it any more; the instruction that has turned paging on is told all the same.
    expect(found.code).toEqual([]);
    expect(lastTexts(found)).toEqual(["mov eax,cr0", "or eax,0x80000000", "mov cr0,eax"]);
  });
});
