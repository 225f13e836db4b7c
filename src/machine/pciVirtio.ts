/**
 * A virtio device as a PCI function (Virtual I/O Device Version 1.2, 4.1): modern only, MSI-X or INTx.
 *
 *     BAR 0   0x0000 common configuration   0x1000 ISR status   0x2000 device configuration   0x3000 notifications
 *     BAR 4   MSI-X
 */
import { allOnes } from "../io/byteAccess.ts";
import type { MsixV1 } from "../io/msix.ts";
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { VirtioDevice, VirtioTransport, VirtioV1 } from "../io/virtio/virtioDevice.ts";
import type { Deadline, Device, IoHandler, Timers, Width } from "../shared/device.ts";
import { PostedWrites } from "../shared/postedWrites.ts";
import type { PciConfigV1 } from "./pciFunction.ts";
import { type MsixOptions, PciMsixFunction } from "./pciMsix.ts";

const VENDOR = 0x1af4;
const FIRST_DEVICE = 0x1040;
const BAR = 0;
const BAR_SIZE = 0x4000;
const AREA_SIZE = 0x1000;
const COMMON_SIZE = 0x40;
const NOTIFY_MULTIPLIER = 4;
const NO_VECTOR = 0xffff;
const ISR_QUEUE = 1;
const ISR_CONFIG = 2;

const CAPABILITY_VENDOR = 0x09;
const NOTIFY_AREA = 3 * AREA_SIZE;
/** cfg_type of the capabilities (4.1.4); the areas lie in their order. */
const CFG = { common: 1, notify: 2, isr: 3, device: 4, pci: 5 } as const;
const AREAS: readonly { readonly type: number; readonly offset: number }[] = [
  { type: CFG.common, offset: 0 },
  { type: CFG.isr, offset: AREA_SIZE },
  { type: CFG.device, offset: 2 * AREA_SIZE },
  { type: CFG.notify, offset: NOTIFY_AREA },
];

/** Offsets in the common configuration (4.1.4.3). */
const COMMON = {
  deviceFeatureSelect: 0x00,
  deviceFeature: 0x04,
  driverFeatureSelect: 0x08,
  driverFeature: 0x0c,
  configVector: 0x10,
  queues: 0x12,
  status: 0x14,
  generation: 0x15,
  queueSelect: 0x16,
  queueSize: 0x18,
  queueVector: 0x1a,
  queueEnable: 0x1c,
  queueNotifyOff: 0x1e,
  queueDesc: 0x20,
  queueDriver: 0x28,
  queueDevice: 0x30,
} as const;

export interface PciVirtioV1 {
  version: 1;
  pci: PciConfigV1;
  msix: MsixV1;
  virtio: VirtioV1;
  isr: number;
  generation: number;
  selects: number[];
  configVector: number;
  vectors: number[];
}

export interface PciVirtioOptions extends Pick<MsixOptions, "message"> {
  readonly timers: Timers;
  /** Base class, subclass, programming interface. */
  readonly classCode: number;
}

export class PciVirtio extends PciMsixFunction implements Device<PciVirtioV1>, VirtioTransport {
  readonly device: VirtioDevice;
  readonly #later: Deadline;
  readonly #timers: Timers;
  #work: (() => void)[] = [];
  #isr = 0;
  #generation = 0;
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;
  #configVector = NO_VECTOR;
  readonly #vectors: number[];
  readonly #pciCfg: number;

  constructor(device: VirtioDevice, options: PciVirtioOptions) {
    const identity = {
      vendor: VENDOR,
      device: FIRST_DEVICE + device.type,
      classCode: options.classCode,
      revision: 1,
      subsystemVendor: VENDOR,
      subsystem: FIRST_DEVICE + device.type,
      interruptPin: 1,
    };
    // A vector for each queue and one for the configuration.
    super(device.name, identity, { vectors: device.queues.length + 1, bar: 4, message: options.message });
    this.device = device;
    this.#timers = options.timers;
    this.#later = options.timers.deadline(device.name, () => {
      for (const work of this.#work.splice(0)) work();
    });
    this.#vectors = device.queues.map(() => NO_VECTOR);
    const posted = new PostedWrites(NOTIFY_AREA, NOTIFY_MULTIPLIER * device.queues.length);
    this.defineBar(BAR, { kind: "memory32", size: BAR_SIZE, handler: this.#areas, posted });
    const lengths: Record<number, number> = {
      [CFG.common]: COMMON_SIZE,
      [CFG.isr]: 1,
      [CFG.device]: device.configSize,
      [CFG.notify]: NOTIFY_MULTIPLIER * device.queues.length,
    };
    for (const { type, offset } of AREAS) {
      if (type === CFG.device && device.configSize === 0) continue;
      this.#defineArea(type, offset, lengths[type], type === CFG.notify ? NOTIFY_MULTIPLIER : undefined);
    }
    this.#pciCfg = this.#defineArea(CFG.pci, 0, 0, 0);
    device.connect(this);
  }

  #defineArea(type: number, offset: number, length: number, more: number | undefined): number {
    const body = new DataView(new ArrayBuffer(more === undefined ? 14 : 18));
    body.setUint8(0, body.byteLength + 2);
    body.setUint8(1, type);
    body.setUint8(2, BAR);
    body.setUint32(6, offset, true);
    body.setUint32(10, length, true);
    if (more !== undefined) body.setUint32(14, more, true);
    const writable = new Uint8Array(body.byteLength);
    // The driver chooses BAR, offset and length of its window (4.1.4.9).
    if (type === CFG.pci) writable.fill(0xff, 2, 3).fill(0xff, 6);
    return this.defineCapability(CAPABILITY_VENDOR, new Uint8Array(body.buffer), writable);
  }

