/** Registers, descriptors, FPU state and MSRs: written by the host, seen by a guest, and the other way round. */
import { beforeAll, describe, expect, it } from "vitest";
import { FPU_SIZE, VM_REG_GUEST, VM_REG_LAST, type VmReg, vmSegmentName } from "../../src/vmm/index.ts";
import { guest, load, makeVm, outputs, place, R, refuses } from "./vms.ts";

beforeAll(() => load());

const GPRS = [
  "RAX",
  "RBX",
  "RCX",
  "RDX",
  "RSI",
  "RDI",
  "RBP",
  "R8",
  "R9",
  "R10",
  "R11",
  "R12",
  "R13",
  "R14",
  "R15",
] as const;

describe("general registers", () => {
  it("64-bit code finds every register as the host wrote it, and the host what the code made of them", async () => {
    const vm = await makeVm("inline");
    const [vcpu] = vm.vcpus;
    // Long mode by the host: identity map of the first 2 MiB, code segment with L.
    const table = new DataView(new ArrayBuffer(8));
    for (const [at, entry] of [
      [0x10000, 0x11003n],
      [0x11000, 0x12003n],
      [0x12000, 0x83n],
    ] as const) {
      table.setBigUint64(0, entry, true);
      vm.memory.write(at, new Uint8Array(table.buffer));
    }
    place(vm, `bits 64\n${GPRS.map((r) => `not ${r.toLowerCase()}`).join("\n")}\nhlt`);
    vcpu.setRegister(R.CR3, 0x10000n);
    vcpu.setRegister(R.CR4, 0x20n);
    vcpu.setRegister(R.EFER, 0x500n);
    vcpu.setRegister(R.CR0, 0x8000_0011n);
    vcpu.setSegDesc(R.CS, { base: 0n, limit: 0xffff_ffff, access: 0xa09b });
    GPRS.forEach((r, i) => {
      vcpu.setRegister(R[r], 0x0123_4567_89ab_cdefn * BigInt(i + 1));
    });
    const exit = vcpu.run();
    expect(exit.exitcode).toBe("HLT");
    GPRS.forEach((r, i) => {
      expect(vcpu.getRegister(R[r]), r).toBe(BigInt.asUintN(64, ~(0x0123_4567_89ab_cdefn * BigInt(i + 1))));
    });
    expect(vcpu.getRegister(R.RIP)).toBe(exit.rip);
  });

  it("every number of the enum has a value or EINVAL, and round-trips", async () => {
    const [vcpu] = (await makeVm("inline")).vcpus;
    for (const [name, reg] of Object.entries(VM_REG_GUEST)) {
      if (name === "IDTR" || name === "GDTR") {
        refuses("EINVAL", () => vcpu.getRegister(reg));
        refuses("EINVAL", () => vcpu.setRegister(reg, 0n));
        continue;
      }
      const value = name === "RFLAGS" ? 0xad7n : 0x5ac3n + BigInt(reg);
      vcpu.setRegister(reg, value);
      expect(vcpu.getRegister(reg), name).toBe(value);
    }
    expect(Object.keys(VM_REG_GUEST)).toHaveLength(VM_REG_LAST);
    refuses("EINVAL", () => vcpu.getRegister(VM_REG_LAST as VmReg));
    refuses("EINVAL", () => vcpu.setRegister(R.RAX, -1n));
    refuses("EINVAL", () => vcpu.setRegister(R.RAX, 1n << 64n));
    refuses("EINVAL", () => vcpu.setRegister(R.DS, 0x1_0000n));
    expect([0, 1, 2, 3, 4, 5].map(vmSegmentName)).toEqual([R.ES, R.CS, R.SS, R.DS, R.FS, R.GS]);
    refuses("EINVAL", () => vmSegmentName(6));
  });

  it("flags that the host sets decide a branch", async () => {
    const vm = await guest("jz yes\nmov al,1\nout 1,al\nhlt\nyes: mov al,2\nout 1,al\nhlt");
    vm.vcpus[0].setRegister(R.RFLAGS, 0x42n);
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=2"]);
  });
});

