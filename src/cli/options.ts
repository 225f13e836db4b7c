/** The command line's words, read and checked. */
import { readFileSync, statSync } from "node:fs";
import { getSystemErrorMap } from "node:util";
import { CpuModelError, cpuToggles } from "../isa/cpuModel.ts";
import { type InputEntry, isInputEntry } from "../machine/determinism.ts";
import { VM_MAXCPU } from "../shared/layout.ts";
import { VmError } from "../vmm/error.ts";
import { checkTopology, type VmTopology } from "../vmm/topology.ts";

/** Something about the command line or a file it names that cannot be used: one line, exit status 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

const UNITS: Readonly<Record<string, number>> = { "": 2 ** 20, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const MIN_MEMORY = 2 ** 20;
/** A Wasm memory has 4 GiB, of which page words, caches and the vCPUs' areas take their part. */
const MAX_MEMORY = 3 * 2 ** 30;

/** `512M`, `1G`, `262144K`; a bare number is MiB. Bytes. */
export function parseMemory(text: string): number {
  const m = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(text);
  if (!m) throw new UsageError(`--memory ${text}: not a size; write it as 256M or 1G`);
  const bytes = Number(m[1]) * UNITS[m[2].toUpperCase()];
  if (bytes < MIN_MEMORY) throw new UsageError(`--memory ${text}: too little; a machine needs at least 1M`);
  if (bytes > MAX_MEMORY) throw new UsageError(`--memory ${text}: too much; a machine can have at most 3G`);
  if (bytes % 4096) throw new UsageError(`--memory ${text}: not a multiple of 4K, a page`);
  return bytes;
}

/** `--balloon SIZE`: bytes that the guest is asked to give back. */
export function parseBalloon(text: string): number {
  const m = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(text);
  if (!m) throw new UsageError(`--balloon ${text}: not a size; write it as 64M, or 0 for none at the start`);
  return Number(m[1]) * UNITS[m[2].toUpperCase()];
}

/** What `--share` says of a folder. */
export interface Share {
  readonly directory: string;
  readonly tag: string;
  readonly readOnly: boolean;
}

/** Bytes of a tag at most: Linux has room for 31. */
const MAX_TAG = 31;

/** `DIR[,tag=NAME][,readonly]`; the first is called `share`, the others share2 and so on. */
export function parseShare(text: string, all: Share[] = []): Share[] {
  const [directory, ...words] = text.split(",");
  const fail = (why: string): never => {
    throw new UsageError(`--share ${text}: ${why}`);
  };
  let tag = all.length ? `share${all.length + 1}` : "share";
  let readOnly = false;
  for (const word of words) {
    const name = /^tag=(.*)$/.exec(word)?.[1];
    if (name !== undefined) tag = name;
    else if (word === "readonly") readOnly = true;
    else fail(`'${word}' is not tag=NAME or readonly`);
  }
  if (directory === "") fail("no directory");
  const bytes = Buffer.byteLength(tag);
  if (bytes === 0 || bytes > MAX_TAG) fail(`a tag has 1 to ${MAX_TAG} bytes`);
  if (all.some((other) => other.tag === tag)) fail(`the tag ${tag} is given twice`);
  return [...all, { directory, tag, readOnly }];
}

/** `--cpus N`. */
export function parseCpus(text: string): number {
  const n = /^\d+$/.test(text) ? Number(text) : 0;
  if (n < 1 || n > VM_MAXCPU) throw new UsageError(`--cpus ${text}: not a number from 1 to ${VM_MAXCPU}`);
  return n;
}

/** `sockets=S,cores=C,threads=T` in any order; what is left out is 1. Whether it fits the vCPUs: fitTopology. */
export function parseTopology(text: string): VmTopology {
  const counts: Record<string, number> = {};
  for (const part of text.split(",")) {
    const [, name, count] = /^(sockets|cores|threads)=([1-9]\d?)$/.exec(part) ?? [];
    if (name === undefined) {
      throw new UsageError(
        `--topology ${text}: '${part}' is not sockets=N, cores=N or threads=N with N from 1 to ${VM_MAXCPU}`,
      );
    }
    if (name in counts) throw new UsageError(`--topology ${text}: ${name} is given twice`);
    counts[name] = Number(count);
  }
  const { sockets = 1, cores = 1, threads = 1 } = counts;
  const maxcpus = sockets * cores * threads;
  if (maxcpus > VM_MAXCPU) throw new UsageError(`--topology ${text}: ${maxcpus} CPUs; there can be ${VM_MAXCPU}`);
  return fitTopology({ sockets, cores, threads, maxcpus }, maxcpus);
}

