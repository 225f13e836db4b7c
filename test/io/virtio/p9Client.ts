/** What a guest's v9fs asks of a shared folder, over a virtqueue, a request at a time. */
import type { HostFolder } from "../../../src/folder/folder.ts";
import { HEADER, Reader, T, Writer } from "../../../src/folder/message.ts";
import { Virtio9p } from "../../../src/io/virtio/virtio9p.ts";
import { type FakeMemory, fakeLog } from "../fakes.ts";
import { BUFFERS, Driver } from "./driver.ts";

const REQUEST = BUFFERS;
const ANSWER = BUFFERS + 0x8_0000;
const ROOM = 0x8_0000;

/** An Rlerror, by Linux's number. */
export class Refused extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

export const share =
  (folder: HostFolder, log = fakeLog()) =>
  (memory: FakeMemory) =>
    new Virtio9p("folder", { memory, log, folder, tag: "share" });

export class Client {
  readonly driver: Driver;
  #tag = 0;

  constructor(driver: Driver) {
    this.driver = driver;
  }

  /** A client of a new device, its session begun and fid 0 at the root. */
  static async open(folder: HostFolder, features: bigint): Promise<Client> {
    const client = new Client(new Driver(share(folder)));
    client.driver.start(features);
    await client.begin();
    return client;
  }

  async begin(): Promise<void> {
    await this.ask(T.version, (to) => to.u32(0x4_0000).string("9P2000.L"));
    await this.ask(T.attach, (to) => to.u32(0).u32(0xffff_ffff).string("root").string("").u32(0));
  }

  /** Sends a request whose answer `take` waits for. */
  send(type: number, write: (to: Writer) => unknown, tag = ++this.#tag & 0xffff): number {
    const to = new Writer(0x8_0000);
    write(to);
    const message = to.message(type, tag);
    const { memory } = this.driver;
    memory.write(REQUEST, message);
    const half = Math.max(1, message.length >> 1);
    return this.driver.send(0, [
      { gpa: REQUEST, length: half },
      { gpa: REQUEST + half, length: message.length - half },
      { gpa: ANSWER, length: 11, write: true },
      { gpa: ANSWER + 11, length: ROOM - 11, write: true },
    ]);
  }

  /** The answer that has come. @throws Refused */
  take(type: number): Reader | undefined {
    const [done] = this.driver.rings[0].take();
    if (!done) return undefined;
    const bytes = this.driver.memory.bytes.slice(ANSWER, ANSWER + done.written);
    const view = new DataView(bytes.buffer);
    if (view.getUint32(0, true) !== bytes.length) throw new Error("an answer of another length than it says");
    const got = view.getUint8(4);
    if (got === T.lerror + 1) throw new Refused(view.getUint32(HEADER, true));
    if (got !== type + 1) throw new Error(`an answer of type ${got} to ${type}`);
    return new Reader(bytes);
  }

  async ask(type: number, write: (to: Writer) => unknown): Promise<Reader> {
    this.send(type, write);
    for (let i = 0; i < 100; i++) {
      const answer = this.take(type);
      if (answer) return answer;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    throw new Error("no answer");
  }

  async walk(fid: number, to: number, ...names: string[]): Promise<number> {
    const answer = await this.ask(T.walk, (m) => {
      m.u32(fid).u32(to).u16(names.length);
      for (const name of names) m.string(name);
    });
    return answer.u16();
  }

  async clunk(fid: number): Promise<void> {
    await this.ask(T.clunk, (m) => m.u32(fid));
  }

  /** A new fid of what is there. */
  async at(fid: number, ...path: string[]): Promise<void> {
    const n = await this.walk(0, fid, ...path);
    if (n !== path.length) throw new Refused(2);
  }

  async create(fid: number, folder: string[], name: string, flags = 0o102, mode = 0o644): Promise<void> {
    await this.at(fid, ...folder);
    await this.ask(T.lcreate, (m) => m.u32(fid).string(name).u32(flags).u32(mode).u32(0));
  }

  async open(fid: number, flags: number): Promise<void> {
    await this.ask(T.lopen, (m) => m.u32(fid).u32(flags));
  }

  async write(fid: number, at: number, text: string): Promise<number> {
    const bytes = new TextEncoder().encode(text);
    const answer = await this.ask(T.write, (m) => m.u32(fid).u64(BigInt(at)).u32(bytes.length).bytes(bytes));
    return answer.u32();
  }

  async read(fid: number, at = 0, count = 4096): Promise<string> {
    const answer = await this.ask(T.read, (m) => m.u32(fid).u64(BigInt(at)).u32(count));
    return new TextDecoder().decode(answer.bytes(answer.u32()));
  }

  /** Names and types of a directory, read in pieces of `count` bytes. */
  async list(fid: number, count = 200): Promise<[name: string, type: number][]> {
    const all: [string, number][] = [];
    for (let offset = 0n; ; ) {
      const at = offset;
      const answer = await this.ask(T.readdir, (m) => m.u32(fid).u64(at).u32(count));
      const data = answer.bytes(answer.u32());
      if (data.length === 0) return all;
      const from = new Reader(new Uint8Array([...new Uint8Array(HEADER), ...data]));
      for (let left = data.length; left > 0; ) {
        from.bytes(13);
        offset = from.u64();
        const type = from.u8();
        const name = from.string();
        left -= 13 + 8 + 1 + 2 + new TextEncoder().encode(name).length;
        all.push([name, type]);
      }
    }
  }

  async stat(fid: number): Promise<{ mode: number; uid: number; links: number; size: number; modified: number }> {
    const a = await this.ask(T.getattr, (m) => m.u32(fid).u64(0x7ffn));
    a.u64();
    a.bytes(13);
    const [mode, uid] = [a.u32(), a.u32()];
    a.u32();
    const links = Number(a.u64());
    a.u64();
    const size = Number(a.u64());
    a.bytes(16 + 16);
    return { mode, uid, links, size, modified: Number(a.u64()) };
  }

  async setattr(
    fid: number,
    valid: number,
    values: { mode?: number; size?: number; modified?: number },
  ): Promise<void> {
    const { mode = 0, size = 0, modified = 0 } = values;
    await this.ask(T.setattr, (m) => {
      m.u32(fid).u32(valid).u32(mode).u32(0).u32(0).u64(BigInt(size));
      m.u64(0n).u64(0n).u64(BigInt(modified)).u64(5n);
    });
  }
}
