/** The lessons that the page has: folders beside it, `lessons/NAME/lesson.json`, listed in `lessons/index.json`. */
import type { App } from "../app.ts";
import type { Course } from "./course.ts";

export interface LessonEntry {
  readonly folder: string;
  readonly title: string;
}

const at = (path: string): URL => new URL(`lessons/${path}`, document.baseURI);

/** What the page lists; none where it is not there. */
export async function fetchLessons(): Promise<LessonEntry[]> {
  try {
    const response = await fetch(at("index.json"));
    return response.ok ? ((await response.json()) as LessonEntry[]) : [];
  } catch {
    return []; // offline and never cached
  }
}

/** Text of a file of a lesson; undefined: there is none. */
export async function fetchLessonFile(folder: string, name: string): Promise<string | undefined> {
  const response = await fetch(at(`${folder}/${name}`));
  return response.ok ? response.text() : undefined;
}

export const NAMED = "#lesson=";
export const namedFragment = (folder: string): string => NAMED + folder;

/** A lesson by its folder's name in a link: `#lesson=NAME`; or whole: `#lesson1=…`. */
export const isLessonLink = (fragment: string): boolean => /^#lesson1?=/.test(fragment);

/** Loads what shows lessons, and opens what a fragment names. @throws LessonError, LinkError */
export async function openLessonLink(app: App, fragment: string): Promise<Course> {
  const { Course } = await import("./course.ts");
  return Course.fromLink(app, fragment);
}
