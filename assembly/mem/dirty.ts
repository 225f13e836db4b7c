/**
 * Which backing pages have been written (the seeds' vm_track_dirty_pages): a byte each, set before a page can be written
 * to without notice (a write translation is made) or is written with notice. The host clears them while no vCPU runs, and
 * has every translation dropped before one does (src/vmm/memory.ts, takeDirty). Bytes are only ever set here, so that two
 * vCPUs may do it at once. A page that is written to is not ABSENT any more.
 */
import { CONTROL_BASE, C_PAGE_BYTES, PAGE_BYTE_DIRTY, PAGE_BYTE_TOUCHED } from "../gen/layout";

@inline export function noteDirty(host: usize): void {
  store<u8>(<usize>load<u32>(CONTROL_BASE, C_PAGE_BYTES) + (host >> 12), PAGE_BYTE_DIRTY | PAGE_BYTE_TOUCHED);
}
