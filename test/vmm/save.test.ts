/** Vm.save and Vm.restore, and classes of data: a guest goes on elsewhere as if nothing had been. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROT, PROT_ALL, SnapshotError, type Transport, VMM_DATA_VERSIONS, type Vm } from "../../src/vmm/index.ts";
import { cleanUp, until } from "../vcpu/threads.ts";
import { guest, load, makeVm, outputs, place, R, refuses, rejects } from "./vms.ts";

beforeAll(() => load(true));
afterAll(cleanUp);

/** Counts in memory, in BX and on the FPU's stack. */
const LOOP = "fninit\nfld1\nagain: inc dword [0x3000]\nfld1\nfaddp\njmp again";
const counter = (vm: Vm): number => {
  const bytes = new Uint8Array(4);
  vm.memory.read(0x3000, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
};
const OTHER: Record<Transport, Transport> = { inline: "threaded", threaded: "inline" };

describe("save and restore", () => {
  it("from either transport to either, while the guest runs", async () => {
    for (const transport of ["inline", "threaded"] as const) {
      for (const target of [transport, OTHER[transport]]) {
        const vm: Vm = await makeVm(transport, { vcpus: 2 });
        place(vm, LOOP);
        const running = transport === "threaded" ? (vm.vcpus[0].run() as Promise<unknown>) : undefined;
        if (running) expect(await until(() => counter(vm) > 1000)).toBe(true);
        else vm.vcpus[0].run({ cmd: "default" }, { instructions: 10_000n });
        const file = await vm.save();
        const at = counter(vm);
        if (running) expect(await until(() => counter(vm) > at)).toBe(true);
        await vm.destroy();
        await running?.catch(() => {});
        const clone: Vm = await makeVm(target, { vcpus: 2 });
        place(clone, "hlt");
        await clone.restore(file);
        // The count in memory and the one of the FPU agree: an instruction was not cut in two.
        const count = counter(clone);
        expect(count).toBeGreaterThan(1000);
        const going = target === "threaded" ? (clone.vcpus[0].run() as Promise<unknown>) : undefined;
        if (going) expect(await until(() => counter(clone) > count)).toBe(true);
        else clone.vcpus[0].run({ cmd: "default" }, { instructions: 999n });
        clone.suspend("HALT");
        await going;
        if (!going) expect(counter(clone)).toBeGreaterThan(count);
        await clone.destroy();
      }
    }
  });

  it("segments, rights, topology, clock, pending events and chips go along", async () => {
    let now = 1000;
    const config = { chips: true, vcpus: 2, memoryBytes: 0x1_0000, reserveBytes: 0x4000, now: () => now };
    const vm = await guest("mov al,0x5a\nout 0x21,al\nsti\nhlt\nrdtsc\nout 1,eax\nin al,0x21\nout 2,al\nhlt", config);
    vm.activateCpu(1);
    vm.setTopology(1, 1, 2);
    vm.segments.alloc(5, 0x2000, false);
    vm.segments.mmap(0x8_0000, 5, 0x1000, 0x1000, PROT.READ);
    vm.memory.write(0x8_0000, Uint8Array.of(1, 2, 3));
    expect(vm.vcpus[0].run().exitcode).toBe("HLT");
    vm.vcpus[0].injectNmi();
    vm.vcpus[1].injectGp();
    now = 1003;
    const file = await vm.save();
    const clone = await makeVm("inline", config);
    clone.segments.alloc(3, 0x1000, true);
    clone.segments.mmap(0x9_0000, 3, 0, 0x1000, PROT_ALL);
    now = 5000;
    await clone.restore(file);
    expect(clone.now()).toBe(3_000_000n);
    expect(clone.topology).toEqual(vm.topology);
    expect([...clone.activeCpus]).toEqual([0, 1]);
    expect(clone.segments.find(0x8_0000)).toEqual(vm.segments.find(0x8_0000));
    expect([clone.segments.find(0x9_0000), clone.memory.writable(0x8_0000)]).toEqual([undefined, false]);
    const bytes = new Uint8Array(3);
    clone.memory.read(0x8_0000, bytes);
    expect([...bytes]).toEqual([1, 2, 3]);
    refuses("EINVAL", () => clone.segments.get(3));
    expect(clone.vcpus[1].getIntinfo()).toEqual(vm.vcpus[1].getIntinfo());
    clone.memory.write(2 * 4, Uint8Array.of(0, 0x20, 0, 0));
    clone.memory.write(0x2000, Uint8Array.of(0xcf));
    expect(outputs(clone.vcpus[0]).out).toEqual(["1=2dc6c0", "2=5a"]);
    // Free memory is where it was: the reserve has room for as much as before.
    clone.segments.alloc(6, 0x2000, true);
    refuses("ENOMEM", () => clone.segments.alloc(7, 0x20_0000, true));
  });

  it("an exit that waits is in the way of save, and forgotten by restore (both transports)", async () => {
    for (const transport of ["inline", "threaded"] as const) {
      const vm: Vm = await makeVm(transport);
      place(vm, "mov bl,1\nin al,7\nout 8,al\nhlt");
      const start = await vm.save();
      expect(await vm.vcpus[0].run()).toMatchObject({ inout: { port: 7 } });
      await rejects("EBUSY", vm.save());
      for (let i = 0; i < 2; i++) {
        await vm.restore(start);
        expect(vm.vcpus[0].exitinfo).toBeUndefined();
        expect(await vm.vcpus[0].run()).toMatchObject({ inout: { port: 7 } });
        expect(await vm.vcpus[0].run({ cmd: "fulfillInout", value: i })).toMatchObject({ inout: { port: 8, eax: i } });
      }
      await vm.destroy();
    }
    const vm = await guest("in al,7\nout 8,al\nhlt");
    vm.vcpus[0].run();
    expect(vm.vcpus[0].run({ cmd: "fulfillInout", value: 5 }, { instructions: 0n }).exitcode).toBe("BOGUS");
    const file = await vm.save();
    vm.vcpus[0].setRegister(R.RAX, 0n);
    await vm.restore(file);
    expect(vm.vcpus[0].run()).toMatchObject({ inout: { port: 8, eax: 5 } });
  });

  it("refuses other machines, and files that are none; the vm is as it was", async () => {
    const vm = await guest("mov al,1\nout 1,al\nhlt");
    const file = await vm.save();
    for (const config of [
      { vcpus: 2 },
      { chips: true },
      { memoryBytes: 0x10_0000 },
      { cpu: "x86-64" },
      { reserveBytes: 0x1000 },
    ]) {
      const other = await makeVm("inline", config);
      await expect(other.restore(file)).rejects.toBeInstanceOf(SnapshotError);
    }
    await expect(vm.restore(new Uint8Array(10))).rejects.toBeInstanceOf(SnapshotError);
    await rejects("EINVAL", vm.restore("file" as never));
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=1"]);
    const hold = vm.segments.hold(0, 1, PROT.READ);
    await rejects("EBUSY", vm.restore(file));
    vm.segments.release(hold);
    await vm.destroy();
    await rejects("ENXIO", vm.save());
    await rejects("ENXIO", vm.restore(file));
  });
});

describe("classes of data", () => {
  it("every class that can be written gives back what it gave, and the guest does not notice", async () => {
    const vm = await guest("mov ax,0x1234\nmov bl,7\nin al,9\nout 1,ax\nhlt", { chips: true, now: () => 5 });
    vm.ports.attach(9, () => 0x56);
    vm.vcpus[0].run({ cmd: "default" }, { instructions: 2n });
    for (const { class: name, version, perVcpu, writef } of VMM_DATA_VERSIONS) {
      const req = { class: name, version, ...(perVcpu && { vcpuid: 0 }) };
      const data = vm.dataRead(req);
      expect(data.version).toBe(version);
      if (!writef) {
        refuses("EINVAL", () => vm.dataWrite(req, data));
        continue;
      }
      vm.dataWrite(req, data);
      expect(vm.dataRead(req)).toEqual(data);
      for (const bad of [undefined, {}, { ...data, version: 99 }, [data]]) {
        expect(() => vm.dataWrite(req, bad)).toThrow(SnapshotError);
      }
      expect(vm.dataRead(req)).toEqual(data);
      refuses("EINVAL", () => vm.dataRead({ ...req, version: version + 1 }));
    }
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=1256"]);
  });

  it("registers written so are what the guest has", async () => {
    const vm = await guest("out 1,ax\nhlt");
    const req = { class: "REGISTER", version: 1, vcpuid: 0 } as const;
    const data = vm.dataRead(req) as unknown as { gpr: bigint[] };
    vm.dataWrite(req, { ...data, gpr: [0xbeefn, ...data.gpr.slice(1)] });
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=beef"]);
    refuses("EINVAL", () => vm.dataRead({ class: "REGISTER", version: 1 }));
    refuses("EINVAL", () => vm.dataRead({ class: "REGISTER", version: 1, vcpuid: 1 }));
    refuses("EINVAL", () => vm.dataRead({ class: "VMM_TIME", version: 1, vcpuid: 0 }));
    refuses("EINVAL", () => vm.dataRead({ class: "NONE" as never, version: 1 }));
    refuses("EOPNOTSUPP", () => vm.dataRead({ class: "HPET", version: 1 }));
  });
});
