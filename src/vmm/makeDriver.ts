/** The driver of a vm's transport, with its cores or workers. */
import { instantiateCore } from "../vcpu/core.ts";
import type { HostOrder } from "../vcpu/hostOrder.ts";
import type { HostGlue } from "./glue.ts";
import { type DriverServices, InlineDriver } from "./inlineDriver.ts";
import { ThreadedDriver } from "./threadedDriver.ts";
import type { Driver, Transport, VmContext } from "./types.ts";
import type { Vcpu } from "./vcpu.ts";

export async function makeDriver<T extends Transport>(
  vm: VmContext<T> & { readonly vcpus: readonly Vcpu<T>[] },
  services: DriverServices,
  host: { readonly module: WebAssembly.Module; readonly glue: HostGlue; readonly order: HostOrder },
): Promise<Driver<T>> {
  const { module, glue, order } = host;
  const { memory } = vm.memory;
  if (!vm.threaded) {
    const cores = vm.vcpus.map(({ view }) => {
      const core = instantiateCore(module, memory, glue.now, glue.random);
      core.init(view.base);
      return core;
    });
    return new InlineDriver(vm as unknown as VmContext<"inline">, services, cores) as unknown as Driver<T>;
  }
  const vcpus = vm.vcpus.length;
  return (await ThreadedDriver.create(vm as unknown as VmContext<"threaded">, services, {
    module,
    memory,
    vcpus,
    inTurns: vcpus > 1 && order === "weak",
    spawn: () => glue.spawn(),
    yieldTo: glue.yieldTo,
  })) as unknown as Driver<T>;
}
