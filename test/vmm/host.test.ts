/** What of the host a virtual machine has: the loaded module, workers, statistics, memory held by clients, devices. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  isPptdev,
  kstatLines,
  type PptDevice,
  type PptHost,
  PROT,
  PROT_ALL,
  type Vm,
  VmError,
  VmmModule,
  WebSerialDevice,
} from "../../src/vmm/index.ts";
import { cleanUp, spawn, until } from "../vcpu/threads.ts";
import { FakeSerialPort } from "./fakeSerial.ts";
import { coreBytes, guest, load, makeVm, outputs, place, refuses, rejects } from "./vms.ts";

beforeAll(() => load(true));
afterAll(cleanUp);

describe("the module", () => {
  it("is loaded once for several virtual machines, and unloaded when they are gone", async () => {
    const vmm = await VmmModule.load(coreBytes());
    const one = await guest("mov al,1\nout 1,al\nhlt", { core: vmm });
    const two = await makeVm("threaded", { core: vmm, name: "two" });
    place(two, "mov al,2\nout 2,al\nhlt");
    expect(outputs(one.vcpus[0]).out).toEqual(["1=1"]);
    expect(await two.vcpus[0].run()).toMatchObject({ inout: { port: 2 } });
    expect([vmm.vms, one.kstats().instance, two.kstats().instance]).toEqual([2, 0, 1]);
    refuses("EBUSY", () => vmm.unload());
    await one.destroy();
    await two.destroy();
    expect(vmm.vms).toBe(0);
    vmm.unload();
    refuses("ENXIO", () => vmm.unload());
    await rejects("ENXIO", makeVm("inline", { core: vmm }));
  });

  it("refuses what is not the core", async () => {
    await rejects("EINVAL", VmmModule.load(Uint8Array.of(1, 2, 3)));
    await rejects("EINVAL", VmmModule.load(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)));
    await rejects("EINVAL", makeVm("inline", { core: coreBytes().subarray(0, 1000) }));
  });

  it("resume: time in which the host slept has not been, for guests that ran", async () => {
    let now = 0;
    const vmm = await VmmModule.load(coreBytes());
    const vm = await guest("rdtsc\nout 1,eax\nhlt", { core: vmm, now: () => now });
    const paused = await guest("hlt", { core: vmm, now: () => now });
    await paused.pauseInstance();
    now = 3_600_001;
    vmm.resume(3_600_000);
    expect(vm.vcpus[0].run()).toMatchObject({ inout: { eax: 1_000_000 } });
    expect(paused.now()).toBe(0n);
    paused.resumeInstance();
    expect(paused.now()).toBe(0n);
    refuses("EINVAL", () => vmm.resume(-1));
    refuses("EINVAL", () => vmm.resume(Number.NaN));
  });

  it("workers of a machine that could not be made are terminated", async () => {
    let made = 0;
    let ended = 0;
    const failing = (): ReturnType<typeof spawn> => {
      if (++made === 2) throw new Error("no more threads");
      const thread = spawn();
      return {
        endpoint: thread.endpoint,
        terminate: () => {
          ended++;
          thread.terminate();
        },
      };
    };
    await expect(makeVm("threaded", { vcpus: 2, spawn: failing })).rejects.toThrow("no more threads");
    expect([made, ended]).toEqual([2, 1]);
  });
});

describe("statistics", () => {
  it("of every vCPU, as numbers and as lines", async () => {
    let now = 0;
    const vm = await guest("out 1,al\nout 1,al\nhlt", { now: () => now, name: "counted" });
    now = 4;
    vm.vcpus[0].run();
    now = 6;
    vm.vcpus[0].run();
    const stats = vm.kstats();
    expect(stats).toMatchObject({ module: "vmm", class: "misc", name: "counted" });
    expect(stats.vcpus[0]).toMatchObject({ vcpu: 0, exits: { INOUT: 2 }, time: { INIT: 4, EMU_USER: 2 } });
    expect(stats.vcpus[0].counters.exits).toBe(2);
    const lines = kstatLines(stats);
    for (const line of ["vm:vm_name counted", "vcpu0:time_init 4000000", "vcpu0:exit_inout 2", "vcpu0:exits 2"]) {
      expect(lines).toContain(`vmm:0:${line}`);
    }
  });
});

describe("memory of the guest, in the host's hands", () => {
  it("a client's pages are the memory itself, and stay mapped until they are released", async () => {
    const vm = await guest("mov al,[0x5000]\nout 1,al\nmov byte [0x5001],9\nhlt", { memoryBytes: 0x1_0000 });
    const client = vm.vmclient(0);
    const page = client.hold(0x5000, PROT.READ | PROT.WRITE);
    page.writable[0] = 7;
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=7"]);
    expect([page.gpa, page.readable[1], client.held]).toEqual([0x5000, 9, 1]);
    refuses("EBUSY", () => vm.segments.munmap(0, 0x1_0000));
    refuses("EINVAL", () => client.hold(0x5001, PROT.READ));
    refuses("EFAULT", () => client.hold(0x10_0000, PROT.READ));
    const read = client.hold(0x6000, PROT.READ);
    refuses("EFAULT", () => read.writable);
    page.release();
    refuses("EINVAL", () => page.release());
    refuses("EINVAL", () => page.readable);
    client.destroy();
    expect(client.held).toBe(0);
    vm.segments.munmap(0, 0x1_0000);
    refuses("EINVAL", () => vm.vmclient(1));
  });

  it("the address space: maps, and what they have together", async () => {
    const vm = await makeVm("inline", { memoryBytes: 0x1_0000, reserveBytes: 0x2000 });
    vm.segments.alloc(1, 0x2000, false);
    for (const at of [0x8_0000, 0x9_0000]) vm.segments.mmap(at, 1, 0, 0x2000, PROT.READ);
    expect(vm.vmspace.maps.map((m) => m.gpa)).toEqual([0, 0x8_0000, 0x9_0000]);
    expect(vm.vmspace.resident).toBe(0x1_2000);
    const client = vm.vmspace.clientAlloc();
    expect(client.hold(0x9_1000, PROT.READ).readable.length).toBe(4096);
    client.destroy();
  });

  it("a segment is one piece: code that the host writes through it is the code the guest runs next", async () => {
    const vm = await guest("call 0x8000:0\ncall 0x8000:0\nhlt", { memoryBytes: 0x1_0000, reserveBytes: 0x3000 });
    vm.segments.alloc(4, 0x3000, true);
    const { bytes, written } = vm.segments.contig(4);
    expect(bytes.length).toBe(0x3000);
    vm.segments.mmap(0x8_0000, 4, 0x1000, 0x1000, PROT_ALL);
    // mov al,n; out 9,al; retf
    bytes.set([0xb0, 1, 0xe6, 9, 0xcb], 0x1000);
    expect(vm.vcpus[0].run()).toMatchObject({ inout: { port: 9, eax: 1 } });
    bytes[0x1001] = 2;
    written(0x1001, 1);
    expect(vm.vcpus[0].run()).toMatchObject({ inout: { port: 9, eax: 2 } });
    expect(vm.segments.trackDirtyPages(0x8_0000, 0x1000)[0]).toBe(1);
    refuses("EINVAL", () => vm.segments.contig(5));
    refuses("EINVAL", () => written(0x2fff, 2));
    vm.segments.munmap(0x8_0000, 0x1000);
    vm.segments.free(4);
    expect(bytes[0x1001]).toBe(0);
    refuses("EINVAL", () => vm.segments.contig(4));
  });
});

describe("a serial port of the host", () => {
  /** Echoes with bit 5 flipped: polls LSR, reads RBR, writes THR; sets DTR and RTS first. */
  const ECHO = `
    mov dx,0x2fc
    mov al,3
    out dx,al
    again: mov dx,0x2fd
    in al,dx
    test al,1
    jz again
    mov dx,0x2f8
    in al,dx
    xor al,0x20
    out dx,al
    jmp again`;
  const COM2 = { port: 0x2f8, irq: 3 };

  async function assigned(vm: Vm): Promise<{ port: FakeSerialPort; device: WebSerialDevice }> {
    const port = new FakeSerialPort();
    const device = new WebSerialDevice(port, { baudRate: 115_200 });
    await vm.pptdevs.assign(device, COM2);
    return { port, device };
  }

  /** Lets an inline guest run until something holds, and the event loop between. */
  async function runUntil(vm: Vm<"inline">, done: () => boolean): Promise<void> {
    for (let i = 0; i < 1000 && !done(); i++) {
      vm.vcpus[0].run({ cmd: "default" }, { instructions: 2000n });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(done()).toBe(true);
  }

  it("inline and threaded: the guest has the bytes and the signals, until it is taken away", async () => {
    for (const transport of ["inline", "threaded"] as const) {
      const vm: Vm = await makeVm(transport, { chips: true });
      place(vm, ECHO);
      const { port, device } = await assigned(vm);
      const text = [..."Hello, guest! More than the FIFO holds."].map((c) => c.charCodeAt(0));
      port.arrive(...text);
      const running = transport === "threaded" ? (vm.vcpus[0].run() as Promise<unknown>) : undefined;
      if (transport === "inline") await runUntil(vm as Vm<"inline">, () => port.sent.length === text.length);
      else expect(await until(() => port.sent.length === text.length)).toBe(true);
      expect(port.sent).toEqual(text.map((c) => c ^ 0x20));
      expect(port.calls).toEqual(["open 115200", "dtr 1 rts 1 break 0"]);
      await vm.suspendCpu(0);
      if (running) expect(await running).toMatchObject({ exitcode: "DEBUG" });
      vm.resumeCpu(0);
      await vm.pptdevs.unassign(device);
      expect(port.calls.at(-1)).toBe("close");
      // Nobody has the port any more: its reads come back from run.
      place(vm, "mov dx,0x2f8\nin al,dx\nhlt");
      expect(await vm.vcpus[0].run()).toMatchObject({ exitcode: "INOUT", inout: { port: 0x2f8, in: true } });
      await vm.destroy();
    }
  });

  it("its interrupt reaches the guest; an unplugged port is one without carrier", async () => {
    const vm = await guest("mov dx,0x2fe\nin al,dx\nout 1,al\nhlt", { chips: true });
    const { port, device } = await assigned(vm);
    port.inputs.dataCarrierDetect = true;
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=30"]);
    await until(() => false, 5);
    place(vm, "mov dx,0x2fe\nin al,dx\nout 1,al\nmov dx,0x2f9\nmov al,1\nout dx,al\nhlt");
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=b8"]);
    // IRR of the 8259, by OCW3.
    port.arrive(0x41);
    await until(() => false, 5);
    place(vm, "mov al,0x0a\nout 0x20,al\nin al,0x20\nout 1,al\nhlt");
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=8"]);
    port.unplug();
    await until(() => device.lost !== undefined);
    place(vm, "mov dx,0x2fe\nin al,dx\nand al,0xf0\nout 1,al\nhlt");
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=0"]);
    await vm.destroy();
    expect(port.calls.at(-1)).toBe("close");
  });

  it("refuses what cannot be; whatever is refused leaves nothing attached", async () => {
    const vm = await makeVm("inline", { chips: true });
    const other = await makeVm("inline", { chips: true });
    const none = await makeVm("inline");
    const { device } = await assigned(vm);
    expect(isPptdev(device)).toBe(true);
    expect([{}, undefined, 1, { name: "x" }].map(isPptdev)).toEqual([false, false, false, false]);
    const fresh = (): WebSerialDevice => new WebSerialDevice(new FakeSerialPort(), { baudRate: 9600 });
    await rejects("EBUSY", vm.pptdevs.assign(device, { port: 0x3e8, irq: 4 }));
    await rejects("EBUSY", other.pptdevs.assign(device, COM2));
    await rejects("EEXIST", vm.pptdevs.assign(fresh(), { port: 0x2fa, irq: 3 }));
    await rejects("EINVAL", vm.pptdevs.assign(fresh(), { port: 0x3f8, irq: 16 }));
    await rejects("EINVAL", vm.pptdevs.assign(fresh(), { port: 0xfffc, irq: 3 }));
    await rejects("EINVAL", vm.pptdevs.assign({} as PptDevice, COM2));
    await rejects("EOPNOTSUPP", none.pptdevs.assign(fresh(), COM2));
    await rejects("ENOENT", other.pptdevs.unassign(device));
    const broken = new FakeSerialPort();
    broken.broken = new Error("access denied");
    await rejects("EIO", other.pptdevs.assign(new WebSerialDevice(broken, { baudRate: 9600 }), COM2));
    expect(other.pptdevs.assigned).toEqual([]);
    await vm.pptdevs.unassign(device);
    await other.pptdevs.assign(device, COM2);
    expect(other.pptdevs.assigned).toEqual([device]);
    for (const one of [vm, other, none]) await one.destroy();
  });
});

