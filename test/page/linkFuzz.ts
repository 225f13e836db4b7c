/** Random and mutated boot links and manifests: each is a machine within the caps, or refused in a sentence. */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { embeddedGuest, type Guest, linkedGuest } from "../../src/ui/guests.ts";
import { refusalOf } from "../../src/ui/link/address.ts";
import {
  type BootLink,
  bootFragment,
  LINK_CAPS,
  LinkError,
  parseBootLink,
  parseLinkManifest,
} from "../../src/ui/link/bootLink.ts";
import { linkedWith } from "../../src/ui/link/linked.ts";
import { Random } from "../io/fakes.ts";

const VALUES: readonly unknown[] = [
  ...[
    null,
    true,
    0,
    -1,
    1,
    2,
    4,
    5,
    1024,
    1025,
    1e99,
    0.5,
    "",
    "cloud",
    "x".repeat(5000),
    [],
    [1],
    {},
    "\u0000",
    "<img>",
  ],
  ...["auto", "interp", "javascript:1", "https://10.0.0.1/m.json", "https://a.org/m.json", "a".repeat(64), "__proto__"],
];
const KEYS = [
  "guest",
  "memory",
  "vcpus",
  "engine",
  "append",
  "disk",
  "url",
  "sha256",
  "network",
  "__proto__",
  "toString",
  "files",
  "role",
  "data",
  "bytes",
];
/** The page's, for what a link can be put together with. */
const GUESTS: readonly Guest[] = [
  embeddedGuest,
  { ...linkedGuest, id: "cloud", kind: "manifest", files: [{ role: "kernel", name: "k", bytes: 1, sha256: "" }] },
  { ...linkedGuest, id: "pc", kind: "manifest", files: [{ role: "bios", name: "b", bytes: 1, sha256: "" }] },
];
const MANIFEST = "https://lessons.example/os/machine.json";

const GOOD: readonly BootLink[] = [
  { guest: "embedded" },
  { guest: "cloud", memory: 256, vcpus: 2, engine: "auto", append: "console=ttyS0" },
  { guest: "pc", disk: { url: "https://a.org/m.json", sha256: "a".repeat(64) } },
  { files: [{ role: "kernel", data: "AAECAwQ" }], append: "x", memory: 64 },
  {
    memory: 128,
    files: [
      { role: "bios", url: "https://a.org/b.rom", sha256: "b".repeat(64), bytes: 65536 },
      { role: "floppy", data: "_-8" },
    ],
  },
  { guest: "pc", files: [{ role: "floppy", url: "https://a.org/f.img", sha256: "c".repeat(64), bytes: 1474560 }] },
];

/**
 * @returns how many links there were, and how many were followed and refused
 * @throws Error naming the link for which something else happened
 */
export async function fuzzLinks(links: number, seed: number, own: string) {
  const random = new Random(seed);
  const pick = <T>(all: readonly T[]): T => all[random.below(all.length)] as T;
  /** A field that is gone, new, or of another kind. */
  const mutant = (): unknown => {
    const data: Record<string, unknown> = structuredClone(pick(GOOD)) as never;
    const inside = [data, data.disk, ...((data.files as unknown[] | undefined) ?? [])];
    const into = pick(inside.filter((part) => typeof part === "object")) as Record<string, unknown>;
    if (random.below(4)) Object.defineProperty(into, pick(KEYS), { value: pick(VALUES), enumerable: true });
    else delete into[pick(KEYS)];
    return data;
  };
  /** A manifest's text, with relative addresses in some. */
  const manifest = (): string => {
    const text = JSON.stringify(random.below(8) ? mutant() : pick(GOOD)).replaceAll(
      "https://a.org/",
      pick(["https://a.org/", "", "../", "//10.0.0.1/", "javascript:"]),
    );
    if (random.below(3)) return text;
    const at = random.below(text.length);
    return (
      text.slice(0, at) + pick(["", "\u0000", '"', "}", String.fromCharCode(random.below(0x3000))]) + text.slice(at + 1)
    );
  };
  const one = async (): Promise<string> => {
    const good = await bootFragment(pick(GOOD));
    switch (random.below(5)) {
      case 0: // any characters at all
        return `#v1=${Array.from({ length: random.below(60) }, () => String.fromCharCode(random.below(300))).join("")}`;
      case 1: {
        // a character changed, gone, or doubled
        const at = 4 + random.below(good.length - 4);
        const middle = pick(["", good[at]!.repeat(2), pick([..."abcXYZ019-_"])]);
        return good.slice(0, at) + middle + good.slice(at + 1);
      }
      case 2: // cut off
        return good.slice(0, 4 + random.below(good.length - 4));
      case 3: {
        // JSON with a character changed
        const json = inflateRawSync(Buffer.from(good.slice(4), "base64url"));
        json[random.below(json.length)] = random.below(256);
        return `#v1=${deflateRawSync(json).toString("base64url")}`;
      }
      default: {
        return `#v1=${deflateRawSync(JSON.stringify(mutant())).toString("base64url")}`;
      }
    }
  };
  let followed = 0;
  let refused = 0;
  for (let n = 0; n < links; n++) {
    // Every fourth is a manifest.
    const fragment = n % 4 ? await one() : manifest();
    const wrong = (what: string): never => {
      throw new Error(`link ${n} of seed ${seed}: ${what}: ${fragment}`);
    };
    try {
      const link =
        n % 4
          ? await parseBootLink(fragment, own)
          : parseLinkManifest(new TextEncoder().encode(fragment), MANIFEST, own);
      const { guest, memory = 1, vcpus = 1, append = "", disk, files = [] } = link;
      if (guest !== undefined && !/^[\w.-]{1,64}$/.test(guest)) wrong("a guest of no name");
      if (guest === undefined && !files.some(({ role }) => role === "kernel" || role === "bios"))
        wrong("nothing to boot");
      let inline = 0;
      let fetched = 0;
      for (const file of files) {
        if ("data" in file) inline += file.data.length;
        else {
          fetched += file.bytes;
          if (refusalOf(file.url, own) || !/^[0-9a-f]{64}$/.test(file.sha256)) wrong("a file from anywhere");
        }
      }
      if (inline > LINK_CAPS[n % 4 ? "inline" : "manifestInline"] || !(fetched <= LINK_CAPS.fetched)) wrong("too much");
      // What the page would ask a person about is put together, or refused, too.
      linkedWith(link, GUESTS);
      if (!(memory >= 1 && memory <= LINK_CAPS.memory && vcpus >= 1 && vcpus <= LINK_CAPS.vcpus))
        wrong("over the caps");
      if (!/^[ -~]{0,2048}$/.test(append)) wrong("a command line that cannot be shown");
      if (disk && (refusalOf(disk.url, own) || !/^[0-9a-f]{64}$/.test(disk.sha256))) wrong("a disk from anywhere");
      followed++;
    } catch (error) {
      if (!(error instanceof LinkError)) wrong(String(error));
      if (!/^(It|Its|The|One) [^\n]{5,200}\.$/.test((error as Error).message)) wrong((error as Error).message);
      refused++;
    }
  }
  return { links, followed, refused };
}
