/** A mistake in assembly source, with the place it was made. */
export class AssembleError extends Error {
  readonly file: string;
  /** Line, from 1. */
  readonly line: number;

  constructor(file: string, line: number, message: string) {
    super(`${file}:${line}: ${message}`);
    this.name = "AssembleError";
    this.file = file;
    this.line = line;
  }
}

/** A mistake whose place the caller adds. */
export class Mistake extends Error {}
