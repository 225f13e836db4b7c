/** How the vCPUs are spread over sockets, cores and threads (the seeds' vm_get_topology and vm_set_topology). */
import { VmError } from "./error.ts";

/** How many sockets, cores and threads there are. */
export interface VmTopology {
  readonly sockets: number;
  /** Cores of a socket, threads of a core. */
  readonly cores: number;
  readonly threads: number;
  /** vCPUs there can be. */
  readonly maxcpus: number;
}

/** What is there unless something else is asked for: a core for each vCPU. */
export const oneSocket = (vcpus: number): VmTopology => ({ sockets: 1, cores: vcpus, threads: 1, maxcpus: vcpus });

const isPowerOfTwo = (n: number): boolean => (n & (n - 1)) === 0;

/**
 * Checks a topology for `vcpus` vCPUs. CPUID's leaf 0Bh says by how many bits an APIC id is to be shifted for the number of
 * the core and of the package; with APIC ids without gaps that takes powers of two below the highest level there is.
 *
 * @throws VmError EINVAL
 */
export function checkTopology({ sockets, cores, threads, maxcpus }: VmTopology, vcpus: number): void {
  const whole = [sockets, cores, threads].every((n) => Number.isInteger(n) && n >= 1);
  if (!whole || sockets * cores * threads !== vcpus || maxcpus !== vcpus) {
    throw new VmError("EINVAL", `${sockets} sockets of ${cores} cores of ${threads} threads are not ${vcpus} vCPUs`);
  }
  if (cores * sockets > 1 && !isPowerOfTwo(threads)) throw new VmError("EINVAL", `${threads} threads: no power of two`);
  if (sockets > 1 && !isPowerOfTwo(cores * threads)) throw new VmError("EINVAL", `${cores} cores: no power of two`);
}
