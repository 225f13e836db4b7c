/**
 * The DSDT's definition block for this board, as ASL would say it:
 *
 *     \_S5; \_PIC tells which interrupt model the guest uses
 *     \_SB.CPnn          processors: Processor() up to id 254, which old guests want, ACPI0007 devices above
 *     \_SB.HPET          PNP0103
 *     \_SB.PCI0          PNP0A03: windows (_CRS) and interrupt routing (_PRT: IOAPIC inputs, or ISA interrupts)
 *     \_SB.PCI0.ISA      what hangs off the ISA bridge: 8259, 8254, RTC, speaker, COM ports, keyboard and mouse
 *
 * The PM ports are not claimed here: they belong to the PIIX4 function, whose register says where they are.
 * Interrupts of PCI pins are wired, not programmable: the board has steered PIRQA#–PIRQD# already.
 */

import { SLP_TYP_S5 } from "../io/acpiPm.ts";
import type { AcpiConfig } from "./acpi.ts";
import {
  type Aml,
  arg,
  busWindow,
  cacheableWindow,
  device,
  eisaId,
  int,
  io,
  ioWindow,
  irq,
  join,
  memory32,
  memoryWindow,
  memoryWindow64,
  method,
  name,
  packageOf,
  path,
  processor,
  resources,
  returns,
  scope,
  store,
  text,
  when,
} from "./aml.ts";
import {
  COM_IRQS,
  COM_PORTS,
  HPET_BASE,
  HPET_SIZE,
  PCI_CONFIG_PORT,
  PCI_HOLE_BASE,
  PCI_HOLE_END,
  PCI_SLOT_ISA,
  PIRQ_GSI_BASE,
  PIRQ_ISA_IRQS,
  pciPirq,
  RTC_IRQ,
  SCI_IRQ,
  SMI_CMD_PORT,
  VGA_BASE,
  VGA_END,
} from "./memoryMap.ts";

/** Processor ids up to this fit a Processor() object and a LAPIC entry of the MADT. */
export const LAST_XAPIC_ID = 254;

/** The bytes that follow the DSDT's header. */
export function dsdtBody(config: AcpiConfig): Aml {
  return join(
    name("\\_S5", packageOf(int(SLP_TYP_S5), int(SLP_TYP_S5), int(0), int(0))),
    name("\\PICF", int(0)),
    method("\\_PIC", 1, store(arg(0), "\\PICF")),
    scope("\\_SB", ...config.apicIds.map(cpu), hpet(), pciRoot(config)),
  );
}

function cpu(apicId: number, uid: number): Aml {
  const object = `C${uid.toString(16).toUpperCase().padStart(3, "0")}`;
  if (apicId <= LAST_XAPIC_ID && uid <= 0xff) return processor(object, uid);
  return device(object, name("_HID", text("ACPI0007")), name("_UID", int(uid)));
}

function hpet(): Aml {
  return pnp("HPET", "PNP0103", memory32(HPET_BASE, HPET_SIZE, false));
}

function pnp(object: string, id: string, ...descriptors: readonly Aml[]): Aml {
  return device(object, name("_HID", eisaId(id)), name("_CRS", resources(...descriptors)));
}

function pciRoot(config: AcpiConfig): Aml {
  const windows = [
    busWindow(0, 0xff),
    io(PCI_CONFIG_PORT, 8),
    ioWindow(0, PCI_CONFIG_PORT - 1),
    ioWindow(PCI_CONFIG_PORT + 8, 0xffff),
    cacheableWindow(VGA_BASE, VGA_END - 1),
    memoryWindow(PCI_HOLE_BASE, PCI_HOLE_END - 1),
  ];
  if (config.pci64) windows.push(memoryWindow64(BigInt(config.pci64.base), BigInt(config.pci64.end)));
  return device(
    "PCI0",
    name("_HID", eisaId("PNP0A03")),
    name("_UID", int(0)),
    name("_BBN", int(0)),
    name("_CRS", resources(...windows)),
    name(
      "PRTA",
      routing((pirq) => PIRQ_GSI_BASE + pirq),
    ),
    name(
      "PRTP",
      routing((pirq) => PIRQ_ISA_IRQS[pirq]),
    ),
    method("_PRT", 0, when(path("\\PICF"), returns(path("PRTA"))), returns(path("PRTP"))),
    isaBridge(config),
  );
}

/** _PRT entries {slot << 16 | 0xffff, pin, 0, interrupt} for every slot that can hold a card (6.2.13). */
function routing(interrupt: (pirq: number) => number): Aml {
  const entries: Aml[] = [];
  for (let slot = 1; slot < 32; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      // The PIIX4's ACPI function has its interrupt wired to the SCI.
      const to = slot === PCI_SLOT_ISA && pin === 0 ? SCI_IRQ : interrupt(pciPirq(slot, pin));
      entries.push(packageOf(int(slot * 0x1_0000 + 0xffff), int(pin), int(0), int(to)));
    }
  }
  return packageOf(...entries);
}

function isaBridge(config: AcpiConfig): Aml {
  const devices = [
    name("_ADR", int(PCI_SLOT_ISA << 16)),
    pnp("PIC", "PNP0000", io(0x20, 2), io(0xa0, 2), io(0x4d0, 2), irq(2)),
    pnp("TMR", "PNP0100", io(0x40, 4), irq(0)),
    pnp("RTC", "PNP0B00", io(0x70, 2), irq(RTC_IRQ)),
    pnp("SPKR", "PNP0800", io(0x61, 1)),
    pnp("MBRD", "PNP0C02", io(0x80, 1), io(0x92, 1), io(SMI_CMD_PORT, 2)),
  ];
  if (config.i8042) {
    devices.push(pnp("KBD", "PNP0303", io(0x60, 1), io(0x64, 1), irq(1)));
    devices.push(pnp("MOU", "PNP0F13", irq(12)));
  }
  for (let n = 0; n < config.comPorts; n++) {
    devices.push(
      device(
        `COM${n + 1}`,
        name("_HID", eisaId("PNP0501")),
        name("_UID", int(n + 1)),
        name("_CRS", resources(io(COM_PORTS[n], 8), irq(COM_IRQS[n]))),
      ),
    );
  }
  return device("ISA", ...devices);
}
