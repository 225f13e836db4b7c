/**
 * The pair of 8259A interrupt controllers of a PC: IRQ 0-7 on the master, 8-15 on the slave, whose INT output is the
 * master's IR2. See `i8259.ts` for the chip itself and for what it does not do.
 *
 *     0x20, 0x21    master: command, data          0x4d0   ELCR of IRQ 0-7   (0, 1 and 2 stay edge triggered)
 *     0xa0, 0xa1    slave:  command, data          0x4d1   ELCR of IRQ 8-15  (8 and 13 stay edge triggered)
 */

import type { Device, InterruptPin, Log } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import { I8259, type I8259V1 } from "./i8259.ts";
import { bytePorts, type PortRange } from "./portRange.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const MASTER_ELCR = 0xf8;
const SLAVE_ELCR = 0xde;
/** ISA interrupts that can be level triggered, bit n for IRQ n. */
export const LEVEL_IRQS = MASTER_ELCR | (SLAVE_ELCR << 8);
/** The slave's place on the master: no device's. */
export const CASCADE_IR = 2;

export interface VatpicV1 {
  version: 1;
  master: I8259V1;
  slave: I8259V1;
}

/** The 8259A pair. `intr` is the INTR line to the processor (LINT0, or IOAPIC input 0). */
export class Vatpic implements Device<VatpicV1> {
  readonly name = "vatpic";
  /** Ports for the machine to map. */
  readonly handlers: readonly PortRange[];
  private readonly master: I8259;
  private readonly slave: I8259;
  private readonly intr: InterruptPin;

  constructor(intr: InterruptPin, log: Log = noLog) {
    this.intr = intr;
    this.master = new I8259({ name: "vatpic master", elcrMask: MASTER_ELCR, cascade: 1 << CASCADE_IR, log });
    this.slave = new I8259({ name: "vatpic slave", elcrMask: SLAVE_ELCR, cascade: 0, log });
    this.handlers = [
      this.ports(0x20, this.master),
      this.ports(0xa0, this.slave),
      bytePorts(0x4d0, 2, {
        read: (offset) => this.chip(offset).readElcr(),
        write: (offset, value) => {
          this.chip(offset).writeElcr(value);
          this.update();
        },
      }),
    ];
  }

  /**
   * The input of an ISA interrupt.
   * @param irq 0 to 15, not 2: that input is the slave's
   * @throws RangeError for any other number
   */
  pin(irq: number): InterruptPin {
    if (!Number.isInteger(irq) || irq < 0 || irq > 15 || irq === CASCADE_IR) {
      throw new RangeError(`vatpic: no input for IRQ ${irq}`);
    }
    const chip = this.chip(irq >> 3);
    return {
      set: (asserted) => {
        chip.setLine(irq & 7, asserted);
        this.update();
      },
    };
  }

  /** An interrupt's bit in the ELCR; those that are always edge triggered (not of LEVEL_IRQS) have none. */
  setLevelTriggered(irq: number, level: boolean): void {
    const chip = this.chip(irq >> 3);
    const bit = 1 << (irq & 7);
    const was = chip.readElcr();
    chip.writeElcr(level ? was | bit : was & ~bit);
    this.update();
  }

  /** Level of INTR: an interrupt waits to be acknowledged. */
  pending(): boolean {
    return this.master.interrupt();
  }

  /**
   * The processor's INTA cycle: takes the highest request into service and returns its vector (0..255). If the
   * request has gone meanwhile, that is the spurious vector, IR7 of the master or of the slave. INTR falls, and
   * rises again if there is more.
   */
  acknowledge(): number {
    const ir = this.master.acknowledge();
    let vector = this.master.vector(ir);
    if (ir !== undefined && this.master.hasSlave(ir)) {
      vector = this.slave.vector(this.slave.acknowledge());
      // INT of the slave falls in the INTA cycle, so that its next request is a new edge for the master.
      this.master.setLine(CASCADE_IR, false);
    }
    this.intr.set(false);
    this.update();
    return vector;
  }

  reset(): void {
    this.master.reset();
    this.slave.reset();
    this.update();
  }

  export(): VatpicV1 {
    return { version: 1, master: this.master.export(), slave: this.slave.export() };
  }

  import(state: VatpicV1): void {
    const fields = new SnapshotFields(this.name, state).version(1);
    const master = this.master.check(fields.child("master"));
    const slave = this.slave.check(fields.child("slave"));
    this.master.import(master);
    this.slave.import(slave);
    this.intr.set(this.master.interrupt());
  }

  private chip(index: number): I8259 {
    return index === 0 ? this.master : this.slave;
  }

  private ports(base: number, chip: I8259): PortRange {
    return bytePorts(base, 2, {
      read: (a0) => {
        const value = chip.read(a0);
        this.update(); // a poll acknowledges
        return value;
      },
      write: (a0, value) => {
        chip.write(a0, value);
        this.update();
      },
    });
  }

  private update(): void {
    this.master.setLine(CASCADE_IR, this.slave.interrupt());
    this.intr.set(this.master.interrupt());
  }
}
