/**
 * Entry of tabhyve-frame.js, for a page that has the machine in a frame instead of as an element:
 *
 *     <iframe id="vm" src="https://SITE/embed.html?origin=https://MY.PAGE#v1=…" allow="cross-origin-isolated"></iframe>
 *     import { connect } from "https://SITE/tabhyve-frame.js";
 *     const vm = await connect(document.querySelector("#vm"));
 *
 * `origin` must be the page's own: messages of others are not answered.
 */
import type { MachineStats, MemoryPiece, Registers } from "../machineHandle.ts";
import { type FromFrame, fromFrame, type ToFrame } from "./frameMessages.ts";
import type { Command, VmEvents, VmHandle, VmState } from "./vmHandle.ts";

export type { MachineStats, MemoryPiece, Registers, StopDetail } from "../machineHandle.ts";
export type { Problem } from "../problems.ts";
export type { VmEvents, VmHandle, VmState } from "./vmHandle.ts";

/** Milliseconds between two hellos, and until nobody is expected to answer any more. */
const AGAIN = 250;
const PATIENCE = 30_000;

/**
 * Speaks to the frame, as soon as it can be spoken to.
 *
 * @param patience milliseconds after which it is given up
 * @throws Error: it does not answer; mostly because its address does not name this page's origin
 */
export async function connect(frame: HTMLIFrameElement, patience = PATIENCE): Promise<FrameVm> {
  const vm = new FrameVm(frame);
  await vm.hello(patience);
  return vm;
}

/** A machine in a frame. Its events are those of the element. */
export class FrameVm extends EventTarget implements VmHandle {
  readonly #frame: HTMLIFrameElement;
  readonly #origin: string;
  readonly #calls = new Map<number, { done(value: unknown): void; failed(why: Error): void }>();
  #next = 1;
  #state: VmState = "none";
  #ready: () => void = () => {};

  /** @internal Use `connect`. */
  constructor(frame: HTMLIFrameElement) {
    super();
    this.#frame = frame;
    this.#origin = new URL(frame.src).origin;
    addEventListener("message", this.#onMessage);
  }

  /** @internal */
  hello(patience: number): Promise<void> {
    return new Promise((ready, failed) => {
      const hello = (): void => this.#send({ tabhyve: "hello" });
      const again = setInterval(hello, AGAIN);
      const end = setTimeout(() => {
        clearInterval(again);
        this.close();
        failed(new Error(`The frame does not answer: does its address have ?origin=${location.origin} in it?`));
      }, patience);
      this.#ready = () => {
        clearInterval(again);
        clearTimeout(end);
        ready();
      };
      hello();
    });
  }

  /** Hears nothing of it any more; the machine goes on. */
  close(): void {
    removeEventListener("message", this.#onMessage);
    for (const call of this.#calls.values()) call.failed(new Error("The connection to the frame was closed."));
    this.#calls.clear();
  }

  get state(): VmState {
    return this.#state;
  }

  start(saved?: Uint8Array): Promise<void> {
    return this.#call("start", saved);
  }

  pause(): Promise<void> {
    return this.#call("pause");
  }

  resume(): Promise<void> {
    return this.#call("resume");
  }

  reset(): Promise<void> {
    return this.#call("reset");
  }

  stop(): Promise<void> {
    return this.#call("stop");
  }

  type(text: string): Promise<void> {
    return this.#call("type", text);
  }

  send(bytes: Uint8Array): Promise<void> {
    return this.#call("send", bytes);
  }

  waitForText(pattern: string | RegExp, timeout?: number): Promise<string> {
    return this.#call("waitForText", pattern, timeout);
  }

  registers(vcpu?: number): Promise<Registers> {
    return this.#call("registers", vcpu);
  }

  readMemory(piece: MemoryPiece): Promise<Uint8Array> {
    return this.#call("readMemory", piece);
  }

  save(): Promise<Uint8Array> {
    return this.#call("save");
  }

  stats(): Promise<MachineStats> {
    return this.#call("stats");
  }

  override addEventListener<N extends keyof VmEvents>(
    name: N,
    listener: (event: CustomEvent<VmEvents[N]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    name: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(name: string, listener: never, options?: boolean | AddEventListenerOptions): void {
    super.addEventListener(name, listener, options);
  }

  #call<T>(command: Command, ...args: readonly unknown[]): Promise<T> {
    return new Promise((done, failed) => {
      const id = this.#next++;
      this.#calls.set(id, { done: done as (value: unknown) => void, failed });
      this.#send({ tabhyve: "call", id, command, args });
    });
  }

  #send(message: ToFrame): void {
    this.#frame.contentWindow?.postMessage(message, this.#origin);
  }

  readonly #onMessage = (event: MessageEvent): void => {
    if (event.source !== this.#frame.contentWindow || event.origin !== this.#origin) return;
    const message = fromFrame(event.data);
    if (message) this.#take(message);
  };

  #take(message: FromFrame): void {
    if (message.tabhyve === "answer") {
      const call = this.#calls.get(message.id);
      this.#calls.delete(message.id);
      if (message.error !== undefined) call?.failed(new Error(message.error));
      else call?.done(message.value);
      return;
    }
    this.#state = message.state;
    if (message.tabhyve === "ready") this.#ready();
    else this.dispatchEvent(new CustomEvent(message.name, { detail: message.detail }));
  }
}
