/**
 * Answers exits by what is attached to a vm, chips and handlers, before they reach the caller of `run`; and takes what comes
 * from vCPUs without an exit: coalesced writes, INIT and start-up IPIs.
 */
import type { Width } from "../shared/device.ts";
import { EXIT } from "../shared/exit.ts";
import { VCPU } from "../shared/layout.ts";
import { RING } from "../shared/ring.ts";
import { drainRing } from "../vcpu/ring.ts";
import { finishInit, postInit, postSipi } from "../vcpu/startup.ts";
import type { StructView } from "../vcpu/view.ts";
import type { Chipset } from "./chipset.ts";
import { exitSize, exitWrites } from "./exitRecord.ts";
import type { IoPorts, MmioRegions } from "./io.ts";
import type { MachineMemory } from "./memory.ts";
import type { Notice } from "./types.ts";
import { CPU_SIGNATURE, initVcpu } from "./vcpuReset.ts";

/** What is needed of a vm. */
export interface Attached {
  readonly memory: MachineMemory;
  readonly ports: IoPorts;
  readonly mmio: MmioRegions;
  readonly chipset: Chipset | undefined;
  readonly vcpus: readonly { readonly view: StructView; readonly exits: { readonly notices: Notice[] } }[];
}

export class ExitServer {
  readonly #vm: Attached;
  readonly #active: ReadonlySet<number>;
  /** The vCPU whose exit is being answered. */
  #serving: number | undefined;

  constructor(vm: Attached, active: ReadonlySet<number>) {
    this.#vm = vm;
    this.#active = active;
  }

  /** Answers an exit; false: nobody does. */
  serve(id: number): boolean {
    this.#serving = id;
    try {
      return this.#vm.chipset?.serve(this.#vm.vcpus[id].view, id) || this.#attached(id);
    } finally {
      this.#serving = undefined;
    }
  }

  #attached(id: number): boolean {
    const { ports, mmio, memory, vcpus } = this.#vm;
    const { view } = vcpus[id];
    const code = view.get(VCPU.exitCode);
    if (code === EXIT.INIT) {
      initVcpu(view, CPU_SIGNATURE);
      finishInit(view);
      return true;
    }
    if (code !== EXIT.INOUT && code !== EXIT.INST_EMUL) return false;
    const where = Number(view.get64(VCPU.exitA));
    const write = exitWrites(view);
    const bytes = exitSize(view) as Width | 8;
    const value = write ? view.get64(VCPU.exitData) : 0n;
    if (code === EXIT.INOUT) {
      const answer = ports.access(!write, where, bytes as Width, Number(value & 0xffff_ffffn));
      if (answer !== undefined && !write) view.set64(VCPU.exitData, BigInt(answer));
      return answer !== undefined;
    }
    if (memory.hostAddress(where) >= 0) return false;
    if (write) return mmio.write(where, bytes, value);
    const answer = mmio.read(where, bytes);
    if (answer !== undefined) view.set64(VCPU.exitData, answer);
    return answer !== undefined;
  }

  /** Takes coalesced writes. */
  drain(): boolean {
    return drainRing(this.#vm.memory.control, (kind, vcpu, low, high) => {
      if (kind === RING.EOI) this.#eoi(vcpu, low);
      else if (kind === RING.PORT) this.#vm.ports.access(false, high & 0xffff, (high >>> 16) as 1 | 4, low);
    });
  }

  /** EOI of a level-triggered vector: the IOAPIC's, or the caller's of `run`. */
  #eoi(id: number, vector: number): void {
    const { chipset, vcpus } = this.#vm;
    if (chipset) chipset.apicBus.eoi(vector);
    else vcpus[id]?.exits.notices.push({ exitcode: "IOAPIC_EOI", ioapicEoi: { vector } });
  }

  /** INIT for a vCPU. One that is not active runs nothing that could be interrupted. */
  onInit(id: number): void {
    const { chipset, vcpus } = this.#vm;
    const { view } = vcpus[id];
    if (this.#active.has(id)) postInit(view);
    else {
      initVcpu(view, CPU_SIGNATURE);
      chipset?.apics[id].initReset();
    }
  }

  /** A start-up IPI: whoever runs the sender hears of one for a vCPU that is not active. */
  onStartup(id: number, vector: number): void {
    const { vcpus } = this.#vm;
    if (this.#active.has(id) || this.#serving === undefined) postSipi(vcpus[id].view, vector);
    else {
      const rip = BigInt(vector) << 12n;
      vcpus[this.#serving].exits.notices.push({ exitcode: "SPINUP_AP", spinupAp: { vcpu: id, rip } });
    }
  }
}
