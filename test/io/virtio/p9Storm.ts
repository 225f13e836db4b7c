/** Random 9P requests: what v9fs may send, names that want out, messages cut short. Everything follows from `random`. */

import { Random } from "../../../src/cli/fuzz/random.ts";
import type { HostFolder } from "../../../src/folder/folder.ts";
import { T, Writer } from "../../../src/folder/message.ts";
import { P9Server } from "../../../src/folder/server.ts";
import { StormError } from "../chipStorm.ts";

/** What ends a session, or begins one. */
const SESSION = [T.version, T.attach] as const;
/** What makes fids and opens them comes more often. */
const TYPES = [
  Object.values(T).filter((type) => type !== T.lerror && type !== T.version),
  [T.walk, T.walk, T.walk, T.lopen, T.lcreate, T.write, T.read, T.attach],
] as const;
const NAMES = ["a", "b", "c", "d", "link", "out", "up", "abs"] as const;
/** Names that are none, or that want out; and of links in the folder that point there. */
const ESCAPES = [
  ...["", ".", "..", "/", "../..", "../../etc", "a/../..", "/etc/passwd", "a\0", "\0", "..\0", "//", "./a"],
  ...["..\\", "%2e%2e", "\u2025", "n".repeat(300), "\ud800"],
] as const;
const TARGETS = ["..", "../..", "/", "/etc/passwd", "../outside", "../outside/secret", "a", ".", "link"] as const;
const FIDS = 12;

/** A message, tag included; mostly one that means something. */
export function randomRequest(random: Random): Uint8Array {
  const some = random.percent(0.5) ? SESSION : random.pick(TYPES);
  const type = random.percent(98) ? random.pick<number>(some) : random.below(256);
  const to = new Writer(0x2_0000);
  const name = (): string => (random.percent(75) ? random.pick(NAMES) : random.pick(ESCAPES));
  const fid = (): number => (random.percent(97) ? random.below(FIDS) : random.u32());
  const flags = (): number => random.pick([0, 1, 2, 0o102, 0o1002, 0o2001, 0o200000, 0o203, random.u32()]);
  const mode = (): number => random.pick([0o644, 0o755, 0, 0o4777, 0o777, random.u32()]);
  const position = (): bigint => {
    if (random.percent(90)) return BigInt(random.below(20_000));
    return random.pick([BigInt(random.u32()), 1n << 40n, (1n << 63n) - 1n, (1n << 64n) - 1n]);
  };
  const count = (): number => (random.percent(95) ? random.below(9000) : random.u32());
  switch (type) {
    case T.version:
      to.u32(random.pick([8192, 0x2_0000, 0, random.u32()])).string(random.pick(["9P2000.L", "9P2000", ""]));
      break;
    case T.attach:
      to.u32(fid()).u32(0xffff_ffff).string("root").string(name()).u32(0);
      break;
    case T.walk: {
      const n = random.percent(95) ? random.below(4) : random.below(0x1_0000);
      to.u32(fid()).u32(fid()).u16(n);
      for (let i = 0; i < Math.min(n, 20); i++) to.string(random.percent(15) ? ".." : name());
      break;
    }
    case T.lopen:
      to.u32(fid()).u32(flags());
      break;
    case T.lcreate:
      to.u32(fid()).string(name()).u32(flags()).u32(mode()).u32(0);
      break;
    case T.symlink:
      to.u32(fid()).string(name()).string(random.pick(TARGETS)).u32(0);
      break;
    case T.mknod:
      to.u32(fid())
        .string(name())
        .u32(random.pick([0o100644, 0o020666, 0o010666, random.u32()]));
      to.u32(1).u32(3).u32(0);
      break;
    case T.mkdir:
      to.u32(fid()).string(name()).u32(mode()).u32(0);
      break;
    case T.link:
    case T.rename:
      to.u32(fid()).u32(fid()).string(name());
      break;
    case T.renameat:
      to.u32(fid()).string(name()).u32(fid()).string(name());
      break;
    case T.unlinkat:
      to.u32(fid())
        .string(name())
        .u32(random.pick([0, 0x200]));
      break;
    case T.setattr:
      to.u32(fid())
        .u32(random.pick([1, 8, 0x20, 0x1a0, random.u32()]))
        .u32(mode())
        .u32(random.u32())
        .u32(0);
      to.u64(random.percent(95) ? BigInt(random.below(20_000)) : position());
      for (let i = 0; i < 4; i++) to.u64(BigInt(random.u32()));
      break;
    case T.getattr:
      to.u32(fid()).u64(0x7ffn);
      break;
    case T.readdir:
      to.u32(fid())
        .u64(BigInt(random.percent(90) ? random.below(10) : random.u32()))
        .u32(count());
      break;
    case T.read:
      to.u32(fid()).u64(position()).u32(count());
      break;
    case T.write: {
      const n = random.below(600);
      to.u32(fid());
      to.u64(random.percent(98) ? BigInt(random.below(20_000)) : position());
      to.u32(random.percent(95) ? n : random.u32()).bytes(random.bytes(n));
      break;
    }
    case T.lock:
    case T.getlock:
      to.u32(fid()).u8(random.below(4));
      if (type === T.lock) to.u32(random.below(4));
      to.u64(position()).u64(position()).u32(random.u32()).string(name());
      break;
    case T.flush:
      to.u16(random.below(0x1_0000));
      break;
    default:
      to.u32(fid());
      if (random.percent(50)) to.u32(random.u32()).string(name());
  }
  const message = to.message(type, random.below(0x1_0000)).slice();
  if (random.percent(3)) return message.slice(0, Math.max(7, random.below(message.length)));
  if (random.percent(3)) message[random.below(message.length)] = random.below(256);
  return message;
}

