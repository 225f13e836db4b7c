/**
 * SMBIOS 2.8 tables (DMTF DSP0134), for firmware that takes them by fw_cfg (SeaBIOS smbios.c): what the machine is called, its
 * processors' sockets and its memory. The firmware adds what is its own (type 0), and places all of it.
 *
 *     a structure   type · length · handle u16 · fields; then its strings, each with a zero, and one zero more (two for none)
 */
import { CPU_SIGNATURE } from "./cpuReset.ts";
import { HIGH_RAM_BASE, PCI_HOLE_BASE } from "./memoryMap.ts";
import { checksum, TableWriter } from "./tableWriter.ts";

export interface SmbiosConfig {
  readonly sockets: number;
  /** Of each socket. */
  readonly cores: number;
  readonly threads: number;
  /** CPUID leaf 1, EDX. */
  readonly cpuFeatures: number;
  /** Bytes of RAM. */
  readonly ramSize: number;
}

const NAME = "Tabhyve";
const UNKNOWN_HANDLE = 0xffff;
const NO_ERRORS_KEPT = 0xfffe;
const MEMORY_ARRAY = 0x1000;

class Tables {
  readonly out = new TableWriter();
  count = 0;
  longest = 0;

  /** Adds a structure; fields name strings by their numbers, from 1 on. */
  add(type: number, handle: number, strings: readonly string[], fields: (f: TableWriter) => TableWriter): void {
    const body = fields(new TableWriter()).finish();
    const before = this.out.length;
    this.out
      .u8(type, 4 + body.length)
      .u16(handle)
      .bytes(body);
    for (const string of strings) this.out.text(string).u8(0);
    this.out.zeros(strings.length ? 1 : 2);
    this.count++;
    this.longest = Math.max(this.longest, this.out.length - before);
  }
}

/** Files for fw_cfg, by name. */
export function smbiosFiles(config: SmbiosConfig): Record<string, Uint8Array> {
  const tables = new Tables();
  // System: no version, serial number or UUID; woken by the power switch.
  tables.add(1, 0x100, [NAME, "PC"], (f) => f.u8(1, 2, 0, 0).zeros(16).u8(6, 0, 0));
  // Chassis: of another kind; its states are safe, its lock unknown.
  tables.add(3, 0x300, [NAME], (f) => f.u8(1, 1, 0, 0, 0, 3, 3, 3, 2).u32(0).zeros(5));
  for (let n = 0; n < config.sockets; n++) processor(tables, n, config);
  memory(tables, config.ramSize);
  // Nothing went wrong at the last start.
  tables.add(32, 0x2000, [], (f) => f.zeros(7));
  tables.add(127, 0x7f00, [], (f) => f);
  const bytes = tables.out.finish();
  return { "etc/smbios/smbios-anchor": anchor(tables, bytes.length), "etc/smbios/smbios-tables": bytes };
}

function processor(tables: Tables, n: number, { cores, threads, cpuFeatures }: SmbiosConfig): void {
  tables.add(4, 0x400 + n, [`CPU ${n}`, NAME, "virtual CPU"], (f) =>
    f
      .u8(1, 3, 1, 2) // a central processor of another family
      .u32(CPU_SIGNATURE)
      .u32(cpuFeatures)
      .u8(3, 0) // version; voltage not known
      .zeros(6) // nor any clock
      .u8(0x41, 1) // in its socket, of another kind, and enabled
      .u16(UNKNOWN_HANDLE) // caches are CPUID's
      .u16(UNKNOWN_HANDLE)
      .u16(UNKNOWN_HANDLE)
      .u8(0, 0, 0, cores, cores, cores * threads)
      .u16(0x0004) // 64 bits
      .u16(1),
  );
}

function memory(tables: Tables, ramSize: number): void {
  const kib = ramSize / 1024;
  // On the board, for the system, without error correction.
  tables.add(16, MEMORY_ARRAY, [], (f) => f.u8(3, 3, 3).u32(kib).u16(NO_ERRORS_KEPT).u16(1).u64(0));
  tables.add(17, 0x1100, ["DIMM 0", NAME], (f) =>
    f
      .u16(MEMORY_ARRAY)
      .u16(NO_ERRORS_KEPT)
      .u16(0xffff) // widths not known
      .u16(0xffff)
      .u16(kib / 1024)
      .u8(9, 0, 1, 0, 7) // DIMM, in no set; RAM
      .u16(0x0002)
      .u16(0)
      .u8(2, 0, 0, 0, 0)
      .u32(0)
      .zeros(8),
  );
  const low = Math.min(ramSize, PCI_HOLE_BASE);
  const high = HIGH_RAM_BASE + ramSize - low;
  [
    [0, low],
    [HIGH_RAM_BASE, high],
  ].forEach(([from, to], n) => {
    if (to <= from) return;
    tables.add(19, 0x1300 + n, [], (f) =>
      f
        .u32(from / 1024)
        .u32(to / 1024 - 1)
        .u16(MEMORY_ARRAY)
        .u8(1)
        .zeros(16),
    );
  });
}

/** The entry point (5.2.1), without the address that the firmware puts in. */
function anchor({ count, longest }: Tables, length: number): Uint8Array {
  const table = new TableWriter().text("_DMI_").u8(0).u16(length).u32(0).u16(count).u8(0x28).finish();
  table[5] = checksum(table);
  const all = new TableWriter().text("_SM_").u8(0, 0x1f, 2, 8).u16(longest).zeros(6).bytes(table).finish();
  all[4] = checksum(all);
  return all;
}
