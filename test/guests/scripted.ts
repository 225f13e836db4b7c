/** A machine that is typed to by a script: the same under Node and in a page. */
import { Machine, type MachineConfig } from "../../src/machine/machine.ts";

/** TEXT is typed when MARK has come after what the steps before have matched; an empty MARK is there at once. */
export type Script = readonly (readonly [mark: string, text: string])[];

export interface Scripted {
  readonly machine: Machine;
  /** All that COM1 has written. */
  readonly text: string;
}

/**
 * Runs a machine, from a snapshot if there is one, and pauses it when `until` has come after the script's last step.
 *
 * @throws Error if the machine ends before, or it takes longer than `seconds`
 */
export async function scripted(
  config: Omit<MachineConfig, "serial" | "onState">,
  script: Script,
  until: string,
  options: { snapshot?: Uint8Array; seconds?: number } = {},
): Promise<Scripted> {
  let text = "";
  let seen = 0;
  let step = 0;
  let end = (_error?: Error): void => {};
  const ended = new Promise<void>((resolve, reject) => {
    end = (error) => (error ? reject(error) : resolve());
  });
  const decoder = new TextDecoder();
  const look = (): void => {
    while (step <= script.length) {
      const mark = step < script.length ? script[step][0] : until;
      const at = text.indexOf(mark, seen);
      if (at < 0) return;
      seen = at + mark.length;
      if (step < script.length) machine.serialInput(new TextEncoder().encode(script[step][1]));
      // In a deterministic machine the run ends with the slice that this byte is in.
      else void machine.pause().then(() => end());
      step++;
    }
  };
  const machine: Machine = await Machine.create({
    ...config,
    serial: (bytes) => {
      text += decoder.decode(bytes, { stream: true });
      look();
    },
    onState: (state, reason) => {
      if (state === "off" || state === "failed") end(new Error(`the machine is ${state}: ${JSON.stringify(reason)}`));
    },
  });
  const seconds = options.seconds ?? 240;
  const timer = setTimeout(
    () => end(new Error(`not within ${seconds} s; the console's end: ${text.slice(-1500)}`)),
    seconds * 1000,
  );
  try {
    if (options.snapshot) {
      await machine.restore(options.snapshot);
      await machine.resume();
      look();
    } else await machine.start();
    await ended;
  } catch (error) {
    await machine.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return { machine, text };
}

/** The shell's prompt, and a script that does some work there. */
export const PROMPT = "tabhyve:~# ";
export const WORK: Script = [
  [PROMPT, "seq 1 2000 | md5sum\r"],
  ["  -", "head -c 9999 /dev/urandom | md5sum > /tmp/a; sleep 0.3; cat /tmp/a /proc/uptime\r"],
  [" -", "ls -l /proc/self /sys | tail -n 3; echo do''ne\r"],
];
export const WORKED = "\ndone";
