/** Exceptions, NMI and external interrupts put into a guest, which says in its handlers what has come. */
import { beforeAll, describe, expect, it } from "vitest";
import { IDT, nestedFault, VM_INTINFO, type Vm } from "../../src/vmm/index.ts";
import { guest, load, makeVm, outputs, place, R, refuses } from "./vms.ts";

beforeAll(() => load());

const HANDLER = 0x2000;
const STRIDE = 16;

/** A real-mode guest whose handler of vector n writes n to port 0xee and halts. */
async function realMode(source: string): Promise<Vm<"inline">> {
  const vm = await guest(source);
  for (let n = 0; n < 64; n++) {
    const at = HANDLER + n * STRIDE;
    vm.memory.write(n * 4, new Uint8Array(Uint16Array.of(at, 0).buffer));
    // mov al,n; out 0xee,al; hlt; iret
    vm.memory.write(at, Uint8Array.of(0xb0, n, 0xe6, 0xee, 0xf4, 0xcf));
  }
  return vm;
}

/** A flat 32-bit guest; the handler of vector n writes n, then the error code if there is one, and halts. */
async function protectedMode(source: string): Promise<Vm<"inline">> {
  const vm = await makeVm("inline");
  const [vcpu] = vm.vcpus;
  const gdt = BigUint64Array.of(0n, 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn);
  vm.memory.write(0x800, new Uint8Array(gdt.buffer));
  const withError = new Set([8, 10, 11, 12, 13, 14, 17]);
  for (let n = 0; n < 32; n++) {
    const at = HANDLER + n * STRIDE;
    vm.memory.write(0xa00 + n * 8, new Uint8Array(Uint16Array.of(at, 8, 0x8e00, 0).buffer));
    // mov al,n; out 0xee,al; [pop eax; out 0xef,eax;] hlt; iretd
    const tail = withError.has(n) ? [0x58, 0xe7, 0xef] : [];
    vm.memory.write(at, Uint8Array.of(0xb0, n, 0xe6, 0xee, ...tail, 0xf4, 0xcf));
  }
  place(vm, `bits 32\n${source}`);
  vcpu.setRegister(R.CR0, 0x11n);
  vcpu.setSegDesc(R.GDTR, { base: 0x800n, limit: 23, access: 0 });
  vcpu.setSegDesc(R.IDTR, { base: 0xa00n, limit: 0xff, access: 0 });
  vcpu.setRegister(R.CS, 8n);
  vcpu.setSegDesc(R.CS, { base: 0n, limit: 0xffff_ffff, access: 0xc09b });
  for (const r of [R.SS, R.DS, R.ES]) {
    vcpu.setRegister(r, 16n);
    vcpu.setSegDesc(r, { base: 0n, limit: 0xffff_ffff, access: 0xc093 });
  }
  vcpu.setRegister(R.RSP, 0x8000n);
  return vm;
}

