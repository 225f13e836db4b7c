/**
 * The snapshot file:
 *
 *      0 "TABHYVE\0"   8 schema u32   12 bytes of state u32   16 bytes of memory u32   20 zero u32
 *     24 SHA-256 of bytes 0 to 23 and the SHA-256 of all from 56 on
 *     56 state: a deflate stream; memory: see ram.ts
 *
 * In schema 1 the checksum was of bytes 0 to 23 and all from 56 on, and memory one deflate stream.
 *
 * State, unpacked, is the length of its JSON u32, the JSON, and pieces of bytes one after the other; up to schema 3 it was the
 * JSON alone. What JSON does not have is an object with one key: {"$n": "ff"} a bigint in hexadecimal, {"$b": "00ff"} bytes,
 * {"$p": [at, length]} bytes that are a piece, {"$u": 0} undefined.
 */
import { hex, joinBytes } from "../shared/bytes.ts";
import { SnapshotError } from "../shared/device.ts";
import { deflate, inflate } from "./deflate.ts";
import { MAGIC } from "./magic.ts";
import { memoryOfSchema1 } from "./ram.ts";

/** The schema that this build writes. Raise it with every change of a state's meaning, and add a migration. */
export const SCHEMA = 4;
const HEAD = 56;
const CHECKED_HEAD = 24;

/** State of schema n to state of schema n + 1. */
export type Migration = (state: unknown) => unknown;
/** MIGRATIONS[n] leads on from schema n; schema 1 is the oldest there is. */
const MIGRATIONS: Readonly<Record<number, Migration>> = {
  // The console's scrollback goes along.
  1: (state) => ({ ...(state as object), version: 2, scrollback: new Uint8Array(0) }),
  // FERR# and port F0h.
  2: (state) => withDevice(state, "coprocessorError", { version: 1, error: false, ignne: false }),
  // Long bytes, such as what was written to a disk, are no longer hexadecimal digits; they mean the same.
  3: (state) => state,
};

function withDevice(state: unknown, name: string, device: Readonly<Record<string, unknown>>): unknown {
  const { devices, ...rest } = state as { devices: object };
  return { ...rest, devices: { ...devices, [name]: device } };
}

export interface Snapshot {
  readonly state: unknown;
  /** As packMemory makes it. */
  readonly memory: Uint8Array;
}

/** Bytes up to so many are digits in the JSON, where people can read them. */
const SHORT = 64;
const LENGTH = 4;

function stateBytes(state: unknown): Uint8Array {
  const pieces: Uint8Array[] = [];
  let at = 0;
  const json = JSON.stringify(state, function (this: Record<string, unknown>, key) {
    const value = this[key];
    if (typeof value === "bigint") return { $n: value < 0n ? `-${(-value).toString(16)}` : value.toString(16) };
    if (value instanceof Uint8Array) {
      if (value.length <= SHORT) return { $b: hex(value) };
      pieces.push(value);
      at += value.length;
      return { $p: [at - value.length, value.length] };
    }
    return value === undefined ? { $u: 0 } : value;
  });
  const text = new TextEncoder().encode(json);
  const length = new Uint8Array(LENGTH);
  new DataView(length.buffer).setUint32(0, text.length, true);
  return joinBytes([length, text, ...pieces]);
}

function stateOf(bytes: Uint8Array, schema: number): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [from, end] =
    schema < 4 ? [0, bytes.length] : [LENGTH, LENGTH + (bytes.length < LENGTH ? 0 : view.getUint32(0, true))];
  try {
    if (end > bytes.length) throw new SnapshotError("snapshot", "the state is cut off");
    return revive(JSON.parse(new TextDecoder().decode(bytes.subarray(from, end))), bytes.subarray(end));
  } catch (error) {
    if (error instanceof SnapshotError) throw error;
    throw new SnapshotError("snapshot", "the state cannot be read");
  }
}

