/** A link to a guest as a person has set it up. */
import { sha256Hex } from "../../block/chunks/remote.ts";
import type { Guest } from "../guests.ts";
import { effective, type Settings } from "../settings.ts";
import { type BootLink, bootFragment, LINK_CAPS, LinkError, parseBootLink } from "./bootLink.ts";

/**
 * The fragment, and what it says, for people. Only what differs from the guest's own goes in.
 *
 * @throws LinkError: a link cannot say this, with the reason in a sentence
 */
export async function linkTo(guest: Guest, settings: Settings): Promise<{ fragment: string; says: string }> {
  if (guest.kind === "own")
    throw new LinkError("A link cannot hold the files of your computer: choose a guest of this page.");
  const { memoryMb, vcpus, append, url } = effective(guest, settings);
  if (memoryMb > LINK_CAPS.memory) throw new LinkError(`A link may ask for ${LINK_CAPS.memory} MB at most.`);
  if (vcpus > LINK_CAPS.vcpus) throw new LinkError(`A link may ask for ${LINK_CAPS.vcpus} virtual CPUs at most.`);
  const link: BootLink = {
    guest: guest.id,
    memory: memoryMb,
    ...(vcpus > 1 && { vcpus }),
    ...(settings.engine !== "interp" && { engine: settings.engine }),
    ...(append !== guest.append && { append }),
    ...(url && { disk: await linkedDisk(url) }),
  };
  const fragment = await bootFragment(link);
  // What the other side would refuse is better said here.
  await parseBootLink(fragment, location.origin);
  const says = [
    `${guest.title}, by its name on this page`,
    `${memoryMb} MB`,
    vcpus > 1 && `${vcpus} virtual CPUs`,
    link.append !== undefined && "your command line",
    link.disk && "the disk's address and hash",
  ];
  return { fragment, says: says.filter(Boolean).join(", ") };
}

/** A disk's manifest is fetched for its hash. */
async function linkedDisk(url: string): Promise<NonNullable<BootLink["disk"]>> {
  let address: URL;
  try {
    address = new URL(url, location.href);
    if (!address.pathname.endsWith(".json")) throw new Error("one file");
  } catch {
    throw new LinkError(
      "A link can name only a disk in chunks (tabhyve chunks): of others, nobody could check the contents.",
    );
  }
  try {
    const response = await fetch(address);
    if (!response.ok) throw new Error(String(response.status));
    return { url: address.href, sha256: await sha256Hex(new Uint8Array(await response.arrayBuffer())) };
  } catch {
    throw new LinkError("The disk's manifest cannot be fetched now.");
  }
}
