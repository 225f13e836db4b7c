/** Deflate streams (RFC 1951) by the host's own streams, which both Node and browsers have. */
import { joinBytes } from "../shared/bytes.ts";
import { SnapshotError } from "../shared/device.ts";

/** Compresses bytes to a stream. */
export function deflate(bytes: Uint8Array): Promise<Uint8Array> {
  return through(bytes, new CompressionStream("deflate-raw"));
}

/** @throws SnapshotError for what is no deflate stream */
export async function inflate(bytes: Uint8Array): Promise<Uint8Array> {
  try {
    return await through(bytes, new DecompressionStream("deflate-raw"));
  } catch {
    throw new SnapshotError("snapshot", "a compressed part cannot be unpacked");
  }
}

async function through(bytes: Uint8Array, stream: CompressionStream | DecompressionStream): Promise<Uint8Array> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  const chunks: Uint8Array[] = [];
  for (const reader = source.pipeThrough<Uint8Array>(stream as never).getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  return chunks.length === 1 ? chunks[0] : joinBytes(chunks);
}
