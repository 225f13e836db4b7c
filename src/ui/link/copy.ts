/** A link to a guest as a person has set it up. */
import { sha256Hex } from "../../block/chunks/remote.ts";
import { type Guest, isPc } from "../guests.ts";
import { type ImageRole, NAMES } from "../images.ts";
import type { OwnFile, OwnFiles } from "../ownFiles.ts";
import { effective, type Settings } from "../settings.ts";
import { type BootLink, bootFragment, LINK_CAPS, LinkError, parseBootLink } from "./bootLink.ts";
import { inlineFile, LINK_ROLES, type LinkedFile } from "./linkedFiles.ts";

/**
 * The fragment, and what it says, for people. Only what differs from the guest's own goes in.
 *
 * @throws LinkError: a link cannot say this, with the reason in a sentence
 */
export async function linkTo(
  guest: Guest,
  settings: Settings,
  own: OwnFiles,
): Promise<{ fragment: string; says: string }> {
  if (guest.kind === "linked") throw new LinkError("Pass on the link that this machine came with.");
  const files = await inlineFiles(guest, own);
  const { memoryMb, vcpus, append, url } = effective(guest, settings);
  if (memoryMb > LINK_CAPS.memory) throw new LinkError(`A link may ask for ${LINK_CAPS.memory} MB at most.`);
  if (vcpus > LINK_CAPS.vcpus) throw new LinkError(`A link may ask for ${LINK_CAPS.vcpus} virtual CPUs at most.`);
  const link: BootLink = {
    ...(guest.kind !== "own" && { guest: guest.id }),
    memory: memoryMb,
    ...(vcpus > 1 && { vcpus }),
    ...(settings.engine !== "interp" && { engine: settings.engine }),
    ...((append !== guest.append || guest.kind === "own") && append && { append }),
    ...(url && { disk: await linkedDisk(url) }),
    ...(files.length && { files }),
  };
  const fragment = await bootFragment(link);
  // What the other side would refuse is better said here.
  await parseBootLink(fragment, location.origin);
  const says = [
    guest.kind !== "own" && `${guest.title}, by its name on this page`,
    files.length > 0 && `your ${files.map(({ role }) => NAMES[role]).join(" and ")}, whole`,
    `${memoryMb} MB`,
    vcpus > 1 && `${vcpus} virtual CPUs`,
    link.append !== undefined && "your command line",
    link.disk && "the disk's address and hash",
  ];
  return { fragment, says: says.filter(Boolean).join(", ") };
}

/** What a person has brought, if it is small enough. @throws LinkError */
async function inlineFiles(guest: Guest, own: OwnFiles): Promise<LinkedFile[]> {
  if (guest.kind === "embedded") return [];
  const brought = Object.entries(own) as [ImageRole, OwnFile][];
  // Of a guest of the page's own kernel nothing is replaced; into its drives goes what a person has put there.
  const used = guest.kind === "own" ? brought : brought.filter(([role]) => isPc(guest) && role === "floppy");
  const files: LinkedFile[] = [];
  let room: number = LINK_CAPS.inline;
  for (const [role, { file }] of used) {
    const fits = LINK_ROLES.find((one) => one === role);
    room -= Math.ceil((file.size * 4) / 3);
    if (!fits || !(file instanceof File) || room < 0) {
      const most = (LINK_CAPS.inline * 3) / 4 / 1024;
      throw new LinkError(
        `A link holds ${most} KB of files at most: ${file.name} is too large for it, or is no such file.`,
      );
    }
    files.push(inlineFile(fits, new Uint8Array(await file.arrayBuffer())));
  }
  return files;
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
