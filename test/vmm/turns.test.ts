/** vCPUs with threads of their own that execute one at a time: where the host's memory order is weaker than x86's. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Vm } from "../../src/vmm/index.ts";
import { cleanUp, until } from "../vcpu/threads.ts";
import { load, makeVm, place, rejects } from "./vms.ts";

beforeAll(() => load(true));
afterAll(cleanUp);

const ROUNDS = 3_000_000;
const SUM = 0x3000;
/** Additions that are not locked: vCPUs that execute at once lose some. */
const ADD = `mov ecx,${ROUNDS}\nagain: inc dword [${SUM}]\ndec ecx\njnz again\n`;
const sum = (vm: Vm): number => {
  const bytes = new Uint8Array(4);
  vm.memory.read(SUM, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
};

/** vCPUs 0 to 2 that each run `source`. */
async function three(source: string): Promise<Vm<"threaded">> {
  const vm = await makeVm("threaded", { vcpus: 3, hostOrder: "weak" });
  for (const id of [0, 1, 2]) {
    if (id) {
      vm.activateCpu(id);
      vm.vcpus[id].setRunState(2);
    }
    place(vm, source, id, 0x1000 + id * 0x400);
  }
  return vm;
}

describe("in turns", { timeout: 60_000 }, () => {
  it("nothing of plain additions is lost, and each has its exit", async () => {
    const vm = await three(`${ADD}out 1,al\nmov al,1\nout 2,al\nhlt`);
    const first = await Promise.all(vm.vcpus.map((vcpu) => vcpu.run()));
    expect(first).toMatchObject(Array(3).fill({ exitcode: "INOUT", inout: { port: 1 } }));
    expect(sum(vm)).toBe(3 * ROUNDS);
    const second = await Promise.all(vm.vcpus.map((vcpu) => vcpu.run()));
    expect(second).toMatchObject(Array(3).fill({ inout: { port: 2, eax: 1 } }));
    await vm.destroy();
  });

  it("an exit that is with its caller, or a halted vCPU, keeps nobody from executing", async () => {
    const vm = await three("out 1,al\nagain: inc dword [0x3000]\njmp again");
    place(vm, "cli\nhlt", 1, 0x5000);
    const [a, b, c] = vm.vcpus;
    expect(await a.run()).toMatchObject({ inout: { port: 1 } });
    const halted = b.run();
    expect(await c.run()).toMatchObject({ inout: { port: 1 } });
    const running = c.run();
    expect(await until(() => sum(vm) > 1_000_000, 20_000)).toBe(true);
    expect(b.state).toBe("SLEEPING");
    await vm.pauseInstance();
    const still = sum(vm);
    await new Promise((done) => setTimeout(done, 50));
    expect(sum(vm)).toBe(still);
    vm.resumeInstance();
    expect(await until(() => sum(vm) !== still, 20_000)).toBe(true);
    const other = a.run();
    b.notify("EXIT");
    expect((await halted).exitcode).toBe("BOGUS");
    const ends = [rejects("ENXIO", other), rejects("ENXIO", running)];
    await vm.destroy();
    await Promise.all(ends);
  });
});
