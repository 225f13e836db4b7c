/**
 * Where everything lies in the one WebAssembly.Memory that the vCPU workers, the device models and the page
 * share. This file is the only statement of it: the generator (src/isa/generate.ts) turns it into
 * assembly/gen/layout.ts for the core; TypeScript uses it as it is.
 *
 *     0x000000  unused (a null pointer faults nobody, but means "none")
 *     0x001000  AssemblyScript's static data (constant; every instantiation rewrites it)
 *     0x100000  VM control page: words that belong to the whole machine
 *     0x101000  granule table: guest physical address -> place in this memory
 *     0x106000  finer tables, for granules that are not one piece
 *     0x110000  ring of coalesced writes, from every vCPU to the device thread
 *     0x120000  pages of a snapshot on their way into memory
 *     0x148000  the host's breakpoints
 *     0x200000  vCPU areas, VCPU_STRIDE each
 *      …        page words: one u32 per 4 KiB page of backing memory
 *      …        guest memory segments, 64 KiB aligned
 */
import { IDE } from "./ide.ts";
import { POSTED } from "./postedWrites.ts";

/** Scalar types a field may have. */
export type FieldType = "u8" | "u16" | "u32" | "i32" | "u64" | "f64";
const SIZE: Record<FieldType, number> = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, f64: 8 };

export interface Field {
  readonly type: FieldType;
  readonly offset: number;
  /** Number of elements; 1 for a scalar. */
  readonly count: number;
  /** Distance between elements in bytes. */
  readonly stride: number;
}

type Spec = readonly [type: FieldType, count?: number, stride?: number];

/** Lays fields out in order, each at its natural alignment (or its stride's). */
function layOut<K extends string>(specs: Record<K, Spec>, start = 0): Record<K, Field> & { readonly size: number } {
  const out: Record<string, Field | number> = {};
  let at = start;
  for (const [name, [type, count = 1, stride = SIZE[type]]] of Object.entries<Spec>(specs)) {
    const align = stride > 8 ? 16 : SIZE[type];
    at = Math.ceil(at / align) * align;
    out[name] = { type, offset: at, count, stride };
    at += count * stride;
  }
  out.size = at;
  return out as Record<K, Field> & { readonly size: number };
}

export const PAGE_SIZE = 4096;
/** Highest number of virtual CPUs: a page word has 16 bits for each of its two halves. */
export const VM_MAXCPU = 16;

export const STATIC_BASE = 0x1000;
export const CONTROL_BASE = 0x10_0000;
export const GRANULES_BASE = 0x10_1000;
export const FINE_TABLES_BASE = 0x10_6000;
/** Tables of 512 entries, one for each 4 KiB of a granule, up to the ring. */
export const FINE_TABLES = 20;
export const FINE_TABLE_SIZE = 2048;
export const RING_BASE = 0x11_0000;
export const RING_SIZE = 0x1_0000;
/** Compressed bytes, what they unpack to, and tables (assembly/mem/inflate.ts); of whoever has CONTROL.unpacking. */
export const INFLATE = { INPUT: 0x12_0000, OUTPUT: 0x13_2000, TABLES: 0x14_4000, END: 0x14_8000 } as const;
/**
 * Breakpoints of the host's, for every vCPU: CONTROL.stops entries {linear address u64, length u32, kind u32}. The kind is
 * what DR7's R/W field has for it (SDM vol. 3, 18.2.4): instruction 0, write 1, read or write 3. In the place of an entry's
 * number, EXCEPTION stands for a stop by CONTROL.catches.
 */
export const STOPS = { BASE: 0x14_8000, ENTRY: 16, MAX: 4096, EXCEPTION: 0x1_0000 } as const;
/** Pages that are compressed together. */
export const CHUNK_PAGES = 16;
export const VCPU_BASE = 0x20_0000;

/** Guest physical addresses the granule table can name: 8 GiB. */
export const GPA_LIMIT = 0x2_0000_0000;
/** Below 1 MiB a granule is 4 KiB (256 entries), above it 2 MiB (entry 256 + (gpa >> 21)). */
export const GRANULE_ENTRIES = 256 + GPA_LIMIT / 0x20_0000;