function revive(value: unknown, pieces: Uint8Array): unknown {
  if (Array.isArray(value)) return value.map((v) => revive(v, pieces));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  if (entries.length === 1) {
    const [key, text] = entries[0];
    if (key === "$u") return undefined;
    if (key === "$p") return piece(text, pieces);
    if (key === "$n" && typeof text === "string" && /^-?[0-9a-f]+$/.test(text)) {
      return text[0] === "-" ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`);
    }
    if (key === "$b" && typeof text === "string" && /^([0-9a-f]{2})*$/.test(text)) {
      return Uint8Array.from(text.match(/../g) ?? [], (b) => Number.parseInt(b, 16));
    }
  }
  return Object.fromEntries(entries.map(([key, v]) => [key, revive(v, pieces)]));
}

function piece(place: unknown, pieces: Uint8Array): Uint8Array {
  const [at, length] = Array.isArray(place) ? place : [];
  if (!(Number.isInteger(at) && Number.isInteger(length) && at >= 0 && length >= 0 && at + length <= pieces.length)) {
    throw new SnapshotError("snapshot", "a piece of the state is not there");
  }
  return pieces.slice(at, at + length);
}

const sha256 = async (bytes: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));

/** The checksum that belongs at byte 24. */
async function digest(file: Uint8Array): Promise<Uint8Array> {
  const schema = new DataView(file.buffer, file.byteOffset).getUint32(8, true);
  const rest = schema === 1 ? file.subarray(HEAD) : await sha256(file.subarray(HEAD));
  const covered = new Uint8Array(CHECKED_HEAD + rest.length);
  covered.set(file.subarray(0, CHECKED_HEAD));
  covered.set(rest, CHECKED_HEAD);
  return sha256(covered);
}

/** Packs a snapshot; `memory` is what packMemory gave. */
export async function pack(state: unknown, memory: Uint8Array): Promise<Uint8Array> {
  const packed = await deflate(stateBytes(state));
  const file = new Uint8Array(HEAD + packed.length + memory.length);
  const view = new DataView(file.buffer);
  file.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, SCHEMA, true);
  view.setUint32(12, packed.length, true);
  view.setUint32(16, memory.length, true);
  file.set(packed, HEAD);
  file.set(memory, HEAD + packed.length);
  file.set(await digest(file), CHECKED_HEAD);
  return file;
}

/**
 * Unpacks a snapshot and brings its state to this build's schema.
 *
 * | file | outcome |
 * |---|---|
 * | not a snapshot, cut off, or longer than it says | SnapshotError |
 * | a bit of it has changed | SnapshotError: the checksum |
 * | of a newer schema | SnapshotError |
 * | of an older one | migrated |
 */
export async function unpack(file: Uint8Array, migrations = MIGRATIONS, schemaNow = SCHEMA): Promise<Snapshot> {
  sections(file);
  const sum = await digest(file);
  if (!sum.every((b, i) => b === file[CHECKED_HEAD + i])) bad("the checksum is wrong: the file is damaged");
  return unpackSound(file, migrations, schemaNow);
}

function bad(why: string): never {
  throw new SnapshotError("snapshot", why);
}

/** Lengths of state and memory. @throws SnapshotError */
function sections(file: Uint8Array): [number, number] {
  if (file.length < HEAD || new TextDecoder().decode(file.subarray(0, 8)) !== MAGIC) bad("not a snapshot of a machine");
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const lengths: [number, number] = [view.getUint32(12, true), view.getUint32(16, true)];
  if (HEAD + lengths[0] + lengths[1] !== file.length) bad("the file is not as long as it says");
  return lengths;
}

/** The same without a look at the checksum, for who has a hash of the whole file. */
export async function unpackSound(file: Uint8Array, migrations = MIGRATIONS, schemaNow = SCHEMA): Promise<Snapshot> {
  const [stateLength] = sections(file);
  let schema = new DataView(file.buffer, file.byteOffset).getUint32(8, true);
  if (schema > schemaNow) bad(`schema ${schema} is newer than this build's ${schemaNow}`);
  const body = file.subarray(HEAD + stateLength);
  const memory = schema === 1 ? memoryOfSchema1(await inflate(body)) : body;
  let state = stateOf(await inflate(file.subarray(HEAD, HEAD + stateLength)), schema);
  // A Vm's state has a version of its own (vm.ts).
  const isVm = (state as { kind?: unknown } | null)?.kind === "vm";
  for (; schema < schemaNow && !isVm; schema++) {
    const step = migrations[schema];
    if (!step) bad(`schema ${schema} cannot be read any more`);
    state = step(state);
  }
  return { state, memory };
}
