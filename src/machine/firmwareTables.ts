/**
 * Our ACPI and MP tables for firmware, which places them and mends the pointers between them by a script (QEMU documentation,
 * "fw_cfg: etc/table-loader"; SeaBIOS romfile_loader.h). Commands of 128 bytes:
 *
 *     1 allocate   file 56 · alignment u32 · zone u8 (1 high, 2 below 1 MiB)
 *     2 pointer    file to change 56 · file pointed to 56 · offset u32 · size u8: adds where that file has come to lie
 *     3 checksum   file 56 · offset of the sum u32 · start u32 · length u32
 */
import { type AcpiConfig, acpiTables } from "./acpi.ts";
import { type MpConfig, mpTables } from "./mpTable.ts";

/** The name by which SeaBIOS looks for the ROM of our VGA. */
export const VGA_ROM = "pci1234,1111.rom";

const TABLES = "etc/acpi/tables";
const RSDP = "etc/acpi/rsdp";
const MP = "etc/mptable";
const COMMAND_SIZE = 128;
const NAME = 56;
const ZONE_HIGH = 1;
const ZONE_F = 2;
/** Offsets of pointers (ACPI 6.5): RSDP to RSDT and XSDT; FADT to FACS and DSDT, in 32 and 64 bits. */
const RSDP_RSDT = 16;
const RSDP_XSDT = 24;
const FADT_FACS = 36;
const FADT_DSDT = 40;
const FADT_X_DSDT = 140;
const HEADER = 36;
const CHECKSUM = 9;
/** The MP floating pointer (MP Specification 1.4, 4.1): its size, and where it has the table's address and its checksum. */
const MP_POINTER = { size: 16, table: 4, checksum: 10 } as const;

class Script {
  readonly #commands: Uint8Array[] = [];

  #add(kind: number, names: readonly string[], numbers: readonly (readonly [value: number, size: 1 | 4])[]): void {
    const bytes = new Uint8Array(COMMAND_SIZE);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, kind, true);
    let at = 4;
    for (const name of names) {
      bytes.set(new TextEncoder().encode(name), at);
      at += NAME;
    }
    for (const [value, size] of numbers) {
      if (size === 4) view.setUint32(at, value, true);
      else view.setUint8(at, value);
      at += size;
    }
    this.#commands.push(bytes);
  }

  allocate(file: string, alignment: number, zone: number): void {
    this.#add(
      1,
      [file],
      [
        [alignment, 4],
        [zone, 1],
      ],
    );
  }

  pointer(file: string, to: string, offset: number, size: 4 | 8): void {
    this.#add(
      2,
      [file, to],
      [
        [offset, 4],
        [size, 1],
      ],
    );
  }

  checksum(file: string, sum: number, start: number, length: number): void {
    this.#add(
      3,
      [file],
      [
        [sum, 4],
        [start, 4],
        [length, 4],
      ],
    );
  }

  finish(): Uint8Array {
    const out = new Uint8Array(COMMAND_SIZE * this.#commands.length);
    this.#commands.forEach((command, i) => {
      out.set(command, i * COMMAND_SIZE);
    });
    return out;
  }
}

/** Files for fw_cfg, by name. */
export function firmwareTables(config: AcpiConfig, mp: MpConfig): Record<string, Uint8Array> {
  // Placed so that the tables' addresses are offsets in their file; the RSDP, a file of its own, would lie before it.
  const [rsdp, ...tables] = acpiTables(config, -64);
  const end = tables.at(-1);
  const file = new Uint8Array(end ? end.gpa + end.bytes.length : 0);
  const script = new Script();
  script.allocate(TABLES, 64, ZONE_HIGH);
  script.allocate(RSDP, 16, ZONE_F);
  for (const { gpa, bytes } of tables) {
    const name = String.fromCharCode(...bytes.subarray(0, 4));
    const pointers: (readonly [offset: number, size: 4 | 8])[] = [];
    if (name === "FACP") pointers.push([FADT_FACS, 4], [FADT_DSDT, 4], [FADT_X_DSDT, 8]);
    if (name === "RSDT") for (let at = HEADER; at < bytes.length; at += 4) pointers.push([at, 4]);
    if (name === "XSDT") for (let at = HEADER; at < bytes.length; at += 8) pointers.push([at, 8]);
    file.set(bytes, gpa);
    if (!pointers.length) continue;
    for (const [offset, size] of pointers) script.pointer(TABLES, TABLES, gpa + offset, size);
    // The loader subtracts the sum of all bytes, so that the old checksum must not be among them.
    file[gpa + CHECKSUM] = 0;
    script.checksum(TABLES, gpa + CHECKSUM, gpa, bytes.length);
  }
  const root = rsdp.bytes.slice();
  root[8] = root[32] = 0;
  script.pointer(RSDP, TABLES, RSDP_RSDT, 4);
  script.pointer(RSDP, TABLES, RSDP_XSDT, 8);
  script.checksum(RSDP, 8, 0, 20);
  script.checksum(RSDP, 32, 0, 36);
  return { [TABLES]: file, [RSDP]: root, [MP]: mpFile(mp, script), "etc/table-loader": script.finish() };
}

/**
 * The MP table. SeaBIOS has one of its own, with the first CPU of each socket alone and PCI interrupts at the inputs that they
 * have in a PIIX3; guests find ours, which lies below it, before that.
 */
function mpFile(config: MpConfig, script: Script): Uint8Array {
  const [pointer, table] = mpTables(config, 0);
  const file = new Uint8Array(table.gpa + table.bytes.length);
  file.set(pointer.bytes);
  file[MP_POINTER.checksum] = 0;
  file.set(table.bytes, table.gpa);
  script.allocate(MP, 16, ZONE_F);
  script.pointer(MP, MP, MP_POINTER.table, 4);
  script.checksum(MP, MP_POINTER.checksum, 0, MP_POINTER.size);
  return file;
}
