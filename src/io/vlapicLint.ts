/**
 * The local interrupt pins of a local APIC, LINT0 and LINT1, and the ExtINT level that the processor sees (SDM vol.
 * 3, 11.5.1). ExtINT comes by LINT0 (the 8259's INTR) or from an IOAPIC entry; the 8259 itself says which vector.
 */

import type { Log } from "../shared/device.ts";
import { ATTENTION } from "../shared/layout.ts";
import type { ApicPage } from "./apicPage.ts";
import { APIC, DELIVERY, DELIVERY_SHIFT, LVT_MASKED } from "./apicRegs.ts";

export interface LintLevels {
  lint0: boolean;
  lint1: boolean;
  /** An IOAPIC entry routes ExtINT here and its input is asserted. */
  extintMessage: boolean;
}

export class VlapicLint {
  private readonly page: ApicPage;
  private readonly post: (vector: number) => void;
  private readonly log: Log;
  private state: LintLevels = { lint0: false, lint1: false, extintMessage: false };

  /** `post` requests an edge-triggered vector. */
  constructor(page: ApicPage, post: (vector: number) => void, log: Log) {
    this.page = page;
    this.post = post;
    this.log = log;
  }

  get levels(): LintLevels {
    return { ...this.state };
  }

  /** Takes levels over without edges. */
  set levels({ lint0, lint1, extintMessage }: LintLevels) {
    this.state = { lint0, lint1, extintMessage };
    this.update();
  }

  setLint0(asserted: boolean): void {
    const edge = asserted && !this.state.lint0;
    this.state.lint0 = asserted;
    if (edge) this.fire(APIC.LVT_LINT0);
    this.update();
  }

  /** LINT1 is the NMI pin while the APIC is disabled (11.4.3). */
  setLint1(asserted: boolean): void {
    const edge = asserted && !this.state.lint1;
    this.state.lint1 = asserted;
    if (!edge) return;
    if (this.page.enabled) this.fire(APIC.LVT_LINT1);
    else this.page.postNmi();
  }

  setExtintMessage(asserted: boolean): void {
    this.state.extintMessage = asserted;
    this.update();
  }

  /** ExtINT again from the levels, the entry of LINT0 and the mode. LINT0 is INTR while the APIC is disabled. */
  update(): void {
    const { page, state } = this;
    const entry = page.register(APIC.LVT_LINT0);
    const wired = !page.enabled || ((entry & LVT_MASKED) === 0 && modeOf(entry) === DELIVERY.EXTINT);
    const level = (state.lint0 && wired) || (state.extintMessage && page.accepting);
    if (level === page.extint) return;
    page.extint = level;
    page.attend(ATTENTION.EXTINT);
  }

  private fire(offset: number): void {
    const entry = this.page.register(offset);
    if ((entry & LVT_MASKED) !== 0) return;
    const mode = modeOf(entry);
    if (mode === DELIVERY.FIXED) this.post(entry & 0xff);
    else if (mode === DELIVERY.NMI) this.page.postNmi();
    else if (mode !== DELIVERY.EXTINT) this.log(`LINT delivery mode ${mode} is not there`);
  }
}

function modeOf(entry: number): number {
  return (entry >> DELIVERY_SHIFT) & 7;
}
