/**
 * The state of a virtual machine in classes (the seeds' vmm_data): what each chip and vCPU exports, with a version of its
 * own. Vm.save is made of them; each can be read and written by itself, too.
 *
 * | class | of | version 1 |
 * |---|---|---|
 * | VERSION | the vm | the classes there are; read only |
 * | REGISTER | a vCPU | VcpuV1: registers, segments, MSRs, FPU, CPUID, counters |
 * | VMM_ARCH | a vCPU | VcpuEventsV1: events on their way into the guest |
 * | LAPIC | a vCPU | VlapicV1 |
 * | IOAPIC, ATPIC, ATPIT, HPET, PM_TIMER, RTC | the vm | what that chip exports |
 * | VMM_TIME | the vm | VmTimeV1: the guest's clock |
 */
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { Device } from "../shared/device.ts";
import { CONTROL } from "../shared/layout.ts";
import { checkVcpu, exportVcpu, importVcpu } from "../snapshot/vcpu.ts";
import type { CoreExports } from "../vcpu/core.ts";
import { type Chipset, needed } from "./chipset.ts";
import { VmError } from "./error.ts";
import { checkEvents } from "./events.ts";
import type { MachineMemory } from "./memory.ts";
import type { Vcpu } from "./vcpu.ts";

const VCPU_CLASSES = ["REGISTER", "VMM_ARCH", "LAPIC"] as const;
const CHIP_CLASSES = ["IOAPIC", "ATPIC", "ATPIT", "HPET", "PM_TIMER", "RTC"] as const;
/** A class of saved data (the seeds' VDC_*). */
export type VmmDataClass = "VERSION" | "VMM_TIME" | (typeof VCPU_CLASSES)[number] | (typeof CHIP_CLASSES)[number];

/** Plain data (numbers, texts, bigints, byte arrays, arrays, objects) with a version. */
export interface VmmData {
  readonly version: number;
}

/** `struct vmm_data_req`. */
export interface VmmDataReq {
  readonly class: VmmDataClass;
  readonly version: number;
  /** Needed for the classes of a vCPU. */
  readonly vcpuid?: number;
}

/** The guest's clock: nanoseconds since power-on, and the largest TSC that has been read. */
export interface VmTimeV1 extends VmmData {
  readonly version: 1;
  readonly now: bigint;
  readonly tscFloor: bigint;
}

/** The parts of a vm whose vCPUs stand still. */
export interface VmmDataParts {
  readonly memory: MachineMemory;
  readonly core: CoreExports;
  readonly vcpus: readonly Vcpu[];
  readonly chipset: Chipset | undefined;
  now(): bigint;
  setNow(now: bigint): void;
}

/** vmm_data_readf_t, vmm_data_vcpu_readf_t: exports. */
export type VmmDataReadf = (parts: VmmDataParts, vcpuid: number) => VmmData;
/** vmm_data_writef_t, vmm_data_vcpu_writef_t: imports. Throws SnapshotError before it has changed anything. */
export type VmmDataWritef = (parts: VmmDataParts, vcpuid: number, data: unknown) => void;

/** `struct vmm_data_version_entry`. */
export interface VmmDataVersionEntry {
  readonly class: VmmDataClass;
  readonly version: number;
  readonly perVcpu: boolean;
  readonly readf: VmmDataReadf;
  /** Only looks whether data could be imported. Chips have none: their import checks before it changes anything. */
  readonly checkf?: VmmDataWritef;
  readonly writef?: VmmDataWritef;
}

const U64 = 0xffff_ffff_ffff_ffffn;

/** A class that is a chip's own state. */
function chip(
  name: VmmDataClass,
  of: (chips: Chipset, vcpuid: number) => Device<{ version: number }>,
  perVcpu = false,
): VmmDataVersionEntry {
  const device = ({ chipset }: VmmDataParts, vcpuid: number): Device<{ version: number }> => {
    return of(needed(chipset), vcpuid);
  };
  return {
    class: name,
    version: 1,
    perVcpu,
    readf: (parts, vcpuid) => device(parts, vcpuid).export(),
    writef: (parts, vcpuid, data) => device(parts, vcpuid).import(data as { version: number }),
  };
}

