/**
 * Devices of the host that a guest gets for itself (the seeds' pptdev). In a browser that is a serial port
 * (webSerial.ts); whatever has the interface below will do.
 */
import type { InterruptPin, IoHandler, Timers } from "../shared/device.ts";
import { VmError } from "./error.ts";
import type { IoPorts } from "./io.ts";
import { checkIommu, IommuDomain } from "./iommu.ts";
import type { MachineMemory } from "./memory.ts";
import type { MemorySegments } from "./memseg.ts";
import type { VmChips } from "./vmChips.ts";

/** What a device has of the virtual machine it is assigned to. */
export interface PptHost {
  readonly irq: InterruptPin;
  readonly timers: Timers;
  /** Guest memory for DMA. */
  readonly memory: IommuDomain;
}

/** A device of the host. */
export interface PptDevice {
  readonly name: string;
  /** Ports its registers take. */
  readonly portCount: number;
  /** Opens the device and gives its registers, as the guest sees them. */
  attach(host: PptHost): Promise<IoHandler>;
  /** Closes it. What the guest has written before has been sent. */
  detach(): Promise<void>;
}

/** Where a device is to appear. */
export interface PptPlace {
  /** First port. */
  readonly port: number;
  /** ISA interrupt, 0 to 15. */
  readonly irq: number;
}

interface Assigned {
  readonly domain: IommuDomain;
  readonly irq: InterruptPin;
  readonly unmap: () => void;
}

/** Devices that some virtual machine has, of any. */
const taken = new WeakSet<PptDevice>();

/** vmm_is_pptdev: whether something is a device that can be passed through. */
export function isPptdev(device: unknown): device is PptDevice {
  if (typeof device !== "object" || device === null) return false;
  const { name, portCount, attach, detach } = device as Partial<PptDevice>;
  return (
    typeof name === "string" &&
    Number.isInteger(portCount) &&
    typeof attach === "function" &&
    typeof detach === "function"
  );
}

/** Devices of the host that a vm has to itself. */
export class PptDevices {
  readonly #chips: () => VmChips;
  readonly #ports: IoPorts;
  readonly #memory: MachineMemory;
  readonly #segments: MemorySegments;
  readonly #assigned = new Map<PptDevice, Assigned>();

  /** @internal */
  constructor(chips: () => VmChips, ports: IoPorts, memory: MachineMemory, segments: MemorySegments) {
    this.#chips = chips;
    this.#ports = ports;
    this.#memory = memory;
    this.#segments = segments;
  }

  /** Devices that are assigned. */
  get assigned(): readonly PptDevice[] {
    return [...this.#assigned.keys()];
  }

  /**
   * vm_assign_pptdev.
   *
   * | | outcome |
   * |---|---|
   * | not a device (isPptdev); no such interrupt or port | EINVAL |
   * | assigned, to whichever virtual machine | EBUSY |
   * | a port of it has a handler | EEXIST |
   * | the vm has no chips | EOPNOTSUPP |
   * | the device cannot be opened | EIO, with the reason as `cause`; nothing is attached |
   */
  async assign(device: PptDevice, place: PptPlace): Promise<void> {
    const chips = this.#chips();
    if (!isPptdev(device)) throw new VmError("EINVAL", "not a device that can be passed through");
    if (!(Number.isInteger(place.irq) && place.irq >= 0 && place.irq < 16)) {
      throw new VmError("EINVAL", `no interrupt ${place.irq}`);
    }
    if (taken.has(device)) throw new VmError("EBUSY", `${device.name} is assigned`);
    let registers: IoHandler | undefined;
    // The ports are taken before the device is opened; what reads them meanwhile finds nobody.
    const unmap = this.#ports.attachRange(place.port, device.portCount, {
      read: (offset, size) => registers?.read(offset, size) ?? 2 ** (8 * size) - 1,
      write: (offset, size, value) => registers?.write(offset, size, value),
    });
    taken.add(device);
    const domain = new IommuDomain(this.#memory, this.#segments);
    const irq = chips.set.isa(place.irq);
    try {
      registers = await device.attach({ irq, timers: chips.timers, memory: domain });
    } catch (error) {
      unmap();
      domain.destroy();
      taken.delete(device);
      const refused = new VmError("EIO", `${device.name} cannot be opened: ${(error as Error).message}`);
      refused.cause = error;
      throw refused;
    }
    this.#assigned.set(device, { domain, irq, unmap });
  }

  /** vm_unassign_pptdev. Its interrupt goes down, and it reaches no memory any more. @throws VmError ENOENT */
  async unassign(device: PptDevice): Promise<void> {
    const assigned = this.#assigned.get(device);
    if (!assigned) throw new VmError("ENOENT", "the device is not assigned to this virtual machine");
    this.#assigned.delete(device);
    assigned.unmap();
    assigned.domain.destroy();
    assigned.irq.set(false);
    try {
      await device.detach();
    } finally {
      taken.delete(device);
    }
  }

  /** @internal */
  async unassignAll(): Promise<void> {
    for (const device of this.assigned) await this.unassign(device);
  }

  /** vm_iommu_domain: the memory that an assigned device reaches. @throws VmError ENOENT */
  iommuDomain(device: PptDevice): IommuDomain {
    const assigned = this.#assigned.get(device);
    if (!assigned) throw new VmError("ENOENT", "the device is not assigned to this virtual machine");
    return assigned.domain;
  }

  /** vmm_check_iommu: whether devices can be confined to this machine's system memory; false without any. */
  checkIommu(): boolean {
    return checkIommu(this.#memory, this.#segments);
  }
}
