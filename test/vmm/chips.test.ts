/** The chips of a Vm, seen by guests: interrupt controllers, timers, RTC, x2APIC mode, start-up of another vCPU. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HPET_BASE, IOAPIC_BASE, PM_TIMER_PORT, type Vcpu, type Vm, VRS } from "../../src/vmm/index.ts";
import { cleanUp } from "../vcpu/threads.ts";
import { guest, load, makeVm, outputs, place, R, refuses } from "./vms.ts";

beforeAll(() => load(true));
afterAll(cleanUp);

/** Lets DS mean a device's registers; offsets have 16 bits. */
function ds(vcpu: Vcpu, base: number): void {
  vcpu.setSegDesc(R.DS, { base: BigInt(base), limit: 0xffff, access: 0x93 });
}

/** Handler of a vector in real mode. */
function vector(vm: Vm, n: number, at: number): void {
  vm.memory.write(n * 4, new Uint8Array(Uint32Array.of(at).buffer));
}

/** 8259 pair: vectors from 20h and 28h on, everything masked but `mask`. */
const PIC = (mask: number): string => `
  mov al,0x11
  out 0x20,al
  out 0xa0,al
  mov al,0x20
  out 0x21,al
  mov al,0x28
  out 0xa1,al
  mov al,4
  out 0x21,al
  mov al,2
  out 0xa1,al
  mov al,1
  out 0x21,al
  out 0xa1,al
  mov al,${mask & 0xff}
  out 0x21,al
  mov al,${mask >> 8}
  out 0xa1,al
`;
/** x2APIC mode, enabled by software. */
const X2APIC = `
  mov ecx,0x1b
  rdmsr
  or eax,0x400
  wrmsr
  mov ecx,0x80f
  xor edx,edx
  mov eax,0x1ff
  wrmsr
`;

describe("timers", () => {
  it("PIT: an interrupt through the 8259 pair ends HLT when its time has come", async () => {
    let now = 0;
    const vm = await guest(
      `mov al,0x34
      out 0x43,al
      mov al,0xa9
      out 0x40,al
      mov al,4
      out 0x40,al
      ${PIC(0xfffe)}
      sti
      hlt
      hlt`,
      { chips: true, now: () => now },
    );
    const [vcpu] = vm.vcpus;
    vm.chips.lapic(0).enterVirtualWireMode();
    vm.memory.write(0x2000, Uint8Array.of(0xe6, 0x77, 0xb0, 0x20, 0xe6, 0x20, 0xcf)); // out 77h,al; EOI; iret
    vector(vm, 0x20, 0x2000);
    const first = vcpu.run();
    if (first.exitcode !== "HLT") throw new Error(first.exitcode);
    // 1193 ticks of the PIT's 1.193 MHz.
    expect(Number(first.hlt.wakeAt) / 1e6).toBeCloseTo(1, 2);
    expect(vcpu.run().exitcode).toBe("HLT");
    now = 1.1;
    expect(vcpu.run()).toMatchObject({ exitcode: "INOUT", inout: { port: 0x77 } });
    expect(vcpu.run().exitcode).toBe("HLT");
    expect(vm.chips.atpit.export().version).toBe(1);
  });

  it("HPET: the main counter counts guest time", async () => {
    let now = 0;
    const vm = await guest("mov dword [0x10],1\nout 1,al\nmov eax,[0xf0]\nout 2,eax\nhlt", {
      chips: true,
      now: () => now,
    });
    const [vcpu] = vm.vcpus;
    ds(vcpu, HPET_BASE);
    vcpu.run();
    now = 2;
    const exit = vcpu.run();
    const period = vm.chips.hpet.read(4, 4);
    expect(exit).toMatchObject({ inout: { port: 2, eax: Math.floor(2e12 / period) } });
  });

  it("PM timer and RTC", async () => {
    let now = 0;
    const vm = await guest(
      `mov dx,${PM_TIMER_PORT}
      in eax,dx
      out 1,eax
      in ax,dx
      out 1,ax
      mov al,0x32
      out 0x70,al
      in al,0x71
      out 2,al
      mov al,9
      out 0x70,al
      in al,0x71
      out 2,al
      hlt`,
      { chips: { wallClockSeconds: 1_767_225_600 }, now: () => now },
    );
    now = 1000;
    const ticks = 3_579_545;
    expect(outputs(vm.vcpus[0]).out).toEqual([
      `1=${ticks.toString(16)}`,
      `1=${(ticks & 0xffff).toString(16)}`,
      "2=20",
      "2=26",
    ]);
    expect(vm.chips.pmtmr.count()).toBe(ticks);
    expect(vm.chips.rtc.export().version).toBe(1);
  });

  it("threaded: ends HLT in the worker, with vCPU 0 out of it", async () => {
    const vm = await makeVm("threaded", { chips: true, vcpus: 2 });
    vm.activateCpu(1);
    place(vm, "in al,5\nhlt");
    // The PIT, every millisecond, by input 2 of the IOAPIC.
    place(
      vm,
      `${X2APIC}
      mov al,0x34
      out 0x43,al
      mov al,0xa9
      out 0x40,al
      mov al,4
      out 0x40,al
      sti
      hlt
      out 8,al
      hlt`,
      1,
      0x3000,
    );
    vm.memory.write(0x2000, Uint8Array.of(0xcf));
    vector(vm, 0x40, 0x2000);
    const { ioapic } = vm.chips;
    for (const [register, value] of [
      [0x14, 0x40],
      [0x15, 1 << 24],
    ]) {
      ioapic.write(0, 4, register);
      ioapic.write(0x10, 4, value);
    }
    vm.vcpus[1].setRunState(VRS.RUN);
    expect(await vm.vcpus[0].run()).toMatchObject({ inout: { port: 5 } });
    expect(await vm.vcpus[1].run()).toMatchObject({ exitcode: "INOUT", inout: { port: 8 } });
    await vm.destroy();
  });
});

