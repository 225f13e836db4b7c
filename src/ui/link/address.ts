/** Which addresses a link may name: what a stranger wrote must not make a browser look around in its own network. */

/** IPv4 ranges that are not the public internet's (RFC 6890): first address and length of the prefix. */
const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];
/** Names that a network's own servers have (RFC 6761, 6762, 8375, and usage). */
const PRIVATE_NAMES = /(^|\.)(localhost|local|internal|intranet|lan|home|corp|home\.arpa|test|invalid|onion)$/;

const v4 = (text: string): number | undefined => {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  return parts ? parts.slice(1).reduce((n, part) => n * 256 + Number(part), 0) : undefined;
};

const isPrivateV4 = (address: number): boolean =>
  PRIVATE_V4.some(([first, prefix]) => {
    const size = 2 ** (32 - prefix);
    return Math.floor(address / size) === Math.floor((v4(first) as number) / size);
  });

/** IPv6: only 2000::/3 is the internet's; inside it, documentation and what wraps an IPv4 address are not. */
function isPrivateV6(text: string): boolean {
  const first = Number.parseInt(/^[0-9a-f]*/.exec(text)?.[0] || "0", 16);
  return first >> 13 !== 1 || first === 0x2002 || /^2001:(0?|db8):/.test(text);
}

/** Why a URL may not be fetched for a link; undefined: it may. `own`: the page's own origin, which may be anywhere. */
export function refusalOf(text: string, own: string): string | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return "is not an address";
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return `begins with ${url.protocol}, not with https:`;
  if (url.username || url.password) return "has a name or password in it";
  if (url.origin === own) return undefined;
  // The parser has made four plain numbers of every way to write an IPv4 address.
  const name = url.hostname.replace(/\.$/, "");
  const address = v4(name);
  if (address !== undefined) return isPrivateV4(address) ? "leads into a private network" : undefined;
  if (name.startsWith("[")) return isPrivateV6(name.slice(1, -1)) ? "leads into a private network" : undefined;
  return PRIVATE_NAMES.test(name) || !name.includes(".") ? "leads into a private network" : undefined;
}
