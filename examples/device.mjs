// A device of one's own at a guest physical address: a register that squares what is written to it.
import { assemble, coreBytes } from "tabhyve";
import { VM_REG_GUEST, Vm } from "tabhyve/vmm";

const vm = await Vm.create({ name: "device", core: coreBytes(), transport: "inline", memoryBytes: 1 << 16 });
let square = 0;
vm.mmio.map(0xf_0000, 4, {
  read: () => square,
  write: (_offset, _size, value) => {
    square = value * value;
  },
});
vm.memory.write(0x1000, assemble("mov ax,0xf000\nmov ds,ax\nmov dword [0],12\nmov eax,[0]\nhlt").bytes);
const [vcpu] = vm.vcpus;
vcpu.setRegister(VM_REG_GUEST.CS, 0n);
vcpu.setSegDesc(VM_REG_GUEST.CS, { base: 0n, limit: 0xffff, access: 0x9b });
vcpu.setRegister(VM_REG_GUEST.RIP, 0x1000n);
const exit = vcpu.run();
console.log(`${exit.exitcode}: EAX is ${vcpu.getRegister(VM_REG_GUEST.RAX)}`);
