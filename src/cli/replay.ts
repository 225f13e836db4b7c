/** `tabhyve vectors`: replays files of instruction vectors and says what passed. */
import { describeTier, type ReplayOptions, replayVectors, type TierResult } from "./vectors.ts";

export interface ReplayWords extends ReplayOptions {
  /** Print the results of all files as one JSON array instead of text. */
  readonly json: boolean;
  /** Forms that failed, per tier, to print with an example. */
  readonly examples: number;
}

/**
 * Exit status: 0 all passed or were skipped, 1 some failed.
 *
 * @throws UsageError for a file that cannot be read or does not hold vectors.
 */
export function replay(core: Uint8Array, files: readonly string[], words: ReplayWords): number {
  const module = new WebAssembly.Module(core as BufferSource);
  const results: TierResult[] = [];
  for (const file of files) {
    const [result] = replayVectors(module, [file], words);
    results.push(result);
    if (!words.json) process.stdout.write(`${describeTier(result, words.examples).join("\n")}\n`);
  }
  if (words.json) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
  return results.some((r) => r.failed) ? 1 : 0;
}
