; Lesson 2: from real mode to protected mode.
        org 0x7c00
        bits 16

start:
        cli                     ; no interrupts: ours are not prepared
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00

        ; step 1: load the table of descriptors
        ; step 2: switch, and jump

        bits 32
protected:
        ; step 3: segments for data, A20

hang:
        hlt
        jmp hang

        ; the table of descriptors

        times 510-($-$$) db 0
        dw 0xaa55
