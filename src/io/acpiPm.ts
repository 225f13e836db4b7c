/**
 * acpiPm: ACPI fixed hardware in the PIIX4's arrangement: PM1a event and control blocks, the PM timer's port, an
 * empty GPE0 block and the SMI command port. The reset register the FADT names is resetControl.ts.
 *
 * Not there: sleep states other than S5, bus-master status, the global lock's release to firmware (nothing on this
 * board runs in system management mode), general-purpose events (the block's status bits never set).
 *
 *     offset  size
 *       0      2   PM1_STS  WAK 15 | RTC 10 SLPBTN 9 PWRBTN 8 | GBL 5 BM 4 | TMR 0     write 1 to clear
 *       2      2   PM1_EN          | RTC 10 SLPBTN 9 PWRBTN 8 | GBL 5      | TMR 0
 *       4      2   PM1_CNT  SLP_EN 13 (write-only) | SLP_TYP 12:10 | GBL_RLS 2 (write-only) BM_RLD 1 SCI_EN 0
 *       8      4   PM_TMR
 *      12      2   GPE0_STS
 *      14      2   GPE0_EN
 *
 * Sources: ACPI 6.5, sections 4.8.3–4.8.4; PIIX4 datasheet 290562, section 7.2.
 */

import type { Device, InterruptPin, IoHandler, Log, Width } from "../shared/device.ts";
import { readBytes, writeBytes } from "./byteAccess.ts";
import { SnapshotFields } from "./snapshotFields.ts";
import type { Vpmtmr } from "./vpmtmr.ts";

/** Offsets of the blocks, for the FADT. */
export const PM1_EVT = 0;
export const PM1_CNT = 4;
export const PM_TMR = 8;
export const GPE0 = 12;

const TMR = 0x0001;
const PWRBTN = 0x0100;
const RTC = 0x0400;
/** TMR, GBL, PWRBTN, SLPBTN, RTC. */
const PM1_EN_MASK = 0x0721;

const SCI_EN = 0x0001;
/** SCI_EN, BM_RLD and SLP_TYP stay as written; GBL_RLS and SLP_EN read as 0. */
const PM1_CNT_MASK = 0x1c03;
const SLP_EN = 0x2000;

/** SLP_TYP that means S5 (soft off), as on a PIIX4; \_S5 in the DSDT says the same. */
export const SLP_TYP_S5 = 0;
/** Values for the SMI command port (0xb2) that switch between ACPI and legacy mode; the FADT names them. */
export const ACPI_ENABLE = 0xf1;
export const ACPI_DISABLE = 0xf0;

export interface AcpiPmV1 {
  version: 1;
  /** PM1_STS without TMR_STS, which the timer keeps. */
  status: number;
  enable: number;
  control: number;
  gpeEnable: number;
  /** SMI command and status ports as last written. */
  smi: number[];
}

export class AcpiPm implements IoHandler, Device<AcpiPmV1> {
  readonly name = "acpiPm";
  private readonly sci: InterruptPin;
  private readonly timer: Vpmtmr;
  private readonly onPowerOff: () => void;
  private readonly log: Log;
  private status = 0;
  private enable = 0;
  private control = 0;
  private gpeEnable = 0;
  private smiBytes = [0, 0];

  /** `sci` is the level-triggered SCI; `onPowerOff` is called when the guest enters S5. */
  constructor(sci: InterruptPin, timer: Vpmtmr, onPowerOff: () => void, log: Log) {
    this.sci = sci;
    this.timer = timer;
    this.onPowerOff = onPowerOff;
    this.log = log;
  }

  reset(): void {
    this.status = this.enable = this.control = this.gpeEnable = 0;
    this.smiBytes = [0, 0];
    this.update();
  }

  /** Presses and releases the power button. The guest hears of it by SCI if it has asked to. */
  pressPowerButton(): void {
    if ((this.control & SCI_EN) === 0) this.log("acpiPm: power button pressed in legacy mode");
    this.status |= PWRBTN;
    this.update();
  }

