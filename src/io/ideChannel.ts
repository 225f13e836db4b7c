/**
 * One channel of an IDE controller: the command and control block ports of a cable with up to two drives (ATA/ATAPI-6,
 * chapters 6 and 9), and the bus master that moves DMA data (Intel "Programming Interface for Bus Master IDE Controller"
 * 1.0; PIIX3 datasheet 290550, 2.7).
 *
 *     0x1f0  data, 16 or 32 bits       0x1f1  error / features     0x1f2–0x1f5  count, LBA
 *     0x1f6  device                    0x1f7  status / command     0x3f6  alternate status / | HOB . . . . SRST nIEN 0 |
 *
 *     bus master   +0 command | . . . . RWCON . . SSBM |      RWCON: 1 = to memory
 *                  +2 status  | SIMPLEX DRV1 DRV0 . . INT ERR ACT |      INT, ERR: cleared by writing 1
 *                  +4 address of the descriptor table
 *
 *     descriptor   address 31:1 | EOT 63, bytes 47:32 (0 = 64 KiB)
 *
 * Channel timing registers mean nothing here: transfers take no time but their source's.
 */
import type { GuestMemory, InterruptPin, IoHandler, Log, Width } from "../shared/device.ts";
import { BUS_MASTER, DEVICE_DEV, IDE_VALUE, REGISTER } from "../shared/ide.ts";
import type { AtaDisk, AtaDiskV1 } from "./ataDisk.ts";
import type { AtapiCd, AtapiCdV1 } from "./atapiCd.ts";
import { allOnes } from "./byteAccess.ts";
import { BSY, type IdeCable, type IdeDrive } from "./ideDrive.ts";
import { resetResult } from "./ideIdentify.ts";
import type { SnapshotFields } from "./snapshotFields.ts";

const CONTROL_NIEN = 0x02;
const CONTROL_SRST = 0x04;
const CONTROL_HOB = 0x80;
const PRD_EOT = 0x8000_0000;

export type IdeDevice = AtaDisk | AtapiCd;

export interface IdeChannelV1 {
  version: 1;
  device: number;
  control: number;
  /** INTRQ of each drive. */
  interrupts: boolean[];
  /** Bus master: command, status, table; next descriptor, and what is left of the current one. */
  command: number;
  status: number;
  table: number;
  next: number;
  address: number;
  left: number;
  last: boolean;
  /** What is saved of each drive; undefined: there is none. */
  drives: (AtaDiskV1 | AtapiCdV1 | undefined)[];
}

export interface IdeChannelOptions {
  readonly drives: readonly [IdeDevice | undefined, IdeDevice | undefined];
  readonly irq: InterruptPin;
  readonly memory: GuestMemory;
  /** The function may master the bus. */
  readonly mayMaster: () => boolean;
  readonly log: Log;
}