const ROOM = 9000;

/** A server and its random client, without a queue between them; a request comes when the one before has been answered. */
export class P9Storm {
  readonly #random: Random;
  readonly #server: P9Server;
  readonly #log: string[] = [];
  /** Requests of each type that were done, not refused. */
  readonly done: Record<number, number> = {};

  constructor(seed: number, folder: HostFolder) {
    this.#random = new Random(seed);
    this.#server = new P9Server(folder, (text) => this.#log.push(text));
  }

  async #begin(): Promise<void> {
    this.#server.reset();
    await this.#ask(new Writer(64).u32(0x2_0000).string("9P2000.L").message(T.version, 0xffff).slice());
    await this.#ask(new Writer(64).u32(0).u32(0xffff_ffff).string("").string("").u32(0).message(T.attach, 1).slice());
  }

  /** @throws StormError, in the promise: something that must hold did not */
  async run(requests: number): Promise<void> {
    await this.#begin();
    for (let n = 0; n < requests; n++) {
      if (this.#random.percent(0.2)) await this.#begin();
      const message = randomRequest(this.#random);
      new DataView(message.buffer).setUint32(0, message.length, true);
      await this.#ask(message);
    }
    if (this.#log.length) throw new StormError(`an error that no folder has: ${this.#log[0]}`);
  }

  async #ask(message: Uint8Array): Promise<void> {
    const type = message[4];
    let answers = 0;
    const answer = await new Promise<Uint8Array>((resolve) => {
      this.#server.answer(message, ROOM, (bytes) => {
        answers++;
        // The server may use its memory again.
        resolve(bytes.slice());
      });
    });
    if (answers !== 1) throw new StormError(`request ${type} got ${answers} answers`);
    const view = new DataView(answer.buffer);
    const got = view.getUint8(4);
    const right = got === ((type + 1) & 0xff) || got === T.lerror + 1;
    const tag = message[5] | (message[6] << 8);
    if (
      !right ||
      view.getUint16(5, true) !== tag ||
      view.getUint32(0, true) !== answer.length ||
      answer.length > ROOM
    ) {
      throw new StormError(`request ${type} got ${got} with ${answer.length} bytes`);
    }
    if (got === type + 1) this.done[type] = (this.done[type] ?? 0) + 1;
  }
}
