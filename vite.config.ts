import { createHash } from "node:crypto";
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Connect, Plugin, ResolvedConfig } from "vite";
import { defineConfig } from "vite";
import { assembledImages } from "./scripts/assembled-images.mjs";

/**
 * The page: `vite` serves it for development, `vite build` makes the static site in dist/site, `vite preview` serves
 * that. Everything is relative (base "./"), so the site works from any folder of any host.
 */

const root = fileURLToPath(new URL(".", import.meta.url));
const guests = join(root, "guests");
/** `--mode fake`: the site with FakeMachine in it and without guests, for the page's tests. */
const FAKE = "fake";

/**
 * Cross-origin isolation: without these the browser withholds SharedArrayBuffer (HTML, "cross-origin isolated"). Pages of
 * other origins may embed the site, isolated ones too.
 */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "cross-origin",
};

/**
 * What the built page may do. Scripts come from the site alone, no inline ones, no eval except compiling Wasm (the
 * JIT). Styles may be inline because xterm writes a style element for its cell size. `frame-ancestors` cannot stand
 * in a meta element; hosts that want it send it as a header.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  // Media may lie on any server that allows it; zstddec has its Wasm in a data: URL; tabhyve gdb-bridge is on the loopback.
  "connect-src 'self' http: https: data: ws://127.0.0.1:* ws://localhost:*",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** The policy goes into the built page only: Vite's development client injects scripts and styles of its own. */
function contentSecurityPolicy(): Plugin {
  return {
    name: "tabhyve:csp",
    apply: "build",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: policy }, injectTo: "head-prepend" },
    ],
  };
}

const ROLES = ["kernel", "initrd", "bios", "vgabios"] as const;

/** The part of guests/manifest.json that says which files belong to it. */
interface Listed {
  guests: Partial<Record<(typeof ROLES)[number], { file: string }>>[];
}

/**
 * A guest file's name on the site. Some hosts (`vite preview` too) send a file called .gz as if it were a page they
 * had packed, and the browser unpacks it: then it is not the file that the manifest promised.
 */
const siteName = (file: string): string => (/\.(gz|br|zst|Z)$/.test(file) ? `${file}.bin` : file);

/**
 * Serves guests/ in development as plain bytes (Vite would take a file without a suffix for a script) and answers
 * 404 for what is not there. A build copies the manifest and the files it lists.
 */
function guestFiles(): Plugin {
  let site: string;
  let fake: boolean;
  const serve: Connect.NextHandleFunction = (request, response, next) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    if (!path.startsWith("/guests/")) return next();
    const file = resolve(guests, path.slice("/guests/".length));
    const found = file.startsWith(guests + sep) && statSync(file, { throwIfNoEntry: false })?.isFile();
    if (!found) {
      response.statusCode = 404;
      return void response.end("not found");
    }
    const type = file.endsWith(".json") ? "application/json" : "application/octet-stream";
    response.writeHead(200, { ...isolation, "Content-Type": type, "Content-Length": statSync(file).size });
    createReadStream(file).pipe(response);
  };
  return {
    name: "tabhyve:guests",
    configResolved(config) {
      site = resolve(root, config.build.outDir);
      fake = config.mode === FAKE;
    },
    configureServer: (server) => void server.middlewares.use(serve),
    writeBundle() {
      if (fake) return;
      const manifest = join(guests, "manifest.json");
      if (!existsSync(manifest)) return;
      const listed = JSON.parse(readFileSync(manifest, "utf8")) as Listed;
      mkdirSync(join(site, "guests"), { recursive: true });
      for (const file of listed.guests.flatMap((g) => ROLES.flatMap((role) => g[role] ?? []))) {
        cpSync(join(guests, file.file), join(site, "guests", siteName(file.file)));
        file.file = siteName(file.file);
      }
      writeFileSync(join(site, "guests", "manifest.json"), JSON.stringify(listed));
      // Whoever serves the site passes these programs on, so their licences go along.
      const licences = join(guests, "licences");
      if (existsSync(licences)) cpSync(licences, join(site, "guests", "licences"), { recursive: true });
    },
  };
}

/** Tells the service worker which files make up the site, and gives the set a name that changes with any of them. */
function offlineList(): Plugin {
  let site: string;
  return {
    name: "tabhyve:offline",
    apply: "build",
    enforce: "post",
    configResolved(config) {
      site = resolve(root, config.build.outDir);
    },
    closeBundle() {
      const worker = join(site, "sw.js");
      if (!existsSync(worker)) return;
      const files = (readdirSync(site, { recursive: true, withFileTypes: true }) as import("node:fs").Dirent[])
        .filter((entry) => entry.isFile())
        .map((entry) => relative(site, join(entry.parentPath, entry.name)).split(sep).join("/"))
        .filter((name) => name !== "sw.js" && !name.startsWith("guests/") && !name.endsWith(".map"))
        .sort();
      const hash = createHash("sha256");
      for (const name of files) hash.update(name).update(readFileSync(join(site, name)));
      const build = { version: hash.digest("hex").slice(0, 16), files: ["./", ...files] };
      const source = readFileSync(worker, "utf8");
      const marked = /const BUILD = .*;/;
      if (!marked.test(source)) throw new Error("public/sw.js has no line “const BUILD = …;” to fill in");
      writeFileSync(worker, source.replace(marked, `const BUILD = ${JSON.stringify(build)};`));
    },
  };
}

