/** Which vCPUs of a vm may run, and which are kept from it: what the seeds' vm keeps in its cpusets. */
import { VmError } from "./error.ts";
import type { Notice } from "./types.ts";

/** What is needed of a driver. */
interface Holder {
  kick(id: number): void;
  hold(ids: readonly number[], why: "REQIDLE" | "RENDEZVOUS"): Promise<void>;
  release(ids: readonly number[], why: "REQIDLE" | "RENDEZVOUS", notice?: Notice): void;
}

/** Vm's methods of the same names say what each does; whether there is a vCPU of that number is for the vm to say. */
export class CpuSets {
  readonly active = new Set<number>([0]);
  /** Taken out for debugging. */
  readonly debug = new Set<number>();
  /** Those that have left with SUSPENDED. */
  readonly suspended = new Set<number>();
  /** Those that a rendezvous has not finished with. */
  readonly rendezvous = new Set<number>();
  readonly #blocked = new Map<number, number>();
  readonly #driver: () => Holder;

  constructor(driver: () => Holder) {
    this.#driver = driver;
  }

  /** The vm begins anew: nobody has been suspended. */
  reinit(): void {
    this.debug.clear();
    this.suspended.clear();
  }

  /** Sets of a snapshot. */
  replace(active: readonly number[], debug: readonly number[]): void {
    this.reinit();
    this.active.clear();
    for (const id of active) this.active.add(id);
    for (const id of debug) this.debug.add(id);
  }

  needActive(id: number): void {
    if (!this.active.has(id)) throw new VmError("EINVAL", `vCPU ${id} is not active`);
  }

  activate(id: number): void {
    if (this.active.has(id)) throw new VmError("EBUSY", `vCPU ${id} is active`);
    this.active.add(id);
  }

  /** One vCPU, which must be active, or all that are. */
  #ids(id: number | undefined): readonly number[] {
    if (id === undefined) return [...this.active];
    this.needActive(id);
    return [id];
  }

  suspend(id: number | undefined): void {
    for (const one of this.#ids(id)) {
      this.debug.add(one);
      this.#driver().kick(one);
    }
  }

  resume(id: number | undefined): void {
    for (const one of this.#ids(id)) {
      if (!this.debug.delete(one) && id !== undefined) throw new VmError("EINVAL", `vCPU ${id} is not suspended`);
    }
  }

  async block(id: number): Promise<void> {
    this.#blocked.set(id, (this.#blocked.get(id) ?? 0) + 1);
    await this.#driver().hold([id], "REQIDLE");
  }

  unblock(id: number): void {
    const times = this.#blocked.get(id) ?? 0;
    if (times === 0) throw new VmError("EINVAL", `vCPU ${id} is not blocked`);
    this.#blocked.set(id, times - 1);
    this.#driver().release([id], "REQIDLE");
  }

  /** @param work for each, when all stand still @param exit they leave `run` with RENDEZVOUS then */
  async meet(dest: Iterable<number>, work: (id: number) => void, exit: boolean): Promise<void> {
    const ids = [...new Set(dest)];
    for (const id of ids) {
      this.needActive(id);
      if (this.rendezvous.has(id)) throw new VmError("EBUSY", `vCPU ${id} is in a rendezvous`);
    }
    for (const id of ids) this.rendezvous.add(id);
    try {
      await this.#driver().hold(ids, "RENDEZVOUS");
      for (const id of ids) {
        work(id);
        this.rendezvous.delete(id);
      }
    } finally {
      for (const id of ids) this.rendezvous.delete(id);
      this.#driver().release(ids, "RENDEZVOUS", exit ? { exitcode: "RENDEZVOUS" } : undefined);
    }
  }
}
