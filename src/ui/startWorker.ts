/** Small modules that import a worker from another origin, by its address. */
const bootstraps = new Map<string, string>();

/**
 * Starts a worker of this site. A browser refuses one from another origin than the page's, which is what it is where the
 * page of somebody else has this code; so that one is a module of the page's own that imports it (by CORS).
 */
export function startWorker(address: string): Worker {
  const { href, origin } = new URL(address, import.meta.url);
  if (origin === self.origin) return new Worker(href, { type: "module" });
  let bootstrap = bootstraps.get(href);
  if (!bootstrap) {
    const source = `import ${JSON.stringify(href)};`;
    bootstrap = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    bootstraps.set(href, bootstrap);
  }
  return new Worker(bootstrap, { type: "module" });
}
