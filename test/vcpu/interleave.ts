/**
 * A small model checker for protocols between threads. A side (a thread) is a generator that yields before each of its
 * atomic steps, or yields a condition that must hold before it goes on (a sleep). A scheduler picks whose step is next:
 * at random from a seed, thousands of times, or every way there is with at most so many preemptions.
 *
 * Functions of the real code run as they are (`real`): Atomics and StructView are replaced by ones that take part. A
 * plain function cannot be left in its middle, so it is run again from its start for each of its steps, with the
 * results of the steps it has already done taken from a log; it must therefore do nothing but through those.
 * Memory is sequentially consistent here: what hardware and Wasm guarantee for atomic operations.
 */
import { CONTROL_BASE, RING_BASE, VCPU_BASE } from "../../src/shared/layout.ts";
import { controlView, StructView, vcpuBase } from "../../src/vcpu/view.ts";

type Condition = () => boolean;
export type Steps<T = void> = Generator<Condition | undefined, T, void>;

export interface Scenario {
  readonly sides: Readonly<Record<string, Steps>>;
  /** Throws if something is wrong after every side has ended. */
  readonly check: () => void;
  /** Sides that need not end: they may sleep when the others have. */
  readonly servers?: readonly string[];
}

/** A schedule under which the protocol fails. */
export class Counterexample extends Error {
  constructor(why: string, schedule: readonly string[]) {
    super(`${why}\nschedule: ${schedule.join(" ")}`);
    this.name = "Counterexample";
  }
}

const MAX_STEPS = 5000;

/** Like expect(actual).toBe(expected), but quick: it is called at every step. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, not ${String(expected)}`);
}

/** Runs a scenario once; `choose` gets the sides that can go on and the one that went last. */
function runOnce(scenario: Scenario, choose: (ready: readonly string[], last: string) => string): void {
  const waits = new Map<string, Condition | undefined>();
  const trace: string[] = [];
  let last = "";
  for (const name of Object.keys(scenario.sides)) waits.set(name, undefined);
  for (;;) {
    const ready = [...waits].filter(([, c]) => !c || c()).map(([name]) => name);
    if (!ready.length) {
      const stuck = [...waits.keys()].filter((name) => !scenario.servers?.includes(name));
      if (stuck.length) throw new Counterexample(`${stuck.join(", ")} wait for ever`, trace);
      break;
    }
    const name = choose(ready, last);
    trace.push(name);
    last = name;
    if (trace.length > MAX_STEPS) throw new Counterexample("no end", trace.slice(-40));
    try {
      const r = scenario.sides[name].next();
      if (r.done) waits.delete(name);
      else waits.set(name, r.value || undefined);
    } catch (error) {
      throw new Counterexample(String(error), trace);
    }
  }
  try {
    scenario.check();
  } catch (error) {
    throw new Counterexample(String(error), trace);
  }
}

