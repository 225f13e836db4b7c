/**
 * Saved state of a virtual machine without a board (src/vmm): its classes of data, its segments, its memory; what of it
 * comes from the program that made it (handlers, capabilities of the host) does not go along.
 */
import { SnapshotFields } from "../io/snapshotFields.ts";
import { SnapshotError } from "../shared/device.ts";
import {
  VMM_DATA_VERSIONS,
  type VmmData,
  type VmmDataClass,
  type VmmDataParts,
  type VmmDataVersionEntry,
} from "../vmm/data.ts";
import type { MemorySegments, MemsegsV1 } from "../vmm/memseg.ts";
import { checkTopology, type VmTopology } from "../vmm/topology.ts";
import type { Snapshot } from "./container.ts";
import { fillMemory, readMemory, unpackChunks } from "./ram.ts";

export interface SavedData {
  readonly class: VmmDataClass;
  readonly vcpuid: number | undefined;
  readonly data: VmmData;
}

export interface VmV1 {
  readonly kind: "vm";
  readonly version: 1;
  readonly vcpus: number;
  readonly chips: boolean;
  /** Bytes of backing memory, and what of them is where. */
  readonly backing: number;
  readonly segments: MemsegsV1;
  readonly topology: VmTopology;
  /** vCPUs that may run, and those taken out for debugging. */
  readonly active: readonly number[];
  readonly debug: readonly number[];
  readonly data: readonly SavedData[];
}

/** The parts of a vm whose vCPUs stand still. */
export interface SavedVm extends VmmDataParts {
  readonly segments: MemorySegments;
}

/** What of a vm the vm itself puts in its place. */
export interface VmSwitches {
  readonly topology: VmTopology;
  readonly active: readonly number[];
  readonly debug: readonly number[];
}

/** The classes that a vm has state of, and whose. */
function classes(vm: SavedVm): { entry: VmmDataVersionEntry; vcpuid: number | undefined }[] {
  const ids = [...vm.vcpus.keys()];
  return VMM_DATA_VERSIONS.filter((e) => e.writef && (vm.chipset || e.checkf)).flatMap((entry) =>
    (entry.perVcpu ? ids : [undefined]).map((vcpuid) => ({ entry, vcpuid })),
  );
}

export function exportVm(vm: SavedVm, switches: VmSwitches): VmV1 {
  return {
    kind: "vm",
    version: 1,
    vcpus: vm.vcpus.length,
    chips: vm.chipset !== undefined,
    backing: vm.memory.backing.length,
    segments: vm.segments.export(),
    ...switches,
    data: classes(vm).map(({ entry, vcpuid }) => ({ class: entry.class, vcpuid, data: entry.readf(vm, vcpuid ?? -1) })),
  };
}

/**
 * Puts a snapshot into a vm whose vCPUs stand still.
 *
 * @throws SnapshotError: the vm is as it was before; VmError EBUSY: memory of it is held
 */
export async function importVm(
  vm: SavedVm,
  snapshot: Snapshot,
  hooks: {
    /** Lets go of instructions that wait for an answer. */
    abandon(): Promise<void>;
    commit(switches: VmSwitches): void;
  },
): Promise<void> {
  const from = new SnapshotFields("vm", snapshot.state);
  from.oneOf("kind", ["vm"]);
  from.version(1);
  const ids = vm.vcpus.length;
  if (from.int("vcpus", 1, 16) !== ids) from.fail("vcpus", `this virtual machine has ${ids}`);
  if (from.bool("chips") !== (vm.chipset !== undefined)) from.fail("chips", "this virtual machine differs");
  const { memory } = vm;
  if (from.int("backing", 0, 2 ** 32) !== memory.backing.length) {
    from.fail("backing", `this virtual machine has ${memory.backing.length} bytes`);
  }
  const switches: VmSwitches = {
    topology: topology(from.child("topology"), ids),
    active: from.ints("active", ids, 0, ids - 1),
    debug: from.ints("debug", ids, 0, ids - 1),
  };
  const wanted = classes(vm);
  const saved = from.children("data", wanted.length);
  const state = snapshot.state as VmV1;
  wanted.forEach(({ entry, vcpuid }, i) => {
    saved[i].oneOf("class", [entry.class]);
    if (state.data[i].vcpuid !== vcpuid) saved[i].fail("vcpuid", `not ${vcpuid}`);
    entry.checkf?.(vm, vcpuid ?? -1, state.data[i].data);
  });
  const image = readMemory(snapshot.memory, memory.pageBytes.length);
  const chunks = await unpackChunks(image);

  const put = (data: readonly VmmData[], which: (entry: VmmDataVersionEntry) => boolean): void => {
    wanted.forEach(({ entry, vcpuid }, i) => {
      if (which(entry)) entry.writef?.(vm, vcpuid ?? -1, data[i]);
    });
  };
  /** Classes that may still refuse, and the time, which they look at. */
  const early = (entry: VmmDataVersionEntry): boolean => !entry.checkf || entry.class === "VMM_TIME";
  const data = state.data.map((d) => d.data);
  const segments = vm.segments.export();
  vm.segments.import(state.segments);
  const before = wanted.map(({ entry, vcpuid }) => entry.readf(vm, vcpuid ?? -1));
  try {
    put(data, early);
  } catch (error) {
    vm.segments.import(segments);
    put(before, early);
    throw error;
  }
  await hooks.abandon();
  put(data, (entry) => !early(entry));
  fillMemory(memory, image, chunks);
  hooks.commit(switches);
}

function topology(from: SnapshotFields, vcpus: number): VmTopology {
  const [sockets, cores, threads, maxcpus] = ["sockets", "cores", "threads", "maxcpus"].map((f) => from.int(f, 1, 16));
  const t = { sockets, cores, threads, maxcpus };
  try {
    checkTopology(t, vcpus);
  } catch (error) {
    throw new SnapshotError("vm", `topology: ${(error as Error).message}`);
  }
  return t;
}
