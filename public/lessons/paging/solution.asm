; Paging and a page fault.
%include "protected.inc"

DIRECTORY equ 0x10000
TABLE     equ 0x11000
SECOND    equ 0x12000
IDT       equ 0x13000

        ; all tables begin empty
        mov edi, DIRECTORY
        mov ecx, 0x4000 / 4
        xor eax, eax
        rep stosd

        ; the first 4 MiB
        mov edi, TABLE
        mov eax, 3              ; address 0, present, writable
fill:
        stosd
        add eax, 0x1000
        cmp edi, TABLE + 0x1000
        jne fill
        mov dword [DIRECTORY], TABLE + 3

        ; the screen at 0x400000
        mov dword [DIRECTORY + 4], SECOND + 3
        mov dword [SECOND], 0xb8000 + 3

        ; who is called at a page fault
        mov eax, page_fault
        mov [IDT + 14 * 8], ax
        mov word [IDT + 14 * 8 + 2], 0x08
        mov word [IDT + 14 * 8 + 4], 0x8e00
        shr eax, 16
        mov [IDT + 14 * 8 + 6], ax
        lidt [idt_pointer]

        mov eax, DIRECTORY
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000      ; PG
        mov cr0, eax

        mov byte [0x400000], 'V'
        mov dword [0x401234], 0x1234abcd
hang:
        hlt
        jmp hang

page_fault:
        push eax
        mov eax, cr2
        mov [fault_address], eax
        mov dword [SECOND + 4], 0x20000 + 3
        pop eax
        add esp, 4              ; the error code
        iretd

fault_address: dd 0
idt_pointer:
        dw 15 * 8 - 1
        dd IDT

        times 510-($-$$) db 0
        dw 0xaa55