/** A generator of numbers in [0, 1): mulberry32. */
export function random(seed: number): () => number {
  let s = seed;
  return () => {
    s = (s + 0x6d2b79f5) | 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs `count` random schedules. Some favour long runs of one side, some short ones. */
export function explore(make: () => Scenario, count = 2000, seed = 1): void {
  for (let i = 0; i < count; i++) {
    const next = random(seed * 1_000_003 + i);
    const stay = [0, 0.5, 0.9][i % 3];
    runOnce(make(), (ready, last) =>
      ready.includes(last) && next() < stay ? last : ready[Math.floor(next() * ready.length)],
    );
  }
}

/**
 * Runs every schedule with at most `preemptions` switches away from a side that could have gone on.
 *
 * @returns how many schedules there were
 */
export function exhaust(make: () => Scenario, preemptions: number, limit = 100_000): number {
  const path: { choice: number; of: number }[] = [];
  for (let n = 1; ; n++) {
    if (n > limit) throw new Error(`more than ${limit} schedules`);
    let depth = 0;
    let used = 0;
    runOnce(make(), (ready, last) => {
      // The side that ran goes on first; taking another costs a preemption.
      const order = ready.includes(last) ? [last, ...ready.filter((r) => r !== last)] : ready;
      const of = ready.includes(last) && used === preemptions ? 1 : order.length;
      if (depth === path.length) path.push({ choice: 0, of });
      const { choice } = path[depth++];
      if (ready.includes(last) && choice) used++;
      return order[choice];
    });
    path.length = depth;
    while (path.length && path[path.length - 1].choice + 1 >= path[path.length - 1].of) path.pop();
    if (!path.length) return n;
    path[path.length - 1].choice++;
  }
}

/** Shows that a protocol's checks can fail: throws unless each of `faults` breaks it under some schedule. */
export function findFaults<F>(faults: readonly F[], make: (fault: F) => Scenario, count = 3000): void {
  for (const fault of faults) {
    try {
      explore(() => make(fault), count);
    } catch (error) {
      if (error instanceof Counterexample) continue;
      throw error;
    }
    throw new Error(`nothing noticed ${JSON.stringify(fault)}`);
  }
}

// Real code

interface Replay {
  readonly log: unknown[];
  at: number;
  fresh: boolean;
  wait: Condition | undefined;
}
let replay: Replay | undefined;
const SUSPEND = Symbol("suspend");

/** One atomic step of real code: `work` runs once, when `ready` holds. */
export function step<T>(work: () => T, ready?: Condition): T {
  if (!replay) return work();
  const r = replay;
  if (r.at < r.log.length) return r.log[r.at++] as T;
  if (!r.fresh || (ready && !ready())) {
    r.wait = ready;
    throw SUSPEND;
  }
  r.fresh = false;
  const outer = replay;
  replay = undefined;
  let value: T;
  try {
    value = work();
  } finally {
    replay = outer;
  }
  r.log.push(value);
  r.at++;
  return value;
}

/** Runs a function of the real code, yielding before each of its steps. */
export function* real<T>(body: () => T): Steps<T> {
  const log: unknown[] = [];
  let fresh = false;
  for (;;) {
    replay = { log, at: 0, fresh, wait: undefined };
    const mine = replay;
    try {
      return body();
    } catch (error) {
      if (error !== SUSPEND) throw error;
    } finally {
      replay = undefined;
    }
    yield mine.wait;
    fresh = true;
  }
}

/** Sleepers on (buffer, index), for Atomics.wait and notify. */
const TRUE_ATOMICS = globalThis.Atomics;
let wakes = new WeakMap<object, Map<number, number>>();

const wakeCount = (words: Words, at: number): number => wakes.get(words.buffer)?.get(at) ?? 0;

type Words = Int32Array | BigUint64Array;
const plain = new WeakMap<object, Words>();
const under = (words: Words): Words => plain.get(words) ?? words;

/** When a wait of `ms` milliseconds is over, in the model's own time. */
type Timeout = (ms: number) => Condition;

/** Atomics with a scheduling point before each operation. */
function steppedAtomics(timeout: Timeout): typeof Atomics {
  const stepped: Record<string, unknown> = {};
  for (const name of ["load", "store", "or", "and", "add", "sub", "exchange", "compareExchange"] as const) {
    const work = TRUE_ATOMICS[name] as (words: Words, ...rest: number[]) => unknown;
    stepped[name] = (words: Words, ...rest: number[]) => step(() => work(under(words), ...rest));
  }
  stepped.notify = (words: Words, at: number) =>
    step(() => {
      const buffer = under(words).buffer;
      const map = wakes.get(buffer) ?? new Map<number, number>();
      wakes.set(buffer, map.set(at, (map.get(at) ?? 0) + 1));
      return 1;
    });
  stepped.wait = (words: Words, at: number, value: number, ms = Number.POSITIVE_INFINITY) => {
    // Comparing and going to sleep are one step; waking is another.
    const since = step(() => (under(words)[at] === value ? wakeCount(under(words), at) : -1));
    if (since < 0) return "not-equal";
    const late = ms === Number.POSITIVE_INFINITY ? () => false : timeout(ms);
    return step(
      () => "ok",
      () => late() || wakeCount(under(words), at) !== since,
    );
  };
  return stepped as unknown as typeof Atomics;
}

/** Runs `work` with Atomics replaced. Without `timeout`, a wait with a timeout may end at any time. */
export function withSteppedAtomics<T>(work: () => T, timeout: Timeout = () => () => true): T {
  wakes = new WeakMap();
  globalThis.Atomics = steppedAtomics(timeout);
  try {
    return work();
  } finally {
    globalThis.Atomics = TRUE_ATOMICS;
  }
}

/** A StructView whose plain accesses are steps too; for real code. */
export function steppedView(view: StructView): StructView {
  const words = new Proxy(view.words, {
    get: (t, key) => {
      const index = typeof key === "string" ? Number(key) : Number.NaN;
      return Number.isInteger(index) ? step(() => t[index]) : Reflect.get(t, key, t);
    },
  });
  plain.set(words, view.words);
  const stepped = new StructView(view.data.buffer, view.base);
  const accesses = ["get", "set", "get64", "set64"] as const;
  for (const name of accesses) {
    const work = view[name].bind(view) as (...rest: unknown[]) => unknown;
    Object.defineProperty(stepped, name, { value: (...rest: unknown[]) => step(() => work(...rest)) });
  }
  Object.defineProperty(stepped, "words", { value: words });
  return stepped;
}

const VCPUS = 2;
/** Control page, ring, and the beginnings of two vCPUs' areas; of the second only its page's first words. */
const memory = new ArrayBuffer(VCPU_BASE + 0x4000);
const second = new ArrayBuffer(0x4000);

/** Memory as a machine with nothing in it has it; the same memory each time. */
export function modelMemory(): { buffer: ArrayBuffer; control: StructView; vcpus: readonly StructView[] } {
  new Uint8Array(memory, CONTROL_BASE, 0x1000).fill(0);
  new Uint8Array(memory, RING_BASE, 0x400).fill(0);
  new Uint8Array(memory, VCPU_BASE).fill(0);
  new Uint8Array(second).fill(0);
  const vcpus = Array.from({ length: VCPUS }, (_, id) =>
    id === 0 ? new StructView(memory, vcpuBase(0)) : new StructView(second, 0),
  );
  return { buffer: memory, control: controlView(memory), vcpus };
}
