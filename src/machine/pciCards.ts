/** Cards that a machine is given besides what its board has: one PCI slot each, in the order in which they are named. */
import type { BlockSource } from "../block/block.ts";
import type { Device, Log, Timers } from "../shared/device.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import { PCI_SLOT_CARDS, PCI_SLOTS } from "./memoryMap.ts";
import type { PciHost } from "./pci.ts";
import { PciNvme } from "./pciNvme.ts";

export interface Cards {
  /** NVMe disks. */
  readonly nvme?: readonly BlockSource[];
}

export interface CardBoard {
  readonly memory: MachineMemory;
  readonly timers: Timers;
  readonly pci: PciHost;
  /** The write of a message-signalled interrupt. */
  readonly message: (address: number, data: number) => void;
  readonly log: (channel: string) => Log;
}

export class PciCards {
  /** In the order of restoring and of reset. */
  readonly devices: readonly Device<{ version: number }>[];
  readonly #nvme: readonly PciNvme[];

  /** @throws RangeError: more cards than slots */
  constructor({ nvme = [] }: Cards, board: CardBoard) {
    const { memory, timers, message } = board;
    if (nvme.length > PCI_SLOTS - PCI_SLOT_CARDS) {
      throw new RangeError(`pci: there are ${PCI_SLOTS - PCI_SLOT_CARDS} slots for ${nvme.length} cards`);
    }
    this.#nvme = nvme.map((source, n) => {
      const serial = `NVME${String(n + 1).padStart(4, "0")}`;
      return new PciNvme(`nvme${n}`, { source, serial, memory, timers, message, log: board.log("nvme") });
    });
    this.#nvme.forEach((card, n) => {
      board.pci.add(PCI_SLOT_CARDS + n, 0, card);
    });
    this.devices = this.#nvme;
  }

  /** Some medium has not answered yet. */
  get busy(): boolean {
    return this.#nvme.some((card) => card.busy);
  }
}
