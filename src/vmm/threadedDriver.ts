/**
 * Runs each vCPU in a worker of its own. A vCPU whose exit is with the caller of `run` waits in its worker, the
 * instruction under way; one that was told to stop is in its event loop.
 *
 *     not started --run--> runs --exit--> waits --run (answer)--> runs --told to stop--> not started
 */
import { VCPU } from "../shared/layout.ts";
import { requestStop } from "../vcpu/attention.ts";
import type { DeviceSide } from "../vcpu/engine.ts";
import { ThreadedEngine, type ThreadedOptions } from "../vcpu/threaded.ts";
import { abandon } from "./answer.ts";
import { VmError } from "./error.ts";
import type { VmEntry, VmExit } from "./exit.ts";
import type { DriverServices } from "./inlineDriver.ts";
import type { Driver, HoldReason, Notice, RunOptions, VmContext } from "./types.ts";
import type { Vcpu } from "./vcpu.ts";

interface Pending {
  readonly vcpu: Vcpu<"threaded">;
  readonly resolve: (exit: VmExit) => void;
  readonly reject: (error: Error) => void;
  /** VCPU.runMs when it was let go. */
  runMs: number;
  since: number;
}

export class ThreadedDriver implements Driver<"threaded">, DeviceSide {
  readonly #vm: VmContext<"threaded">;
  readonly #services: DriverServices;
  /** Not there yet while the chips of the vm are made. */
  #engine!: ThreadedEngine;
  readonly #pending = new Map<number, Pending>();
  /** vCPUs that must not execute, by how many have asked for it. */
  readonly #held = new Map<number, number>();
  /** Calls of `run` that wait for `release`. */
  readonly #parked = new Set<number>();
  readonly #kicked = new Set<number>();
  #ending = false;
  /** Who waits for a vCPU to stop. */
  #still: (() => void)[] = [];

  private constructor(vm: VmContext<"threaded">, services: DriverServices) {
    this.#vm = vm;
    this.#services = services;
  }

  static async create(
    vm: VmContext<"threaded">,
    services: DriverServices,
    options: ThreadedOptions,
  ): Promise<ThreadedDriver> {
    const driver = new ThreadedDriver(vm, services);
    // Any vCPU may be with its caller, so the deadlines are every one's.
    driver.#engine = await ThreadedEngine.create({ ...options, deadlines: "all" }, driver);
    return driver;
  }

