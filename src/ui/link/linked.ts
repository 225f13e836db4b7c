/** A link and the guest of the page that it names. */
import { bytes } from "../format.ts";
import { type Guest, isPc, linkedGuest, sumOfBytes } from "../guests.ts";
import { titleOf } from "../images.ts";
import type { Transport } from "../machineHandle.ts";
import { filesOf } from "../prepared.ts";
import type { Plan } from "../session.ts";
import type { Engine } from "../settings.ts";
import { type BootLink, LinkError } from "./bootLink.ts";
import { guestFile } from "./linkedFiles.ts";

export interface Linked {
  readonly guest: Guest;
  readonly link: BootLink;
}

/** @throws LinkError: the page has no such guest, or the guest has no place for what the link brings */
export function linkedWith(link: BootLink, guests: readonly Guest[]): Linked {
  const named = guests.find(({ id, kind }) => id === link.guest && kind !== "own");
  if (link.guest !== undefined && !named) {
    throw new LinkError(`It names the guest “${link.guest}”, which this page does not have.`);
  }
  const base = named ?? linkedGuest;
  if (base.kind === "embedded" && (link.disk || link.files)) {
    throw new LinkError(
      `It has a ${link.disk ? "disk, and its guest has no drive" : "file, and its guest takes none"}.`,
    );
  }
  if (!link.files) return { guest: base, link };
  const files = link.files.map(guestFile);
  const taken = files.find(({ role }) => base.files.some((file) => file.role === role));
  if (taken) throw new LinkError(`It has a file that is its ${taken.role}, and so has its guest.`);
  // Its snapshot is of a machine without them.
  const { snapshot: _, ...rest } = base;
  const guest: Guest = { ...rest, kind: "linked", files: [...base.files, ...files] };
  if (files.some(({ role }) => role === "floppy" || role === "vgabios") && !isPc(guest)) {
    throw new LinkError("It has a file for a PC's parts, and its guest is none.");
  }
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

/** The machine of a link, once a person has agreed: their own files are not the link's, and what it writes is not kept. */
export function linkedPlan(linked: Linked, transport: Transport, prepared: boolean): Plan {
  const { memoryMb, ...rest } = linkedSettings(linked);
  return {
    ...rest,
    guest: linked.guest,
    own: {},
    memoryBytes: memoryMb * 2 ** 20,
    transport,
    url: "",
    linkedDisk: linked.link.disk,
    keepDisks: false,
    prepared,
  };
}

/** Whether it names anything that is not the site's own: that is not fetched before a person agrees. */
export const isForeign = ({ link }: Linked): boolean => link.disk !== undefined || link.files !== undefined;

/** What a link asks for, to be shown as text: names and values. `plan` is what `linkedPlan` makes of it. */
export function linkFacts({ guest, link }: Linked, plan: Plan): readonly (readonly [string, string])[] {
  const { memoryBytes, vcpus, append } = plan;
  const fetched = sumOfBytes(filesOf(plan).filter(({ url, data }) => !url && !data));
  const facts: (readonly [string, string] | undefined)[] = [
    ["Guest", guest.title],
    ["From this page", fetched ? bytes(fetched) : "nothing to fetch"],
    ...guest.files.flatMap(({ role, bytes: size, url, data, sha256 }): (readonly [string, string])[] => {
      if (data) return [[titleOf(role), `${bytes(size)}, in the link`]];
      if (!url) return [];
      return [
        [`${titleOf(role)} from`, `${new URL(url).host}, ${bytes(size)}`],
        ["Address", url],
        ["Held to SHA-256", sha256],
      ];
    }),
    link.disk && ["Disk from", new URL(link.disk.url).host],
    link.disk && ["Address", link.disk.url],
    link.disk && ["Held to SHA-256", link.disk.sha256],
    ["Memory", `${memoryBytes / 2 ** 20} MB`],
    ["Virtual CPUs", String(vcpus)],
    append ? ["Command line", append] : undefined,
    ["Network", "off"],
    ["Written to disks", "gone at the end"],
  ];
  return facts.filter((fact) => fact !== undefined);
}
