/** Bundles the command into dist/node if a source is newer. */
export function buildNode(): Promise<void>;
