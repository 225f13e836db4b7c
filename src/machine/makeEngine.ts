/** Compiles the core and makes what runs a machine's vCPUs: workers, or turns on this thread. */
import { type CoreExports, instantiateCore, unshared } from "../vcpu/core.ts";
import type { DeviceSide, Engine } from "../vcpu/engine.ts";
import { InlineEngine } from "../vcpu/inline.ts";
import type { PageLoader } from "../vcpu/pages.ts";
import { ThreadedEngine } from "../vcpu/threaded.ts";
import type { VirtualClock } from "../vcpu/virtualClock.ts";
import { repeatableRandom } from "./determinism.ts";
import type { MachineConfig } from "./machineConfig.ts";
import { triggerYield } from "./yield.ts";

export interface EngineOptions {
  readonly config: MachineConfig;
  readonly transport: "threaded" | "inline";
  readonly memory: WebAssembly.Memory;
  readonly pages: PageLoader;
  /** The host's clock, or one made of instructions; in milliseconds. */
  readonly now: () => number;
  /** That clock, of a deterministic machine. */
  readonly clock: VirtualClock | undefined;
  readonly devices: DeviceSide;
}

function hostCores(): number {
  const { navigator } = globalThis as { navigator?: { hardwareConcurrency?: number } };
  return navigator?.hardwareConcurrency ?? 1;
}

/** Compiling takes longer than all else that making a machine needs, and who makes many has the same core for all. */
const MODULES = {
  threaded: new WeakMap<Uint8Array, Promise<WebAssembly.Module>>(),
  inline: new WeakMap<Uint8Array, Promise<WebAssembly.Module>>(),
};

function compiled(core: Uint8Array, transport: "threaded" | "inline"): Promise<WebAssembly.Module> {
  let module = MODULES[transport].get(core);
  if (!module) {
    module = WebAssembly.compile((transport === "threaded" ? core : unshared(core)) as BufferSource);
    MODULES[transport].set(core, module);
  }
  return module;
}

/** The engine, and a core instance on this thread for vCPUs that do not run. */
export async function makeEngine(options: EngineOptions): Promise<{ core: CoreExports; engine: Engine }> {
  const { config, transport, memory, pages, devices } = options;
  const { vcpus = 1, spawn } = config;
  const module = (transport === "threaded" && config.module) || (await compiled(config.core, transport));
  const core = instantiateCore(module, memory, () => performance.now(), undefined, undefined, pages);
  if (transport === "threaded") {
    if (!spawn) throw new TypeError("the threaded transport needs spawn");
    const cores = config.hostCores ?? hostCores();
    return {
      core,
      engine: await ThreadedEngine.create({ module, memory, vcpus, cores, spawn, yieldTo: triggerYield }, devices),
    };
  }
  const { now, clock } = options;
  const engine = new InlineEngine(
    {
      module,
      memory,
      vcpus,
      pages,
      now,
      yieldTo: triggerYield,
      ...(clock && { clock, random: repeatableRandom() }),
      ...(config.deterministic?.pace && { pace: config.deterministic.pace }),
      ...(config.regions && { regions: config.regions }),
    },
    devices,
  );
  return { core, engine };
}
