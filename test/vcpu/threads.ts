/** Machines with real vCPU threads, and small 32-bit guests for them. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { build } from "vite";
import { afterAll, afterEach, beforeAll } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { Machine, type MachineConfig } from "../../src/machine/machine.ts";
import type { WorkerThread } from "../../src/vcpu/threaded.ts";
import { corePath, prepareCore } from "../core.ts";

const root = join(import.meta.dirname, "../..");
/** Where the bundle of the worker goes. */
const folder = mkdtempSync(join(tmpdir(), "tabhyve-threads-"));

/** Compiles the core and bundles the worker, once. */
export async function prepare(): Promise<void> {
  await prepareCore();
  await build({
    root,
    configFile: false,
    logLevel: "error",
    publicDir: false,
    build: {
      ssr: true,
      outDir: folder,
      target: "node20",
      minify: false,
      rolldownOptions: {
        input: { worker: join(root, "src/cli/nodeWorker.ts") },
        output: { entryFileNames: "[name].mjs" },
      },
    },
    ssr: { noExternal: true },
  });
}

export function cleanUp(): void {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * For a file of tests: what they need is there before the first.
 *
 * @returns what keeps a machine until the end of its test, which destroys it
 */
export function keeping(): (machine: Machine) => Machine {
  let kept: Machine | undefined;
  beforeAll(prepare, 300_000);
  afterAll(cleanUp);
  afterEach(async () => {
    await kept?.destroy();
    kept = undefined;
  });
  return (machine) => {
    kept = machine;
    return machine;
  };
}

/** A vCPU worker in a thread of its own. */
export function spawn(): WorkerThread {
  const worker = new Worker(join(folder, "worker.mjs"));
  return { endpoint: nodeEndpoint(worker), terminate: () => void worker.terminate() };
}

export type Settings = Partial<
  Pick<
    MachineConfig,
    | "serial"
    | "onState"
    | "transport"
    | "engine"
    | "restart"
    | "vcpus"
    | "deterministic"
    | "hostOrder"
    | "hostCores"
    | "topology"
    | "cards"
  >
>;

export function machine(source: string, settings: Settings = {}): Promise<Machine> {
  return Machine.create({
    core: readFileSync(corePath),
    kernel: assemble(source).bytes,
    memoryBytes: 8 * 2 ** 20,
    transport: "threaded",
    spawn,
    serial: () => {},
    debugExit: true,
    ...settings,
  });
}

/** Waits until `done`, letting events in; false if that takes longer than `ms`. */
export async function until(done: () => boolean, ms = 3000): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end; ) {
    if (done()) return true;
    await pass();
  }
  return done();
}

/** Lets events in. */
export const pass = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export function read32(m: Machine, gpa: number): number {
  const bytes = new Uint8Array(4);
  m.memory.read(gpa, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
}

export function write32(m: Machine, gpa: number, value: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  m.memory.write(gpa, bytes);
}

/** Where guests keep what the host reads and writes; no code is in that page. */
export const SHARED = 0x13_0000;

type Handler = (vector: number) => string;

/** A Multiboot header; then flat 32-bit protected mode, interrupts off, ESP below 90000h, both 8259s masked. */
export const multibootOpening = `
bits 32
org 0x100000
header: dd 0x1badb002, 0x10000, 0xe4514ffe, header, 0x100000, 0, 0, start
start:
  cli
  cld
  mov esp,0x90000
  lgdt [gdtr]
  jmp 8:flat
flat:
  mov eax,16
  mov ds,eax
  mov es,eax
  mov ss,eax
  mov al,0xff
  out 0x21,al
  out 0xa1,al
`;

/** GDT and GDTR for that; IDTR for gates at 120000h; `handler` of vector 30h to 4Fh at `handlers` + (vector - 30h) * 64. */
export const multibootTables = (handler: Handler): string => `
align 8
gdt: dd 0,0, 0xffff,0xcf9b00, 0xffff,0xcf9300
gdtr: dw 23
  dd gdt
idtr: dw 0x7ff
  dd 0x120000
${Array.from({ length: 0x20 }, (_, i) => `align 64\n${i ? "" : "handlers:\n"}${handler(0x30 + i)}`).join("\n")}
`;

/** A guest of these, with gates to the handlers. */
export const guest = (body: string, handler: Handler = () => "iretd"): string => `
${multibootOpening}
  mov ebx,handlers
  mov edi,0x120000+0x30*8
  mov ecx,0x20
gates:
  mov [edi],bx
  mov word [edi+2],8
  mov word [edi+4],0x8e00
  mov eax,ebx
  shr eax,16
  mov [edi+6],ax
  add ebx,64
  add edi,8
  dec ecx
  jnz gates
  lidt [idtr]
${body}
${multibootTables(handler)}
`;
