/**
 * What a machine's compiled code has done (`--stats-detail`), from the counters that its regions then have
 * (assembly/jit/profile.ts): who has executed its instructions, which handlers were called, which blocks run most.
 */
import { specialise } from "../isa/specialise.ts";
import { ROWS } from "../isa/table/index.ts";
import { AREA, BLOCK_BUCKETS, PROFILE, PROFILE_CALLED, STATS, STATUS, UOP_COUNT, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";

export interface Profile {
  /** Instructions by who has executed them: emitted code, handlers that emitted code has called, the interpreter. */
  readonly instructions: { readonly emitted: number; readonly called: number; readonly interpreted: number };
  /** Calls of handlers from regions by row of the instruction table, most first. */
  readonly calls: readonly { readonly row: string; readonly count: number }[];
  /** Blocks in regions, most executed first: where their code is in guest memory, and what part of all instructions. */
  readonly blocks: readonly {
    readonly gpa: string;
    readonly instructions: number;
    readonly executions: number;
    readonly share: number;
  }[];
  /** How regions were left, by STATUS. */
  readonly regionExits: Readonly<Record<string, number>>;
  /** Flags that regions had made of the lazy record, by a helper. */
  readonly flagsComputed: number;
  /** Translations that the TLB did not have, and jumps that the jump cache did not have. */
  readonly tlbMisses: { readonly read: number; readonly write: number; readonly exec: number; readonly walks: number };
  readonly jumpMisses: number;
}

/** Rows, or blocks, that are listed. */
const TOP = 20;

/** Names of rows by number of micro-op; rows that share a handler share one. */
let names: Map<number, string> | undefined;
function rowNames(): Map<number, string> {
  if (names) return names;
  const { slots } = specialise(ROWS);
  names = new Map();
  for (const row of ROWS) {
    const id = slots.get(row.id)?.[0];
    if (id === undefined || !row.meaning.startsWith("@")) continue;
    const known = names.get(id);
    names.set(
      id,
      known === undefined ? row.mnemonic : known.includes(row.mnemonic) ? known : `${known}/${row.mnemonic}`,
    );
  }
  return names;
}

const stat = (views: readonly StructView[], name: (typeof STATS)[number]): number =>
  views.reduce((n, v) => n + v.get(VCPU.stats, STATS.indexOf(name)), 0);

/** The counters of vCPUs that do not run. `gpaOf` gives the guest's address of a host address. */
export function profile(views: readonly StructView[], gpaOf: (host: number) => number): Profile {
  const counter = (offset: number): number =>
    views.reduce((n, v) => n + Number(v.data.getBigUint64(v.base + AREA.PROFILE + offset, true)), 0);
  const all = views.reduce((n, v) => n + v.get(VCPU.icount), 0);
  const jit = stat(views, "jitInstructions");
  const calls: { row: string; count: number }[] = [];
  let called = 0;
  for (let op = 0; op < PROFILE_CALLED; op++) {
    const count = counter(PROFILE.CALLS + op * 8);
    if (!count) continue;
    called += count;
    calls.push({ row: rowNames().get(op) ?? `micro-op ${op}`, count });
  }
  calls.sort((a, b) => b.count - a.count);
  return {
    instructions: { emitted: Math.max(0, jit - called), called, interpreted: Math.max(0, all - jit) },
    calls: calls.slice(0, TOP),
    blocks: views
      .flatMap(blocksOf)
      .sort((a, b) => b.executions * b.instructions - a.executions * a.instructions)
      .slice(0, TOP)
      .map(({ host, instructions, executions }) => ({
        gpa: `0x${gpaOf(host).toString(16)}`,
        ...{ instructions, executions, share: (executions * instructions) / all },
      })),
    regionExits: Object.fromEntries(
      Object.entries(STATUS)
        .map(([name, i]) => [name, counter(PROFILE.EXITS + i * 8)] as const)
        .filter(([, n]) => n),
    ),
    flagsComputed: counter(PROFILE.FLAGS),
    tlbMisses: {
      read: stat(views, "tlbFillsRead"),
      write: stat(views, "tlbFillsWrite"),
      exec: stat(views, "tlbFillsExec"),
      walks: stat(views, "walks"),
    },
    jumpMisses: stat(views, "jumpMisses"),
  };
}

/** The blocks of a vCPU that are alive and have run in regions (assembly/decode/block.ts has their format). */
function blocksOf(v: StructView): { host: number; instructions: number; executions: number }[] {
  const out: { host: number; instructions: number; executions: number }[] = [];
  for (let bucket = 0; bucket < BLOCK_BUCKETS / 2; bucket++) {
    let head = v.data.getUint32(v.base + AREA.BLOCKS + bucket * 4, true);
    for (; head; head = v.data.getUint32(head - 24, true)) {
      const host = v.data.getUint32(head - 32, true);
      const executions = v.data.getUint32(head + UOP_COUNT, true);
      if (executions) out.push({ host, instructions: v.data.getUint32(head + 12, true), executions });
    }
  }
  return out;
}