/**
 * One granule table entry (u32):
 *
 *     31                        12 11          4   3    2    1     0
 *     +---------------------------+-------------+----+----+----+-----+
 *     | backing address bits 31:12|      0      | S  | F  | W  |  P  |      S: 4 KiB, not 2 MiB
 *     +---------------------------+-------------+----+----+----+-----+
 *     | finer table bits 31:11         |   0    | 0  | 1  | 0  |  0  |
 *     +--------------------------------+--------+----+----+----+-----+
 *
 * P=0 F=0: nothing there, an access leaves to the device thread. P=1 W=0: read-only memory; writes leave. Entries of a
 * finer table, and those below 1 MiB, have S=1.
 */
export const GRANULE_P = 1;
export const GRANULE_W = 2;
export const GRANULE_F = 4;
export const GRANULE_S = 8;

/** Words of the whole machine, on the control page. */
export const CONTROL = layOut({
  /** Ring: next ticket to be taken by a writer, and next to be read by the device thread. */
  ringHead: ["u32"],
  ringTail: ["u32"],
  /** Bumped and notified whenever a vCPU wants the device thread: exit posted, ring no longer empty. */
  doorbell: ["i32"],
  /** Bits: which vCPUs have posted an exit that nobody has answered. */
  exitPosted: ["u32"],
  /** Base of the page words; bytes of backing memory they cover. */
  pageWords: ["u32"],
  backingEnd: ["u32"],
  /** A20 gate: mask for physical address bits below 2^32. */
  a20Mask: ["u32"],
  vcpuCount: ["u32"],
  /** Topology: threads of a core, cores of a package. APIC ids are vCPU numbers (assembly/sys/cpuid.ts). */
  threadsPerCore: ["u32"],
  coresPerPackage: ["u32"],
  /** Frequency of the guest's TSC in Hz; guest time zero in host milliseconds. */
  tscHz: ["u64"],
  /** Host milliseconds (the core's `now()` import) at guest time zero; shifted by pauses and frozen tabs. */
  timeBase: ["f64"],
  /** Largest TSC any vCPU has read: keeps RDTSC monotonic across vCPUs. */
  tscFloor: ["u64"],
  /** Base of one byte for each page of backing memory: bits of PAGE_BYTE. */
  pageBytes: ["u32"],
  /** Ports whose writes are coalesced or whose value is published: see assembly/ports.ts. */
  portHooks: ["u32", 24],
  /** 1: there are several vCPUs, each on a thread of its own. Locked instructions are then real atomic operations. */
  parallel: ["u32"],
  /** The vCPU that runs alone, or is about to, plus 1; 0 = none (assembly/mem/exclusive.ts). */
  exclusive: ["i32"],
  /** Chunks of a snapshot whose pages are not in memory yet, and whether one is being unpacked (src/vcpu/pages.ts). */
  absent: ["i32"],
  unpacking: ["i32"],
  /** 1: whoever serves exits takes several elements of a repeated INS or OUTS at once (EXIT_BULK, assembly/mem/stage.ts). */
  bulkIo: ["u32"],
  /** How the VGA's window reaches its planes: see VGA. */
  vga: ["u32", 16],
  /** Entries of the table at STOPS.BASE. */
  stops: ["u32"],
  /** Exceptions before whose delivery a vCPU stops for the host, a bit for each vector: at any CPL, and at CPL 3 alone. */
  catches: ["u32", 2],
  /** IGNNE#: x87 errors that CR0.NE does not report are ignored (src/io/coprocessorError.ts). */
  ignne: ["u32"],
  /** Of host milliseconds in which a running vCPU has not looked at the clock, so many are the guest's; 0: all of them. */
  longestGap: ["f64"],
  /** 1: who reads the ring is on a thread of its own, which the doorbell wakes. */
  deviceThread: ["u32"],
  /** IDE channels as the core answers for them: IDE.WORDS each. */
  ide: ["u32", 2 * IDE.WORDS],
  /** Memory-mapped registers whose writes no vCPU waits for: POSTED.WORDS for each range. */
  posted: ["u32", POSTED.RANGES * POSTED.WORDS],
});

/**
 * What is known of a page of backing memory. DIRTY: written since the host last asked. TOUCHED: written at all; any other
 * page is zeros. ABSENT: its bytes are still in a snapshot.
 */
export const PAGE_BYTE = { DIRTY: 1, TOUCHED: 2, ABSENT: 4 } as const;

/**
 * Indices of `Control.vga`: the VGA's registers as assembly/vga.ts needs them, set by src/io/vgaMemory.ts. Colours and plane
 * masks are a byte of zeros or ones for each plane, plane 0 lowest.
 */
