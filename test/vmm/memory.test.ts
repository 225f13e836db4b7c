/** Guest memory: segments, rights, holes, holds, device regions, dirty pages; ports and their hooks. */
import { beforeAll, describe, expect, it } from "vitest";
import { PROT, PROT_ALL, VM_MAX_MEMMAPS, VM_MAX_MEMSEGS } from "../../src/vmm/index.ts";
import { guest, load, makeVm, outputs, place, R, refuses } from "./vms.ts";

beforeAll(() => load());

const MiB = 2 ** 20;

describe("segments", () => {
  it("parts of one segment at several addresses are the same memory to the guest", async () => {
    const vm = await guest(
      "mov ax,0x8000\nmov ds,ax\nmov byte [0x10],0x5a\nmov ax,0x9000\nmov ds,ax\nmov al,[0x10]\nout 1,al\nhlt",
      { memoryBytes: 0x1_0000, reserveBytes: 0x4000 },
    );
    const { segments } = vm;
    segments.alloc(3, 0x4000, true);
    segments.mmap(0x8_0000, 3, 0x2000, 0x2000, PROT_ALL);
    segments.mmap(0x9_0000, 3, 0x2000, 0x1000, PROT_ALL);
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=5a"]);
    expect(segments.get(3)).toEqual({ segid: 3, length: 0x4000, sysmem: true });
    const maps = [];
    for (let m = segments.getNext(0); m; m = segments.getNext(m.gpa + m.length)) maps.push(m);
    expect(maps.map((m) => [m.gpa, m.length, m.segid, m.segoff])).toEqual([
      [0, 0x1_0000, 0, 0],
      [0x8_0000, 0x2000, 3, 0x2000],
      [0x9_0000, 0x1000, 3, 0x2000],
    ]);
    expect([segments.sysmemMaxaddr, segments.allocated(0x9_0fff), segments.allocated(0x9_1000)]).toEqual([
      0x9_1000,
      true,
      false,
    ]);
    expect(segments.find(0x8_1234)).toMatchObject({ segid: 3, segoff: 0x2000 });
  });

  it("pages above 1 MiB in odd places, next to large ones", async () => {
    const vm = await makeVm("inline", { memoryBytes: MiB, reserveBytes: 16 * MiB });
    const { segments, memory } = vm;
    segments.alloc(1, 8 * MiB, true);
    segments.mmap(0x10_0000, 1, 0, 3 * MiB, PROT_ALL);
    segments.alloc(2, 0x3000, false);
    // Within a granule of 2 MiB, beside memory.
    segments.mmap(0x40_1000, 2, 0x1000, 0x2000, PROT.READ);
    segments.mmap(0x40_3000, 1, 4 * MiB, 0x1000, PROT_ALL);
    segments.mmap(0xffff_f000, 2, 0, 0x1000, PROT.READ);
    segments.mmap(0x1_2345_6000, 2, 0, 0x1000, PROT.READ);
    const at = (gpa: number): number => memory.hostAddress(gpa);
    expect(at(0x40_0000)).toBe(-1);
    expect(at(0x40_1000) + 0x1000).toBe(at(0x40_2000));
    expect(at(0x40_3fff)).toBe(at(0x10_0000) + 4 * MiB + 0xfff);
    expect(at(0x40_4000)).toBe(-1);
    expect(at(0xffff_f000)).toBe(at(0x1_2345_6000));
    expect(at(0x3f_ffff)).toBe(at(0x10_0000) + 3 * MiB - 1);
    expect([memory.writable(0x40_1000), memory.writable(0x40_3000)]).toEqual([false, true]);
    // The guest sees the same.
    memory.write(0xffff_fff0, Uint8Array.of(0xb0, 0x42, 0xe6, 0x07, 0xf4));
    expect(outputs(vm.vcpus[0]).out).toEqual(["7=42"]);
    segments.munmap(0x40_1000, 0x2000);
    segments.munmap(0x40_3000, 0x1000);
    segments.mmap(0x40_0000, 1, 4 * MiB, 2 * MiB, PROT_ALL);
    expect(at(0x40_1000)).toBe(at(0x10_0000) + 4 * MiB + 0x1000);
  });

  it("are written by devices on the bus where the guest may write, and by the host everywhere", async () => {
    const vm = await makeVm("inline", { memoryBytes: 0x1_0000, reserveBytes: 0x2000 });
    const { segments, memory } = vm;
    segments.alloc(1, 0x2000, false);
    segments.mmap(0xf_f000, 1, 0, 0x1000, PROT.READ);
    segments.mmap(0x10_0000, 1, 0x1000, 0x1000, PROT_ALL);
    memory.write(0xf_fffc, new Uint8Array(8).fill(1));
    memory.bus.write(0xf_fffc, new Uint8Array(8).fill(2));
    const into = new Uint8Array(8);
    memory.bus.read(0xf_fffc, into);
    expect([...into]).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
  });

  it("refuses what cannot be", async () => {
    const vm = await makeVm("inline", { memoryBytes: 0x1_0000, reserveBytes: 0x8000 });
    const { segments } = vm;
    refuses("EEXIST", () => segments.alloc(0, 0x1_0000, true));
    refuses("EINVAL", () => segments.alloc(0, 0x1_0000, false));
    refuses("EINVAL", () => segments.alloc(VM_MAX_MEMSEGS, 0x1000, true));
    refuses("EINVAL", () => segments.alloc(1, 0, true));
    refuses("EINVAL", () => segments.alloc(1, 0x1001, true));
    refuses("ENOMEM", () => segments.alloc(1, 0x1000_0000, true));
    segments.alloc(1, 0x2000, true);
    refuses("EINVAL", () => segments.get(2));
    refuses("EINVAL", () => segments.mmap(0x8_0000, 2, 0, 0x1000, PROT_ALL));
    refuses("EINVAL", () => segments.mmap(0x8_0000, 1, 0, 0x1000, PROT.WRITE));
    refuses("EINVAL", () => segments.mmap(0x8_0000, 1, 0, 0x1000, 8 | PROT.READ));
    refuses("EINVAL", () => segments.mmap(0x8_0000, 1, 0x1000, 0x2000, PROT_ALL));
    refuses("EINVAL", () => segments.mmap(0x8_0800, 1, 0, 0x1000, PROT_ALL));
    refuses("EINVAL", () => segments.mmap(-0x1000, 1, 0, 0x1000, PROT_ALL));
    refuses("EINVAL", () => segments.mmap(2 ** 40, 1, 0, 0x1000, PROT_ALL));
    refuses("EEXIST", () => segments.mmap(0xf000, 1, 0, 0x2000, PROT_ALL));
    segments.mmap(0x8_0000, 1, 0, 0x1000, PROT_ALL);
    refuses("EBUSY", () => segments.free(1));
    refuses("EINVAL", () => segments.munmap(0x8_0000, 0x2000));
    for (let i = 2; i < VM_MAX_MEMMAPS; i++) segments.mmap(0x8_0000 + i * 0x1000, 1, 0, 0x1000, PROT_ALL);
    refuses("ENOSPC", () => segments.mmap(0xf_f000, 1, 0, 0x1000, PROT_ALL));
  });

  it("a freed segment is gone, and its memory comes back as zeros", async () => {
    const vm = await makeVm("inline", { memoryBytes: 0x1_0000, reserveBytes: 0x2000 });
    const { segments, memory } = vm;
    segments.alloc(1, 0x2000, true);
    segments.mmap(0x8_0000, 1, 0, 0x2000, PROT_ALL);
    memory.write(0x8_0000, new Uint8Array(0x2000).fill(0xaa));
    segments.munmap(0x8_0000, 0x2000);
    segments.free(1);
    refuses("EINVAL", () => segments.get(1));
    const all = new Uint8Array(0x2000).fill(1);
    segments.alloc(2, 0x2000, true);
    segments.mmap(0x8_0000, 2, 0, 0x2000, PROT_ALL);
    memory.read(0x8_0000, all);
    expect(all.every((b) => b === 0)).toBe(true);
  });

  it("code in memory that was taken away is not executed again", async () => {
    const vm = await guest("call 0x8000:0\ncall 0x8000:0\nhlt", { memoryBytes: 0x1_0000, reserveBytes: 0x2000 });
    const [vcpu] = vm.vcpus;
    vm.segments.alloc(1, 0x1000, true);
    vm.segments.alloc(2, 0x1000, true);
    vm.segments.mmap(0x8_0000, 1, 0, 0x1000, PROT_ALL);
    // mov al,n; out 9,al; retf
    vm.memory.write(0x8_0000, Uint8Array.of(0xb0, 1, 0xe6, 9, 0xcb));
    expect(vcpu.run()).toMatchObject({ inout: { port: 9, eax: 1 } });
    vm.segments.munmap(0x8_0000, 0x1000);
    vm.segments.mmap(0x8_0000, 2, 0, 0x1000, PROT_ALL);
    vm.memory.write(0x8_0000, Uint8Array.of(0xb0, 2, 0xe6, 9, 0xcb));
    expect(vcpu.run()).toMatchObject({ inout: { port: 9, eax: 2 } });
    expect(vcpu.run().exitcode).toBe("HLT");
  });
});

