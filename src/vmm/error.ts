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
 * | EIO | the host failed in the middle of an instruction (VmTrap) |
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
  | "EIO"
  | "EOPNOTSUPP";

/** A call that the vmm refuses. Nothing has changed. */
export class VmError extends Error {
  readonly code: VmErrno;
  /** The message without the code. */
  readonly what: string;

  constructor(code: VmErrno, what: string) {
    super(`${code}: ${what}`);
    this.name = "VmError";
    this.code = code;
    this.what = what;
  }
}

/**
 * The host has failed while it executed guest code (the seeds' vmm_call_trap hands the host's trap to the host): the
 * instruction under way is lost, so the vCPU runs no more until `reinit`. `cause` is what was thrown.
 */
export class VmTrap extends VmError {
  readonly vcpu: number;

  constructor(vcpu: number, cause: unknown) {
    super("EIO", `vCPU ${vcpu}: ${cause instanceof Error ? cause.message : String(cause)}`);
    this.name = "VmTrap";
    this.vcpu = vcpu;
    this.cause = cause;
  }
}