export const VGA = {
  /** Guest physical address and size of the window; size 0: no access comes here. */
  WINDOW: 0,
  SIZE: 1,
  /** Backing address of the planes: a double word for each plane address, a byte of it for each plane. */
  PLANES: 2,
  /** Plane addresses that there are, minus 1; what is added to those in the window. */
  ADDRESSES: 3,
  BANK: 4,
  /** Bits of CHAIN. */
  CHAIN: 5,
  READ_MAP: 6,
  WRITE_MODE: 7,
  READ_MODE: 8,
  MAP_MASK: 9,
  ENABLE_SET_RESET: 10,
  SET_RESET: 11,
  BIT_MASK: 12,
  /** Rotate count 2:0, function 4:3. */
  ROTATE: 13,
  /** Colour compare: planes' bits in 3:0; planes that count in 11:8. */
  COMPARE: 14,
  LATCH: 15,
} as const;

/** Bits of VGA.CHAIN: address bit 0, or bits 1:0, choose the plane. */
export const VGA_CHAIN = { ODD_EVEN: 1, CHAIN4: 2 } as const;

/** What `Vcpu.status` says when the interpreter comes back to the outer loop. */
export const STATUS = {
  /** The budget is used up, or `attention` was set. RIP is right. */
  BUDGET: 0,
  /** An exception is recorded in `exc*`; deliver it. */
  FAULT: 1,
  /** This instruction must be executed by the careful one-instruction path. */
  SLOW: 2,
  /** Leave to the device thread with the exit record. */
  EXIT: 3,
  /** RIP is right; look at interrupts and go on. */
  RESUME: 4,
  /** This x87 instruction waits for an interrupt (assembly/x87/error.ts): nothing of it has happened. */
  FROZEN: 5,
  /** The micro-op `uop` is a compiled region's entry. Never seen outside of assembly/gen/dispatch.ts. */
  REGION: 6,
  /** A region has left for the interpreter, which goes on with micro-op `uop`, in a block that the region has begun. */
  REDO: 7,
} as const;

/** Bits of `Vcpu.attention`: why a running vCPU should come back to its outer loop. */
export const ATTENTION = {
  /** Posted interrupts in the PIR. */
  POSTED: 1,
  /** The level of the ExtINT wire (the 8259's INTR) may have changed. */
  EXTINT: 2,
  NMI: 4,
  /** INIT or SIPI. */
  INIT: 8,
  /** Stop: pause or suspend; the worker goes to its event loop. */
  STOP: 16,
  /** Something in a code page word asks to be dropped. */
  DROP: 32,
  /** A deadline may have become earlier. */
  DEADLINE: 64,
  /** Drop every translation (the A20 gate has moved). */
  FLUSH: 128,
  /** Another vCPU wants to run alone. */
  EXCLUSIVE: 256,
  /** An event is to be injected before the next instruction: Vcpu.entryInfo. */
  INJECT: 512,
} as const;

/** Bits of `Vcpu.startup`: INIT; a start-up IPI, whose vector is in bits 7:0 (src/vcpu/startup.ts). */
export const STARTUP = { VECTOR: 0xff, SIPI: 0x100, INIT: 0x200 } as const;

/** Values of `Vcpu.runState`. */
export const RUN_STATE = { RUNNING: 0, HALTED: 1, WAIT_FOR_SIPI: 2, SHUTDOWN: 3 } as const;

/** Offsets within a segment register's 32 bytes. `ar` is in the VMX access-rights format (SDM vol. 3, 25.4.1). */
export const SEG = layOut({ base: ["u64"], limit: ["u32"], ar: ["u32"], selector: ["u16"] });
export const SEG_STRIDE = 32;
/** Order of `Vcpu.seg`: the encoding order of segment registers, then the two system ones. */
export const SEG_INDEX = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** Length of `Vcpu.undo` in words of 64 bits: from `rip` up to and with `rflags`. */
const UNDO_WORDS = 23;

/** Bits of `Vcpu.caps` (src/vmm/capability.ts): what leaves with an exit; RESTRICTED: CR0.PE and PG cannot be cleared. */
export const CAP = {
  HALT_EXIT: 1,
  MTRAP_EXIT: 2,
  PAUSE_EXIT: 4,
  MSR_EXIT: 8,
  RESTRICTED: 16,
  TASK_SWITCH_EXIT: 32,
  EXCEPTION_EXIT: 64,
  WBINVD_EXIT: 128,
} as const;

