/** Entry of the worker that holds a whole machine (inline transport). */
import { expose, transfer } from "comlink";
import { joinBytes } from "../shared/bytes.ts";
import type { DownloadProgress } from "./download.ts";
import { helpersBy } from "./helperPort.ts";
import type { HelperKind } from "./helpers.ts";
import type {
  Core,
  InspectMethod,
  MachineConfig,
  MachineErrorCode,
  MachineHandle,
  MachineState,
  MachineStats,
  MediumFile,
  MemoryPiece,
  Registers,
  SavedState,
  ScreenLines,
  StopDetail,
} from "./machineHandle.ts";
import { createHere, describeError } from "./realMachine.ts";

export class MachineWorker {
  #handle: MachineHandle | undefined;

  /** Makes the machine; returns what went wrong, since an error's fields do not cross to the page. */
  async create(
    core: Core,
    config: MachineConfig,
    serial: (bytes: Uint8Array) => void | Promise<void>,
    state: (state: MachineState, detail?: StopDetail) => void,
    screen: (lines: ScreenLines) => void | Promise<void>,
    tone: (hz: number) => void,
    notice: (text: string, stays?: boolean) => void,
    fetched: (progress: DownloadProgress) => void,
    helper: (kind: HelperKind, port: MessagePort) => void,
  ): Promise<{ code: MachineErrorCode; message: string; remedy?: string } | undefined> {
    try {
      this.#handle = await createHere(core, config, {
        serial: joined(async (bytes) => serial(transfer(bytes, [bytes.buffer]))),
        state,
        screen: (lines) => screen(transfer(lines, [lines.pixels.buffer as ArrayBuffer])),
        tone,
        notice,
        fetched,
        startHelper: helpersBy((kind, port) => helper(kind, transfer(port, [port]))),
      });
      return undefined;
    } catch (error) {
      return describeError(error);
    }
  }

  get #machine(): MachineHandle {
    if (!this.#handle) throw new Error("there is no machine");
    return this.#handle;
  }

  async command(name: "start" | "pause" | "resume" | "reset" | "powerOff" | "destroy"): Promise<void> {
    await this.#handle?.[name]();
  }

  async bootFrom(kernel: Uint8Array, initrd: Uint8Array | undefined): Promise<void> {
    await this.#handle?.bootFrom?.(kernel, initrd);
  }

  serialInput(bytes: Uint8Array): void {
    this.#handle?.serialInput(bytes);
  }

  key(code: string, pressed: boolean): void {
    this.#handle?.key?.(code, pressed);
  }

  type(text: string): void {
    this.#handle?.type?.(text);
  }

  mouse(dx: number, dy: number, wheel: number, buttons: number): void {
    this.#handle?.mouse?.(dx, dy, wheel, buttons);
  }

  async insert(drive: "cdrom" | "floppy", file: MediumFile | undefined): Promise<void> {
    await this.#handle?.insert?.(drive, file);
  }

  async save(): Promise<SavedState> {
    const saved = await this.#machine.save!();
    return transfer(saved, [saved.snapshot.buffer as ArrayBuffer]);
  }

  registers(vcpu?: number): Promise<Registers> {
    return this.#machine.registers!(vcpu);
  }

  async readMemory(piece: MemoryPiece): Promise<Uint8Array> {
    const bytes = await this.#machine.readMemory!(piece);
    return transfer(bytes, [bytes.buffer as ArrayBuffer]);
  }

  async inspect(name: InspectMethod, args: unknown[]): Promise<unknown> {
    const inspect = this.#handle?.inspect as ((name: string, ...args: unknown[]) => Promise<unknown>) | undefined;
    return inspect?.(name, ...args);
  }

  async serveGdb(port: MessagePort): Promise<void> {
    await this.#handle?.serveGdb?.(port);
  }

  setConsoleSize(cols: number, rows: number): void {
    this.#handle?.setConsoleSize(cols, rows);
  }

  stats(): MachineStats | Promise<MachineStats> {
    return this.#handle?.stats() ?? { state: "off", instructions: 0, vcpuSeconds: 0, exits: 0 };
  }
}

/**
 * Joins what comes while the page is still busy with the message before, so that there is never more than one under
 * way: a guest's single bytes, each sent by itself, would cost more than the guest.
 */
function joined(send: (bytes: Uint8Array<ArrayBuffer>) => Promise<unknown>): (bytes: Uint8Array) => void {
  let pieces: Uint8Array[] = [];
  let sending = false;
  const flush = async (): Promise<void> => {
    sending = true;
    while (pieces.length > 0) {
      const all = joinBytes(pieces);
      pieces = [];
      await send(all);
    }
    sending = false;
  };
  return (bytes) => {
    pieces.push(bytes);
    if (!sending) void flush();
  };
}

expose(new MachineWorker());
