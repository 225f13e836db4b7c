; Lesson 6: a second CPU.
%include "protected.inc"        ; lesson 2: from here on, 32-bit code

APIC    equ 0xfee00000          ; the local APIC's registers
PAGE    equ 0x8000              ; where the second CPU shall start

        ; step 1: copy the second CPU's code to PAGE, and wake it
        ; step 2: add, together with it
        ; step 3: wait for it, and show the sum

hang:
        hlt
        jmp hang

        bits 16
second:
        ; the second CPU begins here, in real mode
second_end:

        align 4
counter: dd 0
awake:  dd 0
done:   dd 0
lock_byte: db 0

        times 510-($-$$) db 0
        dw 0xaa55