describe("holds", () => {
  it("give the memory itself, within a page, and keep it mapped", async () => {
    const vm = await guest("mov al,[0x3010]\nout 1,al\nmov byte [0x3011],0x22\nhlt");
    const { segments } = vm;
    const hold = segments.hold(0x3010, 4, PROT.READ | PROT.WRITE);
    hold.bytes[0] = 0x77;
    expect(outputs(vm.vcpus[0]).out).toEqual(["1=77"]);
    expect(hold.bytes[1]).toBe(0x22);
    refuses("EBUSY", () => segments.munmap(0, 0x20_0000));
    segments.release(hold);
    refuses("EINVAL", () => segments.release(hold));
    refuses("EINVAL", () => segments.hold(0x3ffe, 4, PROT.READ));
    refuses("EFAULT", () => segments.hold(0x80_0000, 4, PROT.READ));
    segments.munmap(0, 0x20_0000);
    segments.mmap(0, 0, 0, 0x20_0000, PROT.READ);
    refuses("EFAULT", () => segments.hold(0x3000, 4, PROT.WRITE));
  });
});

describe("dirty pages", () => {
  it("name what the guest has written since the last look, by any path, and what the host has", async () => {
    const vm = await guest(`
      mov byte [0x5000],1
      mov word [0x6fff],0x1234
      out 1,al
      mov byte [0x5001],2
      inc byte [0x9000]
      mov al,[0xa000]
      out 1,al
      mov si,0x3000
      mov di,0xc000
      mov cx,0x1000
      rep movsw
      hlt`);
    const [vcpu] = vm.vcpus;
    const pages = (bits: Uint8Array): number[] =>
      [...Array(bits.length * 8).keys()].filter((i) => bits[i >> 3] & (1 << (i & 7)));
    const look = (): number[] => pages(vm.segments.trackDirtyPages(0, 0x20_0000));
    expect(look()).toEqual([1]);
    vcpu.run();
    expect(look()).toEqual([5, 6, 7]);
    vm.memory.write(0xb000, Uint8Array.of(1));
    vcpu.run();
    expect(look()).toEqual([5, 9, 0xb]);
    vcpu.run();
    expect(look()).toEqual([0xc, 0xd]);
    expect(look()).toEqual([]);
    refuses("EINVAL", () => vm.segments.trackDirtyPages(1, 0x1000));
    // A hole is clean.
    expect(pages(vm.segments.trackDirtyPages(0x40_0000, 0x2000))).toEqual([]);
  });

  it("accessed and dirty bits of page tables count, too", async () => {
    const vm = await makeVm("inline");
    const [vcpu] = vm.vcpus;
    const put = (at: number, v: number): void => vm.memory.write(at, new Uint8Array(Uint32Array.of(v).buffer));
    put(0x8000, 0x83);
    place(vm, "bits 32\nhlt");
    vcpu.setSegDesc(R.CS, { base: 0n, limit: 0xffff_ffff, access: 0xc09b });
    vcpu.setRegister(R.CR3, 0x8000n);
    vcpu.setRegister(R.CR4, 0x10n);
    vcpu.setRegister(R.CR0, 0x8000_0011n);
    vm.segments.trackDirtyPages(0, 0x1_0000);
    vcpu.run();
    expect(vm.segments.trackDirtyPages(0, 0x1_0000)[1]).toBe(1);
  });
});

