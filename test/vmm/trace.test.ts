/** Exits that are asked for: task switches, exceptions, WBINVD; and what CPUID says of the machine. */
import { beforeAll, describe, expect, it } from "vitest";
import {
  type CpuidEntry,
  EXIT_REASON_EXCEPTION,
  EXIT_REASON_WBINVD,
  IDT,
  type Vcpu,
  VM_INTINFO,
  type Vm,
} from "../../src/vmm/index.ts";
import { guest, load, makeVm, outputs, place, R, refuses } from "./vms.ts";

beforeAll(() => load());

const CODE32 = 0xc09b;
const DATA32 = 0xc093;

/** A descriptor: base, limit and access rights in the VMX format. */
function descriptor(base: number, limit: number, access: number): bigint {
  const [b, l, a] = [base, limit, access].map(BigInt);
  return (
    (l & 0xffffn) |
    ((b & 0xff_ffffn) << 16n) |
    ((a & 0xffn) << 40n) |
    (((l >> 16n) & 0xfn) << 48n) |
    (((a >> 12n) & 0xfn) << 52n) |
    ((b >> 24n) << 56n)
  );
}

/** A 32-bit guest at 1000h: code 8, data 10h, TSS 18h (running, at 4000h) and 20h (at 5000h: goes to 2000h). */
async function tasks(source: string): Promise<Vm<"inline">> {
  const vm = await makeVm("inline");
  const [vcpu] = vm.vcpus;
  place(vm, `bits 32\n${source}`);
  place(vm, "bits 32\nagain: mov al,0x22\nout 2,al\niret\njmp again", 0, 0x2000);
  const table = [0n, descriptor(0, 0xf_ffff, CODE32), descriptor(0, 0xf_ffff, DATA32)];
  table.push(descriptor(0x4000, 0x67, 0x8b), descriptor(0x5000, 0x67, 0x89));
  vm.memory.write(0x800, new Uint8Array(BigUint64Array.from(table).buffer));
  // Task gate for vector 30h, and for #GP, which has an error code.
  for (const n of [0x30, IDT.GP]) {
    vm.memory.write(0x900 + n * 8, new Uint8Array(BigUint64Array.of((0x85n << 40n) | (0x20n << 16n)).buffer));
  }
  const tss = new Uint32Array(0x68 / 4);
  tss.set([0x2000, 2, 0, 0, 0, 0, 0x3000], 0x20 / 4);
  tss.set([0x10, 8, 0x10, 0x10, 0x10, 0x10], 0x48 / 4);
  vm.memory.write(0x5000, new Uint8Array(tss.buffer));
  const flat = { base: 0n, limit: 0xffff_ffff };
  vcpu.setSegDesc(R.CS, { ...flat, access: CODE32 });
  vcpu.setRegister(R.CS, 8n);
  for (const reg of [R.SS, R.DS, R.ES, R.FS, R.GS] as const) {
    vcpu.setSegDesc(reg, { ...flat, access: DATA32 });
    vcpu.setRegister(reg, 0x10n);
  }
  vcpu.setSegDesc(R.GDTR, { base: 0x800n, limit: 8 * table.length - 1, access: 0 });
  vcpu.setSegDesc(R.IDTR, { base: 0x900n, limit: 0x1ff, access: 0 });
  vcpu.setSegDesc(R.TR, { base: 0x4000n, limit: 0x67, access: 0x8b });
  vcpu.setRegister(R.TR, 0x18n);
  vcpu.setRegister(R.CR0, 0x11n);
  vcpu.setRegister(R.RIP, 0x1000n);
  vcpu.setRegister(R.RSP, 0x8000n);
  return vm;
}

