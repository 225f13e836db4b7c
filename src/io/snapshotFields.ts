/** Field-by-field checks of a saved state, for use at the top of a device's `import`, before it changes anything. */

import { SnapshotError } from "../shared/device.ts";

type Plain = Record<string, unknown>;

/**
 * Reads a saved state as data of unknown origin. Every getter throws SnapshotError, with the field's path, if the
 * field is missing, has another type or is out of range.
 */
export class SnapshotFields {
  private readonly device: string;
  private readonly path: string;
  private readonly fields: Plain;

  /** @param device name for the error; @param state what was handed to `import`; @param path prefix of the fields */
  constructor(device: string, state: unknown, path = "") {
    if (typeof state !== "object" || state === null) {
      throw new SnapshotError(device, `${path === "" ? "state" : path} is not an object`);
    }
    this.device = device;
    this.path = path;
    this.fields = state as Plain;
  }

  /** The `version` field must be exactly this. */
  version(expected: number): this {
    const found = this.fields.version;
    if (found !== expected) {
      throw new SnapshotError(this.device, `version ${String(found)}, this build reads version ${expected}`);
    }
    return this;
  }

  /** An integer in [min, max]. */
  int(field: string, min: number, max: number): number {
    const value = this.fields[field];
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      this.fail(field, `${String(value)} is not an integer from ${min} to ${max}`);
    }
    return value;
  }

  u8(field: string): number {
    return this.int(field, 0, 0xff);
  }

  bool(field: string): boolean {
    const value = this.fields[field];
    if (typeof value !== "boolean") this.fail(field, `${String(value)} is not a boolean`);
    return value;
  }

  /** One of these strings. */
  oneOf<T extends string>(field: string, values: readonly T[]): T {
    const found = values.find((value) => value === this.fields[field]);
    if (found === undefined) this.fail(field, `${String(this.fields[field])} is none of ${values.join(", ")}`);
    return found;
  }

  /** A bigint in [min, max]. */
  bigint(field: string, min: bigint, max: bigint): bigint {
    const value = this.fields[field];
    if (typeof value !== "bigint" || value < min || value > max) {
      this.fail(field, `${String(value)} is not a bigint from ${min} to ${max}`);
    }
    return value;
  }

  /** A byte array of exactly this length. */
  bytes(field: string, length: number): Uint8Array {
    const value = this.fields[field];
    if (!(value instanceof Uint8Array) || value.length !== length) this.fail(field, `not ${length} bytes`);
    return value;
  }

  /** A byte array of at most this length. */
  someBytes(field: string, length: number): Uint8Array {
    const value = this.fields[field];
    if (!(value instanceof Uint8Array) || value.length > length) this.fail(field, `not at most ${length} bytes`);
    return value;
  }

  /** An array of at least `min` and at most `max` elements. */
  array(field: string, min: number, max: number): unknown[] {
    const value = this.fields[field];
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      this.fail(field, `not an array of ${min} to ${max} elements`);
    }
    return value;
  }

  /** An array of at most `length` integers in [min, max]. */
  ints(field: string, length: number, min: number, max: number): number[] {
    return this.integers(field, this.array(field, 0, length), min, max);
  }

  /** An array of exactly `count` integers in [min, max]. */
  intsOf(field: string, count: number, min: number, max: number): number[] {
    return this.integers(field, this.array(field, count, count), min, max);
  }

  private integers(field: string, values: unknown[], min: number, max: number): number[] {
    return values.map((value, index) => {
      if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
        this.fail(`${field}[${index}]`, `${String(value)} is not an integer from ${min} to ${max}`);
      }
      return value;
    });
  }

  /** Whatever is there, looked at by who knows it; undefined: nothing is. */
  optional(field: string): unknown {
    return this.fields[field];
  }

  /** A nested object. */
  child(field: string): SnapshotFields {
    return new SnapshotFields(this.device, this.fields[field], this.name(field));
  }

  /** A nested object in an array that has been looked at. */
  item(field: string, index: number): SnapshotFields {
    return new SnapshotFields(this.device, (this.fields[field] as unknown[])[index], `${this.name(field)}[${index}]`);
  }

  /** An array of exactly `length` nested objects. */
  children(field: string, length: number): SnapshotFields[] {
    const items = this.array(field, length, length);
    return items.map((item, index) => new SnapshotFields(this.device, item, `${this.name(field)}[${index}]`));
  }

  /** Refuses the state because of a field or of how fields fit together. */
  fail(field: string, why: string): never {
    throw new SnapshotError(this.device, `${this.name(field)}: ${why}`);
  }

  private name(field: string): string {
    return this.path === "" ? field : `${this.path}.${field}`;
  }
}
