/** Calls of the vmm's interface at random, right and wrong ones, and what must hold of each. */
import {
  type CpuidEntry,
  type GpaHold,
  type IoCookie,
  PROT_ALL,
  SnapshotError,
  VM_CAPS,
  VMM_DATA_VERSIONS,
  type Vm,
  type VmCap,
  type VmCopyinfo,
  type VmEntry,
  VmError,
  type VmPage,
  type VmReg,
  type VmSuspendHow,
} from "../../src/vmm/index.ts";

/** Numbers from a seed (xorshift32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0 || 1;
  }

  /** 0 … n - 1. */
  below(n: number): number {
    let x = this.#state;
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % n;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** True once in n times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }
}

const NUMBERS = [
  0,
  1,
  2,
  3,
  7,
  15,
  16,
  31,
  255,
  0xfff,
  0x1000,
  0x2000,
  0x8000,
  0x1_0000,
  0x8_0000,
  0xfee0_0000,
  2 ** 32,
];
const WILD = [-1, -0x1000, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 40, 2 ** 53, 2 ** 60];
const LONGS = [0n, 1n, 0x1000n, 0x10_0000n, 0x8000_0011n, 0xffff_ffffn, 1n << 63n, (1n << 64n) - 1n];
const WILD_LONGS = [-1n, 1n << 64n, -(1n << 70n)];

/** A virtual machine and what a program holds of it. */
export class Abuse {
  readonly vm: Vm<"inline">;
  readonly dice: Dice;
  readonly holds: GpaHold[] = [];
  readonly pages: VmPage[] = [];
  readonly cookies: IoCookie[] = [];
  readonly copies: VmCopyinfo[][] = [];
  readonly files: Uint8Array[] = [];

  constructor(vm: Vm<"inline">, dice: Dice) {
    this.vm = vm;
    this.dice = dice;
  }

  number(): number {
    return this.dice.once(5) ? this.dice.of(WILD) : this.dice.of(NUMBERS);
  }

  long(): bigint {
    return this.dice.once(8) ? this.dice.of(WILD_LONGS) : this.dice.of(LONGS);
  }

