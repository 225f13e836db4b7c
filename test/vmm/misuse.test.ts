/** Whatever is called, in whatever order: done, or refused by a typed error with the guest as it was; never anything else. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pack, unpack } from "../../src/snapshot/container.ts";
import { type Vm, VmError } from "../../src/vmm/index.ts";
import { cleanUp, until } from "../vcpu/threads.ts";
import { Abuse, broken, Dice, isTyped, mutated, visible } from "./misuse.ts";
import { guest, load, makeVm, outputs, place, R, rejects } from "./vms.ts";

beforeAll(() => load(true));
afterAll(cleanUp);

const SMALL = { memoryBytes: 0x1_0000, reserveBytes: 0x1_0000, vcpus: 2 };
/** Ports, memory where there is none, an MSR, halts. */
const GUEST = `again: inc word [0x3000]
  in al,0x10
  out 0x11,al
  mov ax,0xf000
  mov ds,ax
  mov al,[0]
  xor ax,ax
  mov ds,ax
  mov ecx,0x123
  cpuid
  sti
  hlt
  jmp again`;

const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);

describe("calls at random", () => {
  it.each(SEEDS)("seed %i", async (seed) => {
    const dice = new Dice(seed);
    let now = 0;
    const vm = await guest(GUEST, { ...SMALL, chips: seed % 2 === 0, now: () => now });
    vm.activateCpu(1);
    place(vm, GUEST, 1, 0x2000);
    const abuse = new Abuse(vm, dice);
    const names = Object.keys(abuse.calls);
    for (let i = 0; i < 100; i++) {
      const name = dice.of(names);
      const before = visible(vm);
      let refused: unknown;
      try {
        await abuse.calls[name]();
      } catch (error) {
        refused = error;
      }
      if (refused !== undefined) {
        expect(isTyped(refused), `${name}: ${(refused as Error).stack}`).toBe(true);
        expect(visible(vm) === before, `${name} has changed the guest and then said ${refused}`).toBe(true);
      }
      now += dice.below(3);
    }
    // Nothing is worn out: it can be set up anew, and runs.
    if (vm.isPaused) vm.resumeInstance();
    for (const vcpu of vm.vcpus) if (vcpu.state === "FROZEN") vcpu.setState("IDLE");
    for (const hold of abuse.holds) tolerated(() => vm.segments.release(hold));
    for (const copy of abuse.copies) tolerated(() => vm.vcpus[0].copyTeardown(copy));
    for (const vcpu of vm.vcpus) vm.vmclient(vcpu.id).destroy();
    for (const id of [0, 1]) while (tolerated(() => vm.unblockRun(id)));
    await vm.reinit();
    vm.resumeCpu();
    vm.vcpus[0].cpuidCleanup();
    for (const cap of ["MTRAP_EXIT", "TRACE_EXCEPTIONS"] as const) vm.vcpus[0].setCapability(cap, false);
    vm.vcpus[0].setCapability("UNRESTRICTED_GUEST", true);
    for (const map of vm.vmspace.maps) vm.segments.munmap(map.gpa, map.length);
    vm.segments.mmap(0, 0, 0, 0x1_0000, 7);
    place(vm, "mov al,0x42\nout 0x99,al\nhlt");
    vm.vcpus[0].setRegister(R.SS, 0n);
    expect(outputs(vm.vcpus[0]).out).toEqual(["99=42"]);
    await vm.destroy();
    await rejects("ENXIO", vm.destroy());
  });

  /** Calls, and says whether it was not refused. */
  function tolerated(call: () => unknown): boolean {
    try {
      call();
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(VmError);
      return false;
    }
  }

  it("destroyed: every call is refused by a typed error, or says nothing of a guest", async () => {
    const vm = await guest(GUEST, { ...SMALL, chips: true });
    const abuse = new Abuse(vm, new Dice(99));
    await vm.destroy();
    for (const [name, call] of Object.entries(abuse.calls)) {
      for (let i = 0; i < 5; i++) {
        try {
          await call();
        } catch (error) {
          expect(isTyped(error), `${name}: ${(error as Error).stack}`).toBe(true);
        }
      }
    }
  });

  it("on a vCPU that runs in its worker: refused, and it goes on", async () => {
    const vm: Vm = await makeVm("threaded", SMALL);
    vm.activateCpu(1);
    place(vm, "again: inc dword [0x3000]\njmp again");
    const [vcpu] = vm.vcpus;
    const running = vcpu.run() as Promise<{ exitcode: string }>;
    const count = (): number => {
      const bytes = new Uint8Array(4);
      vm.memory.read(0x3000, bytes);
      return new DataView(bytes.buffer).getUint32(0, true);
    };
    expect(await until(() => count() > 0)).toBe(true);
    const busy: (() => unknown)[] = [
      () => vcpu.run(),
      () => vcpu.getRegister(R.RAX),
      () => vcpu.setRegister(R.RIP, 0n),
      () => vcpu.setSegDesc(R.CS, { base: 0n, limit: 0, access: 0 }),
      () => vcpu.getFpu(),
      () => vcpu.getMsr(0x10),
      () => vcpu.setMsr(0x10, 0n),
      () => vcpu.setRunState(0),
      () => vcpu.setCapability("MTRAP_EXIT", true),
      () => vcpu.setCpuid({ legacy: true }),
      () => vcpu.emulateCpuid(0),
      () => vcpu.injectUd(),
      () => vcpu.exitIntinfo(0n),
      () => vcpu.entryIntinfo(),
      () => vcpu.gla2gpa(0n),
      () => vcpu.copySetup(0n, 1, 1),
      () => vcpu.setTscOffset(0n),
      () => vcpu.setState("FROZEN", true),
      () => vm.segments.munmap(0, 0x1_0000),
      () => vm.segments.mmap(0x8_0000, 0, 0, 0x1000, 7),
      () => vm.segments.trackDirtyPages(0, 0x1000),
      () => vm.setTopology(1, 1, 2),
      () => vm.reinit(),
      () => vm.dataRead({ class: "VERSION", version: 1 }),
      async () => vm.restore(await vm.save()),
    ];
    for (const call of busy) await rejects("EBUSY", (async () => call())());
    const at = count();
    expect(await until(() => count() !== at)).toBe(true);
    vcpu.notify("EXIT");
    expect((await running).exitcode).toBe("BOGUS");
    await vm.destroy();
  });
});

