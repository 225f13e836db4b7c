/**
 * The ACPI tables a directly booted guest finds (ACPI 6.5, chapter 5): RSDP, RSDT and XSDT, FADT, FACS, DSDT, MADT
 * and HPET. Firmware that brings its own does not need them. Pure: configuration in, bytes out.
 *
 * Not there: SLIT/SRAT, MCFG (configuration space is not memory-mapped), WAET, SSDTs.
 */

import { ACPI_DISABLE, ACPI_ENABLE, GPE0, PM_TMR, PM1_CNT, PM1_EVT } from "../io/acpiPm.ts";
import { hpetBlockId } from "../io/vhpet.ts";
import { dsdtBody, LAST_XAPIC_ID } from "./dsdt.ts";
import {
  ACPI_TABLES_BASE,
  ACPI_TABLES_SIZE,
  HPET_BASE,
  IOAPIC_BASE,
  LAPIC_BASE,
  PIT_GSI,
  PM_BASE,
  RESET_CONTROL_PORT,
  SCI_IRQ,
  SMI_CMD_PORT,
} from "./memoryMap.ts";
import { checksum, type GuestBytes, TableWriter } from "./tableWriter.ts";

export type { GuestBytes } from "./tableWriter.ts";

export interface AcpiConfig {
  /** Local APIC ids of the processors, boot processor first. */
  readonly apicIds: readonly number[];
  /** COM ports that are there, from COM1 on. */
  readonly comPorts: 0 | 1 | 2 | 3 | 4;
  /** Width of the PM timer. */
  readonly pmTimerBits: 24 | 32;
  /** Comparators of the HPET; 0: no HPET table. */
  readonly hpetTimers: number;
  /** Keyboard and mouse behind an 8042. */
  readonly i8042: boolean;
  /** A VGA display is there. */
  readonly vga: boolean;
  /** ID register of the IOAPIC; default 0. */
  readonly ioapicId?: number;
  /** Window above 4 GiB for 64-bit base address registers, last address included. */
  readonly pci64?: { readonly base: number; readonly end: number };
}

/** What the board says of itself, with so many processors, by firmware or without. */
export const acpiOf = (vcpus: number, vga: boolean): AcpiConfig => ({
  apicIds: Array.from({ length: vcpus }, (_, id) => id),
  comPorts: 1,
  pmTimerBits: 32,
  hpetTimers: 3,
  i8042: true,
  vga,
});

const OEM_ID = "TABHYV";
const OEM_TABLE_ID = "TABHYVE ";
const CREATOR_ID = "TBHV";
/** SYS_RST and RST_CPU in the reset control register: a hard reset. */
const RESET_VALUE = 0x06;

/** FADT flags (5.2.9, table 5.10). */
const WBINVD = 1 << 0;
const PROC_C1 = 1 << 2;
/** No sleep button, no RTC wake status among the fixed hardware. The power button is there (bit 4 clear). */
const SLP_BUTTON = 1 << 5;
const FIX_RTC = 1 << 6;
const TMR_VAL_EXT = 1 << 8;
const RESET_REG_SUP = 1 << 10;
/** IAPC_BOOT_ARCH (table 5.11). */
const LEGACY_DEVICES = 1 << 0;
const HAS_8042 = 1 << 1;
const NO_VGA = 1 << 2;
/** CMOS byte that holds the century. */
const RTC_CENTURY = 0x32;

/** MPS INTI flags: active low, level-triggered. */
const LEVEL_LOW = 0x000f;

/**
 * The tables, each with its address from `base` on (default: in the BIOS area, where a legacy guest searches). The
 * first one is the RSDP. Throws when they do not fit.
 */
export function acpiTables(config: AcpiConfig, base = ACPI_TABLES_BASE): GuestBytes[] {
  if (config.apicIds.length === 0 || base % 64 !== 0) throw new RangeError("acpi: no processor, or base not aligned");
  const placed: GuestBytes[] = [];
  let next = base + 64;
  const place = (bytes: Uint8Array): number => {
    const gpa = next;
    placed.push({ gpa, bytes });
    next += Math.ceil(bytes.length / 64) * 64;
    return gpa;
  };
  const facsAt = place(facs());
  const dsdtAt = place(table("DSDT", 2, new TableWriter().bytes(dsdtBody(config))));
  const tables = [place(fadt(config, facsAt, dsdtAt)), place(madt(config))];
  if (config.hpetTimers > 0) tables.push(place(hpet(config.hpetTimers)));
  const rsdt = new TableWriter();
  const xsdt = new TableWriter();
  for (const gpa of tables) {
    rsdt.u32(gpa);
    xsdt.u64(gpa);
  }
  const rsdtAt = place(table("RSDT", 1, rsdt));
  const xsdtAt = place(table("XSDT", 1, xsdt));
  if (next > base + ACPI_TABLES_SIZE) throw new RangeError(`acpi: tables of ${next - base} bytes do not fit`);
  return [{ gpa: base, bytes: rsdp(rsdtAt, xsdtAt) }, ...placed];
}

/** Root pointer, revision 2: one checksum over the first 20 bytes, one over all 36 (5.2.5.3). */
function rsdp(rsdt: number, xsdt: number): Uint8Array {
  const out = new TableWriter().text("RSD PTR ").u8(0).text(OEM_ID).u8(2).u32(rsdt).u32(36).u64(xsdt).u32(0).finish();
  out[8] = checksum(out.subarray(0, 20));
  out[32] = checksum(out);
  return out;
}