  override reset(): void {
    super.reset();
    this.device.reset();
    this.#forget();
  }

  get busy(): boolean {
    return this.device.busy;
  }

  // VirtioTransport

  interrupt(n: number): void {
    this.#isr |= ISR_QUEUE;
    this.#raise(this.#vectors[n]);
  }

  configurationChanged(): void {
    this.#generation = (this.#generation + 1) & 0xff;
    this.#isr |= ISR_CONFIG;
    this.#raise(this.#configVector);
  }

  later(work: () => void): void {
    this.#work.push(work);
    this.#later.arm(this.#timers.now());
  }

  mayMaster(): boolean {
    return this.busMaster;
  }

  #raise(vector: number): void {
    if (this.msix.enabled) this.msix.raise(vector);
    this.#wire();
  }

  protected override msixChanged(): void {
    this.#wire();
  }

  #wire(): void {
    this.intx.set(this.#isr !== 0 && !this.msix.enabled);
  }

  /** What a reset of the device clears here. */
  #forget(): void {
    this.#isr = this.#deviceFeatureSelect = this.#driverFeatureSelect = this.#queueSelect = 0;
    this.#configVector = NO_VECTOR;
    this.#vectors.fill(NO_VECTOR);
    this.#work = [];
    this.#wire();
  }

  // The BAR

  readonly #areas: IoHandler = {
    read: (offset, size) => {
      const at = offset % AREA_SIZE;
      switch (AREAS[Math.floor(offset / AREA_SIZE)].type) {
        case CFG.common:
          return ((this.#common(at & ~3) >>> (8 * (at & 3))) & allOnes(size)) >>> 0;
        case CFG.isr:
          return at === 0 ? this.#takeIsr() : 0;
        case CFG.device:
          return this.device.readConfig(at, size);
      }
      return 0;
    },
    write: (offset, size, value) => {
      const at = offset % AREA_SIZE;
      switch (AREAS[Math.floor(offset / AREA_SIZE)].type) {
        case CFG.common:
          this.#writeCommon(at, size, value);
          return;
        case CFG.device:
          this.device.writeConfig(at, size, value);
          return;
        case CFG.notify:
          // With the same multiplier for all, the place says which; what is written says it, too.
          this.device.notify(Math.floor(at / NOTIFY_MULTIPLIER));
      }
    },
  };

  /** Reading the ISR status clears it, and takes the interrupt back (4.1.4.5). */
  #takeIsr(): number {
    const isr = this.#isr;
    this.#isr = 0;
    this.#wire();
    return isr;
  }

  /** A double word of the common configuration. */
  #common(offset: number): number {
    const { device } = this;
    const queue = device.queues[this.#queueSelect];
    switch (offset) {
      case COMMON.deviceFeatureSelect:
        return this.#deviceFeatureSelect;
      case COMMON.deviceFeature:
        if (this.#deviceFeatureSelect > 1) return 0;
        return Number((device.offered >> BigInt(32 * this.#deviceFeatureSelect)) & 0xffff_ffffn);
      case COMMON.driverFeatureSelect:
        return this.#driverFeatureSelect;
      case COMMON.driverFeature:
        return device.driverFeatures(this.#driverFeatureSelect);
      case COMMON.configVector:
        return this.#configVector | (device.queues.length << 16);
      case COMMON.status:
        return device.status | (this.#generation << 8) | (this.#queueSelect << 16);
      case COMMON.queueSize:
        return (queue?.size ?? 0) | ((queue ? this.#vectors[this.#queueSelect] : NO_VECTOR) << 16);
      case COMMON.queueEnable:
        return Number(queue?.enabled ?? false) | (this.#queueSelect << 16);
    }
    const area = queue && [queue.desc, queue.driver, queue.device][(offset - COMMON.queueDesc) >> 3];
    return area?.[(offset >> 2) & 1] ?? 0;
  }

  #writeCommon(offset: number, size: Width, value: number): void {
    const { device } = this;
    const queue = device.queues[this.#queueSelect];
    switch (offset) {
      case COMMON.deviceFeatureSelect:
        this.#deviceFeatureSelect = value >>> 0;
        return;
      case COMMON.driverFeatureSelect:
        this.#driverFeatureSelect = value >>> 0;
        return;
      case COMMON.driverFeature:
        device.setFeatures(this.#driverFeatureSelect, value);
        return;
      case COMMON.configVector:
        this.#configVector = this.#vector(value);
        return;
      case COMMON.status:
        device.setStatus(value & 0xff);
        if ((value & 0xff) === 0) this.#forget();
        return;
      case COMMON.queueSelect:
        this.#queueSelect = value & 0xffff;
        return;
      case COMMON.queueVector:
        if (queue) this.#vectors[this.#queueSelect] = this.#vector(value);
        return;
    }
    if (!queue || queue.enabled) return;
    if (offset === COMMON.queueSize) device.setQueueSize(this.#queueSelect, value & 0xffff);
    else if (offset === COMMON.queueEnable) {
      if (value & 1) device.enable(this.#queueSelect);
    } else if (size === 4 && offset >= COMMON.queueDesc && offset < COMMON.queueDevice + 8 && offset % 4 === 0) {
      [queue.desc, queue.driver, queue.device][(offset - COMMON.queueDesc) >> 3][(offset >> 2) & 1] = value >>> 0;
    }
  }

  /** A vector that there is not reads back as none (4.1.4.3.1). */
  #vector(value: number): number {
    return (value & 0xffff) < this.msix.vectors ? value & 0xffff : NO_VECTOR;
  }

  // The window in configuration space

  override readConfig(offset: number, size: Width): number {
    const at = offset - this.#windowData;
    if (at < 0 || at >= 4) return super.readConfig(offset, size);
    const window = this.#window();
    return window ? this.#areas.read(window.offset, window.size) : 0;
  }

  override writeConfig(offset: number, size: Width, value: number): void {
    super.writeConfig(offset, size, value);
    if (offset !== this.#windowData) return;
    const window = this.#window();
    if (window) this.#areas.write(window.offset, window.size, (value & allOnes(window.size)) >>> 0);
  }

  /** Where in configuration space data goes through the window. */
  get #windowData(): number {
    return this.#pciCfg + 16;
  }

  /** What the window shows: an aligned run of 1, 2 or 4 bytes in the BAR. */
  #window(): { offset: number; size: Width } | undefined {
    const bar = super.readConfig(this.#pciCfg + 4, 1);
    const offset = super.readConfig(this.#pciCfg + 8, 4);
    const size = super.readConfig(this.#pciCfg + 12, 4);
    const fits = size === 1 || size === 2 || size === 4;
    return bar === BAR && fits && offset % size === 0 && offset < BAR_SIZE
      ? { offset, size: size as Width }
      : undefined;
  }

  export(): PciVirtioV1 {
    return {
      version: 1,
      pci: this.exportConfig(),
      msix: this.msix.export(),
      virtio: this.device.export(),
      isr: this.#isr,
      generation: this.#generation,
      selects: [this.#deviceFeatureSelect, this.#driverFeatureSelect, this.#queueSelect],
      configVector: this.#configVector,
      vectors: [...this.#vectors],
    };
  }

  import(state: PciVirtioV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const msix = this.msix.check(from.child("msix"));
    const device = this.device.check(from.child("virtio"));
    const pci = this.checkConfig(state.pci);
    const isr = from.int("isr", 0, ISR_QUEUE | ISR_CONFIG);
    const generation = from.u8("generation");
    const selects = from.intsOf("selects", 3, 0, 0xffff_ffff);
    const configVector = from.int("configVector", 0, NO_VECTOR);
    const vectors = from.intsOf("vectors", this.#vectors.length, 0, NO_VECTOR);
    this.#work = [];
    msix();
    this.applyConfig(pci);
    [this.#deviceFeatureSelect, this.#driverFeatureSelect, this.#queueSelect] = selects;
    this.#configVector = configVector;
    vectors.forEach((vector, n) => {
      this.#vectors[n] = vector;
    });
    this.#isr = isr;
    this.#generation = generation;
    device();
    this.#wire();
  }
}