describe("interrupt controllers", () => {
  it("an ISA interrupt, by edge and by level, at the 8259 pair", async () => {
    const vm = await guest(`${PIC(0xffdf)}sti\nagain: hlt\njmp again`, { chips: true });
    const [vcpu] = vm.vcpus;
    const { chips } = vm;
    chips.lapic(0).enterVirtualWireMode();
    vm.memory.write(0x2000, Uint8Array.of(0xe6, 0x55, 0xb0, 0x20, 0xe6, 0x20, 0xcf));
    vector(vm, 0x25, 0x2000);
    expect(vcpu.run().exitcode).toBe("HLT");
    chips.isaPulseIrq(5);
    expect(vcpu.run()).toMatchObject({ inout: { port: 0x55 } });
    chips.isaAssertIrq(5);
    expect(vcpu.run()).toMatchObject({ inout: { port: 0x55 } });
    // An edge is one interrupt, however long the level stays.
    expect(vcpu.run().exitcode).toBe("HLT");
    chips.isaDeassertIrq(5);
    chips.isaSetIrqTrigger(5, "LEVEL");
    chips.isaAssertIrq(5);
    for (let i = 0; i < 3; i++) expect(vcpu.run()).toMatchObject({ inout: { port: 0x55 } });
    chips.isaDeassertIrq(5);
    expect(vcpu.run().exitcode).toBe("HLT");
    refuses("EINVAL", () => chips.isaSetIrqTrigger(8, "LEVEL"));
    refuses("EINVAL", () => chips.isaSetIrqTrigger(5, "BOTH" as never));
    refuses("EINVAL", () => chips.isaAssertIrq(16));
    expect(chips.atpic.export().version).toBe(1);
  });

  it("IOAPIC and local APIC: a level comes again until it is gone, and its EOI does not reach the caller", async () => {
    const vm = await guest(
      `${X2APIC}
      mov dword [0],0x1e
      mov dword [0x10],0x8050
      mov dword [0],0x1f
      mov dword [0x10],0
      mov dword [0],0x1e
      mov eax,[0x10]
      out 1,eax
      sti
      again: hlt
      jmp again
      org 0x2000
      handler: out 0x66,al
      mov ecx,0x80b
      xor eax,eax
      xor edx,edx
      wrmsr
      iret`.replace("org 0x2000\n", ""),
      { chips: true },
    );
    const [vcpu] = vm.vcpus;
    const { chips } = vm;
    // The handler lies behind the endless loop.
    const code = new Uint8Array(0x200);
    vm.memory.read(0x1000, code);
    vector(vm, 0x50, 0x1000 + code.findIndex((b, i) => b === 0xe6 && code[i + 1] === 0x66));
    ds(vcpu, IOAPIC_BASE);
    expect(vcpu.run()).toMatchObject({ inout: { port: 1, eax: 0x8050 } });
    expect(vcpu.run().exitcode).toBe("HLT");
    chips.ioapicAssertIrq(7);
    for (let i = 0; i < 2; i++) expect(vcpu.run()).toMatchObject({ inout: { port: 0x66 } });
    chips.ioapicDeassertIrq(7);
    expect(vcpu.run().exitcode).toBe("HLT");
    chips.lapicMsi(0xfee0_0000, 0x50);
    expect(vcpu.run()).toMatchObject({ inout: { port: 0x66 } });
    expect(vcpu.run().exitcode).toBe("HLT");
    chips.lapicIrq(0, 0x50);
    expect(vcpu.run()).toMatchObject({ inout: { port: 0x66 } });
    expect([chips.ioapicPincount, chips.ioapic.export().version]).toEqual([24, 1]);
    refuses("EINVAL", () => chips.ioapicAssertIrq(24));
    refuses("EINVAL", () => chips.lapicMsi(0x1000, 0));
    refuses("EINVAL", () => chips.lapicIrq(0, 8));
    refuses("EINVAL", () => chips.lapic(1));
  });

  it("without chips, EOI of a level-triggered vector and ExtINT come back from run; there are no chips", async () => {
    const vm = await guest("hlt");
    refuses("EOPNOTSUPP", () => vm.chips);
    refuses("EOPNOTSUPP", () => vm.vcpus[0].getX2apicState());
    refuses("EOPNOTSUPP", () => vm.vcpus[0].setX2apicState("ENABLED"));
  });

  it("ports and addresses of the chips are taken; reinit resets them", async () => {
    const vm = await guest("mov al,0x77\nout 0x21,al\nin al,0x21\nout 1,al\nhlt", { chips: true });
    refuses("EEXIST", () => vm.ports.attach(0x40, () => 0));
    refuses("EEXIST", () => vm.mmio.map(IOAPIC_BASE, 4, { read: () => 0, write: () => {} }));
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=77"]);
    vm.chips.ioapic.write(0, 4, 0x10);
    vm.chips.ioapic.write(0x10, 4, 0x30);
    await vm.reinit();
    expect(vm.chips.ioapic.read(0x10, 4)).not.toBe(0x30);
    place(vm, "mov al,1\nout 1,al\nhlt");
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=1"]);
  });
});

