/** Saved state of a whole machine: what its parts export, by name. */
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { Device } from "../shared/device.ts";
import { CONTROL, VM_MAXCPU } from "../shared/layout.ts";
import type { Snapshot } from "../snapshot/container.ts";
import { type PageCopy, type Ram, readMemory, replaceMemory } from "../snapshot/ram.ts";
import { checkVcpu, exportVcpu, importVcpu, type VcpuV1 } from "../snapshot/vcpu.ts";
import type { CoreExports } from "../vcpu/core.ts";
import type { PageSource } from "../vcpu/pages.ts";
import type { StructView } from "../vcpu/view.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import { checkTopology, oneSocket, type VmTopology } from "../vmm/topology.ts";

/** What a machine must be made with to take a snapshot. */
export interface SavedConfig {
  readonly memoryBytes: number;
  readonly vcpus: number;
  /** Sockets, cores, threads (topologyText); not in older files: one socket with a core for each vCPU. */
  readonly topology: string;
  readonly cpu: string;
  readonly debugExit: boolean;
  /** There is a ROM at the reset vector. */
  readonly firmware: boolean;
}

export interface MachineV2 {
  readonly version: 2;
  readonly config: SavedConfig;
  /** Guest nanoseconds since power-on, and the largest TSC that has been read. */
  readonly now: bigint;
  readonly tscFloor: bigint;
  readonly vcpus: readonly VcpuV1[];
  readonly devices: Readonly<Record<string, { version: number }>>;
  /** Bytes for COM1 that its receiver has not taken. */
  readonly serialInput: Uint8Array;
  /** The last that COM1 has written (src/machine/scrollback.ts). */
  readonly scrollback: Uint8Array;
}

/** The parts of a machine whose vCPUs stand still. */
export interface SavedParts {
  readonly memory: MachineMemory & Ram;
  readonly core: CoreExports;
  readonly views: readonly StructView[];
  readonly devices: readonly Device<{ version: number }>[];
}

/** SavedConfig.topology, and what it says. */
export const topologyText = ({ sockets, cores, threads }: Omit<VmTopology, "maxcpus">): string =>
  `${sockets},${cores},${threads}`;
export function parseTopology(text: string): VmTopology {
  const [sockets, cores, threads] = String(text).split(",").map(Number);
  return { sockets, cores, threads, maxcpus: sockets * cores * threads };
}

const U64 = 0xffff_ffff_ffff_ffffn;

/** The state of a machine; its memory goes into `copy`. */
export function exportMachine(
  parts: SavedParts,
  config: SavedConfig,
  now: bigint,
  console: { serialInput: Uint8Array; scrollback: Uint8Array },
  copy: PageCopy,
): MachineV2 {
  copy.take(parts.memory);
  return {
    version: 2,
    config,
    now,
    tscFloor: parts.memory.control.get64(CONTROL.tscFloor),
    vcpus: parts.views.map((view) => exportVcpu(parts.core, view)),
    devices: Object.fromEntries(parts.devices.map((d) => [d.name, d.export()])),
    ...console,
  };
}

/** What a snapshot's machine was made with. @throws SnapshotError */
export function savedConfig(snapshot: Snapshot): SavedConfig {
  const config = new SnapshotFields("machine", snapshot.state).version(2).child("config");
  const { cpu, topology } = (snapshot.state as MachineV2).config;
  if (typeof cpu !== "string") config.fail("cpu", "not a text");
  const vcpus = config.int("vcpus", 1, VM_MAXCPU);
  try {
    if (topology !== undefined) checkTopology(parseTopology(topology), vcpus);
  } catch {
    config.fail("topology", `not one of ${vcpus} vCPUs`);
  }
  return {
    memoryBytes: config.int("memoryBytes", 0x10_0000, 3 * 2 ** 30),
    vcpus,
    topology: topology ?? topologyText(oneSocket(vcpus)),
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
): { serialInput: Uint8Array; scrollback: Uint8Array; pages: PageSource } {
  const from = new SnapshotFields("machine", snapshot.state).version(2);
  const saved = savedConfig(snapshot);
  for (const key of Object.keys(saved) as (keyof SavedConfig)[]) {
    if (saved[key] !== config[key]) from.fail(`config.${key}`, `${saved[key]}, this machine has ${config[key]}`);
  }
  const now = from.bigint("now", 0n, U64);
  const tscFloor = from.bigint("tscFloor", 0n, U64);
  const vcpus = from.array("vcpus", parts.views.length, parts.views.length).map((v, i) => checkVcpu(parts.views[i], v));
  from.child("devices");
  const devices = (snapshot.state as MachineV2).devices;
  for (const d of parts.devices) if (!(d.name in devices)) from.fail(`devices.${d.name}`, "is missing");
  const names = new Set(parts.devices.map((d) => d.name));
  for (const name of Object.keys(devices)) if (!names.has(name)) from.fail(`devices.${name}`, "this machine has none");
  const { serialInput, scrollback } = snapshot.state as MachineV2;
  if (!(serialInput instanceof Uint8Array)) from.fail("serialInput", "not bytes");
  if (!(scrollback instanceof Uint8Array)) from.fail("scrollback", "not bytes");
  const image = readMemory(snapshot.memory, parts.memory.pageBytes.length);

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
  const pages = replaceMemory(parts.memory, image);
  parts.memory.control.store(CONTROL.absent, pages.starts.length - 1);
  parts.memory.control.set64(CONTROL.tscFloor, tscFloor);
  vcpus.forEach((state, i) => {
    importVcpu(parts.core, parts.views[i], state);
  });
  return { serialInput, scrollback, pages };
}
