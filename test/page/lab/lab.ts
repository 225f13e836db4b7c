/** Machines in a page without an interface: what test/page/machines.test.ts drives. */
import coreUrl from "../../../dist/core/core.wasm?url";
import type { InputEntry } from "../../../src/machine/determinism.ts";
import { stateHash } from "../../../src/machine/stateHash.ts";
import type { EngineKind } from "../../../src/vcpu/jit.ts";
import type { WorkerThread } from "../../../src/vcpu/threaded.ts";
import { type Script, scripted } from "../../guests/scripted.ts";
import { type Cost, cost as costOf, tabhyve, v86 } from "../../snapshot/cost.ts";

function spawn(): WorkerThread {
  const worker = new Worker(new URL("../../../src/ui/vcpuWorker.ts", import.meta.url), { type: "module" });
  return { endpoint: worker, terminate: () => worker.terminate() };
}

const get = async (url: string): Promise<Uint8Array> => new Uint8Array(await (await fetch(url)).arrayBuffer());

export interface Job {
  readonly kernel: string;
  readonly initrd?: string;
  readonly append: string;
  readonly memoryBytes: number;
  readonly vcpus: number;
  readonly transport: "threaded" | "inline";
  readonly engine: EngineKind;
  readonly deterministic?: boolean;
  readonly script: Script;
  /** Most that it may take; default as for `scripted`. */
  readonly seconds?: number;
  readonly until: string;
  /** A snapshot to go on from, and whether one is wanted. */
  readonly snapshot?: string;
  readonly save?: boolean;
}

/** Runs a script on a machine and says what has become of it. */
async function run(job: Job) {
  const { kernel, initrd, append, memoryBytes, vcpus, transport, engine, deterministic, script, until } = job;
  const [core, kernelBytes, initrdBytes, snapshot] = await Promise.all([
    get(coreUrl),
    get(kernel),
    initrd ? get(initrd) : undefined,
    job.snapshot ? get(job.snapshot) : undefined,
  ]);
  const record: InputEntry[] = [];
  const from = performance.now();
  const { machine, text } = await scripted(
    {
      core,
      kernel: kernelBytes,
      ...(initrdBytes && { initrd: initrdBytes }),
      ...{ append, memoryBytes, vcpus, transport, engine, spawn },
      ...(deterministic && { deterministic: { record: (entry) => void record.push(entry) } }),
    },
    script,
    until,
    { ...(snapshot && { snapshot }), ...(job.seconds && { seconds: job.seconds }) },
  );
  const ms = performance.now() - from;
  let saved = "";
  if (job.save) {
    const file = await machine.save();
    const pieces: string[] = [];
    for (let at = 0; at < file.length; at += 0x8000)
      pieces.push(String.fromCharCode(...file.subarray(at, at + 0x8000)));
    saved = btoa(pieces.join(""));
  }
  const { instructions, standstillMs } = machine.stats();
  const hash = deterministic ? await stateHash(machine) : "";
  await machine.destroy();
  return { text, ms, instructions, standstillMs, hash, record, saved };
}

export interface CostJob extends Pick<Job, "kernel" | "initrd" | "append" | "memoryBytes" | "engine"> {
  readonly runs: number;
  readonly transport: "threaded" | "inline" | "v86";
}

/** What saving and restoring a booted Linux costs here. For v86, `bios` and `vgabios` are in the site's folder, too. */
async function cost(job: CostJob): Promise<Cost> {
  const { append, memoryBytes, transport, engine, runs } = job;
  const kernel = await get(job.kernel);
  const initrd = await get(job.initrd as string);
  if (transport !== "v86") {
    const core = await get(coreUrl);
    return costOf(tabhyve(transport, { core, kernel, initrd, append, memoryBytes, transport, engine, spawn }), runs);
  }
  const { V86 } = await import("v86");
  const { default: wasm } = await import("v86/build/v86.wasm?url");
  const file = (bytes: Uint8Array): object => ({ buffer: bytes.buffer });
  const options = {
    wasm_path: wasm,
    bios: file(await get("bios")),
    vga_bios: file(await get("vgabios")),
    memory_size: memoryBytes,
  };
  return costOf(v86(V86, options, { bzimage: file(kernel), initrd: file(initrd), cmdline: append }), runs);
}

export const lab = { run, cost };
export type Lab = typeof lab;
(globalThis as unknown as { lab: Lab }).lab = lab;
