/** Bundles the command and the entries for Node into dist/node if a source is newer. */
export function buildNode(): Promise<void>;
/** The same of `tabhyve/browser`, into dist/browser. */
export function buildBrowser(): Promise<void>;