describe("exceptions", () => {
  it("the helpers: vector, error code, CR2, and RIP of the instruction", async () => {
    for (const [inject, out] of [
      [(vm) => vm.vcpus[0].injectUd(), ["ee=6"]],
      [(vm) => vm.vcpus[0].injectGp(), ["ee=d", "ef=0"]],
      [(vm) => vm.vcpus[0].injectAc(0), ["ee=11", "ef=0"]],
      [(vm) => vm.vcpus[0].injectSs(0x18), ["ee=c", "ef=18"]],
      [(vm) => vm.vcpus[0].injectPf(6, 0x12345678n), ["ee=e", "ef=6"]],
    ] as [(vm: Vm<"inline">) => void, string[]][]) {
      const vm = await protectedMode("nop\nhlt");
      inject(vm);
      expect(outputs(vm.vcpus[0]).out).toEqual(out);
      // Below the error code, EIP of the instruction that was to come.
      const esp = Number(vm.vcpus[0].getRegister(R.RSP));
      const eip = new Uint8Array(4);
      vm.memory.read(esp, eip);
      expect(new DataView(eip.buffer).getUint32(0, true)).toBe(0x1000);
      if (out[0] === "ee=e") expect(vm.vcpus[0].getRegister(R.CR2)).toBe(0x12345678n);
    }
  });

  it("ends the instruction that waits for an answer: as a fault, or as a trap behind it", async () => {
    for (const [restartInstruction, rip] of [
      [true, 0x1000],
      [false, 0x1002],
    ] as const) {
      const vm = await protectedMode("in al,0x20\nhlt");
      expect(vm.vcpus[0].run().exitcode).toBe("INOUT");
      vm.vcpus[0].injectException(IDT.GP, 0, { restartInstruction });
      expect(outputs(vm.vcpus[0]).out).toEqual(["ee=d", "ef=0"]);
      const eip = new Uint8Array(4);
      vm.memory.read(Number(vm.vcpus[0].getRegister(R.RSP)), eip);
      expect(new DataView(eip.buffer).getUint32(0, true)).toBe(rip);
    }
  });

  it("puts the registers back when a string write faults", async () => {
    const vm = await protectedMode("mov esi,0x3000\nmov ecx,4\nmov edx,0x80\nrep outsb\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.run();
    expect(vcpu.run()).toMatchObject({ exitcode: "INOUT_STR", inoutStr: { count: 3n, index: 0x3001n } });
    vcpu.injectPf(4, 0x3001n);
    outputs(vcpu);
    expect([vcpu.getRegister(R.RSI), vcpu.getRegister(R.RCX)]).toEqual([0x3001n, 3n]);
  });

  it("refuses vectors and error codes that do not go together, and a second one", async () => {
    const [vcpu] = (await realMode("hlt")).vcpus;
    refuses("EINVAL", () => vcpu.injectException(32));
    refuses("EINVAL", () => vcpu.injectException(IDT.DF, 0));
    refuses("EINVAL", () => vcpu.injectException(IDT.NMI));
    refuses("EINVAL", () => vcpu.injectException(IDT.UD, 0));
    refuses("EINVAL", () => vcpu.injectException(IDT.GP));
    vcpu.injectUd();
    expect(vcpu.eventInjectState.state).toBe("EV_INJECTED");
    refuses("EBUSY", () => vcpu.injectGp());
    expect(outputs(vcpu).out).toEqual(["ee=6"]);
  });
});

describe("intinfo", () => {
  const exception = (vector: number): bigint =>
    BigInt(vector) |
    VM_INTINFO.VALID |
    VM_INTINFO.HWEXCEPTION |
    ([8, 10, 11, 12, 13, 14].includes(vector) ? 0x800n : 0n);

  it("table 7-5 of the SDM", () => {
    const gp = exception(IDT.GP);
    const pf = exception(IDT.PF);
    const ud = exception(IDT.UD);
    const irq = 0x30n | VM_INTINFO.VALID;
    const df = { inject: exception(IDT.DF) };
    expect(nestedFault(gp, gp)).toEqual(df);
    expect(nestedFault(gp, pf)).toEqual({ inject: pf });
    expect(nestedFault(pf, gp)).toEqual(df);
    expect(nestedFault(pf, pf)).toEqual(df);
    expect(nestedFault(ud, gp)).toEqual({ inject: gp });
    expect(nestedFault(gp, ud)).toEqual({ inject: ud });
    expect(nestedFault(irq, pf)).toEqual({ inject: pf });
    expect(nestedFault(exception(IDT.DF), pf)).toEqual({ tripleFault: true });
    expect(nestedFault(exception(IDT.DF), gp)).toEqual({ tripleFault: true });
    expect(nestedFault(exception(IDT.DF), ud)).toEqual({ inject: ud });
  });

  it("an interrupted delivery and an exception arrive as a double fault", async () => {
    const vm = await protectedMode("hlt");
    const [vcpu] = vm.vcpus;
    vcpu.exitIntinfo(exception(IDT.PF));
    expect(vcpu.eventInjectState.state).toBe("EV_EXISTING");
    vcpu.injectGp();
    expect(vcpu.getIntinfo().exit).toBe(exception(IDT.PF));
    expect(vcpu.getIntinfo().exception & 0xffn).toBe(13n);
    expect(outputs(vcpu).out).toEqual(["ee=8", "ef=0"]);
    expect(vcpu.getIntinfo()).toEqual({ exit: 0n, exception: 0n });
  });

  it("and one on top of a double fault as a triple fault", async () => {
    const vm = await protectedMode("hlt");
    const [vcpu] = vm.vcpus;
    vcpu.exitIntinfo(exception(IDT.DF));
    vcpu.injectGp();
    expect(vcpu.run()).toMatchObject({ exitcode: "SUSPENDED", suspended: { how: "TRIPLEFAULT" } });
  });

  it("an interrupted external interrupt, NMI or software interrupt is delivered again", async () => {
    for (const [type, vector] of [
      [VM_INTINFO.HWINTR, 0x31],
      [VM_INTINFO.NMI, 2],
      [VM_INTINFO.SWINTR, 0x33],
    ] as const) {
      const vm = await realMode("hlt");
      vm.vcpus[0].exitIntinfo(BigInt(vector) | VM_INTINFO.VALID | type);
      expect(outputs(vm.vcpus[0]).out).toEqual([`ee=${vector.toString(16)}`]);
    }
  });

  it("entryIntinfo takes it, 0 clears it, and nonsense is refused", async () => {
    const [vcpu] = (await realMode("mov al,1\nout 1,al\nhlt")).vcpus;
    expect(vcpu.entryIntinfo()).toBeUndefined();
    vcpu.exitIntinfo(exception(IDT.UD));
    expect(vcpu.entryIntinfo()).toBe(exception(IDT.UD));
    vcpu.exitIntinfo(exception(IDT.UD));
    vcpu.exitIntinfo(0n);
    refuses("EINVAL", () => vcpu.exitIntinfo(3n | VM_INTINFO.VALID | VM_INTINFO.NMI));
    refuses("EINVAL", () => vcpu.exitIntinfo(40n | VM_INTINFO.VALID | VM_INTINFO.HWEXCEPTION));
    refuses("EINVAL", () => vcpu.exitIntinfo(0x1000n | VM_INTINFO.VALID));
    expect(outputs(vcpu).out).toEqual(["1=1"]);
  });
});

describe("NMI and ExtINT", () => {
  it("an NMI ends HLT, whatever RFLAGS.IF says, and is blocked until IRET", async () => {
    const vm = await realMode("cli\nhlt\nmov al,1\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    expect(vcpu.run().exitcode).toBe("HLT");
    vcpu.injectNmi();
    expect(vcpu.nmiPending).toBe(true);
    const first = outputs(vcpu);
    expect(first.out).toEqual(["ee=2"]);
    expect(vcpu.nmiPending).toBe(false);
    // Halted inside the handler: the second waits, until the handler's IRET.
    vcpu.injectNmi();
    expect(outputs(vcpu).out).toEqual([]);
    expect(vcpu.nmiPending).toBe(true);
    expect(outputs2(vcpu)).toEqual(["ee=2"]);
  });

  it("a pending NMI can be taken back", async () => {
    const vm = await realMode("mov al,1\nout 1,al\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.injectNmi();
    vcpu.clearNmi();
    expect(vcpu.nmiPending).toBe(false);
    expect(outputs(vcpu).out).toEqual(["1=1"]);
  });

  it("an external interrupt waits for IF, asks for its vector, and is gone when it is taken", async () => {
    const vm = await realMode("mov al,1\nout 1,al\nsti\nnop\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.injectExtint();
    expect(vcpu.extintPending).toBe(true);
    expect(vcpu.eventInjectState).toEqual({ state: "GI_BLOCK", reqExit: true });
    expect(vcpu.run()).toMatchObject({ exitcode: "INOUT", inout: { port: 1 } });
    expect(vcpu.run().exitcode).toBe("INTA");
    refuses("EINVAL", () => vcpu.run());
    refuses("EINVAL", () => vcpu.run({ cmd: "fulfillVector", vector: 256 }));
    expect(vcpu.run({ cmd: "fulfillVector", vector: 0x21 })).toMatchObject({ inout: { port: 0xee, eax: 0x21 } });
    expect(vcpu.extintPending).toBe(false);
    vcpu.injectExtint();
    vcpu.clearExtint();
    expect(outputs(vcpu).out).toEqual([]);
  });

  it("says when an interrupt could go in", async () => {
    const vm = await realMode("sti\nnop\nhlt");
    const [vcpu] = vm.vcpus;
    vcpu.setCapability("MTRAP_EXIT", true);
    expect(vcpu.eventInjectState.state).toBe("GI_BLOCK");
    vcpu.run();
    // The shadow of STI.
    expect(vcpu.eventInjectState.state).toBe("GI_BLOCK");
    vcpu.run();
    expect(vcpu.eventInjectState).toEqual({ state: "CAN_INJECT", reqExit: false });
  });

  it.each([
    ["sti\nin al,1\nhlt", "GI_BLOCK"],
    ["sti\nnop\nin al,1\nhlt", "CAN_INJECT"],
    ["sti\nmov ss,bx\nin al,1\nhlt", "GI_BLOCK"],
    ["sti\nmov ss,bx\nsti\nin al,1\nhlt", "CAN_INJECT"],
  ])("the shadow covers one instruction, with nobody looking: %j", async (source, state) => {
    const [vcpu] = (await realMode(source)).vcpus;
    expect(vcpu.run()).toMatchObject({ exitcode: "INOUT", inout: { port: 1 } });
    expect(vcpu.eventInjectState.state).toBe(state);
  });
});

/** Goes on behind a HLT. */
function outputs2(vcpu: Vm<"inline">["vcpus"][0]): string[] {
  const exit = vcpu.run({ cmd: "discardInstr" });
  if (exit.exitcode !== "INOUT") return [];
  return [`${exit.inout.port.toString(16)}=${exit.inout.eax.toString(16)}`, ...outputs(vcpu).out];
}