describe("destroyed in the middle of it", () => {
  it("what waits for vCPUs to stand still is told, and so is run (both transports)", async () => {
    for (const transport of ["inline", "threaded"] as const) {
      for (const wait of [
        (vm: Vm) => vm.pauseInstance(),
        (vm: Vm) => vm.blockRun(0),
        (vm: Vm) => vm.smpRendezvous([0], () => {}),
        (vm: Vm) => vm.save(),
      ]) {
        const vm: Vm = await makeVm(transport, SMALL);
        place(vm, "again: jmp again");
        const running = transport === "threaded" ? rejects("ENXIO", Promise.resolve(vm.vcpus[0].run())) : undefined;
        const waiting = rejects("ENXIO", wait(vm));
        await vm.destroy();
        await waiting;
        await running;
      }
    }
  });
});

describe("snapshots that are not what they should be", () => {
  it("cut off, longer, a bit changed: SnapshotError, and the guest goes on as if nothing had been", async () => {
    const vm = await guest(GUEST, { ...SMALL, chips: true, now: () => 7 });
    vm.vcpus[0].run({ cmd: "default" }, { instructions: 1n });
    const file = await vm.save();
    const before = visible(vm);
    const dice = new Dice(5);
    for (let i = 0; i < 60; i++) {
      const error = await vm.restore(broken(dice, file)).then(
        () => undefined,
        (e) => e,
      );
      expect(isTyped(error), String(error)).toBe(true);
    }
    expect(visible(vm)).toBe(before);
    await vm.restore(file);
    expect(visible(vm)).toBe(before);
  });

  it("with a right checksum but something wrong inside: refused with the guest as it was, or a guest that runs", async () => {
    const dice = new Dice(11);
    const vm = await guest(GUEST, { ...SMALL, chips: true, now: () => 7 });
    vm.vcpus[0].run({ cmd: "default" }, { instructions: 1n });
    const file = await vm.save();
    const { state, memory } = await unpack(file);
    let [refused, taken] = [0, 0];
    for (let i = 0; i < 100; i++) {
      await vm.restore(file);
      const before = visible(vm);
      const otherMemory = memory.slice();
      if (dice.once(4)) otherMemory[dice.below(memory.length)] ^= 1 << dice.below(8);
      const other = await pack(
        otherMemory.every((b, k) => b === memory[k]) ? mutated(dice, state) : state,
        otherMemory,
      );
      const error = await vm.restore(other).then(
        () => undefined,
        (e) => e,
      );
      if (error === undefined) {
        taken++;
        // Whatever registers it has now, it comes back from run.
        expect(typeof vm.vcpus[0].run({ cmd: "default" }, { instructions: 50n }).exitcode).toBe("string");
        continue;
      }
      refused++;
      expect(isTyped(error), `${(error as Error).stack}`).toBe(true);
      expect(visible(vm) === before, String(error)).toBe(true);
    }
    expect([refused > 20, taken > 5]).toEqual([true, true]);
  });
});
