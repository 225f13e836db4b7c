/** The seeds' interface: what a hypervisor in JavaScript is written against (package export `tabhyve/vmm`). */

export { SnapshotError } from "../shared/device.ts";
export { VM_MAXCPU } from "../shared/layout.ts";
export type { WorkerThread } from "../vcpu/threaded.ts";
export { VM_CAPS, type VmCap } from "./capability.ts";
export { HPET_BASE, IOAPIC_BASE, LAPIC_BASE } from "./chipset.ts";
export {
  CPUID_MAX_ENTRIES,
  type CpuidCapability,
  type CpuidConfig,
  type CpuidEntry,
  type CpuidRegisters,
  validateGuestXcr0,
} from "./cpuid.ts";
export type { VmCpuMode, VmGuestPaging, VmPagingMode } from "./cpuMode.ts";
export {
  VMM_DATA_VERSIONS,
  type VmmData,
  type VmmDataClass,
  type VmmDataReadf,
  type VmmDataReq,
  type VmmDataVersionEntry,
  type VmmDataWritef,
} from "./data.ts";
export { type VmErrno, VmError, VmTrap } from "./error.ts";
export type { EventInjectState } from "./events.ts";
export * from "./exit.ts";
export { FPU_SIZE } from "./fpu.ts";
export { HostGlue, type HostServices } from "./glue.ts";
export { copyin, copyout, type GuestFault, type Translation, type VmCopyinfo } from "./guestCopy.ts";
export { IDT, type NestedOutcome, nestedFault, VM_INTINFO } from "./intinfo.ts";
export { type IoCookie, IoPorts, type IoportHandler, MmioRegions } from "./io.ts";
export { IommuDomain } from "./iommu.ts";
export { kstatLines, type VcpuKstats, VMM_KSTAT_CLASS, type VmmKstats } from "./kstats.ts";
export { type MachineMemory, OutOfMemoryError } from "./memory.ts";
export {
  type GpaHold,
  type Memmap,
  MemorySegments,
  type Memseg,
  PROT,
  PROT_ALL,
  VM_MAX_MEMMAPS,
  VM_MAX_MEMSEGS,
} from "./memseg.ts";
export { VmmModule } from "./module.ts";
export type { MsrValue } from "./msr.ts";
export { isPptdev, type PptDevice, PptDevices, type PptHost, type PptPlace } from "./ppt.ts";
export { VM_REG_GUEST, VM_REG_LAST, type VmReg, vmSegmentName } from "./registers.ts";
export * from "./segment.ts";
export type { VmTopology } from "./topology.ts";
export type { Running, RunOptions, Transport } from "./types.ts";
export { type InjectOptions, Vcpu, type VcpuStats } from "./vcpu.ts";
export { VCPU_USTATES, type VcpuRunState, type VcpuState, type VcpuUstate, type VmRunState, VRS } from "./vcpuState.ts";
export { VIE_INST_SIZE, type Vie, type VieOp, vieDecode } from "./vie.ts";
export { Vm } from "./vm.ts";
export { PM_TIMER_PORT, VmChips, type VmIntrTrigger } from "./vmChips.ts";
export type { VmConfig } from "./vmConfig.ts";
export { VmClient, VmPage, Vmspace } from "./vmspace.ts";
export { type SerialPortLike, type SerialSettings, WebSerialDevice } from "./webSerial.ts";
export type { X2apicState } from "./x2apic.ts";