/** A table with the header of section 5.2.6 in front of its body. */
function table(signature: string, revision: number, body: TableWriter): Uint8Array {
  const out = new TableWriter()
    .text(signature)
    .u32(36 + body.length)
    .u8(revision, 0)
    .text(OEM_ID)
    .text(OEM_TABLE_ID)
    .u32(1)
    .text(CREATOR_ID)
    .u32(1)
    .bytes(body.finish())
    .finish();
  out[9] = checksum(out);
  return out;
}

/** Firmware control structure, version 2, 64 bytes on a 64-byte boundary (5.2.10). It has no checksum. */
function facs(): Uint8Array {
  return new TableWriter().text("FACS").u32(64).zeros(24).u8(2).zeros(31).finish();
}

/** Fixed description table, revision 6 (5.2.9). */
function fadt(config: AcpiConfig, facsAt: number, dsdtAt: number): Uint8Array {
  const flags = WBINVD | PROC_C1 | SLP_BUTTON | FIX_RTC | RESET_REG_SUP | (config.pmTimerBits === 32 ? TMR_VAL_EXT : 0);
  const bootArch = LEGACY_DEVICES | (config.i8042 ? HAS_8042 : 0) | (config.vga ? 0 : NO_VGA);
  const body = new TableWriter();
  body.u32(facsAt).u32(dsdtAt);
  // Reserved; preferred profile 0 (unspecified); SCI; SMI command; S4BIOS and P-state requests: none.
  body.u8(0, 0).u16(SCI_IRQ).u32(SMI_CMD_PORT).u8(ACPI_ENABLE, ACPI_DISABLE, 0, 0);
  body.u32(PM_BASE + PM1_EVT).u32(0);
  body.u32(PM_BASE + PM1_CNT).u32(0);
  body.u32(0).u32(PM_BASE + PM_TMR);
  body.u32(PM_BASE + GPE0).u32(0);
  // Lengths: PM1_EVT, PM1_CNT, PM2_CNT, PM_TMR, GPE0, GPE1; GPE1 base; C-state control.
  body.u8(4, 2, 0, 4, 4, 0, 0, 0);
  // C2 and C3 latencies beyond 100 and 1000 µs: these states are not there. No flush or duty parameters.
  body.u16(0x0fff).u16(0x0fff).u16(0).u16(0).u8(0, 0);
  body.u8(0, 0, RTC_CENTURY).u16(bootArch).u8(0).u32(flags);
  gas(body, RESET_CONTROL_PORT, 8, 1).u8(RESET_VALUE).u16(0).u8(0);
  // X_FIRMWARE_CTRL stays 0: only one of the two may name the FACS. X_DSDT repeats DSDT.
  body.u64(0).u64(dsdtAt);
  gas(body, PM_BASE + PM1_EVT, 32, 2);
  gas(body, 0, 0, 0);
  gas(body, PM_BASE + PM1_CNT, 16, 2);
  gas(body, 0, 0, 0);
  gas(body, 0, 0, 0);
  gas(body, PM_BASE + PM_TMR, 32, 3);
  gas(body, PM_BASE + GPE0, 32, 1);
  gas(body, 0, 0, 0);
  // Sleep control and status registers: only hardware-reduced machines have them.
  gas(body, 0, 0, 0);
  gas(body, 0, 0, 0);
  // Hypervisor vendor identity.
  return table("FACP", 6, body.text("TABHYVE", 8));
}

/** Generic address of I/O ports (5.2.3.2); access 1 byte, 2 word, 3 double word. Width 0: not there. */
function gas(body: TableWriter, port: number, width: number, access: number): TableWriter {
  return body.u8(width === 0 ? 0 : 1, width, 0, access).u64(port);
}

/** Interrupt controllers (5.2.12). */
function madt(config: AcpiConfig): Uint8Array {
  // PCAT_COMPAT: there is a pair of 8259s to be masked.
  const body = new TableWriter().u32(LAPIC_BASE).u32(1);
  config.apicIds.forEach((id, uid) => {
    if (id <= LAST_XAPIC_ID && uid <= 0xff) body.u8(0, 8, uid, id).u32(1);
    else body.u8(9, 16).u16(0).u32(id).u32(1).u32(uid);
  });
  body
    .u8(1, 12, config.ioapicId ?? 0, 0)
    .u32(IOAPIC_BASE)
    .u32(0);
  body.u8(2, 10, 0, 0).u32(PIT_GSI).u16(0);
  body.u8(2, 10, 0, SCI_IRQ).u32(SCI_IRQ).u16(LEVEL_LOW);
  // NMI on LINT1 of every processor.
  body.u8(4, 6, 0xff).u16(0).u8(1);
  if (config.apicIds.some((id) => id > LAST_XAPIC_ID)) body.u8(10, 12).u16(0).u32(0xffff_ffff).u8(1, 0, 0, 0);
  return table("APIC", 3, body);
}

/** HPET description table (IA-PC HPET specification 1.0a, 3.2.4). */
function hpet(timers: number): Uint8Array {
  const body = new TableWriter().u32(hpetBlockId(timers)).u8(0, 64, 0, 0).u64(HPET_BASE);
  // Number 0; shortest tick for a lossless periodic mode: 50 µs at 10 MHz; page protection: none promised.
  body.u8(0).u16(500).u8(0);
  return table("HPET", 1, body);
}
