/** Linear addresses in every paging mode and at both kinds of level; copies across pages; faults that reach the guest. */
import { beforeAll, describe, expect, it } from "vitest";
import { copyin, copyout, PROT, type Vm } from "../../src/vmm/index.ts";
import { load, makeVm, outputs, place, R, refuses } from "./vms.ts";

beforeAll(() => load());

const put32 = (vm: Vm, at: number, v: number): void => vm.memory.write(at, new Uint8Array(Uint32Array.of(v).buffer));
const put64 = (vm: Vm, at: number, v: bigint): void => vm.memory.write(at, new Uint8Array(BigUint64Array.of(v).buffer));
const get32 = (vm: Vm, at: number): number => {
  const bytes = new Uint8Array(4);
  vm.memory.read(at, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
};

/** P, W, U, A, D, large page, NX. */
const [P, W, U, A, D, PS] = [1, 2, 4, 32, 64, 128];
const NX = 1n << 63n;
/** Linear addresses: user read/write, user read-only, supervisor, no page, no execution (where the mode has it). */
const [USER, RO, KERNEL, NONE, DATA] = [0x40_0000n, 0x40_1000n, 0x40_2000n, 0x40_3000n, 0x40_4000n];
const FRAMES = [0x1_0000, 0x1_1000, 0x1_2000, 0, 0x1_4000];
const BITS = [P | W | U, P | U, P | W, 0, P | W | U];

async function withPaging(mode: "32" | "PAE" | "64"): Promise<Vm<"inline">> {
  const vm = await makeVm("inline");
  const [vcpu] = vm.vcpus;
  if (mode === "32") {
    put32(vm, 0x8000, PS | W | U | P);
    put32(vm, 0x8004, 0x9000 | W | U | P);
    FRAMES.forEach((frame, i) => {
      put32(vm, 0x9000 + 4 * i, frame | BITS[i]);
    });
  } else {
    // PML4 at 8000h, directory pointers at 9000h, directory at a000h, table at b000h.
    put64(vm, 0x8000, BigInt(0x9000 | W | U | P));
    put64(vm, 0x9000, BigInt(0xa000 | (mode === "64" ? W | U : 0) | P));
    put64(vm, 0xa000, BigInt(PS | W | U | P));
    put64(vm, 0xa010, BigInt(0xb000 | W | U | P));
    FRAMES.forEach((frame, i) => {
      put64(vm, 0xb000 + 8 * i, BigInt(frame | BITS[i]) | (i === 4 ? NX : 0n));
    });
  }
  place(vm, mode === "64" ? "bits 64\nhlt" : "bits 32\nhlt");
  for (const r of [R.DS, R.ES, R.SS]) vcpu.setSegDesc(r, { base: 0n, limit: 0xffff_ffff, access: 0xc093 });
  vcpu.setSegDesc(R.CS, { base: 0n, limit: 0xffff_ffff, access: mode === "64" ? 0xa09b : 0xc09b });
  vcpu.setRegister(R.CR3, mode === "PAE" ? 0x9000n : 0x8000n);
  vcpu.setRegister(R.CR4, mode === "32" ? 0x10n : 0x20n);
  vcpu.setRegister(R.EFER, mode === "64" ? 0xd00n : 0x800n);
  if (mode === "PAE") vcpu.setRegister(R.PDPTE0, 0xa001n);
  vcpu.setRegister(R.CR0, 0x8001_0011n);
  return vm;
}

describe.each(["32", "PAE", "64"] as const)("%s paging", (mode) => {
  it("translates with the rights of each level, and says the page fault's error code", async () => {
    const [vcpu] = (await withPaging(mode)).vcpus;
    for (const [gla, prot, level, expected] of [
      [USER + 5n, PROT.READ, 3, 0x1_0005],
      [USER, PROT.WRITE, 3, 0x1_0000],
      [RO, PROT.READ, 3, 0x1_1000],
      [RO, PROT.WRITE, 3, { errcode: 7 }],
      [RO, PROT.WRITE, 0, { errcode: 3 }],
      [KERNEL, PROT.READ, 0, 0x1_2000],
      [KERNEL, PROT.READ, 3, { errcode: 5 }],
      [NONE, PROT.READ, 0, { errcode: 0 }],
      [NONE, PROT.WRITE, 3, { errcode: 6 }],
      [0x1234n, PROT.READ, 0, 0x1234],
      ...(mode === "32" ? [] : ([[DATA, PROT.EXEC, 3, { errcode: 0x15 }]] as const)),
    ] as const) {
      const to = vcpu.gla2gpa(gla, prot, level);
      if (typeof expected === "number") expect(to).toEqual({ gpa: expected });
      else expect(to).toEqual({ fault: { ...expected, cr2: gla } });
    }
  });

  it("sets accessed and dirty bits as the access would; the fault-free kind sets none", async () => {
    const vm = await withPaging(mode);
    const entry = mode === "32" ? 0x9000 : 0xb000;
    expect(vm.gla2gpaNofault(0, USER)).toBe(0x1_0000);
    expect(vm.gla2gpaNofault(0, NONE)).toBeUndefined();
    expect(get32(vm, entry) & (A | D)).toBe(0);
    vm.vcpus[0].gla2gpa(USER);
    expect(get32(vm, entry) & (A | D)).toBe(A);
    vm.vcpus[0].gla2gpa(USER, PROT.WRITE);
    expect(get32(vm, entry) & (A | D)).toBe(A | D);
  });
});

describe("no paging", () => {
  it("a linear address is a physical one, of 32 bits", async () => {
    const vm = await makeVm("inline");
    place(vm, "hlt");
    expect(vm.vcpus[0].gla2gpa(0x1234n, PROT.WRITE, 3)).toEqual({ gpa: 0x1234 });
  });
});

describe("copies", () => {
  it("across pages whose frames lie apart, in and out", async () => {
    const vm = await withPaging("64");
    const [vcpu] = vm.vcpus;
    vm.memory.write(0x1_0ffe, Uint8Array.of(1, 2));
    vm.memory.write(0x1_1000, Uint8Array.of(3, 4));
    const source = vcpu.copySetup(RO - 2n, 4, PROT.READ, 3)!;
    expect(source.map(({ gpa, len }) => [gpa, len])).toEqual([
      [0x1_0ffe, 2],
      [0x1_1000, 2],
    ]);
    const got = new Uint8Array(4);
    copyin(source, got);
    expect([...got]).toEqual([1, 2, 3, 4]);
    refuses("EINVAL", () => copyout(got, source));
    refuses("EINVAL", () => copyin(source, new Uint8Array(3)));
    refuses("EBUSY", () => vm.segments.munmap(0, 0x20_0000));
    vcpu.copyTeardown(source);
    const target = vcpu.copySetup(USER + 0xffcn, 4, PROT.WRITE, 3)!;
    copyout(Uint8Array.of(9, 8, 7, 6), target);
    vcpu.copyTeardown(target);
    expect(get32(vm, 0x1_0ffc)).toBe(0x0607_0809);
    refuses("EINVAL", () => vcpu.copySetup(USER, 0, PROT.READ));
    refuses("EINVAL", () => vcpu.copySetup(USER, 1, PROT.EXEC));
  });

  it("a fault on the second page is the guest's #PF, and nothing is held", async () => {
    const vm = await withPaging("32");
    const [vcpu] = vm.vcpus;
    // Handler of #PF: writes the error code and CR2.
    vm.memory.write(
      0x800,
      new Uint8Array(BigUint64Array.of(0n, 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn).buffer),
    );
    vm.memory.write(0xa00 + 14 * 8, new Uint8Array(Uint16Array.of(0x2000, 8, 0x8e00, 0).buffer));
    // pop eax; out 1,eax; mov eax,cr2; out 2,eax; hlt
    vm.memory.write(0x2000, Uint8Array.of(0x58, 0xe7, 1, 0x0f, 0x20, 0xd0, 0xe7, 2, 0xf4));
    vcpu.setSegDesc(R.GDTR, { base: 0x800n, limit: 23, access: 0 });
    vcpu.setSegDesc(R.IDTR, { base: 0xa00n, limit: 0xff, access: 0 });
    vcpu.setRegister(R.CS, 8n);
    vcpu.setRegister(R.SS, 16n);
    vcpu.setRegister(R.RSP, 0x7000n);
    expect(vcpu.copySetup(NONE - 2n, 4, PROT.WRITE, 0)).toBeUndefined();
    expect(outputs(vcpu).out).toEqual(["1=2", `2=${NONE.toString(16)}`]);
    vm.segments.munmap(0, 0x20_0000);
  });

  it("addresses without memory are an error of the host's", async () => {
    const vm = await withPaging("32");
    put32(vm, 0x900c, 0x8000_0000 | P | W | U);
    refuses("EFAULT", () => vm.vcpus[0].copySetup(NONE - 2n, 4, PROT.READ, 0));
    vm.segments.munmap(0, 0x20_0000);
  });
});
