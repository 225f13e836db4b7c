/** Compiles assembly/ to dist/core/core.wasm if a source is newer. */
export function buildCore(): Promise<void>;
export const ASC_OPTIONS: readonly string[];
