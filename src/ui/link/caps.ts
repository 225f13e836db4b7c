/** Why a link is not followed: one sentence. */
export class LinkError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LinkError";
  }
}

/**
 * What a link may ask for; a person can give a machine more by the settings. MB of memory; characters of a command line, an
 * address, and of files in the link and in a manifest; bytes of files that are fetched.
 */
export const LINK_CAPS = {
  memory: 1024,
  vcpus: 4,
  append: 2048,
  url: 2048,
  inline: 8192,
  manifestInline: 0x2_0000,
  fetched: 64 << 20,
} as const;
