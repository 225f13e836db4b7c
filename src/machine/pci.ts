/**
 * PCI bus 0 behind configuration mechanism #1 (PCI Local Bus Specification 3.0, section 3.2.2.3.2).
 *
 *     0xcf8  CONFIG_ADDRESS   enable 31 | bus 23:16 | device 15:11 | function 10:8 | register 7:2
 *     0xcfc  CONFIG_DATA      byte, word or double word of that register
 *
 * Only a double word at 0xcf8 reaches CONFIG_ADDRESS; narrower accesses to 0xcf8–0xcfb pass through to whatever
 * else is there, which is the reset control register at 0xcf9. Functions that are absent read all ones.
 *
 * Not there: other buses, special cycles, memory-mapped configuration.
 */

import { allOnes } from "../io/byteAccess.ts";
import { SnapshotFields } from "../io/snapshotFields.ts";
import type { Device, InterruptPin, IoHandler, Log, Width } from "../shared/device.ts";
import { PCI_SLOTS, pciPirq } from "./memoryMap.ts";
import type { PciFunction, PciSpace } from "./pciFunction.ts";

export { type PciBar, type PciConfigV1, PciFunction, type PciIdentity, type PciSpace } from "./pciFunction.ts";

const ENABLE = 0x8000_0000;
const ADDRESS_MASK = 0x80ff_fffc;
const CONFIG_DATA = 4;
const FUNCTIONS = 8;
const HEADER_TYPE = 0x0e;
const MULTIFUNCTION = 0x80;

export interface PciHostOptions {
  /** Where base address registers place their ranges. */
  readonly space: PciSpace;
  /** The board's wires PIRQA# (0) … PIRQD# (3). */
  readonly pirq: (n: number) => InterruptPin;
  readonly log: Log;
  /** The reset control register, for byte accesses to 0xcf9 when the bus brings them here. */
  readonly resetControl?: IoHandler;
}

export interface PciHostV1 {
  version: 1;
  address: number;
}

/** The bus and its configuration ports. The functions on it are devices of their own to save and restore. */
export class PciHost implements IoHandler, Device<PciHostV1> {
  readonly name = "pci";
  private readonly options: PciHostOptions;
  private readonly functions: (PciFunction | undefined)[] = new Array(PCI_SLOTS * FUNCTIONS).fill(undefined);
  /** Who pulls each of the four wires; a wire is active while anyone does. */
  private readonly pulling = [0, 1, 2, 3].map(() => new Set<PciFunction>());
  private address = 0;

  constructor(options: PciHostOptions) {
    this.options = options;
  }

  /** Puts a function on the bus. Throws when the place is taken. */
  add(slot: number, number: number, func: PciFunction): void {
    const at = slot * FUNCTIONS + number;
    if (!(slot >= 0 && slot < PCI_SLOTS && number >= 0 && number < FUNCTIONS) || this.functions[at]) {
      throw new RangeError(`pci: no room for ${func.name} at 00:${slot.toString(16)}.${number}`);
    }
    this.functions[at] = func;
    func.attach(this.options.space, func.interruptPin === 0 ? undefined : this.wire(slot, func));
  }

  /** What is at a place, or undefined. */
  function(slot: number, number: number): PciFunction | undefined {
    return this.functions[slot * FUNCTIONS + number];
  }

  /** The bus's own reset: only CONFIG_ADDRESS. The functions are reset as devices of their own. */
  reset(): void {
    this.address = 0;
  }

  /** `offset` counts from 0xcf8. */
  read(offset: number, size: Width): number {
    if (offset < CONFIG_DATA) {
      if (offset === 0 && size === 4) return this.address;
      return this.options.resetControl && offset === 1 && size === 1
        ? this.options.resetControl.read(0, 1)
        : allOnes(size);
    }
    const func = this.addressed(offset, size);
    if (func === undefined) return allOnes(size);
    const register = (this.address & 0xfc) | (offset & 3);
    let value = func.readConfig(register, size);
    // Software looks for functions 1–7 only where function 0 says that there are some.
    const first = (this.address >>> 8) & 0xf8;
    if (register <= HEADER_TYPE && register + size > HEADER_TYPE && this.shared(first)) {
      value |= MULTIFUNCTION << (8 * (HEADER_TYPE - register));
    }
    return value >>> 0;
  }

  write(offset: number, size: Width, value: number): void {
    if (offset < CONFIG_DATA) {
      if (offset === 0 && size === 4) this.address = (value & ADDRESS_MASK) >>> 0;
      else if (offset === 1 && size === 1) this.options.resetControl?.write(0, 1, value);
      return;
    }
    this.addressed(offset, size)?.writeConfig((this.address & 0xfc) | (offset & 3), size, value);
  }

  export(): PciHostV1 {
    return { version: 1, address: this.address };
  }

  import(state: PciHostV1): void {
    const address = new SnapshotFields(this.name, state).version(1).int("address", 0, 0xffff_ffff);
    this.address = (address & ADDRESS_MASK) >>> 0;
  }

  private addressed(offset: number, size: Width): PciFunction | undefined {
    if ((this.address & ENABLE) === 0 || (this.address & 0xff_0000) !== 0) return undefined;
    if ((offset & 3) + size > 4) {
      this.options.log(`pci: ${size}-byte access to CONFIG_DATA at offset ${offset & 3}`);
      return undefined;
    }
    return this.functions[(this.address >>> 8) & 0xff];
  }

  private shared(first: number): boolean {
    return this.functions.slice(first + 1, first + FUNCTIONS).some((func) => func !== undefined);
  }

  private wire(slot: number, func: PciFunction): InterruptPin {
    const n = pciPirq(slot, func.interruptPin - 1);
    const pulling = this.pulling[n];
    return {
      set: (asserted) => {
        if (asserted) pulling.add(func);
        else pulling.delete(func);
        this.options.pirq(n).set(pulling.size > 0);
      },
    };
  }
}
