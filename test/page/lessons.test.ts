/** Every lesson, solved in Chromium and in Firefox, with a wrong answer of each step; test/long gives all of them. */
import { describe } from "vitest";
import { describeLessons } from "./lessonVisit.ts";

describe("lessons", () => describeLessons("one a step"));