describe("device regions", () => {
  it("registers answer at every width, and stop when they are unmapped", async () => {
    const vm = await guest(
      "mov ax,0xf000\nmov ds,ax\nmov byte [0x101],0x12\nmov ax,[0x102]\nout 1,ax\nmov eax,[0x100]\nout 2,eax\nmov [0x200],al\nhlt",
      { memoryBytes: 0x1_0000 },
    );
    const [vcpu] = vm.vcpus;
    const seen: string[] = [];
    vm.mmio.map(0xf_0100, 0x100, {
      read: (offset, size) => {
        seen.push(`r${offset}/${size}`);
        return 0x1122_3344;
      },
      write: (offset, size, value) => {
        seen.push(`w${offset}/${size}=${value}`);
      },
    });
    expect(vcpu.run()).toMatchObject({ inout: { port: 1, eax: 0x3344 } });
    expect(vcpu.run()).toMatchObject({ inout: { port: 2, eax: 0x1122_3344 } });
    expect(seen).toEqual(["w1/1=18", "r2/2", "r0/4"]);
    expect(vcpu.run()).toMatchObject({ exitcode: "INST_EMUL", instEmul: { gpa: 0xf_0200, write: true } });
    refuses("EEXIST", () => vm.mmio.map(0xf_0180, 4, { read: () => 0, write: () => {} }));
    refuses("EEXIST", () => vm.mmio.map(0xf000, 0x2000, { read: () => 0, write: () => {} }));
    refuses("EINVAL", () => vm.mmio.map(-1, 4, { read: () => 0, write: () => {} }));
    refuses("EINVAL", () => vm.mmio.unmap(0xf_0100, 4));
    vm.mmio.unmap(0xf_0100, 0x100);
    expect(vm.mmio.read(0xf_0100, 4)).toBeUndefined();
    expect(vm.mmio.write(0xf_0100, 4, 0n)).toBe(false);
  });
});

