/**
 * Messages between a page and the machine in a frame of it (embed.html). The page sends `hello` and calls; the frame
 * answers each call once, and tells events from the first hello on. Not Comlink: what is called across this border is one of
 * COMMANDS by its name, and nothing else can be reached.
 */
import { COMMANDS, type Command, EVENTS, type VmEvents, type VmState } from "./vmHandle.ts";

export type ToFrame =
  | { readonly tabhyve: "hello" }
  | { readonly tabhyve: "call"; readonly id: number; readonly command: Command; readonly args: readonly unknown[] };

export type FromFrame =
  /** The frame can be spoken to. */
  | { readonly tabhyve: "ready"; readonly state: VmState }
  | { readonly tabhyve: "answer"; readonly id: number; readonly value?: unknown; readonly error?: string }
  | { readonly tabhyve: "event"; readonly name: keyof VmEvents; readonly state: VmState; readonly detail: unknown };

/** Undefined for whatever else is sent to a page. */
export function toFrame(data: unknown): ToFrame | undefined {
  const { tabhyve, id, command, args } = (data ?? {}) as Record<string, unknown>;
  if (tabhyve === "hello") return { tabhyve };
  if (tabhyve !== "call" || typeof id !== "number" || !Array.isArray(args)) return undefined;
  const known = COMMANDS.find((name) => name === command);
  return known && { tabhyve, id, command: known, args };
}

/** Undefined for whatever else is sent to a page. */
export function fromFrame(data: unknown): FromFrame | undefined {
  const message = (data ?? {}) as FromFrame;
  if (message.tabhyve === "ready") return message;
  if (message.tabhyve === "answer") return typeof message.id === "number" ? message : undefined;
  if (message.tabhyve === "event") return EVENTS.includes(message.name) ? message : undefined;
  return undefined;
}

/** Origins as an address lists them; what is none is left out, and so is `null`, which every sandboxed page has. */
export function originsOf(list: readonly string[]): string[] {
  return list.filter((text) => {
    try {
      const { origin, protocol } = new URL(text);
      return origin === text && /^https?:$/.test(protocol);
    } catch {
      return false;
    }
  });
}
