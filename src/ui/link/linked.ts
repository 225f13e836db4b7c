/** A link and the guest of the page that it names. */
import type { Guest } from "../guests.ts";
import type { Engine } from "../settings.ts";
import { type BootLink, LinkError } from "./bootLink.ts";

export interface Linked {
  readonly guest: Guest;
  readonly link: BootLink;
}

/** @throws LinkError: the page has no such guest, or the guest has no place for the link's disk */
export function linkedWith(link: BootLink, guests: readonly Guest[]): Linked {
  const guest = guests.find(({ id, kind }) => id === link.guest && kind !== "own");
  if (!guest) throw new LinkError(`It names the guest “${link.guest}”, which this page does not have.`);
  if (link.disk && guest.kind === "embedded") throw new LinkError("It has a disk, and its guest has no drive.");
  return { guest, link };
}

/** What the machine is made with: the link's word or the guest's own, never a person's settings for the guest. */
export function linkedSettings({ guest, link }: Linked): {
  memoryMb: number;
  vcpus: number;
  append: string;
  engine: Engine;
} {
  const { memory = Math.round(guest.memory / 2 ** 20), vcpus = 1, append = guest.append, engine = "interp" } = link;
  return { memoryMb: memory, vcpus, append, engine };
}
