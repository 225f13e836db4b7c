/** Guests that go on from where they have booted (scripts/guest/snapshot.mjs), with what only this tab knows. */
import { hex } from "../shared/bytes.ts";
import type { SiteFile } from "./guests.ts";
import { TERM } from "./machineHandle.ts";
import type { Plan } from "./session.ts";

/** Bytes for the guest's random numbers, which every copy of the snapshot has the same of. */
const SEED_BYTES = 32;

/** The snapshot that a plan goes on from, if it may: it was made with the guest's defaults, and without disks. */
export function preparedOf({
  guest,
  prepared,
  append,
  memoryBytes,
  vcpus,
  linkedDisk,
  resume,
}: Plan): SiteFile | undefined {
  const asMade = append === guest.append && memoryBytes === guest.memory && vcpus === 1 && !linkedDisk;
  return prepared && asMade && !resume ? guest.snapshot : undefined;
}

/** What of the page's is fetched for a plan. */
export const filesOf = (plan: Plan): SiteFile[] => {
  const snapshot = preparedOf(plan);
  return snapshot ? [snapshot] : plan.guest.files;
};

/** The line that such a guest waits for (scripts/guest/profile). */
export function greeting({ cols, rows }: { cols: number; rows: number }): Uint8Array {
  const seed = hex(crypto.getRandomValues(new Uint8Array(SEED_BYTES)));
  const now = Math.round(Date.now() / 1000);
  return new TextEncoder().encode(`${cols} ${rows} ${TERM} ${now} ${seed}\n`);
}
