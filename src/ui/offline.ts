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
    await workers.register(new URL("sw.js", site));
    if (crossOriginIsolated || sessionStorage.getItem(RELOADED)) return;
    await workers.ready;
    if (!workers.controller) {
      await new Promise((resolve) => workers.addEventListener("controllerchange", resolve, { once: true }));
    }
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
