/** Saved state of a whole machine: what its parts export, by name. */
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { Device } from "../shared/device.ts";
import { CONTROL } from "../shared/layout.ts";
import type { Snapshot } from "../snapshot/container.ts";
import { collectPages, readRuns } from "../snapshot/ram.ts";
import { checkVcpu, exportVcpu, importVcpu, type VcpuV1 } from "../snapshot/vcpu.ts";
import type { CoreExports } from "../vcpu/core.ts";
import type { StructView } from "../vcpu/view.ts";
import type { MachineMemory } from "../vmm/memory.ts";

/** What a machine must be made with to take a snapshot. */
export interface SavedConfig {
  readonly memoryBytes: number;
  readonly vcpus: number;
  readonly cpu: string;
  readonly debugExit: boolean;
  /** There is a ROM at the reset vector. */
  readonly firmware: boolean;
}

export interface MachineV1 {
  readonly version: 1;
  readonly config: SavedConfig;
  /** Guest nanoseconds since power-on, and the largest TSC that has been read. */
  readonly now: bigint;
  readonly tscFloor: bigint;
  readonly vcpus: readonly VcpuV1[];
  readonly devices: Readonly<Record<string, { version: number }>>;
  /** Bytes for COM1 that its receiver has not taken. */
  readonly serialInput: Uint8Array;
}

/** The parts of a machine whose vCPUs stand still. */
export interface SavedParts {
  readonly memory: MachineMemory;
  readonly core: CoreExports;
  readonly views: readonly StructView[];
  readonly devices: readonly Device<{ version: number }>[];
}

const U64 = 0xffff_ffff_ffff_ffffn;

export function exportMachine(
  parts: SavedParts,
  config: SavedConfig,
  now: bigint,
  serialInput: Uint8Array,
): { state: MachineV1; pages: Uint8Array[] } {
  const state: MachineV1 = {
    version: 1,
    config,
    now,
    tscFloor: parts.memory.control.get64(CONTROL.tscFloor),
    vcpus: parts.views.map((view) => exportVcpu(parts.core, view)),
    devices: Object.fromEntries(parts.devices.map((d) => [d.name, d.export()])),
    serialInput,
  };
  return { state, pages: collectPages(parts.memory.backing) };
}

/** What a snapshot's machine was made with. @throws SnapshotError */
export function savedConfig(snapshot: Snapshot): SavedConfig {
  const config = new SnapshotFields("machine", snapshot.state).version(1).child("config");
  const { cpu } = (snapshot.state as MachineV1).config;
  if (typeof cpu !== "string") config.fail("cpu", "not a text");
  return {
    memoryBytes: config.int("memoryBytes", 0x10_0000, 3 * 2 ** 30),
    vcpus: config.int("vcpus", 1, 16),
    cpu,
    debugExit: config.bool("debugExit"),
    firmware: config.bool("firmware"),
  };
}

/**
 * Puts a snapshot into a machine whose vCPUs stand still. `setNow` sets the guest's clock, before the chips look at it.
 *
 * @throws SnapshotError: the machine is as it was before
 */
export function importMachine(
  parts: SavedParts,
  config: SavedConfig,
  snapshot: Snapshot,
  setNow: (now: bigint) => void,
): { serialInput: Uint8Array } {
  const from = new SnapshotFields("machine", snapshot.state).version(1);
  const saved = savedConfig(snapshot);
  for (const key of Object.keys(saved) as (keyof SavedConfig)[]) {
    if (saved[key] !== config[key]) from.fail(`config.${key}`, `${saved[key]}, this machine has ${config[key]}`);
  }
  const now = from.bigint("now", 0n, U64);
  const tscFloor = from.bigint("tscFloor", 0n, U64);
  const vcpus = from.array("vcpus", parts.views.length, parts.views.length).map((v, i) => checkVcpu(parts.views[i], v));
  from.child("devices");
  const devices = (snapshot.state as MachineV1).devices;
  for (const d of parts.devices) if (!(d.name in devices)) from.fail(`devices.${d.name}`, "is missing");
  const { serialInput } = snapshot.state as MachineV1;
  if (!(serialInput instanceof Uint8Array)) from.fail("serialInput", "not bytes");
  const backing = parts.memory.backing;
  const runs = readRuns(snapshot.memory, backing.length / 4096);

  const before = parts.devices.map((d) => d.export());
  const clock = parts.memory.control.get(CONTROL.timeBase);
  setNow(now);
  try {
    for (const d of parts.devices) d.import(devices[d.name]);
  } catch (error) {
    parts.memory.control.set(CONTROL.timeBase, clock);
    parts.devices.forEach((d, i) => {
      d.import(before[i]);
    });
    throw error;
  }
  let at = 0;
  for (const { page, bytes } of runs) {
    backing.fill(0, at, page * 4096);
    backing.set(bytes, page * 4096);
    at = page * 4096 + bytes.length;
  }
  backing.fill(0, at);
  parts.memory.control.set64(CONTROL.tscFloor, tscFloor);
  vcpus.forEach((state, i) => {
    importVcpu(parts.core, parts.views[i], state);
  });
  return { serialInput };
}
