/** Creation, suspension, pause and destruction, on both transports; states of a vCPU and where its time goes. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OutOfMemoryError, type Vm, type VmExit, VRS } from "../../src/vmm/index.ts";
import { cleanUp, until } from "../vcpu/threads.ts";
import { guest, load, makeVm, outputs, place, R, refuses, rejects } from "./vms.ts";

beforeAll(() => load(true));
afterAll(cleanUp);

const LOOP = "mov cx,1\nagain: inc dword [0x3000]\njmp again";
const counter = (vm: Vm): number => {
  const bytes = new Uint8Array(4);
  vm.memory.read(0x3000, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
};

describe("creation", () => {
  it("refuses what cannot be", async () => {
    await rejects("EINVAL", makeVm("inline", { name: "" }));
    await rejects("EINVAL", makeVm("inline", { name: "x".repeat(32) }));
    await rejects("EINVAL", makeVm("inline", { vcpus: 0 }));
    await rejects("EINVAL", makeVm("inline", { vcpus: 17 }));
    await rejects("EINVAL", makeVm("inline", { memoryBytes: 1 }));
    await expect(makeVm("inline", { memoryBytes: 2 ** 33 })).rejects.toBeInstanceOf(OutOfMemoryError);
    const vm = await makeVm("inline", { name: "x".repeat(31), vcpus: 3 });
    expect([vm.name.length, vm.maxcpus]).toEqual([31, 3]);
    expect([vm.apicid2vcpuid(2), [...vm.activeCpus]]).toEqual([2, [0]]);
    refuses("EINVAL", () => vm.apicid2vcpuid(3));
    refuses("EINVAL", () => vm.vcpus[1].run());
    vm.activateCpu(1);
    refuses("EBUSY", () => vm.activateCpu(1));
    refuses("EINVAL", () => vm.activateCpu(9));
  });

  it("destroyed is destroyed", async () => {
    const vm = await guest("hlt");
    await vm.destroy();
    refuses("ENXIO", () => vm.vcpus[0].run());
    refuses("ENXIO", () => vm.vcpus[0].getRegister(R.RAX));
    refuses("ENXIO", () => vm.suspend("RESET"));
    await rejects("ENXIO", vm.destroy());
    await rejects("ENXIO", vm.reinit());
  });
});

describe("suspension", () => {
  it.each(["RESET", "POWEROFF", "HALT"] as const)("%s leaves with SUSPENDED until reinit", async (how) => {
    const vm = await guest("mov al,1\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.run();
    vm.suspend(how);
    expect(vm.suspended).toBe(how);
    refuses("EALREADY", () => vm.suspend("RESET"));
    for (let i = 0; i < 2; i++) expect(vcpu.run()).toMatchObject({ exitcode: "SUSPENDED", suspended: { how } });
    expect([...vm.suspendedCpus]).toEqual([0]);
    await vm.reinit();
    expect(vm.suspended).toBeUndefined();
    expect(vcpu.getRegister(R.RIP)).toBe(0xfff0n);
    expect(vcpu.getRegister(R.CS)).toBe(0xf000n);
    place(vm, "mov al,2\nout 2,al\nhlt");
    expect(outputs(vcpu).out).toEqual(["2=2"]);
  });

  it("a triple fault is one, from the guest", async () => {
    const vm = await guest("lidt [none]\nint3\nnone: dw 0\ndd 0");
    expect(vm.vcpus[0].run()).toMatchObject({ exitcode: "SUSPENDED", suspended: { how: "TRIPLEFAULT" } });
    refuses("EINVAL", () => vm.suspend("NONE"));
  });

  it("reaches vCPUs that run, and waits for nobody's answer (threaded)", async () => {
    const vm = await makeVm("threaded", { vcpus: 2 });
    vm.activateCpu(1);
    place(vm, LOOP);
    place(vm, "in al,5\nhlt", 1, 0x5000);
    vm.vcpus[1].setRunState(VRS.RUN);
    const running = vm.vcpus[0].run();
    expect(await vm.vcpus[1].run()).toMatchObject({ exitcode: "INOUT", rip: 0x5000n });
    expect(await until(() => counter(vm) > 1000)).toBe(true);
    vm.suspend("POWEROFF");
    expect(await running).toMatchObject({ exitcode: "SUSPENDED", suspended: { how: "POWEROFF" } });
    expect((await vm.vcpus[1].run()).exitcode).toBe("SUSPENDED");
    await vm.reinit();
    place(vm, "mov al,9\nout 9,al\nhlt");
    expect(await vm.vcpus[0].run()).toMatchObject({ exitcode: "INOUT", inout: { port: 9, eax: 9 } });
    await vm.destroy();
  });
});

describe("run, threaded", () => {
  it("gives the exits that inline gives, one promise each", async () => {
    const source = "mov al,0x41\nout 1,al\nin al,2\nout 3,al\nmov ax,0xf000\nmov ds,ax\nmov bx,[0]\nout 4,ax\nhlt";
    const answers = (exit: VmExit): Parameters<Vm<"inline">["vcpus"][0]["run"]>[0] =>
      exit.exitcode === "INOUT" && exit.inout.in
        ? { cmd: "fulfillInout", value: 0x55 }
        : exit.exitcode === "INST_EMUL"
          ? { cmd: "fulfillMmio", value: 0x1234n }
          : { cmd: "default" };
    const small = { memoryBytes: 0x1_0000 };
    const one = await guest(source, small);
    const two = await makeVm("threaded", small);
    place(two, source);
    two.vcpus[0].setCapability("HALT_EXIT", true);
    one.vcpus[0].setCapability("HALT_EXIT", true);
    let [a, b] = [one.vcpus[0].run(), await two.vcpus[0].run()];
    for (let i = 0; i < 5; i++) {
      expect(b).toEqual(a);
      [a, b] = [one.vcpus[0].run(answers(a)), await two.vcpus[0].run(answers(b))];
    }
    expect([a.exitcode, b.exitcode]).toEqual(["HLT", "HLT"]);
    await two.destroy();
  });

  it("refuses a second run, registers of a running vCPU, and instruction counts", async () => {
    const vm = await makeVm("threaded");
    const [vcpu] = vm.vcpus;
    place(vm, LOOP);
    await rejects("EOPNOTSUPP", vcpu.run({ cmd: "default" }, { instructions: 1n }));
    const running = vcpu.run();
    expect([vcpu.state, vcpu.isRunning]).toEqual(["RUNNING", true]);
    await rejects("EBUSY", vcpu.run());
    refuses("EBUSY", () => vcpu.getRegister(R.RAX));
    refuses("EBUSY", () => vcpu.setState("FROZEN", true));
    refuses("EBUSY", () => vm.segments.free(0) as never);
    expect(await until(() => counter(vm) > 0)).toBe(true);
    vcpu.notify("NONE");
    vcpu.notify("EXIT");
    expect((await running).exitcode).toBe("BOGUS");
    expect(vcpu.state).toBe("IDLE");
    expect(vcpu.getRegister(R.RCX) & 0xffffn).toBe(1n);
    await vm.destroy();
  });

  it("destroy rejects what has not come back", async () => {
    const vm = await makeVm("threaded");
    place(vm, LOOP);
    const running = rejects("ENXIO", vm.vcpus[0].run());
    await vm.destroy();
    await running;
  });

  it("waits in HLT, SLEEPING, until an NMI comes", async () => {
    const vm = await makeVm("threaded");
    const [vcpu] = vm.vcpus;
    place(vm, "hlt\nmov al,1\nout 1,al\nhlt");
    vm.memory.write(2 * 4, Uint8Array.of(0, 0x20, 0, 0));
    vm.memory.write(0x2000, Uint8Array.of(0xcf));
    const running = vcpu.run();
    expect(await until(() => vcpu.state === "SLEEPING")).toBe(true);
    vcpu.injectNmi();
    expect(await running).toMatchObject({ exitcode: "INOUT", inout: { port: 1 } });
    await vm.destroy();
  });
});

describe("pause", () => {
  it("no instruction executes and time stands still; run comes back after the resume (threaded)", async () => {
    const vm = await makeVm("threaded");
    const [vcpu] = vm.vcpus;
    place(vm, `${LOOP.replace("jmp again", "cmp byte [0x4000],0\nje again\nout 1,al\nhlt")}`);
    const running = vcpu.run();
    expect(await until(() => counter(vm) > 0)).toBe(true);
    await vm.pauseInstance();
    expect(vm.isPaused).toBe(true);
    const [count, time] = [counter(vm), vm.now()];
    vm.memory.write(0x4000, Uint8Array.of(1));
    await until(() => false, 20);
    expect([counter(vm), vm.now()]).toEqual([count, time]);
    await rejects("EALREADY", vm.pauseInstance());
    vm.resumeInstance();
    refuses("EALREADY", () => vm.resumeInstance());
    expect((await running).exitcode).toBe("INOUT");
    expect(counter(vm)).toBeGreaterThan(0);
    await vm.destroy();
  });

  it("inline, run refuses instead of waiting", async () => {
    const vm = await guest("hlt");
    await vm.pauseInstance();
    refuses("EBUSY", () => vm.vcpus[0].run());
    vm.resumeInstance();
    expect(vm.vcpus[0].run().exitcode).toBe("HLT");
  });

  it("blockRun and rendezvous stop chosen vCPUs, unseen by the guest", async () => {
    const vm = await makeVm("threaded");
    place(vm, LOOP);
    const running = vm.vcpus[0].run();
    expect(await until(() => counter(vm) > 0)).toBe(true);
    await vm.blockRun(0);
    const before = counter(vm);
    await until(() => false, 10);
    expect(counter(vm)).toBe(before);
    const seen: number[] = [];
    await vm.smpRendezvous([0], (_, id) => {
      seen.push(id);
    });
    expect(seen).toEqual([0]);
    expect(counter(vm)).toBe(before);
    vm.unblockRun(0);
    expect(await until(() => counter(vm) !== before)).toBe(true);
    vm.suspendCpu(0);
    expect((await running).exitcode).toBe("DEBUG");
    expect([...vm.debugCpus]).toEqual([0]);
    expect((await vm.vcpus[0].run()).exitcode).toBe("DEBUG");
    vm.resumeCpu(0);
    refuses("EINVAL", () => vm.resumeCpu(0));
    await vm.destroy();
  });
});

describe("time", () => {
  it("the guest's and the host's, there and back, pauses not counted", async () => {
    let now = 1000;
    const vm = await makeVm("inline", { now: () => now });
    now = 1002;
    expect(vm.now()).toBe(2_000_000n);
    expect(vm.normalizeHrtime(1003)).toBe(3_000_000);
    expect(vm.denormalizeHrtime(5_000_000)).toBe(1005);
    await vm.pauseInstance();
    now = 1010;
    expect(vm.now()).toBe(2_000_000n);
    vm.resumeInstance();
    now = 1011;
    expect(vm.now()).toBe(3_000_000n);
    expect(vm.normalizeHrtime(1011)).toBe(3_000_000);
  });
});

describe("vCPU states", () => {
  it("a claimed vCPU does not run; only the picture's steps are there", async () => {
    const vm = await guest("hlt");
    const [vcpu] = vm.vcpus;
    expect(vcpu.state).toBe("IDLE");
    vcpu.setState("FROZEN", true);
    refuses("EBUSY", () => vcpu.run());
    refuses("EBUSY", () => vcpu.setState("FROZEN", true));
    refuses("EINVAL", () => vcpu.setState("RUNNING"));
    vcpu.setState("IDLE");
    refuses("EBUSY", () => vcpu.setState("IDLE"));
    expect(vcpu.run().exitcode).toBe("HLT");
  });

  it("is FROZEN while a handler answers for it, and its time is accounted for", async () => {
    let now = 0;
    const vm = await guest("out 1,al\nin al,2\nhlt", { now: () => now });
    const [vcpu] = vm.vcpus;
    vm.ports.attach(1, () => {
      now += 5;
      expect(vcpu.state).toBe("FROZEN");
      return 0;
    });
    now = 3;
    vcpu.run();
    now += 7;
    vcpu.run({ cmd: "fulfillInout", value: 0 });
    expect(vcpu.stats().time).toEqual({ INIT: 3, RUN: 0, IDLE: 0, EMU_KERN: 5, EMU_USER: 7, SCHED: 0 });
  });

  it("INIT and start-up IPIs, on both transports", async () => {
    for (const transport of ["inline", "threaded"] as const) {
      const vm: Vm = await makeVm(transport, { vcpus: 2 });
      vm.activateCpu(1);
      const vcpu = vm.vcpus[1];
      place(vm, "mov al,7\nout 7,al\njmp 0", 1, 0x3000);
      vcpu.injectInit();
      refuses("EINVAL", () => vcpu.injectSipi(256));
      vcpu.injectSipi(3);
      // A second one finds nobody waiting.
      for (let i = 0; i < 2; i++) {
        expect(await vcpu.run()).toMatchObject({ exitcode: "INOUT", inout: { port: 7, eax: 7 } });
        vcpu.injectSipi(9);
      }
      expect(vcpu.getRegister(R.CS)).toBe(0x300n);
      await vm.destroy();
    }
  });

  it("run state: HALT stands still, INIT waits for a start-up, RUN starts at a vector", async () => {
    const vm = await guest("hlt");
    const [vcpu] = vm.vcpus;
    place(vm, "mov al,7\nout 7,al\nhlt", 0, 0x3000);
    vcpu.setRunState(VRS.INIT);
    expect(vcpu.getRunState().state).toBe(VRS.INIT);
    vcpu.setRunState(VRS.HALT);
    expect(vcpu.getRunState().state).toBe(VRS.HALT);
    vcpu.setRunState(VRS.RUN, 3);
    expect(outputs(vcpu).out).toEqual(["7=7"]);
    refuses("EINVAL", () => vcpu.setRunState(VRS.RUN, 256));
  });
});
