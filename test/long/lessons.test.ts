/** Every lesson, solved in Chromium and in Firefox, with all of its wrong answers. */
import { describe } from "vitest";
import { describeLessons } from "../page/lessonVisit.ts";

describe("lessons", () => describeLessons("all"));
