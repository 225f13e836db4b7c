/*
 * Service worker of the built page. Two jobs, both for hosts that only serve files:
 *
 * 1. Isolation. Every same-origin answer gets the headers that make the page cross-origin isolated (COOP, COEP) and
 *    loadable by such a page (CORP), so that SharedArrayBuffer is there. Where the host sends them itself nothing
 *    changes.
 * 2. Offline. The site's files are kept at install. Guest files are kept when first fetched, or when a page says that it
 *    has fetched them before.
 *
 *    | request                         | answered from                                                    |
 *    |---------------------------------|------------------------------------------------------------------|
 *    | assets/… (hash in the name)     | cache, else network                                              |
 *    | guests/…?sha256=… (in the query)| cache, else network, kept; other versions of the file are dropped |
 *    | everything else (pages, lists)  | network, else cache                                              |
 *
 *    A request with cache mode "reload" goes to the network in every case; so a damaged file can be replaced. One with
 *    "no-store" is not looked at: who asks keeps the answer itself.
 *
 * A new version installs beside the old one and takes over when the last tab of the old one is closed: a running
 * page never meets files of another build. It does not touch requests to other sites.
 */

/** Filled in by the build: all files of the site, and a name for this set of them. */
const BUILD = { version: "development", files: [] };

const SITE = `tabhyve-site-${BUILD.version}`;
const GUESTS = "tabhyve-guests";
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

self.addEventListener("install", (event) => {
  const requests = BUILD.files.map((name) => new Request(name, { cache: "reload" }));
  event.waitUntil(caches.open(SITE).then((cache) => cache.addAll(requests)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("tabhyve-site-") && name !== SITE) await caches.delete(name);
      }
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin || request.cache === "no-store") return;
  if (!url.href.startsWith(self.registration.scope)) return;
  event.respondWith(answer(event, request, url).then(isolated));
});

/** Addresses of guest files that a page has fetched before this worker was there: the browser mostly has them still. */
self.addEventListener("message", (event) => {
  const fetched = event.data.map(async (url) => {
    const request = new Request(url, { cache: "force-cache" });
    const cache = await caches.open(GUESTS);
    if (await cache.match(request)) return;
    const response = await fetch(request);
    if (response.status === 200) await keep(cache, request, response, true);
  });
  event.waitUntil(Promise.all(fetched).catch(() => {}));
});

async function answer(event, request, url) {
  const path = url.href.slice(self.registration.scope.length);
  const guest = path.startsWith("guests/") && url.searchParams.has("sha256");
  const immutable = guest || path.startsWith("assets/");
  const cache = await caches.open(path.startsWith("guests/") ? GUESTS : SITE);
  if (immutable && request.cache !== "reload") {
    const kept = await cache.match(request);
    if (kept) return kept;
  }
  try {
    const response = await fetch(request);
    if (response.status === 200) event.waitUntil(keep(cache, request, response.clone(), guest));
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: !guest });
    if (kept) return kept;
    throw error;
  }
}

/** Keeping is a favour: no room left, or a transfer that breaks off, must not disturb the page. */
async function keep(cache, request, response, guest) {
  try {
    if (guest) {
      for (const old of await cache.keys(request, { ignoreSearch: true })) {
        if (old.url !== request.url) await cache.delete(old);
      }
    }
    await cache.put(request, response);
  } catch {
    await cache.delete(request);
  }
}

function isolated(response) {
  // An opaque redirect cannot be rebuilt; the browser follows it and asks again.
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  const body = [101, 204, 205, 304].includes(response.status) ? null : response.body;
  return new Response(body, { status: response.status, statusText: response.statusText, headers });
}
