; A second CPU.
%include "protected.inc"

APIC    equ 0xfee00000
PAGE    equ 0x8000

; Adds 1 to the counter, 10000 times.
%macro add_many 0
        mov ecx, 10000
%%next:
        mov al, 1
        xchg al, [lock_byte]    ; take the lock
        test al, al
        jnz %%next
        mov edx, [counter]
        inc edx
        mov [counter], edx
        mov byte [lock_byte], 0 ; give it back
        dec ecx
        jnz %%next
%endmacro

        ; its code to PAGE
        mov esi, second
        mov edi, PAGE
        mov ecx, second_end - second
        rep movsb

        ; wake it
        mov dword [APIC + 0xf0], 0x1ff
        mov dword [APIC + 0x300], 0x000c4500
        mov ecx, 10000
wait_init:
        out 0x80, al
        loop wait_init
        mov dword [APIC + 0x300], 0x000c4600 + PAGE / 0x1000
        mov ecx, 200
wait_startup:
        out 0x80, al
        loop wait_startup

        add_many

wait_done:
        pause
        cmp dword [done], 1
        jne wait_done
        cmp dword [counter], 20000
        jne hang
        mov dword [0xb8000], 0x0f6b0f6f
hang:
        hlt
        jmp hang

        bits 16
second:
        cli
        xor ax, ax
        mov ds, ax
        mov dword [awake], 1
        add_many
        mov dword [done], 1
stop:
        hlt
        jmp stop
second_end:

        align 4
counter: dd 0
awake:  dd 0
done:   dd 0
lock_byte: db 0

        times 510-($-$$) db 0
        dw 0xaa55
