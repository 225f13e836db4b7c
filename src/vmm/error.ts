/** Errors of the vmm: the seeds' errno values, as one exception type. */

/**
 * | code | when |
 * |---|---|
 * | EINVAL | an argument that can never be right: an unknown register, an unaligned address, a wrong answer to an exit |
 * | EBUSY | right, but not in this state: the vCPU runs, the instance is not suspended |
 * | EALREADY | it is so already: a vCPU active, a suspension under way |
 * | EEXIST, ENOENT | something is there already, or is not |
 * | ESRCH | nobody answers there |
 * | EFAULT | no guest memory at this address, or not with these rights |
 * | ENOMEM, ENOSPC | out of the memory reserved for the machine; out of table entries |
 * | ENXIO | the virtual machine is destroyed |
 * | EOPNOTSUPP | this CPU model or transport has no such thing |
 */
export type VmErrno =
  | "EINVAL"
  | "EBUSY"
  | "EALREADY"
  | "EEXIST"
  | "ENOENT"
  | "ESRCH"
  | "EFAULT"
  | "ENOMEM"
  | "ENOSPC"
  | "ENXIO"
  | "EOPNOTSUPP";

/** A call that the vmm refuses. Nothing has changed. */
export class VmError extends Error {
  readonly code: VmErrno;

  constructor(code: VmErrno, what: string) {
    super(`${code}: ${what}`);
    this.name = "VmError";
    this.code = code;
  }
}
