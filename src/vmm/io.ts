/**
 * Who answers the guest's ports and device memory before an exit reaches whoever called `run`: handlers attached to
 * ports and to ranges of physical addresses, and hooks in front of ports.
 */
import { RangeMap } from "../bus/ranges.ts";
import type { IoHandler, Width } from "../shared/device.ts";
import { VmError } from "./error.ts";
import type { MemorySegments } from "./memseg.ts";

/**
 * Answers one port access (ioport_handler_t). For a read the value, for a write anything; undefined = not mine: a hook
 * lets the access go on to the handler behind it, a handler lets it go on to `run`.
 */
export type IoportHandler = (access: {
  readonly in: boolean;
  readonly port: number;
  readonly bytes: Width;
  /** Value written; 0 for a read. */
  readonly value: number;
}) => number | undefined;

/** What attach and hook give, to detach and unhook with. */
export interface IoCookie {
  readonly port: number;
  readonly handler: IoportHandler;
}

/** Ports of a vm, and who answers them. */
export class IoPorts {
  readonly #handlers = new Map<number, IoCookie>();
  readonly #hooks = new Map<number, IoCookie[]>();

  /** vm_ioport_attach. @throws VmError EEXIST: the port has a handler; EINVAL: no such port */
  attach(port: number, handler: IoportHandler): IoCookie {
    checkPort(port);
    if (this.#handlers.has(port)) throw new VmError("EEXIST", `port 0x${port.toString(16)} has a handler`);
    const cookie = { port, handler };
    this.#handlers.set(port, cookie);
    return cookie;
  }

  /**
   * A device's run of ports, each with a handler. A wide access that leaves the run becomes byte accesses, each to whoever
   * has that port; a byte that nobody has reads as ones.
   *
   * @returns what takes it out again. @throws VmError EEXIST, EINVAL: nothing is attached
   */
  attachRange(base: number, length: number, device: IoHandler): () => void {
    const cookies: IoCookie[] = [];
    const detach = (): void => {
      for (const cookie of cookies) this.detach(cookie);
    };
    try {
      for (let port = base; port < base + length; port++) {
        cookies.push(this.attach(port, (access) => this.#device(access, base, length, device)));
      }
    } catch (error) {
      detach();
      throw error;
    }
    return detach;
  }

  #device(access: Parameters<IoportHandler>[0], base: number, length: number, device: IoHandler): number {
    const { in: isIn, port, bytes, value } = access;
    if (port + bytes <= base + length) {
      if (isIn) return device.read(port - base, bytes);
      device.write(port - base, bytes, value);
      return 0;
    }
    let all = 0;
    for (let i = 0; i < bytes; i++) {
      const at = (port + i) & 0xffff;
      const one = at >= base && at < base + length;
      const byte = (value >>> (8 * i)) & 0xff;
      if (!isIn && one) device.write(at - base, 1, byte);
      else if (!isIn) this.access(false, at, 1, byte);
      else all += (one ? device.read(at - base, 1) : (this.access(true, at, 1, 0) ?? 0xff)) * 2 ** (8 * i);
    }
    return all;
  }

  /** vm_ioport_detach. @returns the handler. @throws VmError ENOENT: not attached (any more) */
  detach(cookie: IoCookie): IoportHandler {
    if (this.#handlers.get(cookie.port) !== cookie) throw new VmError("ENOENT", "no such handler");
    this.#handlers.delete(cookie.port);
    return cookie.handler;
  }

  /** vm_ioport_hook: before the port's handler, and before hooks that are there already. */
  hook(port: number, handler: IoportHandler): IoCookie {
    checkPort(port);
    const cookie = { port, handler };
    this.#hooks.set(port, [cookie, ...(this.#hooks.get(port) ?? [])]);
    return cookie;
  }

  /** vm_ioport_unhook. @throws VmError ENOENT: not hooked (any more) */
  unhook(cookie: IoCookie): void {
    const hooks = this.#hooks.get(cookie.port) ?? [];
    if (!hooks.includes(cookie)) throw new VmError("ENOENT", "no such hook");
    this.#hooks.set(
      cookie.port,
      hooks.filter((h) => h !== cookie),
    );
  }

  /** vm_ioport_access. undefined: nobody answers (ESRCH in the seeds); a write that was taken gives 0. */
  access(isIn: boolean, port: number, bytes: Width, value: number): number | undefined {
    const access = { in: isIn, port, bytes, value };
    for (const { handler } of [...(this.#hooks.get(port) ?? []), this.#handlers.get(port)].filter(
      (c) => c !== undefined,
    )) {
      const answer = handler(access);
      if (answer !== undefined) return isIn ? (answer & (bytes === 4 ? -1 : 2 ** (8 * bytes) - 1)) >>> 0 : 0;
    }
    return undefined;
  }
}

function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) throw new VmError("EINVAL", `no port ${port}`);
}

/** Regions of physical addresses with device registers in them. */
export class MmioRegions {
  readonly #map = new RangeMap();
  readonly #detach = new Map<number, { length: number; detach: () => void }>();
  readonly #memory: MemorySegments;

  constructor(memory: MemorySegments) {
    this.#memory = memory;
  }

  /**
   * vm_map_mmio: accesses to [gpa, gpa + length) go to a handler. (The seeds map a host device's registers; here the
   * device is an object.)
   *
   * @throws VmError EINVAL: nothing, or not an address; EEXIST: memory or another region is there
   */
  map(gpa: number, length: number, handler: IoHandler): void {
    if (!Number.isSafeInteger(gpa) || gpa < 0 || !(length > 0)) throw new VmError("EINVAL", "no region of addresses");
    const next = this.#memory.getNext(gpa);
    if (this.#memory.find(gpa) || (next && next.gpa < gpa + length)) {
      throw new VmError("EEXIST", `memory is mapped at 0x${gpa.toString(16)}`);
    }
    let detach: () => void;
    try {
      detach = this.#map.attach(gpa, length, handler);
    } catch (error) {
      throw new VmError("EEXIST", (error as Error).message);
    }
    this.#detach.set(gpa, { length, detach });
  }

  /** vm_unmap_mmio. @throws VmError EINVAL: no such region */
  unmap(gpa: number, length: number): void {
    const region = this.#detach.get(gpa);
    if (region?.length !== length) throw new VmError("EINVAL", `no region at 0x${gpa.toString(16)}`);
    region.detach();
    this.#detach.delete(gpa);
  }

  /** vm_service_mmio_read. undefined: nobody answers (ESRCH). */
  read(gpa: number, bytes: Width | 8): bigint | undefined {
    const r = this.#map.find(gpa);
    if (!r) return undefined;
    const offset = gpa - r.base;
    if (bytes < 8) return BigInt(r.handler.read(offset, bytes as Width) >>> 0);
    if (r.handler.read64) return r.handler.read64(offset);
    return BigInt(r.handler.read(offset, 4) >>> 0) | (BigInt(r.handler.read(offset + 4, 4) >>> 0) << 32n);
  }

  /** vm_service_mmio_write. false: nobody takes it (ESRCH). */
  write(gpa: number, bytes: Width | 8, value: bigint): boolean {
    const r = this.#map.find(gpa);
    if (!r) return false;
    const offset = gpa - r.base;
    if (bytes < 8) r.handler.write(offset, bytes as Width, Number(value));
    else if (r.handler.write64) r.handler.write64(offset, value);
    else {
      r.handler.write(offset, 4, Number(value & 0xffff_ffffn));
      r.handler.write(offset + 4, 4, Number(value >> 32n));
    }
    return true;
  }
}