  /** Everything that can be called. */
  readonly calls: Readonly<Record<string, () => unknown>> = {
    run: () => this.#run(),
    runAgain: () => this.#run(),
    getRegister: () => this.#vcpu().getRegister(this.number() as VmReg),
    setRegister: () => this.#vcpu().setRegister(this.dice.below(40) as VmReg, this.long()),
    getSegDesc: () => this.#vcpu().getSegDesc(this.dice.below(40) as VmReg),
    setSegDesc: () =>
      this.#vcpu().setSegDesc(this.dice.below(40) as VmReg, {
        base: this.long(),
        limit: this.number(),
        access: this.dice.of([0x9b, 0x93, 0x209b, 0xc09b, 0x1_0000, this.number()]),
      }),
    fpu: () => this.#vcpu().setFpu(this.dice.once(2) ? this.#vcpu().getFpu() : new Uint8Array(this.dice.below(900))),
    getMsr: () => this.#vcpu().getMsr(this.dice.of([0x1b, 0x10, 0xc000_0080, 0x802, this.number()])),
    setMsr: () => this.#vcpu().setMsr(this.dice.of([0x1b, 0x277, 0xc000_0080, 0x80f, this.number()]), this.long()),
    runState: () => this.#vcpu().setRunState(this.dice.below(4) as 0, this.dice.once(2) ? this.number() : undefined),
    capability: () => this.#vcpu().setCapability(this.dice.of([...VM_CAPS, "NONE" as VmCap]), this.dice.once(2)),
    getCapability: () => this.#vcpu().getCapability(this.dice.of([...VM_CAPS, "NONE" as VmCap])),
    cpuid: () =>
      this.#vcpu().setCpuid({
        entries: Array.from(
          { length: this.dice.of([0, 1, 3, 257]) },
          (): CpuidEntry => ({ func: this.number(), eax: this.number(), ebx: 0, ecx: 0, edx: 0 }),
        ),
      }),
    emulateCpuid: () => this.#vcpu().emulateCpuid(this.number(), this.number()),
    cpuidCleanup: () => this.#vcpu().cpuidCleanup(),
    injectException: () => this.#vcpu().injectException(this.number(), this.dice.once(2) ? this.number() : undefined),
    injectPf: () => this.#vcpu().injectPf(this.number(), this.long()),
    injectNmi: () => this.#vcpu().injectNmi(),
    injectExtint: () => this.#vcpu().injectExtint(),
    injectInit: () => this.#vcpu().injectInit(),
    injectSipi: () => this.#vcpu().injectSipi(this.number()),
    exitIntinfo: () => this.#vcpu().exitIntinfo(this.dice.of([0x8000_0b0en, 0x8000_0302n, 0x8000_0030n, this.long()])),
    entryIntinfo: () => this.#vcpu().entryIntinfo(),
    gla2gpa: () => this.#vcpu().gla2gpa(this.long(), this.dice.below(9)),
    copySetup: () => {
      const copy = this.#vcpu().copySetup(this.long(), this.number() % 0x1_0000, this.dice.below(4));
      if (copy) this.copies.push(copy);
    },
    copyTeardown: () => this.copies.length && this.#vcpu().copyTeardown(this.dice.of(this.copies)),
    tscOffset: () => this.#vcpu().setTscOffset(this.long()),
    x2apic: () => this.#vcpu().setX2apicState(this.dice.of(["ENABLED", "DISABLED", "X" as "ENABLED"])),
    setState: () =>
      this.#vcpu().setState(this.dice.of(["IDLE", "FROZEN", "RUNNING", "X" as "IDLE"]), this.dice.once(2)),
    notify: () => this.#vcpu().notify(this.dice.of(["NONE", "APIC", "EXIT"])),
    stats: () => this.vm.kstats(),
    alloc: () => this.vm.segments.alloc(this.number(), this.number(), this.dice.once(2)),
    free: () => this.vm.segments.free(this.number()),
    mmap: () =>
      this.vm.segments.mmap(this.number(), this.dice.below(4), this.number(), this.number(), this.dice.below(10)),
    munmap: () => this.vm.segments.munmap(this.number(), this.number()),
    hold: () => this.holds.push(this.vm.segments.hold(this.number(), this.number(), this.dice.below(5))),
    release: () => this.holds.length && this.vm.segments.release(this.dice.of(this.holds)),
    trackDirty: () => this.vm.segments.trackDirtyPages(this.number(), this.number() % 0x10_0000),
    page: () => this.pages.push(this.vm.vmclient(this.number()).hold(this.number(), this.dice.below(4))),
    pageRelease: () => this.pages.length && this.dice.of(this.pages).release(),
    attach: () => this.cookies.push(this.vm.ports.attach(this.number(), () => 0)),
    hook: () => this.cookies.push(this.vm.ports.hook(this.number(), () => undefined)),
    detach: () => this.cookies.length && this.vm.ports.detach(this.dice.of(this.cookies)),
    unhook: () => this.cookies.length && this.vm.ports.unhook(this.dice.of(this.cookies)),
    mmio: () => this.vm.mmio.map(this.number(), this.number(), { read: () => 0, write: () => {} }),
    mmioUnmap: () => this.vm.mmio.unmap(this.number(), this.number()),
    suspend: () => this.vm.suspend(this.dice.of(["RESET", "HALT", "NONE", "X"]) as VmSuspendHow),
    reinit: () => this.vm.reinit(),
    pause: () => this.vm.pauseInstance(),
    resume: () => this.vm.resumeInstance(),
    activate: () => this.vm.activateCpu(this.number()),
    suspendCpu: () => this.vm.suspendCpu(this.number()),
    resumeCpu: () => this.vm.resumeCpu(this.dice.once(2) ? undefined : this.number()),
    block: () => this.vm.blockRun(this.number()),
    unblock: () => this.vm.unblockRun(this.number()),
    rendezvous: () => this.vm.smpRendezvous([this.number(), 0], () => {}),
    topology: () => this.vm.setTopology(this.number(), this.number(), this.number(), this.number()),
    apicid: () => this.vm.apicid2vcpuid(this.number()),
    lapicIrq: () => this.vm.chips.lapicIrq(this.number(), this.number()),
    isa: () => this.vm.chips.isaPulseIrq(this.number()),
    trigger: () => this.vm.chips.isaSetIrqTrigger(this.number(), this.dice.of(["EDGE", "LEVEL"])),
    msi: () => this.vm.chips.lapicMsi(this.dice.of([0xfee0_0000, this.number()]), this.dice.below(0x1_0000)),
    dataRead: () =>
      this.vm.dataRead({ class: this.dice.of(VMM_DATA_VERSIONS).class, version: 1, vcpuid: this.number() }),
    dataWrite: () => this.#dataWrite(),
    save: async () => this.files.push(await this.vm.save()),
    restore: () => this.files.length && this.vm.restore(this.dice.of(this.files)),
    restoreBroken: () => this.files.length && this.vm.restore(broken(this.dice, this.dice.of(this.files))),
    assign: () => this.vm.pptdevs.assign({} as never, { port: this.number(), irq: this.number() }),
  };

  #vcpu(): Vm<"inline">["vcpus"][number] {
    return this.dice.of(this.vm.vcpus);
  }

  #run(): unknown {
    const entries: VmEntry[] = [
      { cmd: "default" },
      { cmd: "default" },
      { cmd: "discardInstr" },
      { cmd: "fulfillInout", value: this.number() },
      { cmd: "fulfillMmio", value: this.long() },
      { cmd: "fulfillMsr", result: this.dice.of(["OK", "GP", "UNHANDLED"]), value: this.long() },
      { cmd: "fulfillVector", vector: this.number() },
    ];
    return this.#vcpu().run(this.dice.of(entries), { instructions: BigInt(this.dice.below(300)) });
  }

  #dataWrite(): void {
    const { class: name, perVcpu } = this.dice.of(VMM_DATA_VERSIONS);
    const req = { class: name, version: 1, ...(perVcpu && { vcpuid: this.dice.below(2) }) };
    const data = this.vm.dataRead(req);
    this.vm.dataWrite(req, mutated(this.dice, data));
  }
}