/**
 * A virtual CPU's page. The hot words come first, so that offsets are short. `zero` is never written: a micro-op
 * without base, index or register refers to it.
 */
export const VCPU = layOut({
  zero: ["u64"],
  /** Linear address made by an address micro-op (segmented or truncated addressing), for the micro-op after it. */
  ea: ["u64"],
  /** RIP minus the offset in the page of the running block: RIP of byte 0 of the page (may be "negative"). */
  ripPage: ["u64"],
  rip: ["u64"],
  /** Lazy flags: operation and its operands, sign-extended (see assembly/sem/flags.ts). */
  ccOp: ["u32"],
  attention: ["i32"],
  ccD: ["u64"],
  ccA: ["u64"],
  ccB: ["u64"],
  /** Low 12 bits of every TLB tag: {class, generation}. See assembly/mem/tlb.ts. */
  ctx: ["u64"],
  gpr: ["u64", 16],
  /** RFLAGS without the six arithmetic flags, which are lazy. */
  rflags: ["u64"],
  /** Instructions retired. */
  icount: ["u64"],
  status: ["i32"],
  /** The micro-op at which the interpreter stopped. */
  uop: ["u32"],
  cpl: ["u32"],
  /** Code mode, part of every block key: see MODE. */
  mode: ["u32"],
  /** Mode, context and generation of code: the tag of the jump cache. */
  codeCtx: ["u32"],
  /** 1 while one instruction runs on the careful path. */
  slow: ["u32"],
  stepping: ["u32"],
  seg: ["u64", 8, SEG_STRIDE],
  gdtBase: ["u64"],
  gdtLimit: ["u32"],
  idtLimit: ["u32"],
  idtBase: ["u64"],
  cr0: ["u64"],
  cr2: ["u64"],
  cr3: ["u64"],
  cr4: ["u64"],
  efer: ["u64"],
  xcr0: ["u64"],
  /** IA32_XSS, and PKRU: the protection key rights (SDM vol. 3, 4.6.2). */
  xss: ["u64"],
  pkru: ["u32"],
  dr: ["u64", 8],
  /** Cached PDPTEs of PAE paging (SDM vol. 3, 4.4.1). */
  pdpte: ["u64", 4],
  /** Exception being raised or delivered. */
  excVector: ["u32"],
  excHasError: ["u32"],
  excError: ["u32"],
  /** 0 = exception, 1 = software interrupt or trap (RIP after the instruction), 2 = external interrupt or NMI. */
  excKind: ["u32"],
  excCr2: ["u64"],
  /** For excKind 1: RIP after the instruction, to push; a fault in its delivery pushes Vcpu.rip. */
  excRip: ["u64"],
  /** Interrupt shadow of STI (1) or MOV SS / POP SS (2); NMI blocked until IRET. */
  shadow: ["u32"],
  /**
   * Debugging, in bits of DR6: the #DB trap that is due, and what the instruction being executed has met so far. TF as
   * the instruction's single-step trap counts it; what DR7 has switched on (assembly/mem/watch.ts).
   */
  debug: ["u32"],
  hits: ["u32"],
  single: ["u32"],
  armed: ["u32"],
  /** What is still to do of a task switch (assembly/sys/task.ts), and values it needs. */
  task: ["u32"],
  taskCr3: ["u32"],
  taskError: ["u32"],
  nmiBlocked: ["u32"],
  /** NMIs that wait: at most one while another is being handled, at most two otherwise (as in hardware: one in each latch). */
  nmiPending: ["u32"],
  /** NMIs posted since ATTENTION.NMI was taken last, by anybody. */
  nmiPosted: ["u32"],
  /** PAUSE instructions in a row, and Vcpu.icount at the last: a vCPU that spins gives way (RUN.SPIN). */
  pauses: ["u32"],
  pausedAt: ["u64"],
  /** Level of the ExtINT wire, written by the device thread. */
  extint: ["i32"],
  /** See RUN_STATE. */
  runState: ["u32"],
  vcpuid: ["u32"],
  /** Segment override etc. of fault being recorded: 1 = report #SS instead of #GP. */
  stackFault: ["u32"],
  a20Mask: ["u32"],
  /** MSRs the core owns. */
  star: ["u64"],
  lstar: ["u64"],
  cstar: ["u64"],
  sfmask: ["u64"],
  kernelGsBase: ["u64"],
  sysenterCs: ["u64"],
  sysenterEsp: ["u64"],
  sysenterEip: ["u64"],
  pat: ["u64"],
  tscAdjust: ["u64"],
  tscOffset: ["u64"],
  tscAux: ["u64"],
  miscEnable: ["u64"],
  apicBase: ["u64"],
  specCtrl: ["u64"],
  tscDeadline: ["u64"],
  mtrrDefType: ["u64"],
  mtrrFixed: ["u64", 11],
  mtrrVar: ["u64", 16],
  /** CPUID features that differ from the model's defaults: see assembly/sys/model.ts. */
  cpuToggle: ["u32", 12],
  /** Deadline of the LAPIC timer in guest ns (all ones = not armed), its period in ns (0 = one shot). */
  apicTimer: ["u64"],
  apicTimerPeriod: ["u64"],
  /** Device deadlines, kept by the device thread: the earliest one in guest ns; all ones = none. */
  deviceDeadline: ["u64"],
  /** Guest ns of the last look at the clock. */
  lastNow: ["u64"],
  /** Exit record: code, then the payload of the seeds' union (src/shared/exit.ts gives the meaning). */
  exitCode: ["u32"],
  exitRip: ["u64"],
  exitA: ["u64"],
  exitB: ["u64"],
  exitData: ["u64", 4],
  /** Exit state for the threaded transport: 0 running, 1 posted, 2 answered. */
  exitState: ["i32"],
  /** Code that somebody else has overwritten (src/vcpu/drop.ts). */
  dropAll: ["u32"],
  dropPages: ["u32", 32],
  /** Write translations that must go, a slot for each vCPU that asks (assembly/mem/pageword.ts). */
  unwriteAll: ["u32"],
  unwrite: ["u32", VM_MAXCPU],
  /** 1 while the vCPU may touch guest memory: in the core's `run`, and not waiting for a vCPU that runs alone. */
  inGuest: ["i32"],
  /** INIT and start-up IPIs that have arrived: see STARTUP. */
  startup: ["i32"],
  /** Replay log: device reads already answered for the instruction that will be executed again. */
  replayCount: ["u32"],
  replayNext: ["u32"],
  replayKey: ["u64", 128],
  replayData: ["u64", 128],
  /** Staged writes of the careful path. */
  stageCount: ["u32"],
  stageNext: ["u32"],
  /** x87 and MMX: physical registers of 16 bytes (mantissa u64, then sign and exponent u16). */
  st: ["u64", 8, 16],
  fcw: ["u16"],
  fsw: ["u16"],
  /** Abridged tags: bit p = 1 means physical register p is not empty (FXSAVE's FTW). */
  ftw: ["u16"],
  fop: ["u16"],
  fip: ["u64"],
  fdp: ["u64"],
  fcs: ["u16"],
  fds: ["u16"],
  mxcsr: ["u32"],
  /** XMM (low 16 bytes) and the upper half of YMM (next 16). */
  ymm: ["u64", 16, 32],
  /** Operands and results of MMX and SSE instructions on their way (assembly/simd); nothing between instructions. */
  simd: ["u64", 8],
  /** Image of FNSAVE and its kin on its way to or from memory: at most 108 bytes. */
  image: ["u64", 14],
  /** Translation contexts, 16 bytes each, and which is the current one: see assembly/mem/tlb.ts. */
  contexts: ["u64", 16, 16],
  context: ["u32"],
  /** The last generations given out: of translations, and of the jump cache. */
  tlbGeneration: ["u32"],
  codeGeneration: ["u32"],
  /** Code generation of a supervisor's code in global pages (0: none yet), and whether that is used. */
  systemCode: ["u32"],
  systemShared: ["u32"],
  /** TLB entries of global pages count in every context if their generation is above this one. */
  globalFloor: ["u32"],
  /** Compatibility mode has filled entries under addresses beyond 4 GiB: 1 = as user, 2 = as supervisor. */
  wrapped: ["u32"],
  /** Some TLB entry may be of a 1 GiB page. */
  gigantic: ["u32"],
  /** Entries listed at AREA.SHARED, and how many AREA.OPENED has been given. */
  sharedCount: ["u32"],
  openedCount: ["u32"],
  /** Host milliseconds this vCPU has spent in `run`, kept by whoever calls it. */
  runMs: ["f64"],
  /** Executions after which a block is worth compiling; 0 = never. Set by the host before `init`. */
  heat: ["u32"],
  /** Bumped when the arena is emptied: what regions knew of it is gone (assembly/jit/tier.ts). */
  arenaEpoch: ["u32"],
  /** The arena that the list of regions, oldest first, and the batch belong to. */
  regionEpoch: ["u32"],
  regionFirst: ["u32"],
  regionLast: ["u32"],
  regionWaiting: ["u32"],
  /** Function bodies that wait to be compiled: their number, where the next one goes, icount at the first one. */
  batchCount: ["u32"],
  batchAt: ["u32"],
  batchSince: ["u64"],
  /** Statistics, one u64 each: see STATS. */
  stats: ["u64", 32],
  /** Capabilities that change what leaves the core: bits of CAP. */
  caps: ["u32"],
  /** Bytes of the instruction that has left with an exit; 0 = it was no instruction (delivery of an event). */
  exitLength: ["u32"],
  /** Event to inject, in the format of the seeds' VM_INTINFO_*: taken with ATTENTION.INJECT. */
  entryInfo: ["u64"],
  /** What the careful path found before the instruction: the fields from `rip` to `rflags`, as they lie above. */
  undo: ["u64", UNDO_WORDS],
  /** Entries of the CPUID table at AREA.CPUID; 0 = the CPU model answers. */
  cpuidCount: ["u32"],
  /** 1: regions are compiled with counters in them (PROFILE). Set by the host before `init`. */
  profile: ["u32"],
  /** RIP of the instruction that `shadow` covers: anywhere else the shadow is over. */
  shadowRip: ["u64"],
  /** Where the host's breakpoint has stopped it last, and `icount` + 1 then: from there it goes on. */
  stopRip: ["u64"],
  stopCount: ["u64"],
  /** The data access that one of the host's breakpoints has met: linear address, entry of the table. */
  stopAddress: ["u64"],
  stopEntry: ["u32"],
  /**
   * The last delivery that met faults (src/debug/autopsy.ts): how many events, and these in the order in which they came,
   * an event and what was met instead, in the format of entryInfo; the address of each that is a page fault.
   */
  faultCount: ["u32"],
  /** What is recorded as it happens: bits of TRACE; how many events and blocks were up to now. */
  tracing: ["u32"],
  traceEvents: ["u32"],
  traceBlocks: ["u32"],
  faults: ["u64", 8],
  faultAddress: ["u64", 8],
  /** `icount` + 1 when the host was shown an exception, at stopRip: it is delivered when it comes again. */
  caughtCount: ["u64"],
});