function checkTime(data: unknown): VmTimeV1 {
  const from = new SnapshotFields("time", data).version(1);
  return { version: 1, now: from.bigint("now", 0n, U64), tscFloor: from.bigint("tscFloor", 0n, U64) };
}

/** Every class, in the order of restoring: time before what looks at it, interrupt controllers before what drives them. */
export const VMM_DATA_VERSIONS: readonly VmmDataVersionEntry[] = [
  {
    class: "VERSION",
    version: 1,
    perVcpu: false,
    readf: () => ({
      version: 1,
      classes: VMM_DATA_VERSIONS.map(({ class: name, version }) => ({ class: name, version })),
    }),
  },
  {
    class: "VMM_TIME",
    version: 1,
    perVcpu: false,
    readf: ({ memory, now }): VmTimeV1 => ({
      version: 1,
      now: now(),
      tscFloor: memory.control.get64(CONTROL.tscFloor),
    }),
    checkf: (_parts, _id, data) => void checkTime(data),
    writef: ({ memory, setNow }, _id, data) => {
      const { now, tscFloor } = checkTime(data);
      setNow(now);
      memory.control.set64(CONTROL.tscFloor, tscFloor);
    },
  },
  {
    class: "REGISTER",
    version: 1,
    perVcpu: true,
    readf: ({ core, vcpus }, id) => exportVcpu(core, vcpus[id].view),
    checkf: ({ vcpus }, id, data) => void checkVcpu(vcpus[id].view, data),
    writef: ({ core, vcpus }, id, data) => {
      const state = checkVcpu(vcpus[id].view, data);
      vcpus[id].exits.forget();
      importVcpu(core, vcpus[id].view, state);
    },
  },
  chip("LAPIC", (chips, id) => chips.apics[id], true),
  chip("IOAPIC", (chips) => chips.ioapic),
  chip("ATPIC", (chips) => chips.pic),
  chip("ATPIT", (chips) => chips.pit),
  chip("HPET", (chips) => chips.hpet),
  chip("PM_TIMER", (chips) => chips.pmTimer),
  chip("RTC", (chips) => chips.rtc),
  {
    class: "VMM_ARCH",
    version: 1,
    perVcpu: true,
    readf: ({ vcpus }, id) => vcpus[id].events.export(),
    checkf: (_parts, _id, data) => void checkEvents(data),
    writef: ({ vcpus }, id, data) => vcpus[id].events.import(data),
  },
];

/** The entry and vCPU of a request. @throws VmError EINVAL: no such class, another version, or no such vCPU */
function find({ vcpus }: VmmDataParts, req: VmmDataReq): { entry: VmmDataVersionEntry; id: number } {
  const entry = VMM_DATA_VERSIONS.find((e) => e.class === req.class);
  if (!entry) throw new VmError("EINVAL", `no class of data is called ${String(req.class)}`);
  if (entry.version !== req.version) throw new VmError("EINVAL", `${entry.class} has version ${entry.version}`);
  const id = req.vcpuid ?? -1;
  if (entry.perVcpu ? !vcpus[id] : req.vcpuid !== undefined) {
    throw new VmError(
      "EINVAL",
      entry.perVcpu ? `${entry.class}: no vCPU ${req.vcpuid}` : `${entry.class} is no vCPU's`,
    );
  }
  return { entry, id };
}

export function readData(parts: VmmDataParts, req: VmmDataReq): VmmData {
  const { entry, id } = find(parts, req);
  return entry.readf(parts, id);
}

export function writeData(parts: VmmDataParts, req: VmmDataReq, data: unknown): void {
  const { entry, id } = find(parts, req);
  if (!entry.writef) throw new VmError("EINVAL", `${entry.class} is read only`);
  entry.writef(parts, id, data);
}