/** Plain data with one thing in it changed, somewhere. */
export function mutated(dice: Dice, data: unknown): unknown {
  const other = (): unknown => dice.of<unknown>([undefined, null, -1, 0, 1, 2 ** 40, "x", 5n, -1n, 1n << 65n, [], {}]);
  if (Array.isArray(data) && data.length) {
    const at = dice.below(data.length);
    return data.map((v, i) => (i === at ? mutated(dice, v) : v));
  }
  if (typeof data !== "object" || data === null || data instanceof Uint8Array) return other();
  const keys = Object.keys(data);
  if (!keys.length || dice.once(12)) return other();
  const key = dice.of(keys);
  if (dice.once(8)) return Object.fromEntries(Object.entries(data).filter(([k]) => k !== key));
  return { ...data, [key]: mutated(dice, (data as Record<string, unknown>)[key]) };
}

/** A file cut off, made longer, or with a bit changed. */
export function broken(dice: Dice, file: Uint8Array): Uint8Array {
  const at = dice.below(file.length);
  if (dice.once(3)) return file.slice(0, at);
  if (dice.once(4)) return Uint8Array.of(...file.subarray(0, 100), dice.below(256));
  const out = file.slice();
  out[at] ^= 1 << dice.below(8);
  return out;
}

/** Whether what was thrown says by its type what was wrong. */
export const isTyped = (error: unknown): boolean => error instanceof VmError || error instanceof SnapshotError;

/** What a guest could see of its machine, as text: every class of data, segments, memory. */
export function visible(vm: Vm): string {
  const parts: unknown[] = [vm.segments.export(), vm.topology, [...vm.activeCpus]];
  for (const { class: name, perVcpu, writef, checkf } of VMM_DATA_VERSIONS) {
    if (!writef || (!checkf && !vm.chipset)) continue;
    const ids = perVcpu ? vm.vcpus.map((v) => v.id) : [undefined];
    for (const vcpuid of ids) {
      const data = vm.dataRead({ class: name, version: 1, ...(vcpuid !== undefined && { vcpuid }) });
      // How often caches were filled is not the guest's business.
      parts.push({ ...data, stats: undefined });
    }
  }
  const text = JSON.stringify(parts, (_, v) =>
    typeof v === "bigint" ? `${v}n` : v instanceof Uint8Array ? [...v] : v,
  );
  let hash = 0;
  const { backing, pageBytes } = vm.memory;
  for (let page = 0; page < pageBytes.length; page++) {
    // A page that nobody has touched is all zeros.
    if (!pageBytes[page]) continue;
    const words = new Int32Array(backing.buffer, backing.byteOffset + page * 4096, 1024);
    if (words.every((word) => word === 0)) continue;
    for (const word of words) hash = (Math.imul(hash ^ word ^ page, 0x9e37_79b1) + (hash >>> 15)) | 0;
  }
  return `${text} ${hash}`;
}

export { PROT_ALL };
