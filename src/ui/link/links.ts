/** Links in the page: what one asks for while a person is asked, and one's own machine as a link, a frame or a QR code. */
import type { App } from "../app.ts";
import { openDialog } from "../dialogs.ts";
import { FOREIGN } from "../download.ts";
import { problemOfLink } from "../problems.ts";
import type { Plan } from "../session.ts";
import { chooseTransport } from "../settings.ts";
import { refusalOf } from "./address.ts";
import { isBootLink, LINK_CAPS, LinkError, MOST_MANIFEST, parseBootLink, parseLinkManifest } from "./bootLink.ts";
import { linkTo } from "./copy.ts";
import { type Linked, linkedPlan, linkedWith } from "./linked.ts";

/** A link to the selected guest, as the sheet shows it. */
export interface Shared {
  readonly link: string;
  /** What it contains, for people. */
  readonly says: string;
  /** HTML for other pages. */
  readonly snippet: string;
  /** Rows of dark modules; undefined: it is too long for one. */
  readonly code: readonly (readonly boolean[])[] | undefined;
}

export class Links {
  readonly #app: App;
  /** What a link asks for. */
  asked: Linked | undefined;
  /** Address of the description of a machine, which a link would have fetched. */
  manifest: string | undefined;
  shared: Shared | undefined;

  constructor(app: App) {
    this.#app = app;
  }

  /** Shows what the page's address asks for, or why it is not followed. Fetches and starts nothing. */
  async open(): Promise<void> {
    this.asked = this.manifest = undefined;
    const manifest = new URLSearchParams(location.search).get(MANIFEST);
    if (isBootLink(location.hash)) await this.#ask(() => parseBootLink(location.hash, location.origin));
    else if (manifest !== null) {
      const why = manifest.length > LINK_CAPS.url ? "is too long" : refusalOf(manifest, location.origin);
      if (why) return this.#refused(`The address of its description ${why}.`);
      this.manifest = manifest;
      this.#app.changed();
      queueMicrotask(() => openDialog("link-manifest"));
    }
  }

  /** A person lets the description be fetched; what it asks for is asked next. */
  async fetchManifest(): Promise<void> {
    const { manifest } = this;
    if (manifest === undefined) return;
    this.manifest = undefined;
    this.#app.changed();
    await this.#ask(async () => parseLinkManifest(await fetched(manifest), manifest, location.origin));
  }

  async #ask(read: () => ReturnType<typeof parseBootLink>): Promise<void> {
    try {
      this.asked = linkedWith(await read(), this.#app.guests ?? []);
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      return this.#refused(error.message);
    }
    this.#app.changed();
    queueMicrotask(() => openDialog("link"));
  }

  #refused(why: string): void {
    this.#app.pageProblem = problemOfLink(why);
    // Where one pane is seen at a time, the one that says so.
    this.#app.pane = "console";
    this.refuse();
  }

  refuse(): void {
    this.asked = this.manifest = undefined;
    forgetLink();
    this.#app.changed();
  }

  /** What a link would be started with. */
  planOf(linked: Linked): Plan {
    const { settings, isolated } = this.#app;
    return linkedPlan(linked, chooseTransport(settings.transport, isolated), settings.prepared);
  }

  /** A person has agreed. Their own files and settings are not the link's. */
  async follow(): Promise<void> {
    const { asked } = this;
    if (!asked) return;
    this.refuse();
    const app = this.#app;
    app.selected = asked.guest;
    await app.run(this.planOf(asked));
  }

  /** Makes a link to the selected guest as it would start now, and shows it. */
  async share(): Promise<void> {
    const app = this.#app;
    try {
      const { fragment, says } = await linkTo(app.selected, app.settings, app.own);
      const link = new URL(fragment, pageAddress()).href;
      const frame = new URL(`embed.html?controls${fragment}`, document.baseURI).href;
      this.shared = {
        link,
        says,
        snippet: `<iframe src="${frame}" title="${titled(app.selected.title)}" width="800" height="480" allow="cross-origin-isolated"></iframe>`,
        code: await codeOf(link),
      };
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      return app.say(error.message);
    }
    app.changed();
    queueMicrotask(() => openDialog("share"));
  }

  async copy(what: "link" | "snippet"): Promise<void> {
    const text = this.shared?.[what];
    if (text === undefined) return;
    try {
      await navigator.clipboard.writeText(text);
      this.#app.say(`${what === "link" ? "Link" : "Frame"} copied, ${text.length} characters.`);
    } catch {
      this.#app.say("The browser does not let the page copy.");
    }
  }
}

/** The parameter that names a manifest. */
const MANIFEST = "m";

/** The page's address without anything of a link. */
function pageAddress(): URL {
  const address = new URL(location.href);
  address.hash = "";
  address.searchParams.delete(MANIFEST);
  return address;
}

/** The address is the page's own again. */
export const forgetLink = (): void => history.replaceState(null, "", pageAddress());

/** In an attribute's quotes. */
const titled = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

/** A QR code's modules; undefined: the link is longer than any holds. */
async function codeOf(link: string): Promise<Shared["code"]> {
  const { encode } = await import("uqr");
  try {
    return encode(link, { ecc: "L", border: 0 }).data;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** @throws LinkError */
async function fetched(address: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(MOST_MANIFEST);
  let length = 0;
  try {
    const response = await fetch(address, FOREIGN);
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
    for (const reader = response.body.getReader(); ; ) {
      const { value, done } = await reader.read();
      if (done) return bytes.subarray(0, length);
      if (length + value.length > bytes.length) {
        await reader.cancel();
        throw new LinkError("It is longer than the description of a machine may be.");
      }
      bytes.set(value, length);
      length += value.length;
    }
  } catch (error) {
    if (error instanceof LinkError) throw error;
    throw new LinkError(`Its description cannot be fetched (${(error as Error).message}).`);
  }
}