describe("x2APIC state", () => {
  const SEE = "mov ecx,0x802\nrdmsr\nout 1,eax\nmov eax,1\ncpuid\nmov eax,ecx\nout 2,eax\nhlt";

  it("ENABLED: its MSRs answer; DISABLED: CPUID denies it, and it cannot be had", async () => {
    const vm = await guest(SEE, { chips: true, vcpus: 2 });
    vm.activateCpu(1);
    const vcpu = vm.vcpus[1];
    place(vm, SEE, 1);
    vcpu.setRunState(VRS.RUN);
    expect(vcpu.getX2apicState()).toBe("DISABLED");
    vcpu.setX2apicState("ENABLED");
    expect(vcpu.getX2apicState()).toBe("ENABLED");
    const { out } = outputs(vcpu);
    expect(out[0]).toBe("1=1");
    expect(Number.parseInt(out[1].slice(2), 16) & (1 << 21)).not.toBe(0);
    expect(vcpu.getMsr(0x802)).toEqual({ result: "OK", value: 1n });
    expect(vcpu.setMsr(0x80f, 0x1ffn)).toBe("OK");
    expect(vcpu.getMsr(0x80f)).toEqual({ result: "OK", value: 0x1ffn });
    vcpu.setX2apicState("DISABLED");
    expect([vcpu.getX2apicState(), vcpu.getMsr(0x802).result]).toEqual(["DISABLED", "GP"]);
    place(vm, "mov eax,1\ncpuid\nmov eax,ecx\nout 2,eax\nmov ecx,0x1b\nrdmsr\nor eax,0x400\nwrmsr\nhlt", 1);
    vector(vm, 13, 0x2000);
    vm.memory.write(0x2000, Uint8Array.of(0xe6, 0x0d, 0xf4));
    const after = outputs(vcpu).out;
    expect(Number.parseInt(after[0].slice(2), 16) & (1 << 21)).toBe(0);
    expect(after[1].slice(0, 2)).toBe("d=");
    refuses("EINVAL", () => vcpu.setX2apicState("MAYBE" as never));
  });
});

