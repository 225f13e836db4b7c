; From real mode to protected mode.
        org 0x7c00
        bits 16

start:
        cli                     ; no interrupts: ours are not prepared
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00

        lgdt [gdt_pointer]
        mov eax, cr0
        or eax, 1               ; PE
        mov cr0, eax
        jmp 0x08:protected

        bits 32
protected:
        mov ax, 0x10
        mov ds, ax
        mov ss, ax
        in al, 0x92
        or al, 2                ; A20 on
        out 0x92, al
        mov word [0xb8000], 0x0f50
        mov dword [0x100000], 0x12345678

hang:
        hlt
        jmp hang

        align 8
gdt:
        dq 0                    ; entry 0 is never used
        dw 0xffff, 0            ; entry 1, selector 0x08: code
        db 0, 0x9a, 0xcf, 0
        dw 0xffff, 0            ; entry 2, selector 0x10: data
        db 0, 0x92, 0xcf, 0
gdt_end:

gdt_pointer:
        dw gdt_end - gdt - 1
        dd gdt

        times 510-($-$$) db 0
        dw 0xaa55