/** Bits of `Vcpu.mode`. D64, or D32, or neither (16-bit code); the rest say which shortcuts the decoder may take. */
export const MODE = {
  CODE32: 1,
  CODE64: 2,
  /** Stack operations use ESP (B=1) rather than SP; ignored in 64-bit mode. */
  STACK32: 4,
  /** DS, ES, SS have base 0, limit 4 GiB, read/write, not expand-down: no address micro-op is needed. */
  FLAT: 8,
  /** CS has base 0 and limit 4 GiB. */
  FLATCS: 16,
  /** Protected mode (CR0.PE, not virtual-8086). */
  PROTECTED: 32,
  V86: 64,
  CPL3: 128,
  /** CR0.EM, CR0.TS, CR4.OSFXSR: change what FPU and SSE instructions do. */
  NOFPU: 256,
  NOSSE: 512,
  /** Alignment checking is in force (CR0.AM, RFLAGS.AC, CPL 3). */
  ALIGN: 1024,
  IOPL_OK: 2048,
  /** Long mode is active (IA-32e), also in compatibility mode. */
  LONG: 4096,
  /** AVX cannot be used: CPUID lacks it, or CR4.OSXSAVE or XCR0[2:1] does not enable it. */
  NOAVX: 8192,
} as const;

/** Counters kept by the core (`Vcpu.stats`). One list for all of them. */
export const STATS = [
  "blocksBuilt",
  "blocksDropped",
  "lookups",
  "jumpMisses",
  "tlbFillsRead",
  "tlbFillsWrite",
  "tlbFillsExec",
  "walks",
  "slowSteps",
  "exceptions",
  "interrupts",
  "exits",
  "flushes",
  "regions",
  "jitInstructions",
  "codeWrites",
  "modules",
  "regionsEvicted",
  "regionEntries",
  "ipis",
  "unwrites",
  "exclusives",
] as const;