describe("ports", () => {
  it("handlers answer, hooks stand before them and may let through, the rest comes back from run", async () => {
    const vm = await guest("in al,0x60\nout 1,al\nin al,0x61\nout 1,al\nout 0x60,al\nin al,0x60\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    const written: number[] = [];
    const handler = vm.ports.attach(0x60, (a) => {
      if (a.in) return 0x160;
      written.push(a.value);
      return 0;
    });
    let hooked = 0;
    const hook = vm.ports.hook(0x60, (a) => (a.in && ++hooked === 1 ? 0x77 : undefined));
    expect(vcpu.run()).toMatchObject({ inout: { port: 1, eax: 0x77 } });
    expect(vcpu.run()).toMatchObject({ inout: { port: 0x61, in: true } });
    expect(vcpu.run({ cmd: "fulfillInout", value: 0x42 })).toMatchObject({ inout: { port: 1, eax: 0x42 } });
    expect(vcpu.run()).toMatchObject({ inout: { port: 1, eax: 0x60 } });
    expect(written).toEqual([0x42]);
    expect(vm.ioportAccess(true, 0x60, 2)).toBe(0x160);
    refuses("EEXIST", () => vm.ports.attach(0x60, () => 0));
    refuses("EINVAL", () => vm.ports.attach(0x1_0000, () => 0));
    vm.ports.unhook(hook);
    refuses("ENOENT", () => vm.ports.unhook(hook));
    vm.ports.detach(handler);
    refuses("ENOENT", () => vm.ports.detach(handler));
    expect(vm.ioportAccess(true, 0x60, 1)).toBeUndefined();
  });
});
