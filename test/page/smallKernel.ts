/** A flat Multiboot kernel of a hundred bytes, which prints a line on COM1: small enough for a link. */
import { createHash } from "node:crypto";
import { assemble } from "../../src/isa/assemble.ts";

export const SMALL_KERNEL = assemble(`
                org 0x100000
                bits 32
header:         dd 0x1badb002
                dd 0x10000
                dd -(0x1badb002 + 0x10000)
                dd header, header, end, 0, start
start:          mov esi, text
                mov dx, 0x3f8
.next:          lodsb
                test al, al
                jz .stand
                out dx, al
                jmp .next
.stand:         cli
                hlt
                jmp .stand
text:           db "A kernel from a link", 13, 10, 0
end:
`).bytes;

export const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
