/** Cards that a machine is given besides what its board has: one PCI slot each, in the order below. */
import type { BlockSource } from "../block/block.ts";
import type { HostFolder } from "../folder/folder.ts";
import { Virtio9p } from "../io/virtio/virtio9p.ts";
import { VirtioBalloon } from "../io/virtio/virtioBalloon.ts";
import { VirtioBlk } from "../io/virtio/virtioBlk.ts";
import { VirtioConsole } from "../io/virtio/virtioConsole.ts";
import type { VirtioDevice, VirtioOptions } from "../io/virtio/virtioDevice.ts";
import { VirtioRng } from "../io/virtio/virtioRng.ts";
import type { Device, GuestMemory, Log, Timers } from "../shared/device.ts";
import { PCI_SLOT_CARDS, PCI_SLOTS } from "./memoryMap.ts";
import type { PciHost } from "./pci.ts";
import type { PciFunction } from "./pciFunction.ts";
import { PciNvme } from "./pciNvme.ts";
import { PciVirtio } from "./pciVirtio.ts";

export interface Cards {
  /** NVMe disks. */
  readonly nvme?: readonly BlockSource[];
  /** virtio-blk disks. */
  readonly virtioBlk?: readonly BlockSource[];
  /** virtio-rng, an entropy device. */
  readonly rng?: boolean;
  /** virtio-console: takes what the guest writes. */
  readonly console?: (bytes: Uint8Array) => void;
  /** virtio-9p: folders that the guest mounts by their tags. */
  readonly folders?: readonly SharedFolder[];
  /** virtio-balloon: bytes of its RAM that the guest is asked to give back from the start. */
  readonly balloon?: number;
}

export interface SharedFolder {
  /** At most 31 bytes, as Linux has room for. */
  readonly tag: string;
  readonly folder: HostFolder;
}

export interface CardBoard {
  readonly memory: GuestMemory;
  readonly timers: Timers;
  readonly pci: PciHost;
  readonly vcpus: number;
  /** Random bytes. */
  readonly random: (into: Uint8Array) => void;
  /** The write of a message-signalled interrupt. */
  readonly message: (address: number, data: number) => void;
  readonly log: (channel: string) => Log;
}

/** Base class, subclass, programming interface: mass storage, communication, encryption and entropy. */
const CLASS_SCSI = 0x01_0000;
const CLASS_COMMUNICATION = 0x07_8000;
const CLASS_ENTROPY = 0xff_0000;
/** What no class says. */
const CLASS_OTHER = 0xff_0000;
const CLASS_UNCLASSIFIED = 0x00_0200;

type Card = PciFunction & Device<{ version: number }> & { readonly busy: boolean };

export class PciCards {
  /** In the order of restoring and of reset. */
  readonly devices: readonly Card[];
  readonly console: VirtioConsole | undefined;
  readonly balloon: VirtioBalloon | undefined;

  /** @throws RangeError: more cards than slots */
  constructor(cards: Cards, board: CardBoard) {
    const { memory, timers, message } = board;
    const options = (name: string): VirtioOptions => ({ memory, log: board.log(name) });
    const virtio = (device: VirtioDevice, classCode: number) => new PciVirtio(device, { timers, message, classCode });
    const serial = (kind: string, n: number): string => `${kind}${String(n + 1).padStart(4, "0")}`;
    const nvme = (cards.nvme ?? []).map(
      (source, n) =>
        new PciNvme(`nvme${n}`, { ...options("nvme"), source, serial: serial("NVME", n), timers, message }),
    );
    const blk = (cards.virtioBlk ?? []).map((source, n) => {
      const more = { source, serial: serial("VBLK", n), queues: board.vcpus };
      return virtio(new VirtioBlk(`virtioBlk${n}`, { ...options("virtio"), ...more }), CLASS_SCSI);
    });
    this.console = cards.console && new VirtioConsole("virtioConsole", { ...options("virtio"), output: cards.console });
    const rng = cards.rng && new VirtioRng("virtioRng", { ...options("virtio"), fill: board.random });
    const folders = (cards.folders ?? []).map((shared, n) =>
      virtio(new Virtio9p(`virtio9p${n}`, { ...options("9p"), ...shared }), CLASS_UNCLASSIFIED),
    );
    const { balloon: target } = cards;
    this.balloon =
      target === undefined ? undefined : new VirtioBalloon("virtioBalloon", { ...options("virtio"), target });
    this.devices = [
      ...nvme,
      ...blk,
      ...(this.console ? [virtio(this.console, CLASS_COMMUNICATION)] : []),
      ...(rng ? [virtio(rng, CLASS_ENTROPY)] : []),
      ...folders,
      ...(this.balloon ? [virtio(this.balloon, CLASS_OTHER)] : []),
    ];
    const room = PCI_SLOTS - PCI_SLOT_CARDS;
    if (this.devices.length > room) {
      throw new RangeError(`pci: there are ${room} slots for ${this.devices.length} cards`);
    }
    this.devices.forEach((card, n) => {
      board.pci.add(PCI_SLOT_CARDS + n, 0, card);
    });
  }

  /** Some medium has not answered yet. */
  get busy(): boolean {
    return this.devices.some((card) => card.busy);
  }
}
