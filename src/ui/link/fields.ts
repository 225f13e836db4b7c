/** Fields of what a stranger has written, each checked, or refused in a sentence. */
import { refusalOf } from "./address.ts";
import { LINK_CAPS, LinkError } from "./caps.ts";

/** Where a link stands, which says what its addresses mean and how much it may hold. */
export interface Places {
  /** The page's own origin. */
  readonly own: string;
  /** What relative addresses go from: a manifest's own address. In a link's fragment there are none. */
  readonly base?: string;
  /** Characters of files in it. */
  readonly inline: number;
}

/** @throws LinkError: it is no object, or has what is not known */
export function fieldsOf(data: unknown, what: string, known: readonly string[]): Record<string, unknown> {
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new LinkError(`${what} says nothing.`);
  const unknown = Object.keys(data).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    const shown = unknown.replaceAll(/[^\w.-]/g, "?").slice(0, 32);
    throw new LinkError(`${what} has “${shown}”, which this page does not know; a newer one may.`);
  }
  return data as Record<string, unknown>;
}

/** @throws LinkError: it is no address, or one that may not be fetched */
export function addressOf(text: unknown, what: string, { own, base }: Places): string {
  if (typeof text !== "string" || text.length > LINK_CAPS.url) throw new LinkError(`${what} has no address.`);
  const absolute = base !== undefined && URL.canParse(text, base) ? new URL(text, base).href : text;
  const why = refusalOf(absolute, own);
  const its = what.startsWith("Its ") ? `its ${what.slice(4)}` : "one of its files";
  if (why) throw new LinkError(`The address of ${its} ${why}.`);
  return new URL(absolute).href;
}

/** Lower-case hexadecimal. @throws LinkError */
export function hashOf(text: unknown, what: string): string {
  if (typeof text === "string" && /^[0-9a-f]{64}$/.test(text)) return text;
  throw new LinkError(`${what} comes without a SHA-256 to hold it to.`);
}

/** @throws LinkError */
export function within(value: unknown, what: string, most: number): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most) return value as number;
  throw new LinkError(`It asks for more ${what} than a link may (${most}), or for none.`);
}