describe("memory of a device that is passed through", () => {
  /** Copies four bytes from the address written to its first four ports to the one written to its last four. */
  class Copier implements PptDevice {
    readonly name = "copier";
    readonly portCount = 8;
    host: PptHost | undefined;
    #from = 0;

    async attach(host: PptHost): Promise<{ read(): number; write(offset: number, size: number, value: number): void }> {
      this.host = host;
      return {
        read: () => host.memory.faults,
        write: (offset, _size, value) => {
          if (offset === 0) this.#from = value;
          else this.copy(value);
        },
      };
    }

    copy(to: number): void {
      const bytes = new Uint8Array(4);
      this.host?.memory.read(this.#from, bytes);
      this.host?.memory.write(to, bytes);
    }

    async detach(): Promise<void> {}
  }

  it("is system memory with its rights, and nothing once the device is taken away", async () => {
    const vm = await guest(
      `mov dword [0x3000],0x11223344
      mov eax,0x3000
      out 0x10,eax
      mov eax,0x4ffe
      out 0x14,eax
      mov eax,[0x4ffe]
      out 1,eax
      in al,0x10
      out 2,al
      mov eax,0x80000
      out 0x10,eax
      mov eax,0x5000
      out 0x14,eax
      mov eax,[0x5000]
      out 1,eax
      in al,0x10
      out 2,al
      hlt`,
      { chips: true, memoryBytes: 0x1_0000, reserveBytes: 0x1000 },
    );
    vm.segments.alloc(1, 0x1000, false);
    vm.segments.mmap(0x8_0000, 1, 0, 0x1000, PROT_ALL);
    const device = new Copier();
    await vm.pptdevs.assign(device, { port: 0x10, irq: 5 });
    expect(vm.pptdevs.iommuDomain(device)).toBe(device.host?.memory);
    // A device's own memory is not system memory: ones are read.
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=11223344", "2=0", "1=ffffffff", "2=1"]);
    await vm.pptdevs.unassign(device);
    device.copy(0x6000);
    const bytes = new Uint8Array(4);
    vm.memory.read(0x6000, bytes);
    expect([...bytes]).toEqual([0, 0, 0, 0]);
    expect(() => vm.pptdevs.iommuDomain(device)).toThrow(VmError);
    expect(vm.pptdevs.checkIommu()).toBe(true);
    expect((await makeVm("inline", { memoryBytes: 0, reserveBytes: 0x1000 })).pptdevs.checkIommu()).toBe(false);
  });
});
