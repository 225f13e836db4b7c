/**
 * Writes the "newc" cpio archive that Linux takes as an initramfs (Documentation/driver-api/early-userspace/
 * buffer-format.rst). Owner is root, time is 0, order is as given: the same entries make the same bytes.
 */

export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** @typedef {{ name: string, mode: number, data?: Uint8Array | string, rdev?: [major: number, minor: number] }} Entry */

export const directory = (name, mode = 0o755) => ({ name, mode: S_IFDIR | mode });
export const file = (name, data, mode = 0o644) => ({ name, mode: S_IFREG | mode, data });
export const symlink = (name, target) => ({ name, mode: S_IFLNK | 0o777, data: target });
export const character = (name, major, minor, mode = 0o600) => ({ name, mode: S_IFCHR | mode, rdev: [major, minor] });

/**
 * @param {Entry[]} entries  Parents before children; names without a leading slash.
 * @returns {Buffer}
 */
export function cpio(entries) {
  const parts = [];
  const pad = (length) => parts.push(Buffer.alloc(-length & 3));
  [...entries, { name: "TRAILER!!!", mode: 0 }].forEach((entry, index) => {
    const name = Buffer.from(`${entry.name}\0`);
    const data = Buffer.from(entry.data ?? "");
    const [major, minor] = entry.rdev ?? [0, 0];
    const links = entry.mode & S_IFDIR ? 2 : 1;
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    const fields = [index + 1, entry.mode, 0, 0, links, 0, data.length, 0, 0, major, minor, name.length, 0];
    const header = `070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}`;
    parts.push(Buffer.from(header), name);
    pad(header.length + name.length);
    parts.push(data);
    pad(data.length);
  });
  return Buffer.concat(parts);
}
