; The firmware of a lesson's machine: what a PC's BIOS does for a boot sector, and no more, so that a lesson needs no
; other program. It is the last 64 KiB below 4 GiB, seen at 0xf0000 too.
;
; Interrupts served: 0x10 (0x00, 0x02, 0x03, 0x0e), 0x11, 0x12, 0x13 (0x00, 0x02, 0x08, 0x41, 0x42), 0x15 (0x24, 0x88,
; 0xe801, 0xe820), 0x1a (0x00), and the timer's 0x08. A call that is not known sets carry.

                org 0
                bits 16

TICKS           equ 0x46c               ; BIOS data area: timer ticks, cursor
CURSOR          equ 0x450
SECTORS         equ 63                  ; sectors of a track, heads
HEADS           equ 16
COLUMNS         equ 80
ROWS            equ 25

start:          cli
                cld
                xor ax, ax
                mov ss, ax
                mov sp, 0x7c00
                mov ds, ax
                mov es, ax
                ; Low memory: vectors, then the BIOS data area.
                xor di, di
                mov cx, 256
.vector:        mov ax, nothing
                stosw
                mov ax, cs
                stosw
                loop .vector
                mov cx, 128
                xor ax, ax
                rep stosw
                mov word [0x400], 0x3f8
                mov word [0x410], 0x0220
                mov word [0x413], 640
                mov si, vectors
.set:           mov di, [cs:si]
                cmp di, -1
                je .chips
                mov ax, [cs:si+2]
                mov [di], ax
                add si, 4
                jmp .set
.chips:         mov si, ports
.port:          mov dx, [cs:si]
                test dx, dx
                jz .screen
                mov al, [cs:si+2]
                out dx, al
                add si, 3
                jmp .port
.screen:        ; PCI: the IDE function answers at the ports of old, its first channel is decoded.
                mov eax, 0x80000904
                mov dx, 0xcf8
                out dx, eax
                mov dx, 0xcfc
                mov ax, 5
                out dx, ax
                mov eax, 0x80000940
                mov dx, 0xcf8
                out dx, eax
                mov dx, 0xcfc
                mov ax, 0x8000
                out dx, ax
                call virtual_wire
                call text_mode
                sti
                ; The first sector of the disk.
                mov si, .packet
                push cs
                pop ds
                mov ah, 0x42
                mov dl, 0x80
                int 0x13
                xor ax, ax
                mov ds, ax
                mov si, no_disk
                jc .stop
                mov si, no_signature
                cmp word [0x7dfe], 0xaa55
                jne .stop
                mov dx, 0x80
                xor bx, bx
                xor cx, cx
                xor si, si
                xor di, di
                xor bp, bp
                mov es, ax
                jmp 0:0x7c00
.stop:          mov al, [cs:si]
                inc si
                test al, al
                jz .hang
                mov ah, 0x0e
                int 0x10
                jmp .stop
.hang:          cli
                hlt
                jmp .hang
                align 4
.packet:        dw 16, 1, 0x7c00, 0
                dq 0

no_disk:        db "The disk cannot be read.", 0
no_signature:   db "Not a boot sector: its last two bytes are not 55 AA.", 0

; Where a vector lies, and what serves it.
vectors:        dw 4 * 0x08, timer
%assign irq 9
%rep 7
                dw 4 * irq, first_eoi
  %assign irq irq+1
%endrep
%assign irq 0x70
%rep 8
                dw 4 * irq, second_eoi
  %assign irq irq+1
%endrep
                dw 4 * 0x10, video, 4 * 0x11, equipment, 4 * 0x12, memory_size
                dw 4 * 0x13, disk, 4 * 0x15, system, 4 * 0x1a, clock, -1

%include "chips.asm"
%include "system.asm"
%include "disk.asm"
%include "video.asm"
%include "vga.asm"
%include "font.asm"

                times 0xfff0-($-$$) db 0xff
                jmp 0xf000:start
                times 0x10000-($-$$) db 0xff
