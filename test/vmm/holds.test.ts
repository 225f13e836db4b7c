/** vCPUs that are kept out of guest code or told to come back; several in turn on one thread; what the host fails at. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Vm, VmTrap } from "../../src/vmm/index.ts";
import { cleanUp, until } from "../vcpu/threads.ts";
import { guest, load, makeVm, outputs, place, R, refuses, rejects } from "./vms.ts";

beforeAll(() => load(true));
afterAll(cleanUp);

const LOOP = "again: inc dword [0x3000]\njmp again";
const counter = (vm: Vm): number => {
  const bytes = new Uint8Array(4);
  vm.memory.read(0x3000, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
};

describe("several vCPUs on one thread", () => {
  it("one that stands in the middle of an instruction is not touched by another", async () => {
    // vCPU 0 stands in a read of a port, 1 in one element of INS, 2 in the delivery of an interrupt (its vector table lies
    // where no memory is); each goes on where it was.
    const vm = await makeVm("inline", { vcpus: 3, memoryBytes: 0x1_0000 });
    place(vm, "in al,1\nmov bl,al\nin al,2\nadd al,bl\nout 3,al\nhlt");
    place(vm, "mov di,0x4000\nmov dx,4\nmov cx,3\nrep insb\nmov eax,[0x4000]\nout 5,eax\nhlt", 1, 0x3000);
    place(vm, "mov al,7\nint 0x20\nhlt", 2, 0x5000);
    vm.memory.write(0x6000, Uint8Array.of(0xe6, 0x66, 0xcf));
    for (const id of [1, 2]) {
      vm.activateCpu(id);
      vm.vcpus[id].setRunState(2);
    }
    vm.vcpus[2].setSegDesc(R.IDTR, { base: 0x9_0000n, limit: 0x3ff, access: 0 });
    const [a, b, c] = vm.vcpus;
    const byte = (value: number) => ({ cmd: "fulfillInout", value }) as const;
    expect(a.run()).toMatchObject({ inout: { port: 1 } });
    expect(b.run()).toMatchObject({ exitcode: "INOUT_STR", inoutStr: { inout: { port: 4 }, count: 3n } });
    expect(c.run()).toMatchObject({ exitcode: "INST_EMUL", instEmul: { gpa: 0x9_0080, bytes: 4 } });
    expect(b.run(byte(0x11))).toMatchObject({ inoutStr: { count: 2n } });
    expect(a.run(byte(0x40))).toMatchObject({ inout: { port: 2 } });
    expect(c.run({ cmd: "fulfillMmio", value: 0x6000n })).toMatchObject({ inout: { port: 0x66, eax: 7 } });
    expect(b.run(byte(0x22))).toMatchObject({ inoutStr: { count: 1n } });
    expect(a.run(byte(2))).toMatchObject({ inout: { port: 3, eax: 0x42 } });
    expect(b.run(byte(0x33))).toMatchObject({ inout: { port: 5, eax: 0x33_2211 } });
    expect([c.run().exitcode, a.run().exitcode, b.run().exitcode]).toEqual(["HLT", "HLT", "HLT"]);
  });
});

describe("blocked", () => {
  it("inline: REQIDLE until as many unblocks; the answer to the exit before is not taken", async () => {
    const vm = await guest("in al,1\nout 2,al\nhlt");
    const [vcpu] = vm.vcpus;
    const read = vcpu.run();
    await vm.blockRun(0);
    await vm.blockRun(0);
    for (let i = 0; i < 2; i++) {
      expect(vcpu.run({ cmd: "fulfillInout", value: 9 })).toMatchObject({ exitcode: "REQIDLE", rip: 0x1000n });
    }
    expect(vcpu.exitinfo).toEqual(read);
    vm.unblockRun(0);
    expect(vcpu.run().exitcode).toBe("REQIDLE");
    vm.unblockRun(0);
    refuses("EINVAL", () => vm.unblockRun(0));
    expect(vcpu.run({ cmd: "fulfillInout", value: 9 })).toMatchObject({ inout: { port: 2, eax: 9 } });
    expect(vcpu.stats().exits).toMatchObject({ REQIDLE: 3, INOUT: 2 });
  });

  it("inline: by a handler, the vCPU comes back when its instruction is done", async () => {
    const vm = await guest("out 1,al\nmov bl,5\nout 2,al\nhlt");
    const [vcpu] = vm.vcpus;
    vm.ports.attach(1, () => {
      void vm.blockRun(0);
      return 0;
    });
    expect(vcpu.run()).toMatchObject({ exitcode: "REQIDLE", rip: 0x1002n });
    vm.unblockRun(0);
    expect(vcpu.run()).toMatchObject({ inout: { port: 2 } });
  });
});

describe("rendezvous", () => {
  it("inline: pending until the work is done; a run meanwhile comes back with RENDEZVOUS", async () => {
    const vm = await guest("out 1,al\nout 2,al\nhlt");
    const [vcpu] = vm.vcpus;
    const seen: unknown[] = [];
    const done = vm.smpRendezvous([0], (_, id) => {
      seen.push(id, vcpu.rendezvousPending, vcpu.getRegister(R.RIP));
    });
    expect(vcpu.rendezvousPending).toBe(true);
    const second = rejects(
      "EBUSY",
      vm.smpRendezvous([0], () => {}),
    );
    expect(vcpu.run()).toMatchObject({ exitcode: "RENDEZVOUS", rip: 0x1000n });
    await second;
    await done;
    expect([seen, vcpu.rendezvousPending]).toEqual([[0, true, 0x1000n], false]);
    expect(vcpu.run()).toMatchObject({ inout: { port: 1 } });
    await expect(
      vm.smpRendezvous([0], () => {
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(vcpu.run()).toMatchObject({ inout: { port: 2 } });
  });

  it("threaded: with `exit`, run comes back with it; without, it goes on", async () => {
    const vm = await makeVm("threaded");
    place(vm, LOOP);
    const [vcpu] = vm.vcpus;
    let running = vcpu.run();
    expect(await until(() => counter(vm) > 0)).toBe(true);
    await vm.smpRendezvous([0], () => {});
    const before = counter(vm);
    expect(await until(() => counter(vm) !== before)).toBe(true);
    await vm.smpRendezvous([0], () => {}, { exit: true });
    expect((await running).exitcode).toBe("RENDEZVOUS");
    running = vcpu.run();
    vcpu.notify("EXIT");
    expect((await running).exitcode).toBe("BOGUS");
    await vm.destroy();
  });
});

describe("time", () => {
  it("milliseconds: run comes back when they have passed, and a handler can ask", async () => {
    let now = 0;
    const vm = await guest(`out 1,al\n${LOOP}`, { now: () => (now += 0.25) });
    const [vcpu] = vm.vcpus;
    let asked: boolean | undefined;
    vm.ports.attach(1, () => {
      asked = vcpu.shouldYield;
      return 0;
    });
    const exit = vcpu.run({ cmd: "default" }, { milliseconds: 50 });
    expect([exit.exitcode, asked, vcpu.shouldYield]).toEqual(["BOGUS", false, true]);
    expect(now).toBeLessThan(60);
    const threaded = await makeVm("threaded");
    await rejects("EOPNOTSUPP", threaded.vcpus[0].run({ cmd: "default" }, { milliseconds: 1 }));
    await threaded.destroy();
  });

  it("TSC offset: what RDTSC reads is the clock's and it", async () => {
    let now = 1000;
    const vm = await guest("rdtsc\nout 1,eax\nhlt", { now: () => now });
    const [vcpu] = vm.vcpus;
    now = 1002;
    vcpu.setTscOffset(-500_000n);
    expect([vcpu.tscOffset(), vcpu.tscOffset(true)]).toEqual([-500_000n, -1_000_500_000n]);
    expect(vcpu.run()).toMatchObject({ inout: { eax: 1_500_000 } });
    expect(vm.normalizeHrtime(now) + Number(vcpu.tscOffset())).toBe(1_500_000);
    refuses("EINVAL", () => vcpu.setTscOffset(1n << 63n));
    refuses("EINVAL", () => vcpu.setTscOffset(1 as never));
  });
});

describe("the host fails", () => {
  it("a handler that throws has not answered: its error comes out of run, and the exit stays", async () => {
    for (const transport of ["inline", "threaded"] as const) {
      const vm: Vm = await makeVm(transport);
      place(vm, "in al,1\nout 2,al\nhlt");
      const [vcpu] = vm.vcpus;
      const cookie = vm.ports.attach(1, () => {
        throw new TypeError("broken");
      });
      await expect((async () => vcpu.run())()).rejects.toThrow("broken");
      expect(vcpu.state).toBe("IDLE");
      expect(vcpu.exitinfo).toMatchObject({ exitcode: "INOUT", inout: { port: 1 } });
      vm.ports.detach(cookie);
      expect(await vcpu.run({ cmd: "fulfillInout", value: 3 })).toMatchObject({ inout: { port: 2, eax: 3 } });
      await vm.destroy();
    }
  });

  it("in the middle of an instruction: VmTrap, until reinit", async () => {
    let broken = true;
    const vm = await guest("rdrand eax\nout 1,eax\nhlt", {
      random: () => {
        if (broken) throw new RangeError("no entropy");
        return 0x1234n;
      },
    });
    const [vcpu] = vm.vcpus;
    for (let i = 0; i < 2; i++) {
      let thrown: unknown;
      try {
        vcpu.run();
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(VmTrap);
      expect(thrown).toMatchObject({ code: "EIO", vcpu: 0, cause: { message: "no entropy" } });
    }
    expect(vcpu.state).toBe("IDLE");
    broken = false;
    await vm.reinit();
    place(vm, "rdrand eax\nout 1,eax\nhlt");
    expect(outputs(vcpu).out).toEqual(["1=1234"]);
  });
});
