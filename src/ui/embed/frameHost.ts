/** The frame's side of the messages: who may call, what is called, who hears. */
import { type FromFrame, toFrame } from "./frameMessages.ts";
import { type Command, EVENTS, type VmHandle } from "./vmHandle.ts";

export interface FrameHost {
  readonly handle: VmHandle;
  /** The window that embeds the frame, and the origins of which it must be. */
  readonly parent: Pick<Window, "postMessage">;
  readonly origins: readonly string[];
  /** Why a command is refused; undefined: it may be. */
  refuse(command: Command): string | undefined;
}

/**
 * @param events where the machine's events come from
 * @param messages where messages come from: the frame's window
 */
export function serveFrame(
  { handle, parent, origins, refuse }: FrameHost,
  events: EventTarget,
  messages: Pick<Window, "addEventListener">,
): void {
  /** The origin that has said hello. */
  let heard: string | undefined;
  const send = (message: FromFrame, origin: string): void => parent.postMessage(message, origin);
  messages.addEventListener("message", (event) => {
    // Neither another frame of the page, nor whoever navigated the page elsewhere meanwhile.
    if (event.source !== parent || !origins.includes(event.origin)) return;
    const message = toFrame(event.data);
    if (message?.tabhyve === "hello") {
      heard = event.origin;
      send({ tabhyve: "ready", state: handle.state }, event.origin);
    } else if (message) void answer(message.id, message.command, message.args, event.origin);
  });
  const answer = async (id: number, command: Command, args: readonly unknown[], origin: string): Promise<void> => {
    try {
      const why = refuse(command);
      if (why !== undefined) throw new Error(why);
      const value = await (handle[command] as (...args: readonly unknown[]) => Promise<unknown>)(...args);
      send({ tabhyve: "answer", id, value }, origin);
    } catch (error) {
      send({ tabhyve: "answer", id, error: (error as Error).message }, origin);
    }
  };
  for (const name of EVENTS) {
    events.addEventListener(name, (event) => {
      const { detail } = event as CustomEvent<unknown>;
      if (heard !== undefined) send({ tabhyve: "event", name, state: handle.state, detail }, heard);
    });
  }
  // For a page that has been listening for longer than this frame was there.
  for (const origin of origins) send({ tabhyve: "ready", state: handle.state }, origin);
}