describe("start-up of another vCPU", () => {
  const START = `${X2APIC}
    mov ecx,0x830
    mov edx,1
    mov eax,0x4500
    wrmsr
    mov eax,0x4603
    wrmsr
    out 9,al
    hlt`;

  it("one that is not active: SPINUP_AP names it and where it begins", async () => {
    for (const transport of ["inline", "threaded"] as const) {
      const vm: Vm = await makeVm(transport, { chips: true, vcpus: 2 });
      place(vm, START);
      expect(await vm.vcpus[0].run()).toMatchObject({ exitcode: "SPINUP_AP", spinupAp: { vcpu: 1, rip: 0x3000n } });
      vm.activateCpu(1);
      vm.memory.write(0x3000, Uint8Array.of(0xe6, 7, 0xf4));
      vm.vcpus[1].setRunState(VRS.RUN, 3);
      expect(await vm.vcpus[1].run()).toMatchObject({ exitcode: "INOUT", inout: { port: 7 } });
      expect(await vm.vcpus[0].run()).toMatchObject({ exitcode: "INOUT", inout: { port: 9 } });
      await vm.destroy();
    }
  });

  it("one that is active starts by itself; until then it has nothing to do", async () => {
    const vm = await makeVm("inline", { chips: true, vcpus: 2 });
    vm.activateCpu(1);
    const ap = vm.vcpus[1];
    place(vm, START);
    vm.memory.write(0x3000, Uint8Array.of(0xe6, 7, 0xf4));
    expect(ap.run()).toMatchObject({ exitcode: "RUN_STATE", runState: { state: VRS.INIT, sipiVector: 0 } });
    expect(ap.runStatePending).toBe(false);
    expect(vm.vcpus[0].run()).toMatchObject({ inout: { port: 9 } });
    expect(ap.runStatePending).toBe(true);
    expect(ap.run()).toMatchObject({ exitcode: "INOUT", inout: { port: 7 }, rip: 0n });
    expect(ap.runStatePending).toBe(false);
    ap.setRunState(VRS.HALT);
    for (let i = 0; i < 2; i++)
      expect(ap.run()).toMatchObject({ exitcode: "RUN_STATE", runState: { state: VRS.HALT } });
  });

  it("INIT takes the boot processor to the reset vector", async () => {
    const vm = await guest(`${X2APIC}mov ecx,0x830\nxor edx,edx\nmov eax,0x4500\nwrmsr\nout 9,al\nhlt`, {
      chips: true,
      memoryBytes: 0x1_0000,
      reserveBytes: 0x1000,
    });
    vm.segments.alloc(1, 0x1000, false);
    vm.segments.mmap(0xffff_f000, 1, 0, 0x1000, 1);
    vm.memory.write(0xffff_fff0, Uint8Array.of(0xe6, 0x33, 0xf4));
    expect(vm.vcpus[0].run()).toMatchObject({ inout: { port: 0x33 } });
  });
});