  /** The RTC's alarm went off (RTC_STS; wakes a sleeping machine on hardware). */
  rtcAlarm(): void {
    this.status |= RTC;
    this.update();
  }

  /** Whether the guest has switched to ACPI mode. */
  get acpiMode(): boolean {
    return (this.control & SCI_EN) !== 0;
  }

  read(offset: number, size: Width): number {
    const words = [this.pm1Status(), this.enable, this.control, 0, 0, 0, 0, this.gpeEnable];
    const timer = this.timer.count();
    return readBytes(offset, size, (at) => {
      if (at >= PM_TMR && at < PM_TMR + 4) return (timer >>> (8 * (at - PM_TMR))) & 0xff;
      return ((words[at >> 1] ?? 0) >> (8 * (at & 1))) & 0xff;
    });
  }

  write(offset: number, size: Width, value: number): void {
    let sleep = false;
    writeBytes(offset, size, value, (at, byte) => {
      const shift = 8 * (at & 1);
      const bits = byte << shift;
      const keep = 0xff00 >> shift;
      switch (at & ~1) {
        case PM1_EVT:
          this.status &= ~bits;
          if (bits & TMR) this.timer.clearStatus();
          break;
        case PM1_EVT + 2:
          this.enable = ((this.enable & keep) | bits) & PM1_EN_MASK;
          break;
        case PM1_CNT:
          this.control = ((this.control & keep) | bits) & PM1_CNT_MASK;
          sleep ||= (bits & SLP_EN) !== 0;
          break;
        case GPE0 + 2:
          this.gpeEnable = (this.gpeEnable & keep) | bits;
          break;
        default:
        // GPE0_STS has no bits to clear; PM_TMR and the gap at 6 are read-only.
      }
    });
    this.update();
    if (sleep) this.enterSleep();
  }

  /** Ports 0xb2 and 0xb3. Writing the command port stands in for the firmware's SMI handler. */
  readonly smi: IoHandler = {
    read: (offset, size) => readBytes(offset, size, (at) => this.smiBytes[at] ?? 0xff),
    write: (offset, size, value) => writeBytes(offset, size, value, (at, byte) => this.writeSmi(at, byte)),
  };

  private writeSmi(at: number, byte: number): void {
    if (at > 1) return;
    this.smiBytes[at] = byte;
    if (at !== 0) return;
    if (byte === ACPI_ENABLE) this.control |= SCI_EN;
    else if (byte === ACPI_DISABLE) this.control &= ~SCI_EN;
    else this.log(`acpiPm: unknown SMI command ${byte.toString(16)}`);
    this.update();
  }

  private enterSleep(): void {
    const type = (this.control >> 10) & 7;
    if (type === SLP_TYP_S5) this.onPowerOff();
    else this.log(`acpiPm: sleep type ${type} is not there`);
  }

  private pm1Status(): number {
    return this.status | (this.timer.status ? TMR : 0);
  }

  private update(): void {
    const armed = (this.control & SCI_EN) !== 0;
    this.sci.set(armed && (this.pm1Status() & this.enable) !== 0);
    const wanted = armed && (this.enable & TMR) !== 0 && !this.timer.status;
    this.timer.watch(wanted ? () => this.update() : undefined);
  }

  export(): AcpiPmV1 {
    return {
      version: 1,
      status: this.status,
      enable: this.enable,
      control: this.control,
      gpeEnable: this.gpeEnable,
      smi: [...this.smiBytes],
    };
  }

  /** Import the PM timer first: whether the SCI is raised depends on TMR_STS. */
  import(state: AcpiPmV1): void {
    const from = new SnapshotFields(this.name, state).version(1);
    const status = from.int("status", 0, 0xffff) & (PWRBTN | RTC);
    const enable = from.int("enable", 0, 0xffff) & PM1_EN_MASK;
    const control = from.int("control", 0, 0xffff) & PM1_CNT_MASK;
    const gpeEnable = from.int("gpeEnable", 0, 0xffff);
    const smiBytes = from.intsOf("smi", 2, 0, 0xff);
    Object.assign(this, { status, enable, control, gpeEnable, smiBytes });
    this.update();
  }
}
