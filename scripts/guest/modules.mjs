/** Kernel modules of a package: which need which. A kernel's update may change that, so it is not written down. */
import { basename } from "node:path";

/** The kernel's name of a module, by its name or path. */
const nameOf = (path) => basename(path, ".ko").replaceAll("-", "_");

/** The modules that one needs: `depends=` in its section .modinfo, whose entries end in zeros. */
export function dependencies(data) {
  const mark = "\0depends=";
  const at = data.indexOf(mark);
  if (at < 0) return [];
  const list = data.toString("latin1", at + mark.length, data.indexOf(0, at + 1));
  return list.split(",").filter(Boolean);
}

/**
 * Modules in an order in which they can be loaded: those that a module needs, then itself.
 *
 * @param {readonly string[]} names
 * @param {ReadonlyMap<string, Buffer>} files  by path; others than modules do not matter
 * @returns {{ modules: Buffer[], missing: string[] }}  `missing`: names that `files` does not have
 */
export function inOrder(names, files) {
  const all = new Map([...files].filter(([path]) => path.endsWith(".ko")).map(([path, data]) => [nameOf(path), data]));
  const modules = new Map();
  const missing = new Set();
  const add = (name) => {
    if (modules.has(name)) return;
    const data = all.get(name);
    if (!data) return void missing.add(name);
    for (const needed of dependencies(data)) add(nameOf(needed));
    modules.set(name, data);
  };
  for (const name of names) add(nameOf(name));
  return { modules: [...modules.values()], missing: [...missing] };
}
