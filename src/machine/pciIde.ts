/**
 * The IDE function of the PIIX3 (82371SB datasheet 290550, 2.3): two channels at their legacy ports and interrupts, and a bus
 * master of 16 ports at BAR 4.
 *
 *     0x40, 0x42  IDETIM: IDE decode enable 15, timings 14:0 (kept, of no effect)
 */
import type { IdeFront } from "../bus/ideFront.ts";
import type { IdeChannel, IdeChannelV1 } from "../io/ideChannel.ts";
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { Device, IoHandler } from "../shared/device.ts";
import { SUBSYSTEM } from "./pciChipset.ts";
import { COMMAND, COMMAND_IO, COMMAND_MASTER, type PciConfigV1, PciFunction } from "./pciFunction.ts";

export const IDE_PORTS = [
  { command: 0x1f0, control: 0x3f6, irq: 14 },
  { command: 0x170, control: 0x376, irq: 15 },
] as const;
const IDETIM = 0x40;
const IDE_DECODE = 0x80;
const BUS_MASTER_BAR = 4;

export interface IdePiix3V1 {
  version: 1;
  pci: PciConfigV1;
  channels: IdeChannelV1[];
}

/** Puts a channel's ports on the bus, or takes them off. */
export type AttachPorts = (base: number, length: number, handler: IoHandler) => () => void;

export class IdePiix3 extends PciFunction implements Device<IdePiix3V1> {
  readonly #channels: readonly [IdeChannel, IdeChannel];
  readonly #attach: AttachPorts;
  readonly #front: IdeFront;
  readonly #detach: ((() => void)[] | undefined)[] = [undefined, undefined];

  constructor(channels: readonly [IdeChannel, IdeChannel], attach: AttachPorts, front: IdeFront) {
    super("ide", { vendor: 0x8086, device: 0x7010, classCode: 0x01_0180, ...SUBSYSTEM });
    this.#channels = channels;
    this.#attach = attach;
    this.#front = front;
    channels.forEach((channel, n) => {
      channel.onValues = (values) => front.publish(n, values);
      channel.mayInterrupt = () => front.mayInterrupt(n);
    });
    this.define(COMMAND, 2, 0, COMMAND_IO | COMMAND_MASTER);
    this.define(IDETIM, 2, 0, 0xffff);
    this.define(IDETIM + 2, 2, 0, 0xffff);
    const master: IoHandler = {
      read: (offset, size) => channels[offset >> 3].master.read(offset & 7, size),
      write: (offset, size, value) => channels[offset >> 3].master.write(offset & 7, size, value),
    };
    this.defineBar(BUS_MASTER_BAR, { kind: "io", size: 16, handler: master });
    this.#decode();
  }

  /** A drive waits for its medium. */
  get busy(): boolean {
    return this.#channels.some((channel) => channel.busy);
  }

  override reset(): void {
    super.reset();
    for (const channel of this.#channels) channel.reset();
  }

  protected override configChanged(): void {
    this.#decode();
  }

  /** The legacy ports answer while I/O space and the channel's decode bit are on. */
  #decode(): void {
    const master = this.ioBase(BUS_MASTER_BAR);
    this.#channels.forEach((channel, n) => {
      const on = this.config[COMMAND] & COMMAND_IO && this.config[IDETIM + 2 * n + 1] & IDE_DECODE;
      if (on && !this.#detach[n]) {
        const { command, control } = IDE_PORTS[n];
        this.#detach[n] = [this.#attach(command, 8, channel.command), this.#attach(control, 1, channel.control)];
      } else if (!on && this.#detach[n]) {
        for (const off of this.#detach[n] ?? []) off();
        this.#detach[n] = undefined;
      }
      const { command, control } = IDE_PORTS[n];
      this.#front.place(n, "command", on ? command : undefined);
      this.#front.place(n, "control", on ? control : undefined);
      this.#front.place(n, "master", master === undefined ? undefined : master + 8 * n);
    });
  }

  export(): IdePiix3V1 {
    return { version: 1, pci: this.exportConfig(), channels: this.#channels.map((channel) => channel.export()) };
  }

  import(state: IdePiix3V1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const channels = from
      .children("channels", 2)
      .map((fields, n) => this.#channels[n].check(fields, state.channels[n]));
    const pci = this.checkConfig(state.pci);
    this.applyConfig(pci);
    for (const put of channels) put();
  }
}