/** Sizes and places within a vCPU's area, relative to its start. */
export const AREA = {
  /** The VCPU page itself. */
  PAGE: 0,
  /** Virtual-APIC page: registers at their xAPIC offsets (SDM vol. 3, 11.4.1). */
  APIC: 0x2000,
  /** Posted-interrupt descriptor: 256 request bits, then a u32 "outstanding" word. */
  PIR: 0x3000,
  /** Staged writes (32 bytes each): see assembly/mem/stage.ts. */
  STAGE: 0x4000,
  /** Read buffers for accesses that cross a page. */
  CROSS: 0x6000,
  /** Micro-ops of the one-instruction path. */
  SCRATCH: 0x7000,
  /** One bit for each hashed 2 MiB of linear addresses that a large page filled: see assembly/mem/tlb.ts. */
  LARGE: 0x8000,
  /** TLB entries that count in every context, and those that a window of RFLAGS.AC opened: see assembly/mem/tlb.ts. */
  SHARED: 0x8400,
  OPENED: 0x8800,
  /** Bits for hashed pages that the jump cache may know an address of, twice 512 bytes: see assembly/mem/tlb.ts. */
  ENTERED: 0x8880,
  /** CPUID table of Vcpu.cpuidCount entries, 32 bytes each: see assembly/sys/cpuid.ts. */
  CPUID: 0x9000,
  /** Elements of INS or OUTS that an exit moves at once: a page at most. */
  STRING: 0xf000,
  /** TLBs: TLB_ENTRIES entries of 16 bytes {tag u64, addend u32, -}. */
  TLB_READ: 0x1_0000,
  TLB_WRITE: 0x2_0000,
  TLB_EXEC: 0x3_0000,
  /** Jump cache: JUMP_ENTRIES entries of 16 bytes {rip u64, codeCtx u32, block u32}. */
  JUMP: 0x4_0000,
  /** Hash table of blocks: BLOCK_BUCKETS u32 heads. */
  BLOCKS: 0x6_0000,
  /** Scratch of the compiler of regions (assembly/jit). */
  JIT: 0xa_0000,
  /** Function bodies of regions on their way to the host. */
  BATCH: 0x12_0000,
  /** Counters of regions that are compiled with them: see PROFILE. */
  PROFILE: 0x16_0000,
  /** What is recorded while Vcpu.tracing says so: see TRACE. */
  TRACE: 0x16_8000,
  /** Micro-ops of blocks. */
  ARENA: 0x19_0000,
  END: 0x181_0000,
} as const;
/**
 * The counters at AREA.PROFILE, a u64 each, in bytes: exits from regions by STATUS; calls of helpers for flags; calls of
 * handlers from regions, by number of micro-op, up to CALLED of them.
 */
