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
import type { InlineServices } from "./inlineDriver.ts";
import type { Driver, VmContext } from "./types.ts";
import type { Vcpu } from "./vcpu.ts";

const NEVER = 0xffff_ffff_ffff_ffffn;

interface Pending {
  readonly vcpu: Vcpu<"threaded">;
  readonly resolve: (exit: VmExit) => void;
  readonly reject: (error: Error) => void;
  /** VCPU.runMs when it was let go. */
  runMs: number;
  since: number;
}

export interface ThreadedServices extends InlineServices {
  now(): bigint;
}

export class ThreadedDriver implements Driver<"threaded">, DeviceSide {
  readonly #vm: VmContext<"threaded">;
  readonly #services: ThreadedServices;
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

  private constructor(vm: VmContext<"threaded">, services: ThreadedServices) {
    this.#vm = vm;
    this.#services = services;
  }

  static async create(
    vm: VmContext<"threaded">,
    services: ThreadedServices,
    options: ThreadedOptions,
  ): Promise<ThreadedDriver> {
    const driver = new ThreadedDriver(vm, services);
    driver.#engine = await ThreadedEngine.create(options, driver);
    return driver;
  }

  async run(vcpu: Vcpu<"threaded">, entry: VmEntry, options: { instructions?: bigint }): Promise<VmExit> {
    if (options.instructions !== undefined) throw new VmError("EOPNOTSUPP", "a worker does not count instructions");
    const early = vcpu.enter(entry);
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
    if (vcpu.takeWaiting()) this.#engine.answer(vcpu.id);
    else this.#engine.startVcpu(vcpu.id);
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

  async hold(ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      this.#held.set(id, (this.#held.get(id) ?? 0) + 1);
      const pending = this.#pending.get(id);
      if (pending && pending.vcpu.states.state === "RUNNING") requestStop(pending.vcpu.view);
    }
    const executing = (): boolean => ids.some((id) => this.#pending.get(id)?.vcpu.states.state === "RUNNING");
    while (executing()) await new Promise<void>((resolve) => this.#still.push(resolve));
  }

  release(ids: readonly number[]): void {
    for (const id of ids) {
      const n = (this.#held.get(id) ?? 1) - 1;
      this.#held.set(id, n);
      const pending = this.#pending.get(id);
      if (n > 0 || !pending || !this.#parked.delete(id)) continue;
      const gone = this.#vm.mustLeave(id);
      if (gone && !pending.vcpu.waiting) this.#resolve(pending, () => pending.vcpu.leave(gone));
      else this.#go(pending.vcpu);
    }
  }

  async abandonAll(vcpus: readonly Vcpu<"threaded">[]): Promise<void> {
    for (const vcpu of vcpus) {
      // The instruction that a worker waits with has not happened; the worker goes to its event loop.
      if (!vcpu.takeWaiting()) continue;
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
  }

  dropCode(hostPage: number): void {
    this.#engine.dropCode(hostPage);
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
    if (this.#services.serve(id)) {
      pending.vcpu.states.set("RUNNING");
      pending.vcpu.states.ustate("RUN");
      pending.since = this.#vm.hostNow();
      pending.runMs = pending.vcpu.view.get(VCPU.runMs);
      return true;
    }
    this.#resolve(pending, () => pending.vcpu.left());
    return false;
  }

  stopped(id: number): void {
    const pending = this.#pending.get(id);
    if (!pending || this.#ending) return;
    const { vcpu } = pending;
    this.#came(pending);
    const gone = this.#vm.mustLeave(id);
    const bogus: VmExit = { exitcode: "BOGUS", rip: vcpu.view.get64(VCPU.rip), instLength: 0 };
    if (gone) this.#resolve(pending, () => vcpu.leave(gone));
    else if (this.#held.get(id)) {
      this.#parked.add(id);
      this.#wakeHolders();
    } else if (this.#kicked.has(id) || vcpu.eois.length) this.#resolve(pending, () => vcpu.leave(bogus));
    else this.#go(vcpu);
  }

  failed(id: number, error?: unknown): void {
    const pending = this.#pending.get(id);
    if (error === undefined) this.#vm.suspend("TRIPLEFAULT");
    if (!pending) return;
    this.#came(pending);
    const gone = this.#vm.mustLeave(id);
    if (error === undefined && gone) {
      this.#resolve(pending, () => pending.vcpu.leave(gone));
      return;
    }
    this.#pending.delete(id);
    pending.vcpu.states.set("IDLE");
    pending.reject(error instanceof Error ? error : new Error(String(error)));
    this.#wakeHolders();
  }

  drain(): boolean {
    const all = this.#services.drain();
    for (const { vcpu } of this.#pending.values()) {
      if (vcpu.eois.length && vcpu.states.state === "RUNNING") requestStop(vcpu.view);
    }
    return all;
  }

  fireTimers(): void {}

  now(): bigint {
    return this.#services.now();
  }

  nextDeadline(): bigint {
    return NEVER;
  }
}
