; Lesson 3: paging.
%include "protected.inc"        ; lesson 2: from here on, 32-bit code

DIRECTORY equ 0x10000           ; where the tables shall be
TABLE     equ 0x11000
SECOND    equ 0x12000
IDT       equ 0x13000

        ; all tables begin empty
        mov edi, DIRECTORY
        mov ecx, 0x4000 / 4
        xor eax, eax
        rep stosd

        ; step 1: the first 4 MiB, then paging on
        ; step 2: the screen at 0x400000
        ; step 3: a page fault at 0x401234

hang:
        hlt
        jmp hang

        times 510-($-$$) db 0
        dw 0xaa55