export const PROFILE = { EXITS: 0, FLAGS: 64, CALLS: 128 } as const;
export const PROFILE_CALLED = 2048;
/**
 * What is recorded at AREA.TRACE, the latest in place of the oldest (assembly/trace.ts). EVENTS entries {guest ns u64, RIP
 * u64, value u64, what u64}; from CODE_AT on CODE_ENTRIES of blocks {linear address u64, icount before it u64, host address
 * or 0 u32, width of its code u32, -}. `what` has a TRACE_KIND in 63:56, an exit's code in 55:48, size << 1 | write of an
 * access in 47:40, and a vector, port or address in 39:0.
 */
export const TRACE = { EVENTS: 1, CODE: 2, ENTRIES: 4096, CODE_AT: 0x2_0000, CODE_ENTRIES: 1024 } as const;
/** ANSWER: an exit goes on, `value` was read. QUICK: an access to a port that was no exit. */
export const TRACE_KIND = {
  EXCEPTION: 1,
  SOFTWARE: 2,
  INTERRUPT: 3,
  HALT: 4,
  WAKE: 5,
  EXIT: 6,
  ANSWER: 7,
  QUICK: 8,
  SHUTDOWN: 9,
} as const;
/** Byte of a block's HEAD at which a u32 counts its executions in regions with counters. */
export const UOP_COUNT = 20;
export const VCPU_STRIDE = AREA.END;
export const TLB_ENTRIES = 4096;
export const JUMP_ENTRIES = 8192;
export const BLOCK_BUCKETS = 65536;
/** Bytes of one micro-op, and its fields: see assembly/decode/uop.ts. */
export const UOP_SIZE = 32;
