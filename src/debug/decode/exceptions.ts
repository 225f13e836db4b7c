/** Exceptions by name, and what their error codes say (SDM vol. 3, chapter 6). */

/** Mnemonics of vectors 0 to 31 (SDM vol. 3, table 6-1). */
const MNEMONICS = "#DE #DB NMI #BP #OF #BR #UD #NM #DF - #TS #NP #SS #GP #PF - #MF #AC #MC #XM #VE #CP".split(" ");
const TITLES: Readonly<Record<number, string>> = {
  0: "divide error",
  1: "debug exception",
  2: "non-maskable interrupt",
  3: "breakpoint",
  4: "overflow",
  5: "BOUND range exceeded",
  6: "invalid opcode",
  7: "device not available",
  8: "double fault",
  10: "invalid TSS",
  11: "segment not present",
  12: "stack-segment fault",
  13: "general protection",
  14: "page fault",
  16: "x87 floating-point error",
  17: "alignment check",
  18: "machine check",
  19: "SIMD floating-point exception",
  20: "virtualization exception",
  21: "control protection exception",
};

/** Those that an instruction meets by itself; the others come while an event is delivered, or from outside. */
export const FIRST_EXCEPTIONS = [0, 1, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19] as const;

/** An event that is delivered through the IDT, in the types of the seeds' VM_INTINFO_* (src/vmm/intinfo.ts). */
export interface Event {
  readonly vector: number;
  readonly type: "interrupt" | "NMI" | "exception" | "software interrupt" | "INT1";
  readonly error: number | undefined;
  /** Linear address of a page fault. */
  readonly address: bigint | undefined;
}

const TYPES: Readonly<Record<number, Event["type"]>> = {
  2: "NMI",
  3: "exception",
  4: "software interrupt",
  5: "INT1",
};

/** An event as the core writes it down: the format of entryInfo (src/shared/layout.ts), and a page fault's address. */
export function eventOf(info: bigint, address: bigint): Event {
  const vector = Number(info & 0xffn);
  const type = TYPES[Number((info >> 8n) & 7n)] ?? "interrupt";
  return {
    vector,
    type,
    error: info & 0x800n ? Number(info >> 32n) : undefined,
    address: type === "exception" && vector === 14 ? address : undefined,
  };
}

/** "#PF", or "vector 0x80". */
export const mnemonicOf = (vector: number): string => {
  const name = MNEMONICS[vector];
  return name === undefined || name === "-" ? `vector 0x${vector.toString(16)}` : name;
};

/** The exception's name in words, where it has one. */
export const titleOfVector = (vector: number): string => TITLES[vector] ?? "";

/** "#GP(0x1a)", "#PF(0x2) at 0x1000", "interrupt 0x20", "INT 0x80". */
export function eventText({ vector, type, error, address }: Event): string {
  const code = error === undefined ? "" : `(${error ? `0x${error.toString(16)}` : "0"})`;
  const where = address === undefined ? "" : ` at 0x${address.toString(16)}`;
  if (type === "exception") return `${mnemonicOf(vector)}${code}${where}`;
  if (type === "software interrupt")
    return vector === 3 ? "INT3" : vector === 4 ? "INTO" : `INT 0x${vector.toString(16)}`;
  return type === "interrupt" ? `interrupt 0x${vector.toString(16)}` : type;
}

/** Exceptions that have a selector error code. */
const WITH_SELECTOR = new Set([10, 11, 12, 13]);

/** What an error code says, in words; undefined where the vector has none. */
export function errorText(vector: number, error: number): string | undefined {
  if (vector === 14) return pageFaultText(error);
  if (vector === 8 || vector === 17) return "its error code is always 0";
  if (!WITH_SELECTOR.has(vector)) return undefined;
  const ext = error & 1 ? ", met while an interrupt or an earlier exception was delivered (EXT)" : "";
  if (error & 2) return `entry 0x${(error >> 3).toString(16)} of the IDT${ext}`;
  if (!(error & 0xfffc)) return `no descriptor${ext}`;
  return `selector 0x${(error & 0xfffc).toString(16)}: entry ${error >> 3} of the ${error & 4 ? "LDT" : "GDT"}${ext}`;
}

/** A page fault's error code (SDM vol. 3, 4.7, figure 4-12). @param fetch of an instruction, which not every code says */
export function pageFaultText(error: number, fetch = (error & 16) !== 0): string {
  const who = error & 4 ? "user" : "supervisor";
  const what = fetch ? "instruction fetch" : error & 2 ? "write" : "read";
  const why = !(error & 1)
    ? "an entry is not present"
    : error & 8
      ? "an entry has a reserved bit set"
      : error & 32
        ? "the protection key forbids it"
        : "the page's rights forbid it";
  return `${who} ${what}: ${why}`;
}

/** Classes of SDM vol. 3, table 6-4. */
export function classOf({ vector, type }: Event): "benign" | "contributory" | "page fault" {
  if (type !== "exception") return "benign";
  if (vector === 14) return "page fault";
  return vector === 0 || (vector >= 10 && vector <= 13) ? "contributory" : "benign";
}
