// A hypervisor in ten lines: runs a guest and prints what it writes to ports.
import { assemble, coreBytes } from "tabhyve";
import { VM_REG_GUEST, Vm } from "tabhyve/vmm";

const vm = await Vm.create({ name: "first", core: coreBytes(), transport: "inline", memoryBytes: 1 << 20 });
const [vcpu] = vm.vcpus;
vm.memory.write(0x1000, assemble("mov al,'H'\nout 0xe9,al\nmov al,'i'\nout 0xe9,al\nhlt").bytes);
vcpu.setRegister(VM_REG_GUEST.CS, 0n);
vcpu.setSegDesc(VM_REG_GUEST.CS, { base: 0n, limit: 0xffff, access: 0x9b });
vcpu.setRegister(VM_REG_GUEST.RIP, 0x1000n);
for (let exit = vcpu.run(); exit.exitcode === "INOUT"; exit = vcpu.run()) {
  console.log(`port 0x${exit.inout.port.toString(16)}: ${String.fromCharCode(exit.inout.eax)}`);
}
