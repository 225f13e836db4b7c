/**
 * Which APICs an IPI reaches is said twice: by the core, which sends it (assembly/ipi.ts), and by src/io/apicBus.ts, for the
 * device thread, the IOAPIC and messages. Both are asked the same here, over APICs in every mode.
 */
import { beforeAll, expect, it } from "vitest";
import { DELIVERY } from "../../src/io/apicRegs.ts";
import { LAPIC_BASE, type Vcpu, type Vm } from "../../src/vmm/index.ts";
import { Dice } from "./misuse.ts";
import { load, makeVm, place, R } from "./vms.ts";

beforeAll(() => load());

const CPUS = 5;
const MODES = ["xapic flat", "xapic cluster", "x2apic", "off by software", "off"] as const;
type Mode = (typeof MODES)[number];

const SVR = 0xf0;
const DESTINATIONS = [
  ...[0, 1, 2, 3, 4, 5, 7, 0x0f, 0x10, 0x11, 0x12, 0x1f, 0x21, 0x2f, 0x33, 0x80, 0xf0, 0xf1, 0xfe, 0xff],
  ...[0x100, 0x1_0000, 0x1_0001, 0x1_0003, 0xffff, 0xf_ffff, 0xffff_0001, 0xffff_fffe, 0xffff_ffff],
];

/** Puts a local APIC into a mode; logical id and task priority as given. */
function setMode(vm: Vm, id: number, mode: Mode, ldr: number, tpr: number): void {
  const { chips } = vm;
  const lapic = chips.lapic(id);
  const vcpu = vm.vcpus[id];
  vcpu.setX2apicState("DISABLED");
  vcpu.setX2apicState(mode === "x2apic" ? "ENABLED" : "DISABLED");
  vcpu.setMsr(0x1b, (lapic.readApicBase() & ~0xc00n) | (mode === "off" ? 0n : mode === "x2apic" ? 0xc00n : 0x800n));
  const on = mode === "off by software" ? 0xff : 0x1ff;
  if (mode === "x2apic") {
    lapic.writeMsr(0x80f, BigInt(on));
    lapic.writeMsr(0x808, BigInt(tpr));
    return;
  }
  lapic.write(0xe0, 4, mode === "xapic cluster" ? 0x0fff_ffff : 0xffff_ffff);
  lapic.write(0xd0, 4, (ldr << 24) >>> 0);
  lapic.write(SVR, 4, on);
  lapic.write(0x80, 4, tpr);
}

/** What has arrived at each vCPU: vectors that are requested, an NMI. */
function arrived(vm: Vm): string[] {
  return vm.vcpus.map((vcpu) => {
    const { registers } = vm.chips.lapic(vcpu.id).export();
    const irr = registers.slice(0x200 / 16, 0x200 / 16 + 8).map((w) => w.toString(16));
    return `${irr.join(",")}${vcpu.nmiPending ? " nmi" : ""}`;
  });
}

it("the core and the bus agree on every destination, mode and shorthand", async () => {
  const vm = await makeVm("inline", { chips: true, vcpus: CPUS });
  const [vcpu] = vm.vcpus;
  const dice = new Dice(3);
  place(vm, "wrmsr\nhlt");
  place(vm, "mov [0x310],edx\nmov [0x300],eax\nhlt", 0, 0x2000);
  vcpu.setSegDesc(R.DS, { base: BigInt(LAPIC_BASE), limit: 0xffff, access: 0x93 });
  // An NMI to itself stays pending, as in a handler of one.
  const registers = { class: "REGISTER", version: 1, vcpuid: 0 } as const;
  vm.dataWrite(registers, { ...vm.dataRead(registers), nmiBlocked: 1 });
  let reached = 0;
  let sent = 0;

  /** Sends from vCPU 0: by the guest, which is the core's way, or by a write on the device thread. */
  const send = (x2apic: boolean, low: number, high: number, core: boolean): string[] => {
    const lapic = vm.chips.lapic(0);
    if (core) guestSends(vcpu, x2apic, low, high);
    else if (x2apic) lapic.writeMsr(0x830, (BigInt(high) << 32n) | BigInt(low));
    else {
      lapic.write(0x310, 4, high);
      lapic.write(0x300, 4, low);
    }
    return arrived(vm);
  };

  for (let round = 0; round < 12; round++) {
    // The sender is in each of the modes in which it can send; the others in any.
    const modes = vm.vcpus.map((_, id) => (id === 0 ? (["xapic flat", "x2apic"] as const)[round % 2] : dice.of(MODES)));
    modes.forEach((mode, id) => {
      setMode(vm, id, mode, dice.of([1 << id, 0x10 | (1 << (id & 3)), 0xff, 0]), dice.of([0, 0, 0x10, 0x20, 0x80]));
    });
    const x2apic = modes[0] === "x2apic";
    const before = vm.vcpus.map((_, id) => vm.chips.lapic(id).export());
    const restore = (): void => {
      before.forEach((state, id) => {
        vm.chips.lapic(id).import(state);
        vm.vcpus[id].clearNmi();
      });
    };
    for (const mode of [DELIVERY.FIXED, DELIVERY.LOWEST_PRIORITY, DELIVERY.NMI]) {
      for (const shorthand of [0, 1, 2, 3]) {
        for (const logical of shorthand ? [0] : [0, 1]) {
          for (const to of shorthand ? [0] : DESTINATIONS.filter((d) => x2apic || d <= 0xff)) {
            const vector = mode === DELIVERY.NMI ? 0 : 0x30 + dice.below(0xc0);
            const low = (shorthand << 18) | (logical << 11) | (mode << 8) | vector;
            const high = x2apic ? to : (to << 24) >>> 0;
            const byBus = send(x2apic, low, high, false);
            restore();
            const byCore = send(x2apic, low, high, true);
            restore();
            const what = `${modes.join(", ")}: ICR ${high.toString(16)} ${low.toString(16)}`;
            expect(byCore, what).toEqual(byBus);
            sent++;
            reached += byBus.filter((text) => /[1-9a-f]/.test(text)).length;
          }
        }
      }
    }
  }
  // The cases are not all misses.
  expect([sent > 1000, reached > 300]).toEqual([true, true]);
});

function guestSends(vcpu: Vcpu<"inline">, x2apic: boolean, low: number, high: number): void {
  vcpu.setRegister(R.RAX, BigInt(low));
  vcpu.setRegister(R.RDX, BigInt(high));
  vcpu.setRegister(R.RCX, 0x830n);
  vcpu.setRegister(R.RIP, x2apic ? 0x1000n : 0x2000n);
  vcpu.run({ cmd: "default" }, { instructions: x2apic ? 1n : 2n });
}
