/** virtio-9p (Virtual I/O Device Version 1.2 names the type, QEMU's and Linux's header the rest): a shared folder by 9P2000.L. */

import type { HostFolder } from "../../folder/folder.ts";
import { HEADER } from "../../folder/message.ts";
import { MAX_MSIZE, P9Server } from "../../folder/server.ts";
import { Buffers } from "../buffers.ts";
import { byteLength, gather, scatter } from "../pieces.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import { readable, VirtioDevice, type VirtioOptions } from "./virtioDevice.ts";
import type { Chain } from "./virtqueue.ts";

const QUEUE_SIZE = 128;
const FEATURE_MOUNT_TAG = 1n;
/** Bytes of the answer that every request must have room for: an error. */
const ERROR_SIZE = HEADER + 4;

export interface Virtio9pOptions extends VirtioOptions {
  readonly folder: HostFolder;
  /** What the guest mounts it by. */
  readonly tag: string;
}

export class Virtio9p extends VirtioDevice {
  readonly type = 9;
  readonly #server: P9Server;
  readonly #buffers = new Buffers();
  #inFlight = 0;

  constructor(name: string, options: Virtio9pOptions) {
    const tag = new TextEncoder().encode(options.tag);
    super(name, options, FEATURE_MOUNT_TAG, [QUEUE_SIZE], 2 + tag.length);
    this.config.setUint16(0, tag.length, true);
    tag.forEach((byte, i) => {
      this.config.setUint8(2 + i, byte);
    });
    this.#server = new P9Server(options.folder, options.log);
  }

  override get busy(): boolean {
    return this.#inFlight > 0;
  }

  protected override onReset(): void {
    this.#inFlight = 0;
    this.#server.reset();
  }

  protected override serve(n: number): void {
    this.drain(n, (chain) => this.#request(n, chain));
    this.signal(n);
  }

  #request(n: number, chain: Chain): boolean {
    const available = byteLength(chain.readable);
    const room = byteLength(chain.writable);
    const size = available < HEADER ? 0 : new DataView(readable(this.memory, chain, 4).buffer).getUint32(0, true);
    if (size < HEADER || size > available || size > MAX_MSIZE || room < ERROR_SIZE) {
      this.fail(`a message of ${size} bytes in ${available}, with room for ${room}`);
      return false;
    }
    const { epoch } = this;
    let late = false;
    this.#inFlight++;
    const request = this.#buffers.take(size);
    gather(this.memory, chain.readable, request);
    this.#server.answer(request, room, (message) => {
      this.#buffers.give(request);
      if (epoch !== this.epoch) return;
      this.#inFlight--;
      this.push(n, chain, scatter(this.memory, chain.writable, message));
      if (late) this.signal(n);
    });
    late = true;
    return true;
  }

  protected override exportDevice(): object {
    return this.#server.export();
  }

  protected override checkDevice(from: SnapshotFields): () => void {
    return this.#server.check(from);
  }
}