/** What a first visit may cost, packed by gzip: the page, and what a machine is made of. */
const FIRST_LOAD_BYTES = 300_000;

/** Ends a build whose first load has grown over FIRST_LOAD_BYTES; the terminal and the rest come when they are opened. */
function firstLoad(): Plugin {
  return {
    name: "tabhyve:first-load",
    apply: "build",
    generateBundle(_, bundle) {
      const text = new Map<string, string | Uint8Array>();
      for (const [name, file] of Object.entries(bundle))
        text.set(name, file.type === "chunk" ? file.code : file.source);
      const wanted = new Set<string>();
      /** With what it imports at once: the workers' files are text here. */
      const want = (name: string): void => {
        const code = text.get(name);
        if (code === undefined || wanted.has(name)) return;
        wanted.add(name);
        if (!name.endsWith(".js")) return;
        for (const [, from] of String(code).matchAll(/\b(?:from|import)\s*"\.\/([^"]+)"/g)) want(`assets/${from}`);
      };
      for (const name of text.keys()) {
        if (/^assets\/(index|remoteMachine|machineWorker|vcpuWorker|core)-[^/]*\.(js|css|wasm)$/.test(name)) want(name);
      }
      const packed = [...wanted].reduce((sum, name) => sum + gzipSync(text.get(name)!).length, 0);
      this.info(`the first load is ${packed} bytes of ${FIRST_LOAD_BYTES}`);
      if (packed > FIRST_LOAD_BYTES)
        this.error(`the first load is ${packed} bytes, more than ${FIRST_LOAD_BYTES}: ${[...wanted].join(", ")}`);
    },
  };
}

/** A port that is taken ends the server with one line that says what to do, not with a stack trace. */
function portInUse(): Plugin {
  let preview: boolean | undefined;
  return {
    name: "tabhyve:port",
    apply: "serve",
    config(_, env) {
      preview = env.isPreview;
    },
    async configResolved(config: ResolvedConfig) {
      // Once per process: when Vite restarts after a change of this file, the port is taken by itself.
      if (process.env.VITEST || process.env.TABHYVE_PORT_CHECKED || config.server.middlewareMode) return;
      process.env.TABHYVE_PORT_CHECKED = "1";
      const { port, host } = preview ? config.preview : config.server;
      if (port && (await taken(port, typeof host === "string" ? host : "localhost"))) {
        console.error(
          `tabhyve: port ${port} is in use. Stop what uses it, or choose another: npm start -- --port ${port + 1}`,
        );
        process.exit(1);
      }
    },
  };
}

function taken(port: number, host: string): Promise<boolean> {
  return new Promise((settle) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => settle(error.code === "EADDRINUSE"));
    probe.listen(port, host, () => probe.close(() => settle(false)));
  });
}

export default defineConfig({
  base: "./",
  // A page that is not there is a 404, not this page again: the guest list may be missing.
  appType: "mpa",
  plugins: [assembledImages(), contentSecurityPolicy(), guestFiles(), offlineList(), firstLoad(), portInUse()],
  server: { port: 5173, strictPort: true, headers: isolation },
  preview: { port: 4173, strictPort: true, headers: isolation },
  // What only the workers and later chunks import: found late, it would make the development server reload the page.
  optimizeDeps: { include: ["comlink", "@xterm/addon-webgl"] },
  worker: { format: "es", plugins: () => [assembledImages()] },
  build: {
    outDir: "dist/site",
    emptyOutDir: true,
    target: "es2023",
    // Where light-dark() is native; the oldest browsers that also have all that the core needs.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // No inline data: URLs: the policy above allows scripts, Wasm and workers from the site's own files only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: {
        index: join(root, "index.html"),
        embed: join(root, "embed.html"),
        "tabhyve-vm": join(root, "src/ui/embed/tabhyve-vm.ts"),
        "tabhyve-frame": join(root, "src/ui/embed/frameClient.ts"),
      },
      // What other people's pages load lies at the top of the site, by its name; they import from it.
      preserveEntrySignatures: "strict",
      output: { entryFileNames: ({ name }) => (name.startsWith("tabhyve-") ? "[name].js" : "assets/[name]-[hash].js") },
    },
    sourcemap: true,
  },
});