  async run(vcpu: Vcpu<"threaded">, entry: VmEntry, options: RunOptions): Promise<VmExit> {
    if (options.instructions !== undefined || options.milliseconds !== undefined) {
      throw new VmError("EOPNOTSUPP", "a worker runs until there is an exit");
    }
    const early =
      vcpu.exits.enter(entry) ??
      (vcpu.exits.notices.length && !vcpu.exits.waiting ? vcpu.exits.leave(this.#bogus(vcpu)) : undefined);
    if (early) return early;
    return new Promise<VmExit>((resolve, reject) => {
      this.#pending.set(vcpu.id, { vcpu, resolve, reject, runMs: 0, since: 0 });
      if (this.#held.get(vcpu.id)) this.#parked.add(vcpu.id);
      else this.#go(vcpu);
    });
  }

  #go(vcpu: Vcpu<"threaded">): void {
    const pending = this.#pending.get(vcpu.id) as Pending;
    pending.runMs = vcpu.view.get(VCPU.runMs);
    pending.since = this.#vm.hostNow();
    vcpu.states.set("RUNNING");
    vcpu.states.ustate("RUN");
    if (vcpu.exits.takeWaiting()) {
      if (vcpu.exits.notices.length) requestStop(vcpu.view);
      this.#engine.answer(vcpu.id);
    } else this.#engine.startVcpu(vcpu.id);
  }

  /** The vCPU executes nothing any more; what it slept in HLT is told apart from what it ran. */
  #came(pending: Pending): void {
    const { vcpu } = pending;
    vcpu.states.set("FROZEN");
    vcpu.states.ustate("EMU_KERN");
    const ran = vcpu.view.get(VCPU.runMs) - pending.runMs;
    vcpu.states.slept(Math.max(0, this.#vm.hostNow() - pending.since - ran));
  }

  kick(id: number): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#kicked.add(id);
    requestStop(pending.vcpu.view);
  }

  shouldYield(id: number): boolean {
    return this.#kicked.has(id);
  }

  async hold(ids: readonly number[], _why: HoldReason): Promise<void> {
    for (const id of ids) {
      this.#held.set(id, (this.#held.get(id) ?? 0) + 1);
      const pending = this.#pending.get(id);
      if (pending && pending.vcpu.states.state === "RUNNING") requestStop(pending.vcpu.view);
    }
    const executing = (): boolean => ids.some((id) => this.#pending.get(id)?.vcpu.states.state === "RUNNING");
    while (executing()) await new Promise<void>((resolve) => this.#still.push(resolve));
  }

  release(ids: readonly number[], _why: HoldReason, notice?: Notice): void {
    for (const id of ids) {
      const n = (this.#held.get(id) ?? 1) - 1;
      this.#held.set(id, n);
      const pending = this.#pending.get(id);
      if (n > 0 || !pending || !this.#parked.delete(id)) continue;
      const { vcpu } = pending;
      if (notice) vcpu.exits.notices.push(notice);
      const gone = this.#vm.mustLeave(id) ?? (vcpu.exits.notices.length ? this.#bogus(vcpu) : undefined);
      if (gone && !vcpu.exits.waiting) this.#resolve(pending, () => vcpu.exits.leave(gone));
      else this.#go(vcpu);
    }
  }

  #bogus(vcpu: Vcpu<"threaded">): VmExit {
    return { exitcode: "BOGUS", rip: vcpu.view.get64(VCPU.rip), instLength: 0 };
  }

  async abandonAll(vcpus: readonly Vcpu<"threaded">[]): Promise<void> {
    for (const vcpu of vcpus) {
      // The instruction that a worker waits with has not happened; the worker goes to its event loop.
      if (!vcpu.exits.takeWaiting()) continue;
      abandon(vcpu.view);
      requestStop(vcpu.view);
      this.#engine.answer(vcpu.id);
    }
    await this.#engine.stop();
  }

  async destroy(vcpus: readonly Vcpu<"threaded">[]): Promise<void> {
    this.#ending = true;
    await this.abandonAll(vcpus);
    await this.#engine.destroy();
    for (const { reject } of this.#pending.values()) reject(new VmError("ENXIO", "the virtual machine is destroyed"));
    this.#pending.clear();
    this.#wakeHolders();
  }

  deadlineChanged(at: bigint): void {
    this.#engine?.deadlineChanged(at);
  }

  #resolve(pending: Pending, exit: () => VmExit): void {
    this.#pending.delete(pending.vcpu.id);
    this.#kicked.delete(pending.vcpu.id);
    try {
      pending.resolve(exit());
    } catch (error) {
      pending.reject(error as Error);
    }
    this.#wakeHolders();
  }

  #wakeHolders(): void {
    for (const wake of this.#still.splice(0)) wake();
  }

  // DeviceSide

  serveExit(id: number): boolean {
    const pending = this.#pending.get(id);
    // Without a run nobody has let it go: it was abandoned and stops.
    if (!pending) return true;
    this.#came(pending);
    let served: boolean;
    try {
      served = this.#services.serve(id);
    } catch (error) {
      // A handler that throws has not answered: the exit stays with the caller.
      pending.vcpu.exits.left();
      this.#reject(pending, error);
      return false;
    }
    if (served) {
      if (pending.vcpu.exits.notices.length) requestStop(pending.vcpu.view);
      pending.vcpu.states.set("RUNNING");
      pending.vcpu.states.ustate("RUN");
      pending.since = this.#vm.hostNow();
      pending.runMs = pending.vcpu.view.get(VCPU.runMs);
      return true;
    }
    this.#resolve(pending, () => pending.vcpu.exits.left());
    return false;
  }

  stopped(id: number): void {
    const pending = this.#pending.get(id);
    if (!pending || this.#ending) return;
    const { vcpu } = pending;
    this.#came(pending);
    const gone = this.#vm.mustLeave(id);
    if (gone) this.#resolve(pending, () => vcpu.exits.leave(gone));
    else if (this.#held.get(id)) {
      this.#parked.add(id);
      this.#wakeHolders();
    } else if (this.#kicked.has(id) || vcpu.exits.notices.length)
      this.#resolve(pending, () => vcpu.exits.leave(this.#bogus(vcpu)));
    else this.#go(vcpu);
  }

  failed(id: number, error?: unknown): void {
    const pending = this.#pending.get(id);
    if (error === undefined) this.#vm.suspend("TRIPLEFAULT");
    if (!pending) return;
    this.#came(pending);
    const gone = this.#vm.mustLeave(id);
    if (error === undefined && gone) {
      this.#resolve(pending, () => pending.vcpu.exits.leave(gone));
      return;
    }
    pending.vcpu.states.set("IDLE");
    this.#reject(pending, pending.vcpu.exits.callTrap(error));
  }

  #reject(pending: Pending, error: unknown): void {
    this.#pending.delete(pending.vcpu.id);
    this.#kicked.delete(pending.vcpu.id);
    pending.reject(error as Error);
    this.#wakeHolders();
  }

  drain(): boolean {
    const all = this.#services.drain();
    for (const { vcpu } of this.#pending.values()) {
      if (vcpu.exits.notices.length && vcpu.states.state === "RUNNING") requestStop(vcpu.view);
    }
    return all;
  }

  fireTimers(): void {
    this.#services.fireTimers();
  }

  now(): bigint {
    return this.#services.now();
  }

  nextDeadline(): bigint {
    return this.#services.nextDeadline();
  }
}
