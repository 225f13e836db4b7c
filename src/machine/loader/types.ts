/** What a loader takes and gives back. */

import type { E820Entry } from "./e820.ts";

/** A kernel, initrd, command line or RAM size that cannot be used. The message is one line: what was found, what is needed. */
export class LoaderError extends Error {
  /** What would have to be another: the image, or the size of the machine's RAM. */
  readonly lack: "image" | "memory";

  constructor(message: string, lack: "image" | "memory" = "image") {
    super(message);
    this.name = "LoaderError";
    this.lack = lack;
  }
}

/** A segment register. `ar` is in the VMX access-rights format (SDM vol. 3, 25.4.1); `limit` is in bytes, expanded. */
export interface SegmentState {
  readonly selector: number;
  readonly base: bigint;
  readonly limit: number;
  readonly ar: number;
}

/** Where a descriptor table lies: linear base, limit in bytes (size - 1). */
export interface TableState {
  readonly base: bigint;
  readonly limit: number;
}

/** The registers of the boot CPU at the first guest instruction; what is not named here is as after RESET. */
export interface CpuState {
  readonly mode: "real" | "protected32" | "long64";
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8 … R15: the order of their encoding. */
  readonly gprs: readonly bigint[];
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly segments: {
    readonly es: SegmentState;
    readonly cs: SegmentState;
    readonly ss: SegmentState;
    readonly ds: SegmentState;
    readonly fs: SegmentState;
    readonly gs: SegmentState;
    readonly ldtr: SegmentState;
    readonly tr: SegmentState;
  };
  readonly gdt: TableState;
  readonly idt: TableState;
}

/** Something a loader wrote (or, for `size` beyond the file, zeroed) into guest RAM. Addresses and sizes in bytes. */
export interface Placement {
  readonly what: string;
  readonly gpa: number;
  readonly size: number;
}

export interface LoadConfig {
  /** The kernel file, whole. */
  readonly kernel: Uint8Array;
  /** Its name, for Multiboot's command line (whose first word it is). Default "kernel". */
  readonly kernelName?: string;
  readonly initrd?: Uint8Array;
  /** Kernel command line, without a terminating zero. */
  readonly append?: string;
  /** Guest RAM in bytes. */
  readonly ramSize: number;
  /** Guest-physical address of the ACPI RSDP, where the board has put tables. */
  readonly acpiRsdp?: number;
  /** Whether the CPU has five-level paging. Default false. */
  readonly la57?: boolean;
  /** Memory map to hand over. Default: e820Map(ramSize). */
  readonly e820?: readonly E820Entry[];
}

export interface LoadedKernel {
  readonly format: "bzImage" | "pvh" | "multiboot";
  /** One line for people: kernel version or file type, and the entry used. */
  readonly description: string;
  readonly cpu: CpuState;
  /** Everything written, by ascending address. */
  readonly placed: readonly Placement[];
  readonly e820: readonly E820Entry[];
  /** Oddities that do not stop the boot, one line each. */
  readonly warnings: readonly string[];
}
