/**
 * The page in somebody's frame (embed.html): a boot link's machine, which a person starts, or the page around it.
 *
 *     embed.html?origin=https://MY.PAGE&controls&autostart&theme=dark#v1=…
 *
 * | parameter   |                                                                                            |
 * |-------------|--------------------------------------------------------------------------------------------|
 * | `#v1=…`     | a boot link; none: the embedded guest                                                      |
 * | `origin`    | the origin that may send messages (frameMessages.ts); repeatable; none: nobody              |
 * | `autostart` | starts by itself, unless the link names what is not this site's own                        |
 * | `controls`, `theme` | as the element's attributes                                                        |
 *
 * A link that names anything from elsewhere is a stranger's: a person must have pressed Start before it is fetched or run.
 */
import "./frame.css";
import { embeddedGuest, fetchGuests } from "../guests.ts";
import { type BootLink, isBootLink, parseBootLink } from "../link/bootLink.ts";
import { isForeign, linkedPlan, linkedWith, linkFacts } from "../link/linked.ts";
import type { Plan } from "../session.ts";
import { chooseTransport } from "../settings.ts";
import { serveFrame } from "./frameHost.ts";
import { originsOf } from "./frameMessages.ts";
import { TabhyveVm } from "./tabhyveVm.ts";

customElements.define("tabhyve-vm", TabhyveVm);
const parameters = new URLSearchParams(location.search);

async function open(): Promise<void> {
  const vm = document.createElement("tabhyve-vm");
  for (const name of ["controls", "theme"]) {
    const value = parameters.get(name);
    if (value !== null) vm.setAttribute(name, value);
  }
  let foreign = false;
  let wrong = false;
  try {
    const link: BootLink = isBootLink(location.hash)
      ? await parseBootLink(location.hash, location.origin)
      : { guest: embeddedGuest.id };
    const guests = link.guest === embeddedGuest.id ? [] : await fetchGuests(TabhyveVm.site);
    const linked = linkedWith(link, [embeddedGuest, ...guests]);
    foreign = isForeign(linked);
    const plan = (): Plan => linkedPlan(linked, chooseTransport("auto", crossOriginIsolated), true);
    vm.facts = linkFacts(linked, plan());
    vm.planner = async () => plan();
  } catch (error) {
    // LinkError or ManifestError: what a start says.
    vm.planner = () => Promise.reject(error);
    wrong = true;
  }
  document.body.append(vm);
  const started = (): boolean => vm.handle.state !== "none";
  if (parent !== window) {
    const refuse = (command: string): string | undefined =>
      foreign && command === "start" && !started()
        ? "This machine has a part that is not of its site: a person must start it, in its frame."
        : undefined;
    serveFrame({ handle: vm.handle, parent, origins: originsOf(parameters.getAll("origin")), refuse }, vm, window);
  }
  if (wrong || (parameters.has("autostart") && !foreign)) vm.handle.start().catch(() => {});
}

void open();