describe("TASK_SWITCH_EXIT", () => {
  it("a CALL and the IRET back: default has the core make the switch", async () => {
    const vm = await tasks("call 0x20:0\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setCapability("TASK_SWITCH_EXIT", true);
    expect(vcpu.run()).toMatchObject({
      exitcode: "TASK_SWITCH",
      rip: 0x1000n,
      instLength: 7,
      taskSwitch: {
        tsssel: 0x20,
        ext: false,
        errcode: undefined,
        reason: "CALL",
        paging: { cpl: 0, cpuMode: "PROTECTED" },
      },
    });
    expect(vcpu.getRegister(R.TR)).toBe(0x18n);
    expect(vcpu.run()).toMatchObject({ exitcode: "INOUT", inout: { port: 2, eax: 0x22 } });
    expect(vcpu.getRegister(R.TR)).toBe(0x20n);
    expect(vcpu.run()).toMatchObject({ exitcode: "TASK_SWITCH", taskSwitch: { tsssel: 0x18, reason: "IRET" } });
    expect(vcpu.run()).toMatchObject({ exitcode: "INOUT", inout: { port: 1 } });
    expect(vcpu.getRegister(R.TR)).toBe(0x18n);
  });

  it("JMP; discardInstr: the caller has made it", async () => {
    const vm = await tasks("jmp 0x20:0\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setCapability("TASK_SWITCH_EXIT", true);
    expect(vcpu.run()).toMatchObject({ taskSwitch: { tsssel: 0x20, reason: "JMP" } });
    vcpu.setRegister(R.RAX, 0x55n);
    refuses("EINVAL", () => vcpu.run({ cmd: "fulfillInout", value: 1 }));
    vcpu.setRegister(R.RIP, 0x1007n);
    expect(vcpu.run()).toMatchObject({ exitcode: "INOUT", inout: { port: 1, eax: 0x55 } });
    expect(vcpu.getRegister(R.TR)).toBe(0x18n);
  });

  it("task gates of the IDT: a software interrupt, and an exception with its error code", async () => {
    const vm = await tasks("int 0x30\nmov ax,0x40\nmov ds,ax\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setCapability("TASK_SWITCH_EXIT", true);
    expect(vcpu.run()).toMatchObject({
      exitcode: "TASK_SWITCH",
      taskSwitch: { tsssel: 0x20, ext: false, errcode: undefined, reason: "IDT_GATE" },
    });
    expect(vcpu.run()).toMatchObject({ inout: { port: 2 } });
    expect(vcpu.run()).toMatchObject({ taskSwitch: { reason: "IRET" } });
    expect(vcpu.run()).toMatchObject({
      taskSwitch: { tsssel: 0x20, ext: true, errcode: 0x40, reason: "IDT_GATE" },
    });
    expect(vcpu.run()).toMatchObject({ inout: { port: 2 } });
  });

  it("without it the switch is the core's own", async () => {
    const vm = await tasks("call 0x20:0\nout 1,al\nhlt");
    expect(outputs(vm.vcpus[0]).out).toEqual(["2=22", "1=22"].map((s, i) => (i ? "1=0" : s)));
  });
});

describe("TRACE_EXCEPTIONS and TRAP_WBINVD", () => {
  /** Handlers of real mode vectors, each an OUT of its number. */
  function handlers(vm: Vm, ...vectors: number[]): void {
    for (const n of vectors) {
      vm.memory.write(n * 4, new Uint8Array(Uint32Array.of(0x2000 + n * 16).buffer));
      vm.memory.write(0x2000 + n * 16, Uint8Array.of(0xe6, n, 0xf4));
    }
  }

  it("a fault leaves before it is delivered; default delivers it, discardInstr does not", async () => {
    const vm = await guest("xor bx,bx\nxor dx,dx\nmov ax,1\ndiv bx\nout 0x80,al\nhlt");
    const [vcpu] = vm.vcpus;
    handlers(vm, IDT.DE, IDT.UD);
    vcpu.setCapability("TRACE_EXCEPTIONS", true);
    expect([vcpu.traceExceptions, vcpu.trapWbinvd]).toEqual([true, false]);
    const exit = vcpu.run();
    const info = VM_INTINFO.VALID | VM_INTINFO.HWEXCEPTION;
    expect(exit).toMatchObject({
      exitcode: "VMX",
      rip: 0x1007n,
      vmx: { status: 0, exitReason: EXIT_REASON_EXCEPTION, exitQualification: 0n, intInfo: info },
    });
    refuses("EINVAL", () => vcpu.run({ cmd: "fulfillInout", value: 1 }));
    // Suppressed, the instruction is tried again.
    expect(vcpu.run({ cmd: "discardInstr" })).toEqual(exit);
    vcpu.setRegister(R.RBX, 1n);
    expect(vcpu.run({ cmd: "discardInstr" })).toMatchObject({ inout: { port: 0x80, eax: 1 } });
    vcpu.setRegister(R.RBX, 0n);
    vcpu.setRegister(R.RIP, 0x1007n);
    expect(vcpu.run()).toEqual(exit);
    expect(vcpu.run()).toMatchObject({ inout: { port: IDT.DE } });
    vcpu.setCapability("TRACE_EXCEPTIONS", false);
    place(vm, "ud2");
    expect(vcpu.run()).toMatchObject({ inout: { port: IDT.UD } });
  });

  it("a page fault: the address is in the qualification, and in CR2 only when it is delivered", async () => {
    const vm = await makeVm("inline");
    const [vcpu] = vm.vcpus;
    place(vm, "bits 32\nmov eax,[0x500000]\nhlt");
    // Pages of 4 MiB, the first one alone.
    vm.memory.write(0x8000, new Uint8Array(Uint32Array.of(0x83, 0).buffer));
    vcpu.setSegDesc(R.CS, { base: 0n, limit: 0xffff_ffff, access: CODE32 });
    vcpu.setSegDesc(R.DS, { base: 0n, limit: 0xffff_ffff, access: DATA32 });
    vcpu.setRegister(R.CR3, 0x8000n);
    vcpu.setRegister(R.CR4, 0x10n);
    vcpu.setRegister(R.CR0, 0x8000_0011n);
    vcpu.setCapability("TRACE_EXCEPTIONS", true);
    const pf = VM_INTINFO.VALID | VM_INTINFO.HWEXCEPTION | VM_INTINFO.DEL_ERRCODE | 14n;
    expect(vcpu.run()).toMatchObject({ vmx: { exitQualification: 0x50_0000n, intInfo: pf } });
    expect(vcpu.getRegister(R.CR2)).toBe(0n);
    // Mapped by the host: the guest does not see the fault.
    vm.memory.write(0x8004, new Uint8Array(Uint32Array.of(0x83).buffer));
    expect(vcpu.run({ cmd: "discardInstr" }).exitcode).toBe("HLT");
    vm.memory.write(0x8004, new Uint8Array(Uint32Array.of(0).buffer));
    vcpu.setRegister(R.CR3, 0x8000n);
    vcpu.setRegister(R.RIP, 0x1000n);
    expect(vcpu.run()).toMatchObject({ vmx: { intInfo: pf } });
    expect(vcpu.run()).toMatchObject({ exitcode: "SUSPENDED", suspended: { how: "TRIPLEFAULT" } });
    expect(vcpu.getRegister(R.CR2)).toBe(0x50_0000n);
  });

  it("a debug trap, with the bits for DR6", async () => {
    const vm = await guest("pushf\npop ax\nor ax,0x100\npush ax\npopf\nnop\nnop\nhlt");
    const [vcpu] = vm.vcpus;
    handlers(vm, 1);
    vcpu.setCapability("TRACE_EXCEPTIONS", true);
    const exit = vcpu.run();
    expect(exit).toMatchObject({ vmx: { exitQualification: 0x4000n } });
    expect(vcpu.run()).toMatchObject({ inout: { port: 1 } });
  });

  it("WBINVD", async () => {
    const vm = await guest("wbinvd\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setCapability("TRAP_WBINVD", true);
    expect(vcpu.run()).toMatchObject({
      exitcode: "VMX",
      rip: 0x1000n,
      instLength: 2,
      vmx: { exitReason: EXIT_REASON_WBINVD, intInfo: 0n },
    });
    expect(vcpu.run()).toMatchObject({ inout: { port: 1 } });
    vcpu.setCapability("TRAP_WBINVD", false);
    vcpu.setRegister(R.RIP, 0x1000n);
    expect(vcpu.run()).toMatchObject({ inout: { port: 1 } });
  });
});

describe("CPUID", () => {
  const ASK = (leaf: number, sub: number): string =>
    `mov eax,0x${leaf.toString(16)}\nmov ecx,${sub}\ncpuid\nout 1,eax\nmov eax,ebx\nout 1,eax\nmov eax,ecx\nout 1,eax\nmov eax,edx\nout 1,eax\n`;

  /** What the guest of a vCPU reads. */
  function asked(vm: Vm<"inline">, vcpu: Vcpu<"inline">, leaf: number, sub = 0): number[] {
    place(vm, `${ASK(leaf, sub)}hlt`, vcpu.id);
    return outputs(vcpu).out.map((text) => Number.parseInt(text.slice(2), 16));
  }

  it("emulateCpuid answers as CPUID does; entries of cpuidInit answer as the model does", async () => {
    const vm = await makeVm("inline", { vcpus: 2 });
    const [vcpu] = vm.vcpus;
    const { entries } = vcpu.cpuidInit();
    expect(entries.length).toBeGreaterThan(30);
    const answers = (): number[][] =>
      [0, 1, 2, 4, 7, 0xb, 0xd, 0x15, 0x8000_0001, 0x8000_0008, 0x4000_0000, 0x1234].flatMap((leaf) =>
        [0, 1, 2].map((sub) => {
          const r = vcpu.emulateCpuid(leaf, sub);
          expect(asked(vm, vcpu, leaf, sub)).toEqual([r.eax, r.ebx, r.ecx, r.edx]);
          return [r.eax, r.ebx, r.ecx, r.edx];
        }),
      );
    const model = answers();
    vcpu.setCpuid({ entries });
    expect(answers()).toEqual(model);
    const changed = entries.map((e): CpuidEntry => (e.func === 0x15 ? { ...e, eax: 0x77 } : e));
    vcpu.setCpuid({ entries: changed });
    expect(asked(vm, vcpu, 0x15)[0]).toBe(0x77);
    vcpu.cpuidCleanup();
    expect(vcpu.getCpuid()).toEqual({ legacy: true });
    expect(asked(vm, vcpu, 0x15)[0]).toBe(model[21][0]);
    refuses("EINVAL", () => vcpu.emulateCpuid(-1));
  });

  it("capabilities follow it", async () => {
    const vm = await guest("hlt");
    const [vcpu] = vm.vcpus;
    expect((["NONE", "NO_EXECUTE", "FFXSR", "TCE"] as const).map((c) => vcpu.cpuidCapability(c))).toEqual([
      false,
      true,
      false,
      false,
    ]);
    vcpu.setCpuid({
      entries: [
        { func: 0, eax: 1, ebx: 0, ecx: 0, edx: 0 },
        { func: 0x8000_0001, eax: 0, ebx: 0, ecx: 1 << 17, edx: 1 << 25 },
      ],
    });
    expect((["NO_EXECUTE", "FFXSR", "TCE"] as const).map((c) => vcpu.cpuidCapability(c))).toEqual([false, true, true]);
    expect(asked(vm, vcpu, 0x8000_0001)[3]).toBe(1 << 25);
    refuses("EINVAL", () => vcpu.cpuidCapability("ALL" as never));
  });

  it("topology: leaves 1, 4, 0Bh and 1Fh", async () => {
    const vm = await makeVm("inline", { vcpus: 8 });
    const [vcpu] = vm.vcpus;
    expect(vm.topology).toEqual({ sockets: 1, cores: 8, threads: 1, maxcpus: 8 });
    expect(asked(vm, vcpu, 0xb, 0).slice(0, 2)).toEqual([0, 1]);
    expect(asked(vm, vcpu, 0xb, 1).slice(0, 2)).toEqual([3, 8]);
    vm.setTopology(2, 2, 2);
    expect(vm.topology).toEqual({ sockets: 2, cores: 2, threads: 2, maxcpus: 8 });
    expect((asked(vm, vcpu, 1)[1] >> 16) & 0xff).toBe(4);
    expect(asked(vm, vcpu, 0xb, 0)).toEqual([1, 2, 0x100, 0]);
    expect(asked(vm, vcpu, 0xb, 1)).toEqual([2, 4, 0x201, 0]);
    expect(asked(vm, vcpu, 0xb, 2)[1]).toBe(0);
    expect(asked(vm, vcpu, 0)[0]).toBe(0x1f);
    for (const sub of [0, 1, 2, 0xff]) expect(asked(vm, vcpu, 0x1f, sub)).toEqual(asked(vm, vcpu, 0xb, sub));
    // L1: two threads share it; L3: the four of a socket; two cores.
    expect([asked(vm, vcpu, 4, 0)[0] >>> 14, asked(vm, vcpu, 4, 3)[0] >>> 14]).toEqual([1 | (1 << 12), 3 | (1 << 12)]);
    vm.activateCpu(5);
    vm.vcpus[5].setRunState(2);
    expect(asked(vm, vm.vcpus[5], 0xb, 0)[3]).toBe(5);
    vm.setTopology(1, 8, 1, 8);
    for (const [s, c, t, m] of [
      [2, 2, 1, 0],
      [1, 8, 1, 16],
      [0, 8, 1, 0],
      [1, 1.5, 1, 0],
    ]) {
      refuses("EINVAL", () => vm.setTopology(s, c, t, m));
    }
    const six = await makeVm("inline", { vcpus: 6 });
    six.setTopology(1, 6, 1);
    six.setTopology(1, 3, 2);
    refuses("EINVAL", () => six.setTopology(2, 3, 1));
    refuses("EINVAL", () => six.setTopology(1, 2, 3));
  });
});