/** @throws UsageError: the topology is not one of so many vCPUs */
export function fitTopology(topology: VmTopology, vcpus: number): VmTopology {
  try {
    checkTopology(topology, vcpus);
    return topology;
  } catch (error) {
    if (error instanceof VmError) throw new UsageError(`--topology: ${error.what}`);
    throw error;
  }
}

/** A recorded input log (src/machine/determinism.ts), a JSON object on each line. */
export function parseInputLog(what: string, text: string): InputEntry[] {
  const entries: InputEntry[] = [];
  text.split("\n").forEach((line, i) => {
    if (!line.trim()) return;
    let entry: unknown;
    try {
      entry = JSON.parse(line);
    } catch {}
    if (!isInputEntry(entry)) throw new UsageError(`${what}: line ${i + 1} is no recorded input`);
    entries.push(entry);
  });
  return entries;
}

export interface Send {
  readonly pattern: RegExp;
  readonly text: Uint8Array;
}

/** `PATTERN=>TEXT`, with \n, \r, \t, \\ and \xHH in TEXT. */
export function parseSend(option: string, name = "--send"): Send {
  const at = option.indexOf("=>");
  if (at < 0) throw new UsageError(`${name} '${option}': no => in it; write it as 'PATTERN=>TEXT'`);
  return { pattern: parsePattern(name, option.slice(0, at)), text: unescaped(option.slice(at + 2)) };
}

/** A regular expression for ./watch.ts: ^ and $ stand for the ends of lines, too. */
export function parsePattern(option: string, text: string): RegExp {
  try {
    return new RegExp(text, "gm");
  } catch (error) {
    const why = (error as Error).message.replace(/^.*: /s, "").toLowerCase();
    throw new UsageError(`${option} '${text}': not a regular expression (${why})`);
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", "\\": "\\" };

/** Text with escapes as bytes. Other backslashes stand for themselves: they may be meant for the guest's shell. */
function unescaped(text: string): Uint8Array {
  const encoder = new TextEncoder();
  const out: number[] = [];
  for (const [all, hex, letter] of text.matchAll(/\\x([0-9a-fA-F]{2})|\\([nrt\\])|./gsu)) {
    if (hex) out.push(Number.parseInt(hex, 16));
    else out.push(...encoder.encode(letter ? ESCAPES[letter] : all));
  }
  return Uint8Array.from(out);
}

/** Milliseconds that a timer of the host can have; about 24 days. */
const MAX_TIMER = 0x7fff_ffff;

/** A number of seconds; what is longer than a timer of the host can wait is that. */
export function parseSeconds(option: string, text: string): number {
  if (!/^(\d+\.?\d*|\.\d+)$/.test(text) || Number(text) === 0) {
    throw new UsageError(`${option} ${text}: not a number of seconds above 0`);
  }
  return Math.min(Number(text), MAX_TIMER / 1000);
}

/** `MODEL[,+F,-F]…`, as it is once it is known to be right. */
export function parseCpu(text: string): string {
  try {
    cpuToggles(text);
    return text;
  } catch (error) {
    if (error instanceof CpuModelError) throw new UsageError(`--cpu ${text}: ${error.message}`);
    throw error;
  }
}

export function parseCount(option: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`${option} ${text}: not a whole number`);
  return Number(text);
}

/** `--jit-threshold N`: what fits into Vcpu.heat, and is not "never". */
export function parseThreshold(option: string, text: string): number {
  const n = parseCount(option, text);
  if (n < 1 || n > 0xffff_ffff) throw new UsageError(`${option} ${text}: not a number from 1 to ${0xffff_ffff}`);
  return n;
}

export function parseChoice<T extends string>(option: string, choices: readonly T[], text: string): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new UsageError(`${option} ${text}: not one of ${choices.join(", ")}`);
  return found;
}

/** What a system call's error says, without the code, the call and the path that Node puts around it. */
export function reason(error: unknown): string {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  if (code === "EISDIR") return "is a directory";
  if (code === "ERR_FS_FILE_TOO_LARGE") return "larger than 2 GiB";
  return (errno !== undefined && getSystemErrorMap().get(errno)?.[1]) || message;
}

/**
 * A file that the command line names, whole. Pipes will do; devices, which may have no end, will not.
 *
 * @throws UsageError if it cannot be read.
 */
export function readInput(option: string, file: string): Uint8Array {
  const what = option ? `${option} ${file}` : file;
  try {
    const stat = statSync(file);
    if (!stat.isCharacterDevice() && !stat.isBlockDevice()) return readFileSync(file);
  } catch (error) {
    throw new UsageError(`${what}: ${reason(error)}`);
  }
  throw new UsageError(`${what}: is a device, not a file`);
}
