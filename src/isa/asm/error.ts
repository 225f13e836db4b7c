/** A mistake in assembly source, with the place it was made. */
export class AssembleError extends Error {
  readonly file: string;
  /** Line, from 1. */
  readonly line: number;
  /** Column, from 1. */
  readonly column: number;
  /** What is wrong, without the place. */
  readonly reason: string;

  constructor(place: Place, reason: string) {
    super(`${place.file}:${place.line}:${place.column}: ${reason}`);
    this.name = "AssembleError";
    this.file = place.file;
    this.line = place.line;
    this.column = place.column;
    this.reason = reason;
  }
}

/** A place in a source: line and column from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A mistake whose line the caller adds, and its column where that is not known here. */
export class Mistake extends Error {
  readonly column: number | undefined;

  constructor(message: string, column?: number) {
    super(message);
    this.column = column;
  }
}

/** Runs `work`; a Mistake in it becomes one of this place. */
export function placed<T>(place: Place, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    throw new AssembleError({ ...place, column: error.column ?? place.column }, error.message);
  }
}
