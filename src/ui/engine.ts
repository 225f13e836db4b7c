import type { CreateMachine } from "./machineHandle.ts";

/**
 * Loads the code that makes machines, the core with it. The page asks for it when it is drawn, not before, and each
 * start waits for it. `?fake` (development and test builds only) swaps in FakeMachine.
 */
export async function loadEngine(): Promise<CreateMachine> {
  if (import.meta.env.MODE !== "production") {
    const fake = new URLSearchParams(location.search).get("fake");
    if (fake !== null) {
      const { createFakeMachine } = await import("./fakeMachine.ts");
      return createFakeMachine(fake);
    }
  }
  return (await import("./remoteMachine.ts")).createMachine;
}
