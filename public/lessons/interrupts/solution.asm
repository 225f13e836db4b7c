; Interrupts and the timer.
%include "long.inc"

IDT     equ 0x4000
VECTOR  equ 0x20

        ; an empty table, up to the timer's entry
        mov edi, IDT
        mov ecx, (VECTOR + 1) * 16 / 8
        xor eax, eax
        rep stosq

        ; the gate
        mov eax, timer
        mov [IDT + VECTOR * 16], ax
        mov word [IDT + VECTOR * 16 + 2], 0x08
        mov word [IDT + VECTOR * 16 + 4], 0x8e00
        shr eax, 16
        mov [IDT + VECTOR * 16 + 6], ax
        lidt [idt_pointer]
        int VECTOR

        ; the interrupt controllers
        mov al, 0x11
        out 0x20, al
        out 0xa0, al
        mov al, VECTOR
        out 0x21, al
        mov al, VECTOR + 8
        out 0xa1, al
        mov al, 4
        out 0x21, al
        mov al, 2
        out 0xa1, al
        mov al, 1
        out 0x21, al
        out 0xa1, al
        mov al, 0xfe
        out 0x21, al
        mov al, 0xff
        out 0xa1, al

        ; the timer: 100 times a second
        mov al, 0x34
        out 0x43, al
        mov ax, 11932
        out 0x40, al
        mov al, ah
        out 0x40, al
        sti
wait_for_ticks:
        hlt
        cmp dword [ticks], 10
        jb wait_for_ticks
        mov dword [0xb8000], 0x0f6b0f6f
hang:
        cli
        hlt
        jmp hang

timer:
        push rax
        push rdx
        inc dword [ticks]
        mov dx, 0x3f8
        mov al, '.'
        out dx, al
        mov al, 0x20
        out 0x20, al            ; end of interrupt
        pop rdx
        pop rax
        iretq

ticks:  dd 0
idt_pointer:
        dw (VECTOR + 1) * 16 - 1
        dq IDT

        times 510-($-$$) db 0
        dw 0xaa55
