/** Every exit of `run`, with its payload, and every way to answer one; driven by guests in real mode unless said. */
import { beforeAll, describe, expect, it } from "vitest";
import { EXIT_REASON_INVALID_GUEST_STATE, PROT, type VmExit, vieDecode } from "../../src/vmm/index.ts";
import { guest, load, makeVm, ORIGIN, outputs, place, R, refuses } from "./vms.ts";

beforeAll(() => load());

/** The exit, which must have this code. */
function of<C extends VmExit["exitcode"]>(code: C, exit: VmExit): Extract<VmExit, { exitcode: C }> {
  expect(exit.exitcode).toBe(code);
  return exit as Extract<VmExit, { exitcode: C }>;
}

describe("INOUT", () => {
  it("OUT of each width; IN is answered with a value of its width", async () => {
    const vm = await guest(`
      mov eax,0x12345678
      out 0x10,al
      out 0x11,ax
      out 0x12,eax
      mov dx,0x3f8
      in al,dx
      in eax,0x20
      hlt`);
    const [vcpu] = vm.vcpus;
    const out = of("INOUT", vcpu.run());
    expect(out).toMatchObject({ rip: 0x1006n, instLength: 2 });
    expect(out.inout).toEqual({ bytes: 1, in: false, string: false, rep: false, port: 0x10, eax: 0x78 });
    expect(of("INOUT", vcpu.run()).inout).toMatchObject({ bytes: 2, port: 0x11, eax: 0x5678 });
    expect(of("INOUT", vcpu.run()).inout).toMatchObject({ bytes: 4, port: 0x12, eax: 0x1234_5678 });
    const input = of("INOUT", vcpu.run());
    expect(input.inout).toEqual({ bytes: 1, in: true, string: false, rep: false, port: 0x3f8, eax: 0 });
    expect(vcpu.getRegister(R.RIP)).toBe(input.rip);
    refuses("EINVAL", () => vcpu.run());
    refuses("EINVAL", () => vcpu.run({ cmd: "fulfillInout", value: 0x100 }));
    refuses("EINVAL", () => vcpu.run({ cmd: "fulfillMmio", value: 0n }));
    expect(vcpu.exitinfo).toBe(input);
    of("INOUT", vcpu.run({ cmd: "fulfillInout", value: 0x9a }));
    expect(vcpu.getRegister(R.RAX)).toBe(0x1234_569an);
    of("HLT", vcpu.run({ cmd: "fulfillInout", value: 0xdead_beef }));
    expect(vcpu.getRegister(R.RAX)).toBe(0xdead_beefn);
  });

  it("discardInstr goes on behind an IN that never happened", async () => {
    const vm = await guest("mov al,7\nin al,0x20\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    of("INOUT", vcpu.run());
    expect(of("INOUT", vcpu.run({ cmd: "discardInstr" })).inout.eax).toBe(7);
  });
});

describe("INOUT_STR", () => {
  it("REP INSW and REP OUTSB leave for every element; the core does the memory", async () => {
    const vm = await guest(`
      mov ax,0x300
      mov es,ax
      mov di,0x10
      mov cx,2
      mov dx,0x1f0
      rep insw
      mov si,text
      mov cx,3
      cs rep outsb
      hlt
      text: db "abc"`);
    const [vcpu] = vm.vcpus;
    const first = of("INOUT_STR", vcpu.run()).inoutStr;
    expect(first).toMatchObject({
      inout: { bytes: 2, in: true, string: true, rep: true, port: 0x1f0 },
      index: 0x10n,
      count: 2n,
      addrsize: 2,
      segName: R.ES,
      segDesc: { base: 0x3000n },
      paging: { cpuMode: "REAL", pagingMode: "FLAT", cpl: 0 },
    });
    const second = of("INOUT_STR", vcpu.run({ cmd: "fulfillInout", value: 0x1122 })).inoutStr;
    expect(second).toMatchObject({ index: 0x12n, count: 1n });
    let exit = vcpu.run({ cmd: "fulfillInout", value: 0x3344 });
    const bytes = new Uint8Array(4);
    vm.memory.read(0x3010, bytes);
    expect([...bytes]).toEqual([0x22, 0x11, 0x44, 0x33]);
    const text: number[] = [];
    for (; exit.exitcode === "INOUT_STR"; exit = vcpu.run()) {
      expect(exit.inoutStr).toMatchObject({ segName: R.CS, count: BigInt(3 - text.length) });
      text.push(exit.inoutStr.inout.eax);
    }
    expect(String.fromCharCode(...text)).toBe("abc");
    of("HLT", exit);
  });
});

describe("INST_EMUL", () => {
  it("a store and a load where no memory is, with the instruction taken apart", async () => {
    const vm = await guest(
      `
      mov ax,0xf000
      mov ds,ax
      mov ebx,0x20
      mov dword [ebx+4*ecx+0x1000],0xcafe
      mov ax,[bx+0x10]
      hlt`,
      { memoryBytes: 0x1_0000 },
    );
    const [vcpu] = vm.vcpus;
    vcpu.setRegister(R.RCX, 3n);
    const store = of("INST_EMUL", vcpu.run());
    expect(store.instEmul).toMatchObject({
      gpa: 0xf_102c,
      gla: 0xf_102cn,
      csD: false,
      write: true,
      bytes: 4,
      value: 0xcafen,
      paging: { cpuMode: "REAL", pagingMode: "FLAT" },
    });
    const vie = store.instEmul.vie;
    expect(vcpu.vieCtx).toBe(vie);
    expect(vie).toMatchObject({
      numProcessed: store.instLength,
      addrsize: 4,
      addrsizeOverride: true,
      opsizeOverride: true,
      baseRegister: R.RBX,
      indexRegister: R.RCX,
      scale: 4,
      dispBytes: 4,
      displacement: 0x1000n,
      immBytes: 4,
      immediate: 0xcafen,
      segmentRegister: "DS",
      op: { opType: "MOV", opByte: 0xc7 },
    });
    const load = of("INST_EMUL", vcpu.run());
    expect(load.instEmul).toMatchObject({ gpa: 0xf_0030, gla: 0xf_0030n, write: false, bytes: 2, value: 0n });
    refuses("EINVAL", () => vcpu.run());
    refuses("EINVAL", () => vcpu.run({ cmd: "fulfillMmio", value: 0x1_0000n }));
    of("HLT", vcpu.run({ cmd: "fulfillMmio", value: 0xbeefn }));
    expect(vcpu.getRegister(R.RAX) & 0xffffn).toBe(0xbeefn);
  });

  it("both operands of MOVS, one at a time", async () => {
    const vm = await guest("mov ax,0xe000\nmov ds,ax\nmov es,ax\nmov si,0x10\nmov di,0x82\nmovsw\nhlt", {
      memoryBytes: 0x1_0000,
    });
    const [vcpu] = vm.vcpus;
    expect(of("INST_EMUL", vcpu.run()).instEmul).toMatchObject({ gpa: 0xe_0010, gla: 0xe_0010n, write: false });
    const store = of("INST_EMUL", vcpu.run({ cmd: "fulfillMmio", value: 0x55aan })).instEmul;
    expect(store).toMatchObject({ gpa: 0xe_0082, gla: 0xe_0082n, write: true, value: 0x55aan });
    of("HLT", vcpu.run());
    expect(vcpu.getRegister(R.RDI)).toBe(0x84n);
  });

  it("through page tables gla is not gpa", async () => {
    // 32-bit paging: linear 0x400000 is physical 0xe0000 (large page at 0, plus a table).
    const vm = await makeVm("inline", { memoryBytes: 0x2_0000 });
    const [vcpu] = vm.vcpus;
    const put = (at: number, v: number): void => vm.memory.write(at, new Uint8Array(Uint32Array.of(v).buffer));
    put(0x8000, 0x83);
    put(0x8004, 0x9003);
    put(0x9000, 0xe_0003);
    place(vm, "bits 32\nmov eax,[0x400008]\nhlt");
    vcpu.setSegDesc(R.CS, { base: 0n, limit: 0xffff_ffff, access: 0xc09b });
    vcpu.setSegDesc(R.DS, { base: 0n, limit: 0xffff_ffff, access: 0xc093 });
    vcpu.setRegister(R.CR3, 0x8000n);
    vcpu.setRegister(R.CR4, 0x10n);
    vcpu.setRegister(R.CR0, 0x8000_0011n);
    const load = of("INST_EMUL", vcpu.run());
    expect(load.instEmul).toMatchObject({ gpa: 0xe_0008, gla: 0x40_0008n, csD: true });
    expect(load.instEmul.paging).toEqual({ cr3: 0x8000n, cpl: 0, cpuMode: "PROTECTED", pagingMode: "32" });
    expect(vm.gla2gpaNofault(0, 0x40_0008n)).toBe(0xe_0008);
    expect(vm.gla2gpaNofault(0, 0x80_0000n)).toBeUndefined();
  });
});

describe("vie", () => {
  it("decodes prefixes, ModRM, SIB, displacement and immediate in each mode", () => {
    const hex = (s: string): Uint8Array => Uint8Array.from(s.match(/../g) as string[], (b) => Number.parseInt(b, 16));
    // lock add qword [r13+r9*8-8],0x12345678
    expect(vieDecode(hex("f04b8344cdf8fe"), 64)).toMatchObject({
      lock: true,
      opsize: 8,
      addrsize: 8,
      rexW: true,
      rexX: true,
      rexB: true,
      baseRegister: R.R13,
      indexRegister: R.R9,
      scale: 8,
      displacement: -8n,
      immediate: -2n,
      numProcessed: 7,
    });
    expect(vieDecode(hex("8b0578563412"), 64)).toMatchObject({ baseRegister: R.RIP, displacement: 0x1234_5678n });
    expect(vieDecode(hex("268a4203"), 16)).toMatchObject({
      baseRegister: R.RBP,
      indexRegister: R.RSI,
      displacement: 3n,
      segmentRegister: "ES",
      opsize: 2,
    });
    expect(vieDecode(hex("a1785634123412"), 32)).toMatchObject({ displacement: 0x1234_5678n, numProcessed: 5 });
    expect(vieDecode(hex("0fff"), 32)).toBeUndefined();
    expect(vieDecode(hex("8b05"), 32)).toBeUndefined();
  });
});

describe("PAGING", () => {
  it("a write to read-only memory leaves; it is dropped, or done if the memory has become writable", async () => {
    const vm = await guest(
      "mov ax,0x2000\nmov ds,ax\nmov byte [0],0x11\nmov byte [1],0x22\nmov al,[0]\nmov ah,[1]\nhlt",
      {
        memoryBytes: 0x1_0000,
        reserveBytes: 0x1000,
      },
    );
    const [vcpu] = vm.vcpus;
    vm.segments.alloc(1, 0x1000, false);
    vm.segments.mmap(0x2_0000, 1, 0, 0x1000, PROT.READ);
    expect(of("PAGING", vcpu.run()).paging).toEqual({ gpa: 0x2_0000, faultType: "write" });
    expect(of("PAGING", vcpu.run()).paging).toEqual({ gpa: 0x2_0001, faultType: "write" });
    vm.segments.munmap(0x2_0000, 0x1000);
    vm.segments.mmap(0x2_0000, 1, 0, 0x1000, PROT.READ | PROT.WRITE);
    of("HLT", vcpu.run());
    expect(vcpu.getRegister(R.RAX) & 0xffffn).toBe(0x2200n);
  });
});

describe("RDMSR and WRMSR", () => {
  const SOURCE =
    "mov ecx,0x4321\nrdmsr\nout 1,eax\nmov ecx,0x4322\nwrmsr\nmov al,2\nout 2,al\nhlt\norg_gp: mov al,3\nout 3,al\nhlt";

  it("without MSR_EXIT an MSR that the model lacks is #GP(0)", async () => {
    const vm = await guest(SOURCE);
    vm.memory.write(13 * 4, Uint8Array.of(0, 0x20, 0, 0));
    vm.memory.write(0x2000, Uint8Array.of(0xf4));
    of("HLT", vm.vcpus[0].run());
    expect(vm.vcpus[0].getRegister(R.RIP)).toBe(0x2001n);
  });

  it("OK, GP and UNHANDLED reach the guest", async () => {
    const vm = await guest(SOURCE);
    const [vcpu] = vm.vcpus;
    vm.memory.write(13 * 4, Uint8Array.of(0, 0x20, 0, 0));
    vm.memory.write(0x2000, Uint8Array.of(0xf4));
    vcpu.setCapability("MSR_EXIT", true);
    expect(of("RDMSR", vcpu.run()).msr).toEqual({ code: 0x4321 });
    refuses("EINVAL", () => vcpu.run());
    expect(of("INOUT", vcpu.run({ cmd: "fulfillMsr", result: "OK", value: 0x7_0000_0009n })).inout.eax).toBe(9);
    expect(of("WRMSR", vcpu.run()).msr).toEqual({ code: 0x4322, wval: 0x7_0000_0009n });
    expect(of("INOUT", vcpu.run({ cmd: "fulfillMsr", result: "OK" })).inout.port).toBe(2);
    for (const [at, result] of [
      [ORIGIN, "GP"],
      [ORIGIN, "UNHANDLED"],
    ] as const) {
      vcpu.setRegister(R.RIP, BigInt(at));
      of("RDMSR", vcpu.run());
      of("HLT", vcpu.run({ cmd: "fulfillMsr", result }));
      expect(vcpu.getRegister(R.RIP)).toBe(0x2001n);
    }
    vcpu.setRegister(R.RIP, BigInt(ORIGIN));
    of("RDMSR", vcpu.run());
    of("INOUT", vcpu.run({ cmd: "fulfillMsr", result: "OK", value: 0n }));
    of("WRMSR", vcpu.run());
    of("HLT", vcpu.run({ cmd: "fulfillMsr", result: "GP" }));
    expect(vcpu.getRegister(R.RIP)).toBe(0x2001n);
  });
});

describe("capabilities", () => {
  it("HALT_EXIT: HLT leaves before it halts; run waits, discardInstr goes on", async () => {
    const vm = await guest("sti\nhlt\nmov al,1\nout 1,al\ncli\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setCapability("HALT_EXIT", true);
    const first = of("HLT", vcpu.run());
    expect(first.instLength).toBe(1);
    expect(first.hlt.rflags & 0x200n).toBe(0x200n);
    // Waiting has nothing to wait for on this thread.
    expect(of("HLT", vcpu.run()).instLength).toBe(0);
    expect(of("INOUT", vcpu.run({ cmd: "discardInstr" })).inout.port).toBe(1);
    expect(of("HLT", vcpu.run()).hlt.rflags & 0x200n).toBe(0n);
  });

  it("MTRAP_EXIT: one exit after each instruction, and one after each event", async () => {
    const vm = await guest("mov al,1\nmov bl,2\ninc bx\nnop\nhlt");
    const [vcpu] = vm.vcpus;
    vm.memory.write(2 * 4, Uint8Array.of(0, 0x20, 0, 0));
    vm.memory.write(0x2000, Uint8Array.of(0x90, 0xcf));
    vcpu.setCapability("MTRAP_EXIT", true);
    const rips: bigint[] = [];
    for (let i = 0; i < 3; i++) rips.push(of("MTRAP", vcpu.run()).rip);
    expect(rips).toEqual([0x1002n, 0x1004n, 0x1005n]);
    vcpu.injectNmi();
    rips.length = 0;
    for (let i = 0; i < 4; i++) rips.push(of("MTRAP", vcpu.run()).rip);
    expect(rips).toEqual([0x2000n, 0x2001n, 0x1005n, 0x1006n]);
    vcpu.setCapability("MTRAP_EXIT", false);
    of("HLT", vcpu.run());
  });

  it("PAUSE_EXIT: PAUSE leaves, else it is a no-op", async () => {
    const vm = await guest("pause\nmov al,1\npause\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setCapability("PAUSE_EXIT", true);
    expect(of("PAUSE", vcpu.run())).toMatchObject({ rip: 0x1000n, instLength: 2 });
    expect(of("PAUSE", vcpu.run()).rip).toBe(0x1004n);
    vcpu.setCapability("PAUSE_EXIT", false);
    of("HLT", vcpu.run());
  });

  it("UNRESTRICTED_GUEST: without it real mode cannot be entered, by the host or by the guest", async () => {
    const vm = await guest("hlt");
    const [vcpu] = vm.vcpus;
    expect(vcpu.getCapability("UNRESTRICTED_GUEST")).toBe(true);
    vcpu.setCapability("UNRESTRICTED_GUEST", false);
    const exit = of("VMX", vcpu.run());
    expect(exit.vmx.exitReason).toBe(EXIT_REASON_INVALID_GUEST_STATE);
    vcpu.setCapability("UNRESTRICTED_GUEST", true);
    of("HLT", vcpu.run());
    // A guest with paging that leaves it: #GP, here without an IDT, so a triple fault.
    const put = (at: number, v: number): void => vm.memory.write(at, new Uint8Array(Uint32Array.of(v).buffer));
    put(0x8000, 0x83);
    place(vm, "bits 32\nmov eax,cr0\nand eax,0x7fffffff\nmov cr0,eax\nhlt");
    vcpu.setSegDesc(R.CS, { base: 0n, limit: 0xffff_ffff, access: 0xc09b });
    vcpu.setSegDesc(R.IDTR, { base: 0n, limit: 0, access: 0 });
    vcpu.setRegister(R.CR3, 0x8000n);
    vcpu.setRegister(R.CR4, 0x10n);
    vcpu.setRegister(R.CR0, 0x8000_0011n);
    vcpu.setCapability("UNRESTRICTED_GUEST", false);
    expect(of("SUSPENDED", vcpu.run()).suspended.how).toBe("TRIPLEFAULT");
  });
});

describe("VMX", () => {
  it("names state that cannot be, and goes on when it is right", async () => {
    const vm = await guest("mov al,1\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    const cases: [string, () => void, () => void][] = [
      ["CR0.PG without CR0.PE", () => vcpu.setRegister(R.CR0, 0x8000_0010n), () => vcpu.setRegister(R.CR0, 0x10n)],
      [
        "EFER.LMA is not EFER.LME and CR0.PG",
        () => vcpu.setRegister(R.EFER, 0x400n),
        () => vcpu.setRegister(R.EFER, 0n),
      ],
      [
        "RIP is not an address of its mode",
        () => vcpu.setRegister(R.RIP, 1n << 40n),
        () => vcpu.setRegister(R.RIP, 0x1000n),
      ],
    ];
    for (const [detail, breakIt, mendIt] of cases) {
      breakIt();
      expect(of("VMX", vcpu.run()).vmx).toMatchObject({ exitReason: EXIT_REASON_INVALID_GUEST_STATE, detail });
      mendIt();
    }
    expect(outputs(vcpu).out).toEqual(["1=1"]);
  });
});

describe("BOGUS", () => {
  it("comes when the instructions are used up", async () => {
    const vm = await guest("again: inc ecx\njmp again");
    const [vcpu] = vm.vcpus;
    of("BOGUS", vcpu.run({ cmd: "default" }, { instructions: 1000n }));
    const { instructions } = vcpu.stats();
    expect(instructions).toBe(1000n);
    of("BOGUS", vcpu.run({ cmd: "default" }, { instructions: 1n }));
    expect(vcpu.stats().instructions).toBe(1001n);
    expect(vcpu.stats().exits).toEqual({ BOGUS: 2 });
  });
});
