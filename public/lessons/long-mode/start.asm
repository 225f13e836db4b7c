; Lesson 4: long mode.
%include "protected.inc"        ; lesson 2: from here on, 32-bit code

PML4      equ 0x10000           ; where the tables shall be
PDPT      equ 0x11000
PD        equ 0x12000

        mov edi, PML4
        mov ecx, 0x3000 / 4
        xor eax, eax
        rep stosd

        ; step 1: three entries, PAE, CR3
        ; step 2: long mode on, paging on
        ; step 3: the far jump

        bits 64
long:
        ; 64-bit code

hang:
        hlt
        jmp hang

        align 8
result: dq 0

        times 510-($-$$) db 0
        dw 0xaa55
