/** The page's machines: each in a worker, behind the page's handle, so that the page stays responsive. */
import { proxy, type Remote, transfer, wrap } from "comlink";
import coreUrl from "../../dist/core/core.wasm?url";
import type { DownloadProgress } from "./download.ts";
import { type HelperKind, Helpers } from "./helpers.ts";
import { type Core, type CreateMachine, MachineError } from "./machineHandle.ts";
import type { MachineWorker } from "./machineWorker.ts";
import machineWorkerUrl from "./machineWorker.ts?worker&url";
import { startWorker } from "./startWorker.ts";

async function loadCore(): Promise<Core> {
  const response = await fetch(coreUrl);
  if (!response.ok)
    throw new MachineError("engine", `The core did not load (HTTP ${response.status}).`, "Reload the page.");
  const whole = response.clone().arrayBuffer();
  const module = globalThis.crossOriginIsolated ? await compiled(response) : undefined;
  return { bytes: new Uint8Array(await whole), module };
}

/** Compiled while it comes; some hosts do not know what kind of file it is, which browsers insist on. */
const compiled = (response: Response): Promise<WebAssembly.Module> =>
  WebAssembly.compileStreaming(new Response(response.body, { headers: { "Content-Type": "application/wasm" } }));

/** Once for all machines of the page, from the moment when this module is there. */
let core: Promise<Core> | undefined;
function theCore(): Promise<Core> {
  core ??= loadCore().catch((error: unknown) => {
    core = undefined;
    throw error;
  });
  return core;
}
theCore().catch(() => {}); // Whoever makes a machine hears of it.

/** The workers of one machine. */
class Workers {
  readonly machine = startWorker(machineWorkerUrl);
  readonly helpers = new Helpers();

  /** @param threaded the first vCPU's is started with the machine's, so that they load at the same time */
  constructor(threaded: boolean) {
    if (threaded) this.helpers.prepare("vcpu");
  }

  end(): void {
    this.machine.terminate();
    this.helpers.end();
  }
}

/** Those of the first machine: they load while a person chooses it. */
let early: Workers | undefined = new Workers(globalThis.crossOriginIsolated);

/** A whole machine in one worker, behind the same handle. */
const createInWorker: CreateMachine = async (config, callbacks, signal) => {
  const workers = early ?? new Workers(config.transport === "threaded");
  early = undefined;
  const { machine: worker, helpers } = workers;
  const end = (): void => workers.end();
  const remote: Remote<MachineWorker> = wrap<MachineWorker>(worker);
  const givenUp = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  const creating = async () =>
    remote.create(
      await theCore(),
      config,
      proxy((bytes: Uint8Array) => callbacks.serial(bytes)),
      proxy((state, detail) => callbacks.state(state, detail)),
      proxy((lines) => callbacks.screen?.(lines)),
      proxy((hz) => callbacks.tone?.(hz)),
      proxy((text, stays) => callbacks.notice?.(text, stays)),
      proxy((progress: DownloadProgress) => callbacks.fetched?.(progress)),
      proxy((kind: HelperKind, port: MessagePort) => helpers.give(kind, port)),
    );
  const failed = await Promise.race([creating(), givenUp]).catch((error: unknown) => {
    end();
    throw error;
  });
  if (failed) {
    end();
    throw new MachineError(failed.code, failed.message, failed.remedy);
  }
  return {
    start: () => remote.command("start"),
    pause: () => remote.command("pause"),
    resume: () => remote.command("resume"),
    bootFrom: (kernel, initrd) => remote.bootFrom(kernel, initrd),
    reset: () => remote.command("reset"),
    powerOff: () => remote.command("powerOff"),
    destroy: async () => {
      await remote.command("destroy");
      end();
    },
    save: () => remote.save(),
    registers: (vcpu) => remote.registers(vcpu),
    readMemory: (piece) => remote.readMemory(piece),
    inspect: (name, ...args) => remote.inspect(name, args) as Promise<never>,
    serveGdb: (port) => remote.serveGdb(transfer(port, [port])),
    serialInput: (bytes) => {
      const copy = bytes.slice();
      void remote.serialInput(transfer(copy, [copy.buffer]));
    },
    key: (code, pressed) => void remote.key(code, pressed),
    type: (text) => void remote.type(text),
    mouse: (dx, dy, wheel, buttons) => void remote.mouse(dx, dy, wheel, buttons),
    insert: (drive, file) => remote.insert(drive, file),
    setConsoleSize: (cols, rows) => void remote.setConsoleSize(cols, rows),
    stats: () => remote.stats(),
  };
};

export const createMachine: CreateMachine = async (config, callbacks, signal) => {
  try {
    if (config.transport === "threaded" && !globalThis.crossOriginIsolated) {
      throw new MachineError(
        "no-shared-memory",
        "This page is not cross-origin isolated, so the browser gives it no shared memory.",
        "Use the transport on one thread, or serve the page with COOP and COEP headers.",
      );
    }
    return await createInWorker(config, callbacks, signal);
  } catch (error) {
    if (error instanceof MachineError) throw error;
    throw new MachineError("engine", error instanceof Error ? error.message : String(error));
  }
};