export class IdeChannel implements IdeCable {
  /** Ports 0x1f0–0x1f7, 0x3f6, and the eight of the bus master, or their like. */
  readonly command: IoHandler = {
    read: (o, size) => {
      const value = this.#read(o, size);
      this.#publish();
      return value;
    },
    write: (o, size, v) => {
      this.#write(o, size, v);
      this.#publish();
    },
  };
  readonly control: IoHandler = {
    read: (_, size) => (size === 1 ? this.#status() : allOnes(size)),
    write: (_, size, value) => {
      if (size === 1) this.#writeControl(value);
      this.#publish();
    },
  };
  readonly master: IoHandler = {
    read: (offset, size) => (this.#masterValue(offset) & allOnes(size)) >>> 0,
    write: (offset, size, value) => {
      this.#writeMaster(offset, size, value);
      this.#publish();
    },
  };
  /** Hears what registers read as from now on: IDE_VALUE. */
  onValues: (values: number) => void = () => {};
  /** Whether the guest may hear of an interrupt yet; if not, some access to a port comes first. */
  mayInterrupt: () => boolean = () => true;
  #held = false;
  readonly #options: IdeChannelOptions;
  #device = 0;
  #control = 0;
  readonly #interrupts = [false, false];
  #bmCommand = 0;
  #bmStatus = 0;
  #table = 0;
  #next = 0;
  #address = 0;
  #left = 0;
  #last = false;

  constructor(options: IdeChannelOptions) {
    this.#options = options;
    this.#bmStatus = this.#capable();
    for (const drive of options.drives) drive?.connect(this);
  }

  /** A drive waits for its medium. */
  get busy(): boolean {
    return this.#options.drives.some((drive) => drive?.busy);
  }

  reset(): void {
    this.#device = this.#control = 0;
    this.#bmCommand = this.#table = this.#next = this.#address = this.#left = 0;
    this.#bmStatus = this.#capable();
    this.#last = false;
    for (const drive of this.#options.drives) drive?.reset();
    this.#publish();
    this.#wire();
  }

  // IdeCable

  interrupt(drive: IdeDrive, asserted: boolean): void {
    const n = this.#options.drives.indexOf(drive as IdeDevice);
    this.#interrupts[n] = asserted;
    if (asserted && n === this.#selected) this.#bmStatus |= BUS_MASTER.INTERRUPT;
    // Before the guest hears of it: its handler looks at them first. Else the access that has done it is not over.
    if (asserted) this.#publish();
    this.#wire();
  }

  /** What changes a register ends here: an access to a port, or an interrupt when a medium has answered. */
  #publish(): void {
    const selected = this.#selected;
    this.onValues(
      this.#status() |
        (this.#bmCommand << IDE_VALUE.COMMAND_SHIFT) |
        (this.#bmStatus << IDE_VALUE.STATUS_SHIFT) |
        (this.#interrupts[selected] ? IDE_VALUE.INTRQ : 0) |
        (this.#drive && !(this.#control & CONTROL_SRST) ? IDE_VALUE.READY : 0) |
        (selected ? IDE_VALUE.DEV : 0),
    );
    if (this.#held) this.#wire();
  }

  dmaRequest(drive: IdeDrive): void {
    if (!(this.#bmCommand & BUS_MASTER.START) || drive !== this.#drive) return;
    this.#transfer();
    // It may have come to the end of the table, without an interrupt.
    this.#publish();
  }

  resetResult(drive: IdeDrive): number {
    const [first, second] = this.#options.drives;
    return resetResult(drive === second, first === undefined || second === undefined);
  }

  #capable(): number {
    return this.#options.drives.reduce((bits, drive, n) => (drive ? bits | (0x20 << n) : bits), 0);
  }

  get #selected(): 0 | 1 {
    return this.#device & DEVICE_DEV ? 1 : 0;
  }

  get #drive(): IdeDevice | undefined {
    return this.#options.drives[this.#selected];
  }

  #wire(): void {
    const asserted = this.#interrupts[this.#selected] && !(this.#control & CONTROL_NIEN);
    this.#held = asserted && !this.mayInterrupt();
    if (!this.#held) this.#options.irq.set(asserted);
  }

  /** An absent drive 1 answers with zeros by drive 0 (9.16.1); without any, the bus floats with DD7 pulled down. */
  #status(): number {
    if (this.#drive) return this.#control & CONTROL_SRST ? BSY : this.#drive.status;
    return this.#options.drives.some((drive) => drive) ? 0 : 0x7f;
  }

  #read(offset: number, size: Width): number {
    const drive = this.#drive;
    if (offset === REGISTER.data)
      return ((drive?.readData(size === 1 ? 2 : size) ?? allOnes(size)) & allOnes(size)) >>> 0;
    if (size !== 1) {
      // Word accesses to byte registers: two of them.
      return (this.#read(offset, 1) | (this.#read(offset + 1, 1) << 8)) >>> 0;
    }
    if (offset === REGISTER.command) {
      // Reading the status takes the interrupt back; reading the alternate status does not.
      if (drive) this.interrupt(drive, false);
      return this.#status();
    }
    if (!drive) return this.#options.drives.some((d) => d) ? 0 : 0x7f;
    if (offset === REGISTER.feature) return drive.error;
    if (offset === REGISTER.device) return drive.device | 0xa0;
    return (this.#control & CONTROL_HOB ? drive.previous : drive.registers)[offset] ?? 0xff;
  }

  #write(offset: number, size: Width, value: number): void {
    if (offset === REGISTER.data) {
      this.#drive?.writeData(size === 1 ? 2 : size, value);
      return;
    }
    if (size !== 1) {
      this.#write(offset, 1, value & 0xff);
      if (offset < REGISTER.command) this.#write(offset + 1, 1, (value >>> 8) & 0xff);
      return;
    }
    this.#control &= ~CONTROL_HOB;
    if (offset === REGISTER.command) {
      if (this.#control & CONTROL_SRST) return;
      if (value === 0x90) this.#diagnose();
      else this.#drive?.execute(value);
      return;
    }
    for (const drive of this.#options.drives) drive?.write(offset, value);
    if (offset === REGISTER.device) {
      this.#device = value;
      this.#wire();
    }
  }

  /** EXECUTE DEVICE DIAGNOSTIC: both drives, and drive 0 answers. */
  #diagnose(): void {
    this.#device = 0;
    for (const drive of this.#options.drives) drive?.diagnose();
    const [first] = this.#options.drives;
    if (first) this.interrupt(first, true);
  }

  #writeControl(value: number): void {
    const before = this.#control;
    this.#control = value & (CONTROL_HOB | CONTROL_SRST | CONTROL_NIEN);
    if (value & CONTROL_SRST && !(before & CONTROL_SRST)) {
      this.#device = 0;
      for (const drive of this.#options.drives) drive?.reset();
    }
    this.#wire();
  }

  // The bus master

  #masterValue(offset: number): number {
    const word = [this.#bmCommand | (this.#bmStatus << 16), this.#table][offset >> 2];
    return word >>> (8 * (offset & 3));
  }

  #writeMaster(offset: number, size: Width, value: number): void {
    if (offset >= 4) {
      const shift = 8 * (offset & 3);
      const mask = size === 4 ? 0xffff_ffff : allOnes(size) << shift;
      this.#table = ((this.#table & ~mask) | ((value << shift) & mask & ~3)) >>> 0;
      return;
    }
    for (let i = 0; i < size; i++) {
      const byte = (value >>> (8 * i)) & 0xff;
      if (offset + i === 0) this.#writeCommand(byte);
      else if (offset + i === 2) {
        this.#bmStatus &= ~(byte & (BUS_MASTER.INTERRUPT | BUS_MASTER.ERROR)) & ~BUS_MASTER.DRIVES;
        this.#bmStatus |= byte & BUS_MASTER.DRIVES;
      }
    }
  }

  #writeCommand(value: number): void {
    const started = this.#bmCommand & BUS_MASTER.START;
    this.#bmCommand = value & (BUS_MASTER.START | BUS_MASTER.TO_MEMORY);
    if (!(value & BUS_MASTER.START)) {
      // Stopping forgets how far the table was read.
      this.#bmStatus &= ~BUS_MASTER.ACTIVE;
      return;
    }
    if (started) return;
    this.#next = this.#table;
    this.#left = 0;
    this.#last = false;
    this.#bmStatus |= BUS_MASTER.ACTIVE;
    if (this.#drive?.dma()) this.#transfer();
  }

  /** Moves what the drive has or wants, along the descriptor table. */
  #transfer(): void {
    const drive = this.#drive;
    const { memory, log, mayMaster } = this.#options;
    let data = drive?.dma();
    if (!drive || !data || !mayMaster()) return;
    const toMemory = drive.transfer === "dma-in";
    if (toMemory !== ((this.#bmCommand & BUS_MASTER.TO_MEMORY) !== 0)) {
      log("ide: bus master and drive disagree about the direction");
      return;
    }
    while (data?.length) {
      if (!this.#left && !this.#descriptor()) {
        // The drive still has data: it waits, with DRQ, until the host resets it or starts again.
        log(`ide: the descriptor table ends ${data.length} bytes early`);
        this.#bmStatus &= ~BUS_MASTER.ACTIVE;
        return;
      }
      const piece = data.subarray(0, this.#left);
      if (toMemory) memory.write(this.#address, piece);
      else memory.read(this.#address, piece);
      this.#address += piece.length;
      this.#left -= piece.length;
      data = data.subarray(piece.length);
      if (!this.#left && this.#last && !data.length) this.#bmStatus &= ~BUS_MASTER.ACTIVE;
      // The drive goes on, or ends, and then may ask again.
      if (!data.length) {
        drive.took(drive.dma()?.length ?? 0);
        return;
      }
    }
  }

  /** Takes the next descriptor; false: there is none. */
  #descriptor(): boolean {
    if (this.#last) return false;
    const bytes = new Uint8Array(8);
    this.#options.memory.read(this.#next, bytes);
    const view = new DataView(bytes.buffer);
    this.#address = view.getUint32(0, true) & ~1;
    this.#address >>>= 0;
    const word = view.getUint32(4, true);
    this.#left = word & 0xfffe || 0x1_0000;
    this.#last = (word & PRD_EOT) !== 0;
    // The table does not cross 64 KiB.
    this.#next = this.#next - (this.#next % 0x1_0000) + ((this.#next + 8) % 0x1_0000);
    return true;
  }

  export(): IdeChannelV1 {
    return {
      version: 1,
      device: this.#device,
      control: this.#control,
      interrupts: [...this.#interrupts],
      command: this.#bmCommand,
      status: this.#bmStatus,
      table: this.#table,
      next: this.#next,
      address: this.#address,
      left: this.#left,
      last: this.#last,
      drives: this.#options.drives.map((drive) => drive?.export()),
    };
  }

  check(from: SnapshotFields, state: IdeChannelV1): () => void {
    from.version(1);
    const device = from.u8("device");
    const control = from.u8("control");
    const interrupts = from.array("interrupts", 2, 2).map((value) => value === true);
    const command = from.u8("command");
    const status = from.u8("status");
    const [table, next, address] = ["table", "next", "address"].map((f) => from.int(f, 0, 0xffff_ffff + 0x1_0000));
    const left = from.int("left", 0, 0x1_0000);
    const last = from.bool("last");
    from.array("drives", 2, 2);
    const drives = this.#options.drives.map((drive, n) => {
      const saved = state.drives[n];
      if ((drive === undefined) !== (saved === undefined)) from.fail(`drives[${n}]`, "is there in one of the two only");
      if (!drive || !saved) return undefined;
      return drive.check(from.item("drives", n), saved as never);
    });
    return () => {
      this.#device = device;
      this.#control = control;
      interrupts.forEach((on, n) => {
        this.#interrupts[n] = on;
      });
      this.#bmCommand = command;
      this.#bmStatus = status;
      this.#table = table;
      this.#next = next;
      this.#address = address;
      this.#left = left;
      this.#last = last;
      for (const put of drives) put?.();
      this.#publish();
      this.#wire();
    };
  }
}
