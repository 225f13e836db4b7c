/**
 * The vmm as a loaded module: the compiled core, once for all virtual machines made with it (the seeds' vmm_mod_load and
 * vmm_mod_unload), and what concerns all of them.
 *
 *     const vmm = await VmmModule.load(coreBytes());
 *     const vm = await Vm.create({ name: "first", core: vmm, transport: "inline" });
 */
import { unshared } from "../vcpu/core.ts";
import { VmError } from "./error.ts";
import type { Transport } from "./types.ts";

/** A virtual machine, as its module sees it. */
export interface ModuleMember {
  hostSlept(ms: number): void;
}

/** What src/vcpu/core.ts calls. */
const NEEDED = ["init", "refresh", "run", "answer", "getMsr", "setMsr", "readCpuid", "gla2gpa", "rflags", "setRflags"];

/** The module; every vm made with it counts as its user. */
export class VmmModule {
  readonly #bytes: Uint8Array;
  readonly #compiled = new Map<Transport, Promise<WebAssembly.Module>>();
  readonly #members = new Set<ModuleMember>();
  #instances = 0;
  #loaded = true;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /**
   * vmm_mod_load.
   *
   * @param core the compiled core (dist/core/core.wasm)
   * @param transport what is compiled at once; the other one is when a vm asks for it
   * @throws VmError EINVAL: not that
   */
  static async load(core: Uint8Array, transport: Transport = "threaded"): Promise<VmmModule> {
    const vmm = new VmmModule(core);
    let exports: readonly { readonly name: string }[];
    try {
      exports = WebAssembly.Module.exports(await vmm.compiled(transport));
      // That compiled("inline") has what it needs, too.
      if (transport === "threaded") unshared(core);
    } catch (error) {
      throw new VmError("EINVAL", `not the core: ${(error as Error).message}`);
    }
    const missing = NEEDED.filter((name) => !exports.some((e) => e.name === name));
    if (missing.length) throw new VmError("EINVAL", `not the core: it has no ${missing.join(", ")}`);
    return vmm;
  }

  /**
   * vmm_mod_unload: no virtual machine is made with it any more.
   *
   * @throws VmError EBUSY: there are some; ENXIO: unloaded already
   */
  unload(): void {
    this.#alive();
    if (this.#members.size) throw new VmError("EBUSY", `${this.#members.size} virtual machines are there`);
    this.#loaded = false;
    this.#compiled.clear();
  }

  /** Virtual machines there are. */
  get vms(): number {
    return this.#members.size;
  }

  /**
   * vmm_resume_func_t: the host has slept, or the page was frozen, for `ms` milliseconds. For the guests that time has not
   * been: their clocks go on from where they stood, without a burst of timer interrupts. Not those that are paused.
   *
   * @throws VmError EINVAL, ENXIO
   */
  resume(ms: number): void {
    this.#alive();
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) throw new VmError("EINVAL", `the host has slept ${ms} ms`);
    for (const vm of this.#members) vm.hostSlept(ms);
  }

  /** @internal The core for a transport. */
  compiled(transport: Transport): Promise<WebAssembly.Module> {
    this.#alive();
    let module = this.#compiled.get(transport);
    if (!module) {
      const bytes = transport === "threaded" ? this.#bytes : unshared(this.#bytes);
      module = WebAssembly.compile(bytes as BufferSource);
      this.#compiled.set(transport, module);
    }
    return module;
  }

  /** @internal A virtual machine is there; its number. */
  join(vm: ModuleMember): number {
    this.#members.add(vm);
    return this.#instances++;
  }

  /** @internal It is gone. */
  leave(vm: ModuleMember): void {
    this.#members.delete(vm);
  }

  #alive(): void {
    if (!this.#loaded) throw new VmError("ENXIO", "the module is unloaded");
  }
}
