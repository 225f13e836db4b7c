/** Shared folders by 9P2000.L: the same requests over a folder in memory, over files of a page and over a host's directory. */
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { HostDirectory } from "../../../src/cli/hostFolder.ts";
import type { HostFolder } from "../../../src/folder/folder.ts";
import { MemoryFolder } from "../../../src/folder/memory.ts";
import { T } from "../../../src/folder/message.ts";
import { fakeLog } from "../fakes.ts";
import { BUFFERS, Driver, EVENT_IDX, INDIRECT_DESC, PACKED, VERSION_1 } from "./driver.ts";
import { Client, share } from "./p9Client.ts";

const SPLIT = VERSION_1;
const ALL = VERSION_1 | EVENT_IDX | INDIRECT_DESC | PACKED;
const scratch = mkdtempSync(join(tmpdir(), "tabhyve-9p-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let folders = 0;
const directory = (): string => {
  const path = join(scratch, String(folders++));
  mkdirSync(path);
  return path;
};

const S_IFMT = 0o170000;
const [RDONLY, WRONLY, RDWR, TRUNC, APPEND] = [0, 1, 2, 0o1000, 0o2000];
const [ENOENT, EBADF, EEXIST, ENOTDIR, EINVAL, EROFS, ELOOP] = [2, 9, 17, 20, 22, 30, 40];
const refused = (errno: number) => ({ errno });

const kinds: [string, bigint, () => HostFolder][] = [
  ["in memory, packed queues", ALL, () => new MemoryFolder()],
  ["in memory, split queues", SPLIT, () => new MemoryFolder()],
  ["a directory of the host", ALL, () => new HostDirectory(directory(), false)],
];

describe.each(kinds)("a shared folder, %s", (_name, features, make) => {
  it("makes, writes, reads, appends and cuts files", async () => {
    const client = await Client.open(make(), features);
    await client.create(1, [], "a", RDWR);
    expect(await client.write(1, 0, "hello, folder")).toBe(13);
    expect(await client.read(1, 7)).toBe("folder");
    expect(await client.read(1, 13)).toBe("");
    await client.write(1, 20, "x");
    expect(await client.read(1)).toBe(`hello, folder${"\0".repeat(7)}x`);
    await client.at(2, "a");
    expect(await client.stat(2)).toMatchObject({ mode: 0o100644, links: 1, size: 21 });
    await client.setattr(2, 8, { size: 5 });
    await client.setattr(2, 1, { mode: 0o600 });
    await client.setattr(2, 0x20 | 0x100, { modified: 1_000_000_000 });
    expect(await client.stat(2)).toMatchObject({ mode: 0o100600, size: 5, modified: 1_000_000_000 });
    expect(await client.read(1)).toBe("hello");
    await client.open(2, WRONLY | APPEND);
    await client.write(2, 0, "!");
    await expect(client.read(2)).rejects.toMatchObject(refused(EBADF));
    expect(await client.read(1)).toBe("hello!");
    await client.ask(T.fsync, (m) => m.u32(1).u32(0));
    await client.at(3, "a");
    await client.open(3, RDWR | TRUNC);
    expect(await client.read(1)).toBe("");
    // Exclusive, and not.
    await expect(client.create(4, [], "a", RDWR | 0o200)).rejects.toMatchObject(refused(EEXIST));
    await client.clunk(4);
    await client.create(4, [], "a", RDWR);
    await expect(client.open(4, RDONLY)).rejects.toMatchObject(refused(EBADF));
    await client.clunk(4);
    await expect(client.read(4)).rejects.toMatchObject(refused(EBADF));
  });

  it("has directories, read in pieces, and walks them", async () => {
    const client = await Client.open(make(), features);
    await client.ask(T.mkdir, (m) => m.u32(0).string("d").u32(0o755).u32(0));
    for (let i = 0; i < 40; i++) {
      await client.create(1, ["d"], `file ${i} \u00e4`);
      await client.clunk(1);
    }
    await client.at(1, "d");
    await client.open(1, RDONLY | 0o200000);
    const list = await client.list(1);
    expect(list.slice(0, 2)).toEqual([
      [".", 4],
      ["..", 4],
    ]);
    const names = Array.from({ length: 40 }, (_, i) => `file ${i} \u00e4`);
    expect(list.slice(2).sort()).toEqual(names.map((name) => [name, 8]).sort());
    // A piece too small for anything.
    expect((await client.ask(T.readdir, (m) => m.u32(1).u64(0n).u32(10))).u32()).toBe(0);
    await expect(client.open(0, WRONLY)).rejects.toMatchObject(refused(21));
    expect(await client.walk(0, 5, "d", "file 3 \u00e4")).toBe(2);
    expect(await client.walk(0, 6, "d", "none", "deeper")).toBe(1);
    await expect(client.clunk(6)).rejects.toMatchObject(refused(EBADF));
    await expect(client.walk(0, 6, "none")).rejects.toMatchObject(refused(ENOENT));
    await expect(client.walk(5, 6, "below a file")).rejects.toMatchObject(refused(ENOTDIR));
    // Above the root is the root.
    expect(await client.walk(5, 7, "..", "..", "..", "..", "d")).toBe(5);
    expect((await client.stat(7)).mode & S_IFMT).toBe(0o040000);
    await expect(client.ask(T.unlinkat, (m) => m.u32(0).string("d").u32(0x200))).rejects.toMatchObject(refused(39));
    await expect(client.ask(T.unlinkat, (m) => m.u32(0).string("d").u32(0))).rejects.toMatchObject(refused(21));
  });

  it("renames, and fids follow; what is removed is gone, but not for who has it open", async () => {
    const client = await Client.open(make(), features);
    for (const name of ["d", "e"]) await client.ask(T.mkdir, (m) => m.u32(0).string(name).u32(0o755).u32(0));
    await client.create(1, ["d"], "a");
    await client.write(1, 0, "text");
    await client.at(2, "d", "a");
    await client.at(3, "d");
    await client.at(4, "e");
    await client.ask(T.renameat, (m) => m.u32(0).string("d").u32(4).string("D"));
    expect((await client.stat(2)).size).toBe(4);
    await expect(client.at(5, "d")).rejects.toMatchObject(refused(ENOENT));
    await client.at(5, "e", "D", "a");
    await client.ask(T.rename, (m) => m.u32(2).u32(4).string("b"));
    expect((await client.stat(5)).size).toBe(4);
    await client.open(5, RDONLY);
    expect(await client.read(5)).toBe("text");
    // Onto another: that is gone.
    await client.create(6, ["e"], "c");
    await client.ask(T.renameat, (m) => m.u32(4).string("b").u32(4).string("c"));
    await client.at(7, "e", "c");
    expect((await client.stat(7)).size).toBe(4);
    expect((await client.stat(6)).size).toBe(0);
    // A directory into itself.
    await expect(client.ask(T.renameat, (m) => m.u32(4).string("D").u32(3).string("in"))).rejects.toMatchObject(
      refused(EINVAL),
    );
    await client.ask(T.remove, (m) => m.u32(7));
    await expect(client.stat(7)).rejects.toMatchObject(refused(EBADF));
    expect(await client.read(1)).toBe("text");
    await client.write(1, 4, "!");
    expect(await client.stat(1)).toMatchObject({ size: 5, links: 0 });
    await client.ask(T.unlinkat, (m) => m.u32(4).string("D").u32(0x200));
    await expect(client.stat(3)).rejects.toMatchObject(refused(116));
    await expect(client.create(8, ["e"], "x", RDWR).then(() => client.walk(3, 9, "y"))).rejects.toMatchObject(
      refused(116),
    );
    await expect(client.ask(T.remove, (m) => m.u32(0))).rejects.toMatchObject(refused(16));
  });

  it("has links of both kinds, and follows none", async () => {
    const client = await Client.open(make(), features);
    await client.create(1, [], "a");
    await client.write(1, 0, "text");
    await client.ask(T.link, (m) => m.u32(0).u32(1).string("b"));
    await client.at(2, "b");
    expect(await client.stat(2)).toMatchObject({ links: 2, size: 4 });
    for (const [name, target] of [
      ["root", "/"],
      ["up", "../../../../../../../../etc"],
      ["passwd", "/etc/passwd"],
    ]) {
      await client.ask(T.symlink, (m) => m.u32(0).string(name).string(target).u32(0));
      await client.at(3, name);
      expect((await client.ask(T.readlink, (m) => m.u32(3))).string()).toBe(target);
      expect((await client.stat(3)).mode & S_IFMT).toBe(0o120000);
      await expect(client.open(3, RDONLY)).rejects.toMatchObject(refused(ELOOP));
      await expect(client.setattr(3, 8, { size: 0 })).rejects.toMatchObject(refused(EINVAL));
      await expect(client.walk(3, 4, "etc")).rejects.toMatchObject(refused(ENOTDIR));
      await expect(client.create(4, [], name, WRONLY)).rejects.toMatchObject(refused(ELOOP));
      await client.clunk(4);
      await client.clunk(3);
    }
    await expect(client.ask(T.readlink, (m) => m.u32(1))).rejects.toMatchObject(refused(EINVAL));
  });

  it("answers what v9fs asks besides", async () => {
    const client = await Client.open(make(), features);
    const a = await client.ask(T.statfs, (m) => m.u32(0));
    expect([a.u32(), a.u32()]).toEqual([0x0102_1997, 4096]);
    expect(a.u64()).toBeGreaterThanOrEqual(a.u64());
    await client.create(1, [], "a");
    const lock = await client.ask(T.lock, (m) => m.u32(1).u8(1).u32(0).u64(0n).u64(0n).u32(7).string("guest"));
    expect(lock.u8()).toBe(0);
    const get = await client.ask(T.getlock, (m) => m.u32(1).u8(1).u64(5n).u64(6n).u32(7).string("guest"));
    expect([get.u8(), get.u64(), get.u64(), get.u32(), get.string()]).toEqual([2, 5n, 6n, 7, "guest"]);
    await expect(client.ask(T.xattrwalk, (m) => m.u32(1).u32(9).string("security.capability"))).rejects.toMatchObject(
      refused(95),
    );
    await expect(client.ask(T.auth, (m) => m.u32(9).string("root").string("").u32(0))).rejects.toMatchObject(
      refused(95),
    );
    const mknod = (mode: number) => client.ask(T.mknod, (m) => m.u32(0).string("node").u32(mode).u32(1).u32(3).u32(0));
    await expect(mknod(0o020666)).rejects.toMatchObject(refused(1));
    await expect(mknod(0o010666)).rejects.toMatchObject(refused(1));
    await mknod(0o100600);
    await client.at(2, "node");
    expect((await client.stat(2)).mode).toBe(0o100600);
    await client.ask(T.flush, (m) => m.u16(12345));
    // A version that is not ours ends the session all the same.
    const other = await client.ask(T.version, (m) => m.u32(8192).string("9P2000"));
    expect([other.u32(), other.string()]).toEqual([8192, "unknown"]);
    await expect(client.stat(1)).rejects.toMatchObject(refused(EBADF));
  });

  it("takes no name that is not one", async () => {
    const client = await Client.open(make(), features);
    await client.create(1, [], "a");
    for (const name of ["", ".", "a/b", "/", "../x", "/etc/passwd", "a\0b"]) {
      await expect(client.walk(0, 9, name)).rejects.toMatchObject(refused(EINVAL));
      for (const type of [T.mkdir, T.symlink, T.link, T.rename, T.renameat, T.unlinkat, T.mknod]) {
        const ask = client.ask(type, (m) => {
          if (type === T.link) m.u32(0).u32(1).string(name);
          else if (type === T.rename) m.u32(1).u32(0).string(name);
          else if (type === T.renameat) m.u32(0).string("a").u32(0).string(name);
          else if (type === T.symlink) m.u32(0).string(name).string("x").u32(0);
          else m.u32(0).string(name).u32(0).u32(0).u32(0).u32(0);
        });
        await expect(ask).rejects.toMatchObject(refused(EINVAL));
      }
      await expect(client.create(2, [], name)).rejects.toMatchObject(refused(EINVAL));
      await client.clunk(2);
    }
    await expect(client.create(2, [], "..")).rejects.toMatchObject(refused(EINVAL));
    await expect(client.walk(0, 9, "n".repeat(256))).rejects.toMatchObject(refused(36));
  });

  it("goes on after being saved with files open", async () => {
    const folder = make();
    const client = await Client.open(folder, features);
    await client.create(1, [], "a");
    await client.write(1, 0, "before");
    await client.at(2);
    await client.open(2, RDONLY);
    await client.create(3, [], "gone");
    await client.ask(T.unlinkat, (m) => m.u32(0).string("gone").u32(0));
    const state = structuredClone(client.driver.card.export());
    if (folder instanceof MemoryFolder) folder.remove(["a"], false);
    const other = new Client(new Driver(share(folder), client.driver.memory));
    other.driver.rings = client.driver.rings;
    other.driver.card.import(state);
    expect(other.driver.card.export()).toEqual(state);
    expect(await other.read(1)).toBe("before");
    await other.write(1, 6, " and after");
    expect(await other.read(1)).toBe("before and after");
    expect((await other.list(2)).map(([name]) => name)).toEqual([".", "..", "a"]);
    await expect(other.read(3)).rejects.toMatchObject(refused(116));
  });
});

describe("a shared folder that is only to be read", () => {
  const source = (): HostDirectory => {
    const path = directory();
    writeFileSync(join(path, "a"), "text");
    return new HostDirectory(path, true);
  };

  it("refuses every change", async () => {
    const client = await Client.open(source(), ALL);
    await client.at(1, "a");
    await expect(client.open(1, RDWR)).rejects.toMatchObject(refused(EROFS));
    await expect(client.open(1, RDONLY | TRUNC)).rejects.toMatchObject(refused(EROFS));
    await client.open(1, RDONLY);
    expect(await client.read(1)).toBe("text");
    await client.at(2);
    const requests = [
      client.ask.bind(client, T.lcreate, (m) => m.u32(2).string("b").u32(2).u32(0).u32(0)),
      client.ask.bind(client, T.mkdir, (m) => m.u32(0).string("b").u32(0).u32(0)),
      client.ask.bind(client, T.symlink, (m) => m.u32(0).string("b").string("x").u32(0)),
      client.ask.bind(client, T.link, (m) => m.u32(0).u32(1).string("b")),
      client.ask.bind(client, T.mknod, (m) => m.u32(0).string("b").u32(0o100600).u32(0).u32(0).u32(0)),
      client.ask.bind(client, T.renameat, (m) => m.u32(0).string("a").u32(0).string("b")),
      client.ask.bind(client, T.unlinkat, (m) => m.u32(0).string("a").u32(0)),
      client.ask.bind(client, T.setattr, (m) => m.u32(1).u32(1).u32(0).u32(0).u32(0).bytes(new Uint8Array(40))),
    ];
    for (const request of requests) await expect(request()).rejects.toMatchObject(refused(EROFS));
  });
});

describe("files that were dropped on a page", () => {
  it("are read where they are, and become the guest's when it writes", async () => {
    const reads: number[] = [];
    const text = new TextEncoder().encode("a file of the page");
    const blob = {
      size: text.length,
      slice: (from: number, to: number) => ({
        arrayBuffer: async () => {
          reads.push(to - from);
          return text.slice(from, to).buffer as ArrayBuffer;
        },
      }),
    };
    const folder = new MemoryFolder();
    folder.place(["sub", "name"], blob);
    const client = await Client.open(folder, ALL);
    await client.at(1, "sub", "name");
    await client.open(1, RDWR);
    expect(await client.read(1, 2, 4)).toBe("file");
    expect(reads).toEqual([4]);
    const state = structuredClone(folder.export());
    await client.write(1, 2, "FILE");
    expect(await client.read(1)).toBe("a FILE of the page");
    expect(reads).toEqual([4, text.length]);
    expect(new TextDecoder().decode(text)).toBe("a file of the page");
    folder.check(state)();
    await client.at(2, "sub", "name");
    await client.open(2, RDONLY);
    expect(await client.read(2)).toBe("a file of the page");
    expect(() => new MemoryFolder().check(state)).toThrow("not those of then");
  });

  it("hold a full folder's error, and a file that cannot be read any more", async () => {
    const folder = new MemoryFolder({ limit: 10_000 });
    folder.place(["big"], { size: 20_000, slice: () => ({ arrayBuffer: () => Promise.reject(new Error("gone")) }) });
    const client = await Client.open(folder, ALL);
    await client.at(1, "big");
    await client.open(1, RDWR);
    await expect(client.read(1)).rejects.toMatchObject(refused(5));
    await expect(client.write(1, 0, "x")).rejects.toMatchObject(refused(28));
    await client.create(2, [], "a");
    await client.write(2, 0, "x".repeat(9000));
    await expect(client.write(2, 9000, "x".repeat(1001))).rejects.toMatchObject(refused(28));
    await client.ask(T.unlinkat, (m) => m.u32(0).string("a").u32(0));
    await client.clunk(2);
    await client.create(2, [], "b");
    expect(await client.write(2, 0, "x".repeat(10_000))).toBe(10_000);
  });
});

describe("a directory of the host", () => {
  it("cannot be left, whatever is in it or happens to it", async () => {
    const base = directory();
    const inside = join(base, "inside");
    mkdirSync(join(inside, "d"), { recursive: true });
    mkdirSync(join(base, "outside"));
    writeFileSync(join(base, "outside", "secret"), "secret");
    symlinkSync(join(base, "outside"), join(inside, "absolute"));
    symlinkSync("../outside", join(inside, "relative"));
    symlinkSync("../outside/secret", join(inside, "file"));
    const client = await Client.open(new HostDirectory(inside, false), ALL);
    for (const name of ["absolute", "relative"]) {
      expect(await client.walk(0, 9, name, "secret")).toBe(1);
      await client.at(1, name);
      await expect(client.open(1, RDONLY)).rejects.toMatchObject(refused(ELOOP));
      await expect(client.ask(T.lcreate, (m) => m.u32(1).string("x").u32(2).u32(0o644).u32(0))).rejects.toThrow();
      for (const type of [T.mkdir, T.mknod]) {
        await expect(client.ask(type, (m) => m.u32(1).string("x").u32(0).u32(0).u32(0).u32(0))).rejects.toThrow();
      }
      await expect(client.ask(T.unlinkat, (m) => m.u32(1).string("secret").u32(0))).rejects.toThrow();
      await client.clunk(1);
    }
    await expect(client.create(1, [], "file", WRONLY | TRUNC)).rejects.toMatchObject(refused(ELOOP));
    await client.clunk(1);
    // A directory becomes a link while the guest is in it.
    await client.at(2, "d");
    await client.create(3, ["d"], "mine");
    renameSync(join(inside, "d"), join(inside, "e"));
    symlinkSync("../outside", join(inside, "d"));
    await expect(client.walk(2, 4, "secret")).rejects.toMatchObject(refused(ENOTDIR));
    await expect(client.ask(T.mkdir, (m) => m.u32(2).string("x").u32(0o755).u32(0))).rejects.toThrow();
    await client.write(3, 0, "still there");
    expect(readFileSync(join(inside, "e", "mine"), "utf8")).toBe("still there");
    // Moving the shared directory away does not take the guest along to what comes in its place.
    await client.clunk(3);
    if (process.platform === "linux") {
      renameSync(inside, join(base, "moved"));
      symlinkSync("outside", inside);
      await client.create(5, [], "new");
      expect(existsSync(join(base, "moved", "new"))).toBe(true);
    }
    expect(readdirSync(join(base, "outside"))).toEqual(["secret"]);
    expect(readFileSync(join(base, "outside", "secret"), "utf8")).toBe("secret");
  });

  it("opens nothing that is no file, gives no program another's rights, and keeps owners", async () => {
    const base = directory();
    const { spawnSync } = await import("node:child_process");
    const fifo = spawnSync("mkfifo", [join(base, "fifo")]).status === 0;
    const client = await Client.open(new HostDirectory(base, false), ALL);
    if (fifo) {
      await client.at(1, "fifo");
      await expect(client.open(1, RDONLY)).rejects.toMatchObject(refused(1));
      await expect(client.create(2, [], "fifo", WRONLY)).rejects.toMatchObject(refused(1));
      await client.clunk(2);
    }
    await client.create(2, [], "program", RDWR, 0o6755);
    await client.setattr(2, 1, { mode: 0o6711 });
    await client.at(3, "program");
    await client.setattr(3, 1 | 2 | 4, { mode: 0o4711 });
    expect(lstatSync(join(base, "program")).mode & 0o7777).toBe(0o711);
    expect(lstatSync(join(base, "program")).uid).toBe(process.getuid?.());
    linkSync(join(base, "program"), join(base, "again"));
    expect((await client.stat(3)).links).toBe(2);
  });
});

describe("a hostile driver", () => {
  it("needs a reset after what is no message, and gets an error for one cut short", async () => {
    const log = fakeLog();
    const driver = new Driver(share(new MemoryFolder(), log));
    driver.start(ALL, { messages: true });
    const client = new Client(driver);
    await client.begin();
    await expect(client.ask(T.walk, (m) => m.u32(0).u32(1).u16(3).string("a"))).rejects.toMatchObject(refused(EINVAL));
    await expect(client.ask(T.walk, (m) => m.u32(0).u32(1).u16(17))).rejects.toMatchObject(refused(EINVAL));
    await expect(client.ask(T.write, (m) => m.u32(0).u64(0n).u32(0xffff_fff0))).rejects.toMatchObject(refused(EINVAL));
    for (const [size, available, room] of [
      [6, 100, 100],
      [101, 100, 100],
      [0xffff_ffff, 100, 100],
      [20, 100, 10],
    ]) {
      driver.start(ALL);
      driver.memory.bytes.fill(0, BUFFERS, BUFFERS + 100);
      new DataView(driver.memory.bytes.buffer).setUint32(BUFFERS, size, true);
      driver.send(0, [
        { gpa: BUFFERS, length: available },
        { gpa: BUFFERS + 0x1000, length: room, write: true },
      ]);
      expect(driver.read(0x14, 1) & 0x40).toBe(0x40);
    }
    expect(driver.start(ALL)).toBe(15);
    await new Client(driver).begin();
  });

  it("gets no answer of before a reset, and its flush after what it flushes", async () => {
    let answer = (): void => {};
    const slow = new MemoryFolder();
    const late = Object.assign(Object.create(slow) as MemoryFolder, {
      readOnly: false,
      stat: () =>
        new Promise((resolve) => {
          answer = () => resolve(slow.stat([]));
        }),
    });
    const driver = new Driver(share(late));
    driver.start(ALL);
    const client = new Client(driver);
    const settled = async (): Promise<void> => {
      answer();
      await new Promise((resolve) => setTimeout(resolve, 0));
    };
    await client.ask(T.version, (m) => m.u32(8192).string("9P2000.L"));
    client.send(T.attach, (m) => m.u32(0).u32(0).string("").string("").u32(0), 7);
    expect(driver.card.busy).toBe(true);
    const flush = client.send(T.flush, (m) => m.u16(7), 8);
    expect(driver.rings[0].take()).toEqual([]);
    await settled();
    const order = driver.rings[0].take().map(({ id }) => id);
    expect([order.length, order[1], driver.card.busy]).toEqual([2, flush, false]);
    client.send(T.getattr, (m) => m.u32(0).u64(0n), 9);
    driver.write(0x14, 1, 0);
    expect(driver.card.busy).toBe(false);
    driver.memory.bytes.fill(0, BUFFERS + 0x8_0000, BUFFERS + 0x8_0100);
    await settled();
    expect(driver.memory.bytes.subarray(BUFFERS + 0x8_0000, BUFFERS + 0x8_0100).every((b) => b === 0)).toBe(true);
  });
});
