/** What a machine was made with, as it is saved, and as it is made again. */
import { type Guest, ownGuest } from "../guests.ts";
import { type ImageRole, MEDIA, NAMES } from "../images.ts";
import type { SavedState } from "../machineHandle.ts";
import type { OwnFiles } from "../ownFiles.ts";
import type { Plan } from "../session.ts";
import { imageId } from "../storage/keptDisks.ts";
import { type About, machineFolder, nameOf, type SavedFile, type SavedMachine, type SavedPlan } from "./machines.ts";

/** What is in the way of going on, for people. */
export class ResumeError extends Error {}

const isMedium = (role: ImageRole): boolean => (MEDIA as readonly ImageRole[]).includes(role);

/** The plan as it is saved, and the files that a person's own kernel needs to boot again. */
export async function savedPlan(plan: Plan): Promise<{ plan: SavedPlan; boot: Partial<Record<ImageRole, File>> }> {
  const { guest, append, memoryBytes, vcpus, engine, url, linkedDisk, keepDisks } = plan;
  const boot: Partial<Record<ImageRole, File>> = {};
  const files: SavedFile[] = [];
  for (const [role, { file }] of Object.entries(plan.own) as [ImageRole, NonNullable<OwnFiles[ImageRole]>][]) {
    // A guest of the page has its own kernel; what else a person has brought is not in the machine.
    if (guest.kind !== "own" && !isMedium(role)) continue;
    const { name, size } = file;
    if (!(file instanceof File)) files.push({ role, name, size, kept: file.kept });
    else if (isMedium(role)) files.push({ role, name, size, image: await imageId(file) });
    else {
      files.push({ role, name, size });
      boot[role] = file;
    }
  }
  const all = { guest: guest.id, title: guest.title, append, memoryBytes, vcpus, engine, url, keepDisks, files };
  return { plan: { ...all, ...(linkedDisk && { linkedDisk }) }, boot };
}

/**
 * The plan that goes on with a saved machine.
 *
 * @param own what a person has brought: media that are not kept must be among it
 * @throws ResumeError: a file is missing
 */
export async function resumedPlan(
  machine: SavedMachine,
  guests: readonly Guest[],
  own: OwnFiles,
  rest: Pick<Plan, "transport"> & { readonly resume: SavedState },
): Promise<Plan> {
  const { guest: id, title, files, ...plan } = machine.plan;
  // One that the page has no more goes on all the same; it cannot boot again.
  const guest = guests.find((g) => g.id === id) ?? { ...ownGuest, id, title };
  const found: OwnFiles = {};
  for (const file of files) {
    const { role, name, size, kept } = file;
    const what = "kept with the machine";
    if (kept !== undefined) found[role] = { file: { kept, name, size }, what };
    else if (file.image !== undefined) found[role] = await brought(machine, file, own);
    else {
      const there = await fileOf(machine.id, role, name);
      if (there) found[role] = { file: there, what };
    }
  }
  return { ...plan, ...rest, guest, own: found };
}

async function brought(machine: About, { role, name, image }: SavedFile, own: OwnFiles) {
  for (const candidate of [own[role], ...Object.values(own)]) {
    if (candidate?.file instanceof File && (await imageId(candidate.file)) === image) return candidate;
  }
  throw new ResumeError(`${nameOf(machine)} has ${name} as its ${NAMES[role]}: open that file first, then resume.`);
}

/** Undefined: it was not saved along, as in a machine from a file. */
async function fileOf(id: string, role: ImageRole, name: string): Promise<File | undefined> {
  try {
    const file = await (await (await machineFolder(id)).getFileHandle(role)).getFile();
    return new File([file], name);
  } catch {
    return undefined;
  }
}
