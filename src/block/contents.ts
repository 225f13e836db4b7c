/** What a snapshot holds of a medium, put back into it. */
import type { SnapshotFields } from "../io/snapshotFields.ts";
import type { BlockContentsV1, BlockSource } from "./block.ts";

/**
 * Checks that a saved state has its medium's contents, where they are nowhere else; the result puts them in.
 *
 * @throws SnapshotError, here, or there if they are another medium's
 */
export function checkContents(
  from: SnapshotFields,
  contents: BlockContentsV1 | undefined,
  medium: BlockSource | undefined,
): () => void {
  if (medium?.import && !contents) from.fail("contents", "is missing");
  return () => {
    if (contents) medium?.import?.(contents);
  };
}
