/**
 * Where things are on this board. The only statement of these numbers: the bus set-up, the ACPI and MP tables and
 * the loaders import them. A chip does not: it sees offsets into its own range.
 *
 *     guest physical                                    I/O ports
 *     0x00000000  RAM, 640 KiB                          0x0cf8  PCI configuration (0x0cf9 reset control)
 *     0x000a0000  VGA window                            0x0600  ACPI power management block, 16 ports
 *     0x000c0000  option ROMs                           0x00b2  SMI command, 0xb3 status
 *     0x000e0000  tables (direct boot) or firmware      0x0510  fw_cfg
 *     0x00100000  RAM up to PCI_HOLE_BASE at most
 *     0xc0000000  PCI memory hole: BARs
 *     0xfec00000  IOAPIC
 *     0xfed00000  HPET
 *     0xfee00000  local APIC
 *     0x100000000 RAM that did not fit below the hole, then the 64-bit PCI window
 */

export const CONVENTIONAL_END = 0xa_0000;
export const VGA_BASE = 0xa_0000;
export const VGA_END = 0xc_0000;
export const OPTION_ROM_BASE = 0xc_0000;
/** Start of the area that legacy searches (RSDP, MP floating pointer) look through: 0xe0000–0xfffff. */
export const BIOS_AREA_BASE = 0xe_0000;
export const BIOS_AREA_END = 0x10_0000;

/** ACPI tables of a direct boot: the RSDP first, on a 16-byte boundary inside the BIOS area (ACPI 6.5, 5.2.5.1). */
export const ACPI_TABLES_BASE = 0xe_0000;
export const ACPI_TABLES_SIZE = 0x1_0000;
/** MP floating pointer and table, in the last 64 KiB below 1 MiB (MP Specification 1.4, section 4). */
export const MP_TABLE_BASE = 0xf_0000;
export const MP_TABLE_SIZE = 0x8000;

/** RAM below 4 GiB ends here at the latest; PCI memory BARs lie between here and the IOAPIC. */
export const PCI_HOLE_BASE = 0xc000_0000;
export const PCI_HOLE_END = 0xfec0_0000;
/** RAM that the hole displaced starts here. */
export const HIGH_RAM_BASE = 0x1_0000_0000;

// The chips of the vmm.
export {
  HPET_BASE,
  HPET_SIZE,
  IOAPIC_BASE,
  IOAPIC_PINS,
  IOAPIC_SIZE,
  LAPIC_BASE,
  LAPIC_SIZE,
  PIT_GSI,
  RTC_IRQ,
} from "../vmm/chipset.ts";

/** pc-testdev's scratch memory (only with --debug-exit). */
export const TESTDEV_IOMEM_BASE = 0xff00_0000;

/** ACPI power management ports; the layout inside is acpiPm.ts's. */
export const PM_BASE = 0x600;
export const PM_SIZE = 0x10;
export const SMI_CMD_PORT = 0xb2;
export const RESET_CONTROL_PORT = 0xcf9;
export const PCI_CONFIG_PORT = 0xcf8;
export const FW_CFG_PORT = 0x510;
export const DEBUG_EXIT_PORT = 0xf4;
export const DEBUG_CONSOLE_PORT = 0x402;
export const BOCHS_CONSOLE_PORT = 0xe9;
export const TESTDEV_IOPORT = 0xe0;
export const TESTDEV_IRQ_PORT = 0x2000;

export const COM_PORTS = [0x3f8, 0x2f8, 0x3e8, 0x2e8] as const;
export const COM_IRQS = [4, 3, 4, 3] as const;

/** The SCI is level-triggered. */
export const SCI_IRQ = 9;

/** IOAPIC inputs: 0–15 ISA, 16–19 PIRQA#–PIRQD#, 20–23 free for the HPET. */
export const PIRQ_GSI_BASE = 16;
/** ISA interrupts that PIRQA#–PIRQD# are steered to while the guest runs on the 8259s. */
export const PIRQ_ISA_IRQS = [10, 11, 10, 11] as const;

/** Device (slot) numbers on PCI bus 0, and those that the board itself occupies. */
export const PCI_SLOTS = 32;
export const PCI_SLOT_HOST = 0;
export const PCI_SLOT_ISA = 1;
export const PCI_SLOT_VGA = 2;
/** Cards that a machine is given begin here. */
export const PCI_SLOT_CARDS = 3;
/** Functions of PCI_SLOT_ISA: the ISA bridge, IDE and the ACPI function. */
export const PCI_FUNCTION_ISA = 0;
export const PCI_FUNCTION_IDE = 1;
export const PCI_FUNCTION_ACPI = 3;

/**
 * IOAPIC input of a PCI interrupt pin: PIRQ = (slot + pin - 1) mod 4, the swizzle of a 440FX board.
 * `pin` is 0 for INTA# … 3 for INTD#.
 */
export function pciPirq(slot: number, pin: number): number {
  return (slot + pin + 3) & 3;
}
