; Long mode.
%include "protected.inc"

PML4      equ 0x10000
PDPT      equ 0x11000
PD        equ 0x12000

        mov edi, PML4
        mov ecx, 0x3000 / 4
        xor eax, eax
        rep stosd

        mov dword [PML4], PDPT + 3
        mov dword [PDPT], PD + 3
        mov dword [PD], 0x83    ; address 0, 2 MiB, writable, present
        mov eax, cr4
        or eax, 0x20            ; PAE
        mov cr4, eax
        mov eax, PML4
        mov cr3, eax

        mov ecx, 0xc0000080     ; EFER
        rdmsr
        or eax, 0x100           ; LME
        wrmsr
        mov eax, cr0
        or eax, 0x80000000      ; PG
        mov cr0, eax

        lgdt [gdt64_pointer]
        jmp 0x08:long

        bits 64
long:
        mov rax, 0x1122334455667788
        mov [result], rax
        mov dword [0xb8000], 0x0f340f36
hang:
        hlt
        jmp hang

        align 8
result: dq 0
gdt64:  dq 0
        dq 0x00af9a000000ffff   ; 0x08: 64-bit code
        dq 0x00cf92000000ffff   ; 0x10: data
gdt64_end:
gdt64_pointer:
        dw gdt64_end - gdt64 - 1
        dd gdt64

        times 510-($-$$) db 0
        dw 0xaa55
