; What the chips of the board are set to, and their interrupts.

; Interrupt controllers: IRQ 0 to 7 at vectors 8 to 0xf, 8 to 15 at 0x70, all but timer and cascade masked. The timer: 18.2 Hz.
ports:
%macro port 2
                dw %1
                db %2
%endmacro
                port 0x20, 0x11
                port 0x21, 0x08
                port 0x21, 0x04
                port 0x21, 0x01
                port 0xa0, 0x11
                port 0xa1, 0x70
                port 0xa1, 0x02
                port 0xa1, 0x01
                port 0x21, 0xfa
                port 0xa1, 0xff
                port 0x43, 0x34
                port 0x40, 0x00
                port 0x40, 0x00
                port 0x64, 0xd1         ; A20 off, as a PC has it: the keyboard controller's, then the chipset's
                port 0x60, 0xdd
                port 0x92, 0x00
                dw 0

; The local APIC takes the 8259's interrupts at LINT0, NMIs at LINT1 (virtual wire mode). Its registers are above 1 MiB: DS gets
; a limit of 4 GiB in protected mode, and keeps it.
virtual_wire:   cs lgdt [.table]
                push ds
                mov eax, cr0
                or al, 1
                mov cr0, eax
                mov bx, 8
                mov ds, bx
                and al, 0xfe
                mov cr0, eax
                mov dword [dword 0xfee000f0], 0x1ff
                mov dword [dword 0xfee00350], 0x8700
                mov dword [dword 0xfee00360], 0x400
                ; The limit that real mode has.
                or al, 1
                mov cr0, eax
                mov bx, 16
                mov ds, bx
                and al, 0xfe
                mov cr0, eax
                pop ds
                ret
                align 8
.descriptors:   dq 0, 0x00cf92000000ffff, 0x000092000000ffff
.table:         dw 23
                dd 0xf0000 + .descriptors

timer:          push ds
                push ax
                xor ax, ax
                mov ds, ax
                add word [TICKS], 1
                adc word [TICKS+2], 0
                pop ax
                pop ds
                jmp first_eoi
second_eoi:     push ax
                mov al, 0x20
                out 0xa0, al
                pop ax
first_eoi:      push ax
                mov al, 0x20
                out 0x20, al
                pop ax
nothing:        iret
