/**
 * Registers the service worker of a built page (public/sw.js): it adds the isolation headers on hosts that cannot
 * send them, and keeps the site for use without a network.
 *
 * Isolation is decided when a page is loaded, so the first visit on such a host needs one reload, as soon as the
 * worker is in control. It happens at most once per tab (sessionStorage), before anything was started: if the page
 * still is not isolated, something else is in the way, and the page says so.
 *
 * @param site where the site lies; only pages in its folder can have its service worker
 * @param idle whether nothing was started yet
 */
export async function enableOffline(site: URL, idle: () => boolean): Promise<void> {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (!import.meta.env.PROD && import.meta.env.MODE !== "fake") return;
  if (!workers) return;
  try {
    if (crossOriginIsolated && !workers.controller) {
      await new Promise((resolve) => setTimeout(resolve, LATER_MS));
      await workers.register(new URL("sw.js", site));
      await inControl(workers);
      return keepGuests(workers.controller!, site);
    }
    await workers.register(new URL("sw.js", site));
    if (crossOriginIsolated || sessionStorage.getItem(RELOADED)) return;
    await inControl(workers);
    if (!idle()) return;
    sessionStorage.setItem(RELOADED, "1");
    location.reload();
    // Nothing is to begin any more.
    await new Promise(() => {});
  } catch {
    // Service workers are forbidden here (private mode, policy): the page works, online and in reduced mode.
  }
}

const RELOADED = "tabhyve.reloaded";

/** On a first visit the worker fetches the whole site, which would take processors from a machine that starts. */
const LATER_MS = 5000;

async function inControl(workers: ServiceWorkerContainer): Promise<void> {
  await workers.ready;
  if (workers.controller) return;
  await new Promise((resolve) => workers.addEventListener("controllerchange", resolve, { once: true }));
}

/** Tells the worker what of guests was fetched before it was there. */
function keepGuests(worker: ServiceWorker, site: URL): void {
  const guests = new URL("guests/", site).href;
  const fetched = performance.getEntriesByType("resource").map(({ name }) => name);
  worker.postMessage(fetched.filter((name) => name.startsWith(guests) && name.includes("?sha256=")));
}
