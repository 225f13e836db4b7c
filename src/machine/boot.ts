/** What a machine begins with: firmware at the reset vector, or a kernel and what firmware would have done for it. */
import { hasFeature } from "../isa/cpuModel.ts";
import { DEFAULT } from "../isa/features.ts";
import type { StructView } from "../vcpu/view.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import { oneSocket } from "../vmm/topology.ts";
import { acpiOf, acpiTables } from "./acpi.ts";
import type { Board } from "./board.ts";
import { applyCpuState, CPU_SIGNATURE, setFirmwareMtrrs } from "./cpuReset.ts";
import { firmwareTables } from "./firmwareTables.ts";
import { BIOS_PORT_WRITES, placeBiosData } from "./loader/bios.ts";
import { loadKernel } from "./loader/load.ts";
import { placeRom } from "./loader/rom.ts";
import type { LoadedKernel } from "./loader/types.ts";
import type { MachineConfig } from "./machineConfig.ts";
import { COM_PORTS, PCI_HOLE_BASE, PCI_SLOT_CARDS, PCI_SLOT_ISA } from "./memoryMap.ts";
import { type MpConfig, mpTables } from "./mpTable.ts";
import { cardCount } from "./parts.ts";
import { smbiosFiles } from "./smbios.ts";

/** Feature word of CPUID leaf 1 EDX (src/isa/features.ts). */
const WORD_1_EDX = 1;
/** MAXPHYADDR of the modelled CPU (assembly/mem/walk.ts). */
const PHYSICAL_BITS = 40;

/** CPUID leaf 1, EDX, of a model. */
const leaf1Edx = (cpuToggles: readonly number[]): number => (DEFAULT[WORD_1_EDX] ^ cpuToggles[WORD_1_EDX]) >>> 0;

/** The MP table's processors. */
const processors = (vcpus: number, cpuToggles: readonly number[]): MpConfig => ({
  apicIds: Array.from({ length: vcpus }, (_, id) => id),
  cpuSignature: CPU_SIGNATURE,
  cpuFeatures: leaf1Edx(cpuToggles),
});

/** What firmware gets by fw_cfg, by name, besides what the board says of itself. */
export function firmwareFiles(
  { firmwareFiles, topology, vcpus = 1, memoryBytes, cards = {} }: MachineConfig,
  cpuToggles: readonly number[],
): Record<string, Uint8Array> {
  const smbios = smbiosFiles({
    ...(topology ?? oneSocket(vcpus)),
    cpuFeatures: leaf1Edx(cpuToggles),
    ramSize: memoryBytes,
  });
  // Firmware has a kilobyte for all tables that lie where guests search.
  const slots = [PCI_SLOT_ISA, ...Array.from({ length: cardCount(cards) }, (_, n) => PCI_SLOT_CARDS + n)];
  const tables = firmwareTables(acpiOf(vcpus, true), { ...processors(vcpus, cpuToggles), slots });
  return { ...tables, ...smbios, ...firmwareFiles };
}

export interface BootOptions {
  readonly config: MachineConfig;
  readonly memory: MachineMemory;
  readonly board: Board;
  readonly views: readonly StructView[];
  /** Features that are not as in the default model (src/isa/cpuModel.ts). */
  readonly cpuToggles: readonly number[];
}

/**
 * Firmware starts as RESET leaves it. For a kernel, does what firmware does: chips, tables, kernel, entry state.
 *
 * @returns how the kernel was loaded; nothing with firmware
 * @throws LoaderError
 */
export function boot({ config, memory, board, views, cpuToggles }: BootOptions): LoadedKernel | undefined {
  if (config.bios) {
    placeRom(memory, config.bios);
    return undefined;
  }
  if (!config.kernel) throw new TypeError("a machine needs a kernel or firmware");
  placeBiosData(memory, [COM_PORTS[0]]);
  for (const [port, value] of BIOS_PORT_WRITES) board.ports.write(port, 1, value);
  board.apics[0].enterVirtualWireMode();
  const acpi = acpiTables(acpiOf(views.length, false));
  const mp = mpTables(processors(views.length, cpuToggles));
  for (const table of [...acpi, ...mp]) memory.write(table.gpa, table.bytes);
  const loaded = loadKernel(memory, {
    kernel: config.kernel,
    ramSize: config.memoryBytes,
    acpiRsdp: acpi[0].gpa,
    la57: hasFeature(cpuToggles, "la57"),
    ...(config.kernelName !== undefined && { kernelName: config.kernelName }),
    ...(config.initrd && { initrd: config.initrd }),
    ...(config.append !== undefined && { append: config.append }),
  });
  for (const view of views) setFirmwareMtrrs(view, PCI_HOLE_BASE, PHYSICAL_BITS);
  applyCpuState(views[0], loaded.cpu);
  return loaded;
}
