/** One tab has a machine at a time (Web Locks): the browser lets go of it when the tab ends, however it ends. */

const PREFIX = "tabhyve.machine.";

/** Takes a machine for this tab; what lets go of it, or undefined: another tab has it. */
export function hold(id: string): Promise<(() => void) | undefined> {
  return new Promise((settle, fail) => {
    const taken = (lock: unknown): Promise<void> | undefined => {
      if (!lock) return void settle(undefined);
      return new Promise((release) => settle(release));
    };
    navigator.locks.request(`${PREFIX}${id}`, { ifAvailable: true }, taken).catch(fail);
  });
}

/** The machines that any tab has. */
export async function heldMachines(): Promise<Set<string>> {
  const { held = [] } = await navigator.locks.query();
  return new Set(held.flatMap(({ name }) => (name?.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : [])));
}