describe("segment descriptors", () => {
  it("the base of DS is where the guest's stores go", async () => {
    const vm = await guest("mov byte [0x10],0x77\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setSegDesc(R.DS, { base: 0x5000n, limit: 0xffff, access: 0x93 });
    vcpu.run();
    const byte = new Uint8Array(1);
    vm.memory.read(0x5010, byte);
    expect(byte[0]).toBe(0x77);
  });

  it("the limit of DS is where they end", async () => {
    const vm = await guest("mov byte [0x10],0x77\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setSegDesc(R.DS, { base: 0n, limit: 0xf, access: 0x93 });
    // #GP by the real-mode vector table.
    vm.memory.write(13 * 4, Uint8Array.of(0, 0x20, 0, 0));
    vm.memory.write(0x2000, Uint8Array.of(0xf4));
    vcpu.run();
    expect(vcpu.getRegister(R.RIP)).toBe(0x2001n);
  });

  it("what LGDT and LIDT load, the host sees, and the reverse", async () => {
    const vm = await guest("lgdt [table]\nsidt [0x3000]\nhlt\ntable: dw 0x1234\ndd 0x567890");
    const [vcpu] = vm.vcpus;
    vcpu.setSegDesc(R.IDTR, { base: 0x1_2345n, limit: 0x7ff, access: 0 });
    vcpu.run();
    expect(vcpu.getSegDesc(R.GDTR)).toEqual({ base: 0x567890n, limit: 0x1234, access: 0 });
    const stored = new Uint8Array(6);
    vm.memory.read(0x3000, stored);
    expect([...stored]).toEqual([0xff, 0x07, 0x45, 0x23, 0x01, 0x00]);
    refuses("EINVAL", () => vcpu.getSegDesc(R.RAX));
    refuses("EINVAL", () => vcpu.setSegDesc(R.GDTR, { base: 0n, limit: 0x1_0000, access: 0 }));
  });
});

describe("FPU state", () => {
  it("the image that the guest's own FXSAVE would give, and back", async () => {
    const vm = await guest(`
      mov eax,0x600
      mov cr4,eax
      fninit
      fld1
      fldpi
      movups xmm3,[bytes]
      fxsave [0x4000]
      hlt
      fstp qword [0x5000]
      movups [0x5010],xmm3
      hlt
      align 16
      bytes: dd 1,2,3,4`);
    const [vcpu] = vm.vcpus;
    vcpu.run();
    const image = vcpu.getFpu();
    expect(image).toHaveLength(FPU_SIZE);
    const fxsave = new Uint8Array(512);
    vm.memory.read(0x4000, fxsave);
    // FOP, FIP and FDP lie in other words in 16-bit code; registers and control words are the same bytes.
    expect(image.slice(0, 5)).toEqual(fxsave.slice(0, 5));
    expect(image.slice(24, 32)).toEqual(fxsave.slice(24, 32));
    expect(image.slice(32, 160)).toEqual(fxsave.slice(32, 160));
    expect(image.slice(160, 288)).toEqual(fxsave.slice(160, 288));

    // ST(0) becomes 1.5, XMM3 all ones.
    const next = image.slice();
    next.set([0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x3f], 32);
    next.fill(0xff, 160 + 48, 160 + 64);
    vcpu.setFpu(next);
    expect(vcpu.getFpu()).toEqual(next);
    vcpu.run({ cmd: "discardInstr" });
    const out = new Uint8Array(32);
    vm.memory.read(0x5000, out);
    expect(new DataView(out.buffer).getFloat64(0, true)).toBe(1.5);
    expect(out.slice(16)).toEqual(new Uint8Array(16).fill(0xff));
  });

  it("refuses images that cannot be, and resets components that are left out", async () => {
    const [vcpu] = (await makeVm("inline")).vcpus;
    const image = vcpu.getFpu();
    refuses("EINVAL", () => vcpu.setFpu(image.slice(1)));
    const reserved = image.slice();
    reserved[26] = 1;
    refuses("EINVAL", () => vcpu.setFpu(reserved));
    const unknown = image.slice();
    unknown[513] = 1;
    refuses("EINVAL", () => vcpu.setFpu(unknown));
    expect(vcpu.getFpu()).toEqual(image);
    vcpu.setFpu(new Uint8Array(FPU_SIZE));
    const fresh = new DataView(vcpu.getFpu().buffer);
    expect(fresh.getUint16(0, true)).toBe(0x37f);
    expect(fresh.getUint32(24, true)).toBe(0x1f80);
  });
});

describe("MSRs", () => {
  it("the guest reads what the host wrote, and the host what the guest wrote", async () => {
    const vm = await guest("mov ecx,0x174\nrdmsr\nout 1,eax\nmov ecx,0x175\nmov eax,0x1234\nxor edx,edx\nwrmsr\nhlt");
    const [vcpu] = vm.vcpus;
    expect(vcpu.setMsr(0x174, 0xabcdn)).toBe("OK");
    expect(outputs(vcpu).out).toEqual(["1=abcd"]);
    expect(vcpu.getMsr(0x175)).toEqual({ result: "OK", value: 0x1234n });
  });

  it("says GP for what WRMSR and RDMSR fault on", async () => {
    const [vcpu] = (await makeVm("inline")).vcpus;
    expect(vcpu.getMsr(0x1234_5678)).toEqual({ result: "GP" });
    expect(vcpu.setMsr(0xc000_0082, 1n << 63n)).toBe("GP");
    expect(vcpu.setMsr(0x277, 0x0202n)).toBe("GP");
    refuses("EINVAL", () => vcpu.getMsr(-1));
    refuses("EINVAL", () => vcpu.setMsr(0x10, -1n));
  });
});
