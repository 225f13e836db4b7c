; Lesson 5: interrupts and the timer.
%include "long.inc"             ; lessons 2 to 4: from here on, 64-bit code

IDT     equ 0x4000
VECTOR  equ 0x20                ; the timer's

        ; an empty table, up to the timer's entry
        mov edi, IDT
        mov ecx, (VECTOR + 1) * 16 / 8
        xor eax, eax
        rep stosq

        ; step 1: the gate, and a first call by int VECTOR
        ; step 2: the interrupt controllers
        ; step 3: the timer, and wait for ten ticks

hang:
        cli
        hlt
        jmp hang

        ; the routine

ticks:  dd 0

        times 510-($-$$) db 0
        dw 0xaa55
