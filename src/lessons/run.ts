/**
 * Runs a learner's program: a machine of its own with the lessons' firmware and the program on its disk, by instruction
 * counts, so that the same program gives the same run in Node and in a page.
 */
import { MemoryBlocks } from "../block/memory.ts";
import { Machine, type StopReason } from "../machine/machine.ts";
import { triggerYield } from "../machine/yield.ts";
import { joinBytes } from "../shared/bytes.ts";
import { RUN_STATE, VCPU } from "../shared/layout.ts";
import { RFLAGS_IF } from "../vmm/cpuMode.ts";
import { lessonFirmware } from "./firmware/index.ts";

const SECTOR = 512;
/** Instructions of each vCPU between two looks at the clock: a prime, so that turns end anywhere in a loop. */
const ROUND = 1999n;

/** A program as a disk: whole sectors, one at least. */
export function diskOf(image: Uint8Array): Uint8Array {
  const disk = new Uint8Array(Math.max(1, Math.ceil(image.length / SECTOR)) * SECTOR);
  disk.set(image);
  return disk;
}

export interface RunOptions {
  /** The compiled core. */
  readonly core: Uint8Array;
  readonly memoryBytes: number;
  readonly vcpus: number;
  /** Milliseconds of the guest's time, at most. */
  readonly ms: number;
}

/** How a run has ended: every vCPU halted for good, the time over, or by itself. */
export type End = "halted" | "running" | "triple fault" | "power-off" | "reset";

/** A machine that stands still after its run. */
export interface Ran {
  readonly machine: Machine;
  readonly end: End;
  readonly serial: string;
  /** Lines of the text screen. */
  readonly screen: readonly string[];
  /** The exception at which a triple fault has begun. */
  readonly vector: number | undefined;
  destroy(): Promise<void>;
}

/** Runs `image` from its first sector. @throws Error: the engine has failed, which is a bug */
export async function runImage(image: Uint8Array, { core, memoryBytes, vcpus, ms }: RunOptions): Promise<Ran> {
  const serial: Uint8Array[] = [];
  const limit = BigInt(ms) * 1_000_000n;
  let stopped: StopReason | undefined;
  let over = (): void => {};
  const ended = new Promise<void>((resolve) => {
    over = resolve;
  });
  let go = (): void => {};
  const machine: Machine = await Machine.create({
    core,
    bios: lessonFirmware(),
    drives: { disks: [new MemoryBlocks(diskOf(image))] },
    memoryBytes,
    vcpus,
    transport: "inline",
    restart: false,
    serial: (bytes) => serial.push(bytes.slice()),
    deterministic: {
      pace: async () => {
        if (machine.now() < limit && !isHalted(machine, vcpus)) return { instructions: ROUND, settle: true };
        over();
        await new Promise<void>((resolve) => {
          go = resolve;
        });
        return { instructions: 0n, settle: false };
      },
    },
    onState: (state, why) => {
      if (state !== "off" && state !== "failed") return;
      stopped = why;
      over();
    },
  });
  await machine.start();
  await ended;
  if (!stopped) {
    const paused = machine.pause();
    await new Promise<void>(triggerYield);
    go();
    await paused;
  }
  if (stopped?.kind === "engine-error") throw new Error(stopped.message);
  return {
    machine,
    end: endOf(stopped, isHalted(machine, vcpus)),
    serial: new TextDecoder("latin1").decode(joinBytes(serial)),
    screen: machine.board.pc?.display.text() ?? [],
    vector: stopped?.kind === "triple-fault" ? Number(stopped.where.vector) : undefined,
    destroy: () => machine.destroy(),
  };
}

function endOf(stopped: StopReason | undefined, halted: boolean): End {
  if (stopped?.kind === "triple-fault") return "triple fault";
  if (stopped?.kind === "reset") return "reset";
  return stopped ? "power-off" : halted ? "halted" : "running";
}

/** `jmp $`, with which many programs end. */
const JUMP_TO_ITSELF = [0xeb, 0xfe];

/**
 * Whether nothing can happen any more: each vCPU waits to be started, or keeps interrupts off and is halted or jumps to
 * where it is.
 */
function isHalted(machine: Machine, vcpus: number): boolean {
  for (let id = 0; id < vcpus; id++) {
    const view = machine.view(id);
    const state = view.get(VCPU.runState);
    if (state === RUN_STATE.WAIT_FOR_SIPI || state === RUN_STATE.SHUTDOWN) continue;
    if (view.get64(VCPU.rflags) & RFLAGS_IF) return false;
    if (state === RUN_STATE.HALTED) continue;
    const code = machine.debug.codeAtRip(id);
    if (JUMP_TO_ITSELF.some((byte, i) => code[i] !== byte)) return false;
  }
  return true;
}
