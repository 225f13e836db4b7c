/** Statistics of a virtual machine for tools (the seeds' vmm_kstats_t and vmm_vcpu_kstats_t). */
import { STATS, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import type { VcpuStats } from "./vcpu.ts";

/** VMM_KSTAT_CLASS. */
export const VMM_KSTAT_CLASS = "misc";

export interface VcpuKstats extends VcpuStats {
  /** The core's own counters (STATS in src/shared/layout.ts). */
  readonly counters: Readonly<Record<string, number>>;
}

/** `vmm_kstats_t`, with those of each vCPU. */
export interface VmmKstats {
  readonly module: "vmm";
  /** Number of the virtual machine among those of its VmmModule, from 0 on. */
  readonly instance: number;
  readonly class: typeof VMM_KSTAT_CLASS;
  /** vk_name. */
  readonly name: string;
  readonly vcpus: readonly VcpuKstats[];
}

export function vcpuKstats(stats: VcpuStats, view: StructView): VcpuKstats {
  return { ...stats, counters: Object.fromEntries(STATS.map((name, i) => [name, view.get(VCPU.stats, i)])) };
}

/**
 * One line for each value, `module:instance:name:statistic value`, times in nanoseconds, as kstat(8) prints with -p:
 *
 *     vmm:0:vm:vm_name first
 *     vmm:0:vcpu1:time_run 52000000
 */
export function kstatLines(stats: VmmKstats): string[] {
  const head = `${stats.module}:${stats.instance}`;
  const lines = [`${head}:vm:vm_name ${stats.name}`];
  for (const vcpu of stats.vcpus) {
    const values: Record<string, string | number | bigint> = { vcpu: vcpu.vcpu, instructions: vcpu.instructions };
    for (const [state, ms] of Object.entries(vcpu.time)) values[`time_${state.toLowerCase()}`] = Math.round(ms * 1e6);
    for (const [code, n] of Object.entries(vcpu.exits)) values[`exit_${code.toLowerCase()}`] = n;
    Object.assign(values, vcpu.counters);
    for (const [name, value] of Object.entries(values)) lines.push(`${head}:vcpu${vcpu.vcpu}:${name} ${value}`);
  }
  return lines;
}
