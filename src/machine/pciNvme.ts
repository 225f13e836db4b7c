/** The NVMe controller as a PCI function: registers at BAR 0, MSI-X at BAR 4. */
import type { BlockContentsV1, BlockSource } from "../block/block.ts";
import { checkContents } from "../block/contents.ts";
import type { MsixV1 } from "../io/msix.ts";
import { NVME_REGISTERS, Nvme, type NvmeOptions, type NvmeStateV1 } from "../io/nvme/nvme.ts";
import { NVME_DEVICE, NVME_VENDOR } from "../io/nvme/nvmeIdentify.ts";
import { MAX_IO_QUEUES } from "../io/nvme/nvmeRegs.ts";
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { Device } from "../shared/device.ts";
import type { PciConfigV1 } from "./pciFunction.ts";
import { type MsixOptions, PciMsixFunction } from "./pciMsix.ts";

/** Mass storage, non-volatile memory, NVM Express I/O controller. */
const CLASS = 0x01_0802;

export interface PciNvmeV1 {
  version: 1;
  pci: PciConfigV1;
  msix: MsixV1;
  nvme: NvmeStateV1;
  contents: BlockContentsV1 | undefined;
}

export type PciNvmeOptions = Omit<NvmeOptions, "msix" | "intx" | "mayMaster"> & Pick<MsixOptions, "message">;

export class PciNvme extends PciMsixFunction implements Device<PciNvmeV1> {
  readonly #nvme: Nvme;
  readonly #source: BlockSource;

  constructor(name: string, options: PciNvmeOptions) {
    const identity = { vendor: NVME_VENDOR, device: NVME_DEVICE, classCode: CLASS, interruptPin: 1 };
    super(name, identity, { vectors: MAX_IO_QUEUES + 1, bar: 4, message: options.message });
    const nvme = new Nvme({ ...options, msix: this.msix, intx: this.intx, mayMaster: () => this.busMaster });
    this.#nvme = nvme;
    this.#source = options.source;
    this.defineBar(0, { kind: "memory64", size: NVME_REGISTERS, handler: nvme, posted: nvme.doorbells });
  }

  /** The medium has not answered yet. */
  get busy(): boolean {
    return this.#nvme.busy;
  }

  override reset(): void {
    super.reset();
    this.#nvme.reset();
  }

  protected override msixChanged(): void {
    this.#nvme.msixChanged();
  }

  export(): PciNvmeV1 {
    return {
      version: 1,
      pci: this.exportConfig(),
      msix: this.msix.export(),
      nvme: this.#nvme.export(),
      contents: this.#source.export?.(),
    };
  }

  import(state: PciNvmeV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const msix = this.msix.check(from.child("msix"));
    const nvme = this.#nvme.check(from.child("nvme"));
    const pci = this.checkConfig(state.pci);
    checkContents(from, state.contents, this.#source)();
    msix();
    this.applyConfig(pci);
    nvme();
  }
}
