import { describe, expect, it } from "vitest";
import { identify } from "../../../src/machine/loader/identify.ts";
import { bzImage, elf, multibootHeader } from "./images.ts";

const ascii = (s: string): Uint8Array => new TextEncoder().encode(s);
const at = (offset: number, bytes: number[] | Uint8Array, size = offset + bytes.length + 64): Uint8Array => {
  const file = new Uint8Array(size);
  file.set(bytes, offset);
  return file;
};
const pe = (machine: number): Uint8Array => {
  const file = at(0, [0x4d, 0x5a], 512);
  file[0x3c] = 0x80;
  file.set([0x50, 0x45, 0, 0, machine & 0xff, machine >> 8], 0x80);
  return file;
};

/** The message for a file, checked to be one line that says what is needed. */
function refusal(file: Uint8Array): string {
  try {
    identify(file);
  } catch (error) {
    const { name, message } = error as Error;
    expect(name).toBe("LoaderError");
    expect(message).not.toContain("\n");
    expect(message).toMatch(/; need /);
    return message;
  }
  throw new Error("was taken");
}

describe("identify", () => {
  it("knows the formats it can load", () => {
    expect(identify(bzImage())).toEqual({ format: "bzImage" });
    expect(identify(elf({ bits: 64, pvh: 0x100010 }))).toMatchObject({ format: "pvh", entry: 0x100010 });
    expect(identify(elf({ bits: 32, pvh: 0x100020 }))).toMatchObject({ format: "pvh", entry: 0x100020 });
    expect(identify(elf({ bits: 32, text: multibootHeader(3) }))).toMatchObject({
      format: "multiboot",
      elf: { bits: 32 },
    });
    const flat = at(64, multibootHeader(0x10000, [0x100040, 0x100000, 0, 0, 0x100060]));
    expect(identify(flat)).toMatchObject({ format: "multiboot", header: { offset: 64 } });
  });

  it("prefers PVH where an ELF has both", () => {
    expect(identify(elf({ bits: 32, pvh: 0x100010, text: multibootHeader(3) })).format).toBe("pvh");
  });

  it("takes an EFI-stub bzImage, which begins like a PE file, for a bzImage", () => {
    const file = bzImage();
    file.set([0x4d, 0x5a]);
    expect(identify(file).format).toBe("bzImage");
  });

  it.each([
    ["an empty file", new Uint8Array(0), "an empty file"],
    ["text", ascii("#!/bin/sh\necho hello\n"), 'a text file (it begins "#!/bin/sh\\necho hello\\n")'],
    ["text in UTF-8, cut within a character", ascii("ä".repeat(300)).subarray(0, 511), "a text file"],
    ["an HTML error page", ascii("<!DOCTYPE html><title>404</title>"), "an HTML page"],
    ["a Git LFS pointer", ascii("version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer"],
    ["gzip", at(0, [0x1f, 0x8b, 8]), "gzip-compressed"],
    ["xz", at(0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), "xz-compressed"],
    ["zstd", at(0, [0x28, 0xb5, 0x2f, 0xfd]), "zstd-compressed"],
    ["an initrd", at(0, ascii("070701")), "a cpio archive: an initrd, not a kernel"],
    ["an ARM64 Image", at(0x38, ascii("ARMd")), "an ARM64 Linux Image"],
    ["an ARM zImage", at(0x24, [0x18, 0x28, 0x6f, 0x01]), "a 32-bit ARM zImage"],
    ["a RISC-V Image", at(0x38, ascii("RSC\x05")), "a RISC-V Linux Image"],
    ["an EFI application", pe(0x8664), "an EFI application or other PE file for x86-64"],
    ["an ARM64 EFI application", pe(0xaa64), "an EFI application or other PE file for ARM64"],
    ["a Debian package", ascii("!<arch>\ndebian-binary   "), "an ar archive or Debian package"],
    ["a CD image", at(0x8001, ascii("CD001")), "a CD image, not a kernel (that is for --cdrom)"],
    ["a boot sector", at(0x1fe, [0x55, 0xaa]).fill(0xfa, 0, 3), "a boot sector or disk image"],
    ["a Multiboot 2 image", at(0x40, [0xd6, 0x50, 0x52, 0xe8]).fill(1, 0, 4), "a Multiboot 2 image"],
    ["zeros", new Uint8Array(8192), "8 KiB of zeros"],
    ["junk", at(0, [1, 2, 3]), "a file of unknown type (67 bytes)"],
    [
      "an ELF that is neither",
      elf({ bits: 64 }),
      "a 64-bit ELF file for x86-64 without a PVH note or Multiboot header",
    ],
    ["an ELF for ARM", elf({ bits: 64, machine: 183 }), "a 64-bit ELF file for AArch64 (e_machine 183)"],
    ["an object file", elf({ bits: 64, type: 1 }), "a 64-bit ELF file of type 1 (relocatable object)"],
    ["an ELF header cut short", elf({ bits: 64 }).subarray(0, 40), "an ELF file cut short"],
  ])("refuses %s and says so", (_, file, found) => {
    expect(refusal(file)).toContain(`kernel is ${found}`);
  });

  it("says by how much an ELF is cut short", () => {
    const file = elf({ bits: 64, pvh: 0x100010 });
    expect(() => identify(file.subarray(0, 600))).toThrow(
      /a 64-bit ELF file cut short: a segment ends at .* file at 600 bytes/,
    );
  });

  it("does not take a Multiboot header with a wrong checksum, or a flat image without addresses", () => {
    const header = multibootHeader(0x10000, [0x100000, 0x100000, 0, 0, 0x100020]);
    header[8] ^= 1;
    expect(refusal(at(0, header))).toContain("unknown type");
    expect(refusal(at(0, multibootHeader(3)))).toContain("unknown type");
  });
});
