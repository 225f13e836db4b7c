/**
 * The MultiProcessor Specification 1.4 tables, for guests that know no ACPI: floating pointer and configuration
 * table with processors, buses, the IOAPIC and where each interrupt goes. Pure: configuration in, bytes out.
 *
 * The board starts in virtual wire mode (no IMCR): the 8259s reach the boot processor's LINT0.
 */

import { LAST_XAPIC_ID } from "./dsdt.ts";
import {
  IOAPIC_BASE,
  LAPIC_BASE,
  MP_TABLE_BASE,
  MP_TABLE_SIZE,
  PCI_SLOT_ISA,
  PCI_SLOTS,
  PIRQ_GSI_BASE,
  PIT_GSI,
  pciPirq,
  SCI_IRQ,
} from "./memoryMap.ts";
import { checksum, type GuestBytes, TableWriter } from "./tableWriter.ts";

export interface MpConfig {
  /** Local APIC ids of the processors, boot processor first; those above 254 cannot be listed. */
  readonly apicIds: readonly number[];
  /** CPUID leaf 1 EAX and EDX of the processors. */
  readonly cpuSignature: number;
  readonly cpuFeatures: number;
  /** ID register of the IOAPIC; default 0. */
  readonly ioapicId?: number;
  /** Where only some PCI interrupts are to be listed: those of these slots' pin INTA#. */
  readonly slots?: readonly number[];
}

const SPEC_REVISION = 4;
/** Versions the chips report: integrated local APIC, 82093AA IOAPIC. */
const LAPIC_VERSION = 0x14;
const IOAPIC_VERSION = 0x11;
const ENABLED = 1;
const BOOT_PROCESSOR = 2;
const PCI_BUS = 0;
const ISA_BUS = 1;
/** Interrupt types. */
const INT = 0;
const NMI = 1;
const EXTINT = 3;
/** Polarity and trigger: as the bus has it; active low and level. */
const CONFORMS = 0;
const LEVEL_LOW = 0x000f;
const ALL_LAPICS = 0xff;

/** Floating pointer and table, at `base` (default: in the BIOS area, where guests search), a multiple of 16. */
export function mpTables(config: MpConfig, base = MP_TABLE_BASE): GuestBytes[] {
  const bytes = configurationTable(config);
  if (bytes.length + 16 > MP_TABLE_SIZE || base % 16 !== 0) throw new RangeError("mp: table does not fit");
  const pointer = new TableWriter()
    .text("_MP_")
    .u32(base + 16)
    .u8(1, SPEC_REVISION, 0)
    .zeros(5)
    .finish();
  pointer[10] = checksum(pointer);
  return [
    { gpa: base, bytes: pointer },
    { gpa: base + 16, bytes },
  ];
}

/** Section 4.2 and 4.3: a 44-byte header, then entries in ascending order of type. */
function configurationTable(config: MpConfig): Uint8Array {
  const entries = new TableWriter();
  let count = 0;
  const entry = (): TableWriter => {
    count++;
    return entries;
  };
  const ioapic = config.ioapicId ?? 0;
  config.apicIds.forEach((id, index) => {
    if (id > LAST_XAPIC_ID) return;
    const flags = ENABLED | (index === 0 ? BOOT_PROCESSOR : 0);
    entry().u8(0, id, LAPIC_VERSION, flags).u32(config.cpuSignature).u32(config.cpuFeatures).zeros(8);
  });
  entry().u8(1, PCI_BUS).text("PCI", 6);
  entry().u8(1, ISA_BUS).text("ISA", 6);
  entry().u8(2, ioapic, IOAPIC_VERSION, ENABLED).u32(IOAPIC_BASE);

  const interrupt = (flags: number, bus: number, source: number, input: number): void => {
    entry().u8(3, INT).u16(flags).u8(bus, source, ioapic, input);
  };
  for (let irq = 0; irq < 16; irq++) {
    // IRQ2 is the cascade; its input carries the timer.
    if (irq !== 2) interrupt(irq === SCI_IRQ ? LEVEL_LOW : CONFORMS, ISA_BUS, irq, irq === 0 ? PIT_GSI : irq);
  }
  const slots = config.slots ?? Array.from({ length: PCI_SLOTS - 1 }, (_, i) => i + 1);
  for (const slot of slots) {
    for (let pin = 0; pin < (config.slots ? 1 : 4); pin++) {
      const input = slot === PCI_SLOT_ISA && pin === 0 ? SCI_IRQ : PIRQ_GSI_BASE + pciPirq(slot, pin);
      interrupt(LEVEL_LOW, PCI_BUS, (slot << 2) | pin, input);
    }
  }
  entry().u8(4, EXTINT).u16(CONFORMS).u8(ISA_BUS, 0, config.apicIds[0], 0);
  entry().u8(4, NMI).u16(CONFORMS).u8(ISA_BUS, 0, ALL_LAPICS, 1);

  const header = new TableWriter()
    .text("PCMP")
    .u16(44 + entries.length)
    .u8(SPEC_REVISION, 0);
  header.text("TABHYVE", 8).text("TABHYVE", 12).u32(0).u16(0).u16(count).u32(LAPIC_BASE).u32(0);
  const out = header.bytes(entries.finish()).finish();
  out[7] = checksum(out);
  return out;
}
