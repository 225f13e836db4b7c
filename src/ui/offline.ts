/**
 * Registers the service worker of a built page (public/sw.js): it adds the isolation headers on hosts that cannot
 * send them, and keeps the site for use without a network.
 *
 * Isolation is decided when a page is loaded, so the first visit on such a host needs one reload, as soon as the
 * worker is in control. It happens at most once per tab (sessionStorage), before anything was started: if the page
 * still is not isolated, something else is in the way, and the page says so.
 */
export async function enableOffline(): Promise<void> {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (!import.meta.env.PROD && import.meta.env.MODE !== "fake") return;
  if (!workers) return;
  try {
    await workers.register(new URL("sw.js", document.baseURI));
    if (crossOriginIsolated || sessionStorage.getItem(RELOADED)) return;
    await workers.ready;
    if (!workers.controller) {
      await new Promise((resolve) => workers.addEventListener("controllerchange", resolve, { once: true }));
    }
    if (document.documentElement.dataset.machine !== "none") return;
    sessionStorage.setItem(RELOADED, "1");
    location.reload();
  } catch {
    // Service workers are forbidden here (private mode, policy): the page works, online and in reduced mode.
  }
}

const RELOADED = "tabhyve.reloaded";
