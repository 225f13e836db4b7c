/** Boot links: what is in one comes out again, and whatever else stands there is refused in a sentence. */
import { deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { refusalOf } from "../../src/ui/link/address.ts";
import { type BootLink, bootFragment, isBootLink, LinkError, parseBootLink } from "../../src/ui/link/bootLink.ts";
import { fuzzLinks } from "./linkFuzz.ts";

const OWN = "http://localhost:1234";
const sha256 = "0123456789abcdef".repeat(4);
const packed = (data: unknown): string =>
  `#v1=${deflateRawSync(typeof data === "string" ? data : JSON.stringify(data)).toString("base64url")}`;

describe("a boot link", () => {
  const whole: BootLink = {
    guest: "cloud",
    memory: 256,
    vcpus: 2,
    engine: "auto",
    append: "console=ttyS0 quiet",
    disk: { url: "https://example.org/debian/manifest.json", sha256 },
  };
  it.each([{ guest: "embedded" }, whole])("comes out as it went in", async (link) => {
    const fragment = await bootFragment(link);
    expect(fragment).toMatch(/^#v1=[\w-]+$/);
    expect(isBootLink(fragment)).toBe(true);
    expect(await parseBootLink(fragment, OWN)).toEqual(link);
  });

  it("of version 1, as it was written then, is read", async () => {
    const fragment =
      "#v1=lctLDoIwFAXQrZg7bqiioL7EVbiCQh9Q7U_aGglh78YlODyDs2IsnDIIvQ1FQ8CxC_MCqptW4N3HkkC1APvReAZBlRwgoGJkr38v-BQs33Je7vvdqxj" +
      "OENAmPUErymxBmHKOiaTkj3LRchXmUWrujPLSKW8GTrl6pOAhkCZVNy0I-0N9PDXt-XJVXa95-NfYti8";
    expect(await parseBootLink(fragment, OWN)).toEqual(whole);
  });

  const refused: readonly [string, string | object, RegExp][] = [
    ["of a later version", "#v2=AAAA", /^It is of version 2; this page reads version 1\.$/],
    ["cut off", "#v1=q1ZKL81", /cannot be unpacked/],
    ["of other characters", "#v1=%%%", /cannot be unpacked/],
    ["that is too long", `#v1=${"A".repeat(70_000)}`, /longer than a link may be/],
    ["that unpacks to too much", packed(`{"guest":"${"a".repeat(1 << 20)}"}`), /cannot be unpacked/],
    ["without a guest", {}, /names no guest/],
    ["with a guest that is a path", { guest: "../x" }, /names no guest/],
    [
      "with something unknown",
      { guest: "cloud", "<b>network": true },
      /has “\?b\?network”, which this page does not know/,
    ],
    ["with too much memory", { guest: "cloud", memory: 4096 }, /more MB of memory than a link may \(1024\)/],
    ["with too many vCPUs", { guest: "cloud", vcpus: 5 }, /more virtual CPUs than a link may \(4\)/],
    ["with a command line that hides", { guest: "cloud", append: "a\u202eb" }, /characters that cannot be shown/],
    ["with a disk of no hash", { guest: "pc", disk: { url: "https://a.org/m.json" } }, /without a SHA-256/],
    [
      "with a disk that is not in chunks",
      { guest: "pc", disk: { url: "https://a.org/d.img", sha256 } },
      /not a manifest/,
    ],
    ["with a private disk", { guest: "pc", disk: { url: "https://192.168.0.1/m.json", sha256 } }, /private network/],
  ];
  it.each(refused)("%s is refused", async (_, link, why) => {
    const fragment = typeof link === "string" ? link : packed(link);
    await expect(parseBootLink(fragment, OWN)).rejects.toThrow(LinkError);
    await expect(parseBootLink(fragment, OWN)).rejects.toThrow(why);
  });

  it("that is random, or a mutated one, is a machine within the caps or a sentence (npm run links: 100,000)", async () => {
    const { links, followed, refused: no } = await fuzzLinks(3000, 1, OWN);
    expect(links).toBe(3000);
    expect(followed).toBeGreaterThan(100);
    expect(no).toBeGreaterThan(1000);
  });
});

describe("an address in a link", () => {
  it.each([
    "javascript:alert(1)//m.json",
    "data:application/json,{}",
    "file:///etc/passwd",
    "ftp://example.org/m.json",
    "https://user:pw@example.org/m.json",
    "http://127.0.0.1/m.json",
    "http://2130706433/m.json",
    "http://0x7f.1/m.json",
    "http://10.1.2.3/",
    "http://172.31.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fd00::1]/",
    "http://[fe80::1]/",
    "http://[2002:a00:1::1]/",
    "http://localhost/",
    "http://localhost./",
    "http://a.localhost:1234/",
    "http://printer.local/",
    "http://router/",
    "http://x.home.arpa/",
    "//example.org/x",
    "x",
    "",
  ])("%s is refused", (text) => {
    expect(refusalOf(text, OWN)).toMatch(/\w/);
  });
  it.each([
    "https://example.org/a/manifest.json",
    "http://93.184.216.34/m.json",
    "https://[2606:2800:220::1]/m.json",
    "http://localhost:1234/anything",
    "https://localhost.example.org/",
  ])("%s may be", (text) => {
    expect(refusalOf(text, OWN)).toBeUndefined();
  });
});
