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

; ---- Interrupts of chips ---------------------------------------------------------------------------------------------------

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

; ---- What calls return ------------------------------------------------------------------------------------------------------

; Carry as the caller will see it, in the flags that lie above its return address.
failed:         push bp
                mov bp, sp
                or byte [bp+6], 1
                pop bp
                iret
good:           push bp
                mov bp, sp
                and byte [bp+6], 0xfe
                pop bp
                iret

equipment:      mov ax, 0x0220
                iret
memory_size:    mov ax, 640
                iret
clock:          test ah, ah
                jnz failed
                push ds
                xor ax, ax
                mov ds, ax
                mov dx, [TICKS]
                mov cx, [TICKS+2]
                pop ds
                jmp good

; ---- INT 15h ------------------------------------------------------------------------------------------------------------------

system:         cmp ax, 0x2401
                je .a20_on
                cmp ax, 0x2400
                je .a20_off
                cmp ax, 0xe820
                je .map
                cmp ax, 0xe801
                je .e801
                cmp ah, 0x88
                jne failed
                call extended
                jmp good
.e801:          call extended
                xor bx, bx
                mov cx, ax
                xor dx, dx
                jmp good
.a20_on:        in al, 0x92
                or al, 2
                out 0x92, al
                mov ax, 0
                jmp good
.a20_off:       in al, 0x92
                and al, 0xfd
                out 0x92, al
                mov ax, 0
                jmp good
.map:           cmp edx, 0x534d4150
                jne failed
                cmp ebx, 2
                ja failed
                push si
                push di
                mov si, bx
                imul si, 20
                add si, .areas
                mov cx, 10
.word:          mov ax, [cs:si]
                mov [es:di], ax
                add si, 2
                add di, 2
                loop .word
                pop di
                pop si
                cmp bx, 2
                jne .next
                ; The last area is as large as CMOS says.
                call extended
                movzx eax, ax
                shl eax, 10
                mov [es:di+8], eax
.next:          inc ebx
                cmp ebx, 3
                jne .more
                xor ebx, ebx
.more:          mov ecx, 20
                mov eax, 0x534d4150
                jmp good
.areas:         dq 0, 0xa0000
                dd 1
                dq 0xf0000, 0x10000
                dd 2
                dq 0x100000, 0
                dd 1

; AX = KiB from 1 MiB on, 63 MiB at most, from CMOS.
extended:       mov al, 0x31
                out 0x70, al
                in al, 0x71
                mov ah, al
                mov al, 0x30
                out 0x70, al
                in al, 0x71
                ret

; ---- INT 13h: the first disk, by ATA's ports ----------------------------------------------------------------------------------

disk:           cmp dl, 0x80
                jne .bad
                test ah, ah
                jz .ok
                cmp ah, 0x02
                je .chs
                cmp ah, 0x08
                je .geometry
                cmp ah, 0x41
                je .extensions
                cmp ah, 0x42
                je .lba
.bad:           mov ah, 1
                jmp failed
.ok:            xor ah, ah
                jmp good
.extensions:    mov bx, 0xaa55
                mov ah, 0x21
                mov cx, 1
                jmp good
.geometry:      xor ah, ah
                mov cx, 0xff00 | 3 << 6 | SECTORS
                mov dx, (HEADS - 1) << 8 | 1
                jmp good
; AL sectors from cylinder, head, sector in CX and DH to ES:BX.
.chs:           pushad
                push es
                movzx edi, bx
                movzx ebp, al
                movzx eax, ch
                movzx ebx, cl
                shl bx, 2
                mov ah, bh
                movzx ebx, dh
                imul eax, HEADS
                add eax, ebx
                imul eax, SECTORS
                and ecx, 0x3f
                lea eax, [eax+ecx-1]
                jmp .read
; By the packet at DS:SI.
.lba:           pushad
                push es
                movzx ebp, word [si+2]
                movzx edi, word [si+4]
                mov es, [si+6]
                mov eax, [si+8]
; EBP sectors from EAX to ES:DI.
.read:          test bp, bp
                jz .done
                push eax
                mov ecx, eax
                mov dx, 0x1f6
                shr eax, 24
                and al, 0x0f
                or al, 0xe0
                out dx, al
                mov dx, 0x1f2
                mov al, 1
                out dx, al
                mov eax, ecx
                inc dx
                out dx, al
                shr eax, 8
                inc dx
                out dx, al
                shr eax, 8
                inc dx
                out dx, al
                mov dx, 0x1f7
                mov al, 0x20
                out dx, al
.busy:          in al, dx
                test al, 0x80
                jnz .busy
                test al, 0x01
                jnz .error
                ; In steps of 16 bytes of the segment, so that the offset does not wrap.
                mov ax, di
                shr ax, 4
                mov bx, es
                add bx, ax
                mov es, bx
                and di, 15
                mov cx, 256
                mov dx, 0x1f0
                rep insw
                pop eax
                inc eax
                dec bp
                jmp .read
.done:          pop es
                popad
                xor ah, ah
                jmp good
.error:         pop eax
                pop es
                popad
                mov ah, 4
                jmp failed

; ---- INT 10h --------------------------------------------------------------------------------------------------------------------

video:          cmp ah, 0x0e
                je .teletype
                test ah, ah
                je .mode
                cmp ah, 0x02
                je .place
                cmp ah, 0x03
                jne nothing
                push ds
                xor dx, dx
                mov ds, dx
                mov dx, [CURSOR]
                mov cx, 0x0d0e
                pop ds
                iret
.mode:          pusha
                push ds
                push es
                call text_mode
                pop es
                pop ds
                popa
                iret
.place:         push ds
                push ax
                xor ax, ax
                mov ds, ax
                mov [CURSOR], dx
                pop ax
                pop ds
                jmp .shown
.teletype:      pusha
                push ds
                push es
                xor bx, bx
                mov ds, bx
                mov bx, 0xb800
                mov es, bx
                mov dx, [CURSOR]
                cmp al, 13
                je .return
                cmp al, 10
                je .line
                cmp al, 8
                je .back
                movzx bx, dh
                imul bx, COLUMNS
                add bl, dl
                adc bh, 0
                add bx, bx
                mov [es:bx], al
                inc dl
                cmp dl, COLUMNS
                jb .moved
                xor dl, dl
.line:          inc dh
                cmp dh, ROWS
                jb .moved
                dec dh
                ; Up by a line.
                push ds
                push es
                pop ds
                cld
                mov si, COLUMNS * 2
                xor di, di
                mov cx, COLUMNS * (ROWS - 1)
                rep movsw
                mov ax, 0x0720
                mov cx, COLUMNS
                rep stosw
                pop ds
                jmp .moved
.return:        xor dl, dl
                jmp .moved
.back:          test dl, dl
                jz .moved
                dec dl
.moved:         mov [CURSOR], dx
                pop es
                pop ds
                popa
.shown:         call show_cursor
                iret

; The CRT controller's cursor to where the BIOS data area has it.
show_cursor:    pusha
                push ds
                xor bx, bx
                mov ds, bx
                movzx bx, byte [CURSOR+1]
                imul bx, COLUMNS
                movzx ax, byte [CURSOR]
                add bx, ax
                mov dx, 0x3d4
                mov al, 0x0e
                mov ah, bh
                out dx, ax
                mov al, 0x0f
                mov ah, bl
                out dx, ax
                pop ds
                popa
                ret

; Mode 3, 80 by 25 characters of 16 lines: registers, colours, font, an empty screen.
text_mode:      push cs
                pop ds
                cld
                mov si, .registers
                call vga_mode
                ; Colour I is intensity, R, G, B: two thirds of each, a third more with intensity; 6 is brown.
                mov dx, 0x3c8
                xor al, al
                out dx, al
                inc dx
                xor bl, bl
.colour:        mov cl, 2
.part:          mov al, bl
                shr al, cl
                and al, 1
                imul ax, ax, 42
                cmp bl, 6
                jne .intense
                cmp cl, 1
                jne .intense
                mov al, 21
.intense:       test bl, 8
                jz .put
                add al, 21
.put:           out dx, al
                dec cl
                jns .part
                inc bl
                cmp bl, 16
                jne .colour
                ; The font goes into plane 2, 32 bytes for each character.
                mov si, .to_font
                call pairs
                mov ax, 0xa000
                mov es, ax
                mov si, font
                mov di, 32 * 32 + 1
.glyph:         xor cl, cl
.row:           xor bx, bx
                xor al, al
.column:        mov ah, [si+bx]
                shr ah, cl
                and ah, 1
                shl al, 1
                or al, ah
                inc bx
                cmp bl, 5
                jne .column
                ; Strokes two dots wide, lines twice.
                mov ah, al
                shl al, 1
                or al, ah
                shl al, 1
                mov ah, al
                stosw
                inc cl
                cmp cl, 7
                jne .row
                add di, 32 - 14
                add si, 5
                cmp si, font_end
                jne .glyph
                mov si, .to_text
                call pairs
                mov ax, 0xb800
                mov es, ax
                xor di, di
                mov ax, 0x0720
                mov cx, COLUMNS * ROWS
                rep stosw
                xor ax, ax
                mov ds, ax
                mov [CURSOR], ax
                jmp show_cursor
.registers:     db 0x67
                db 0x03, 0x00, 0x03, 0x00, 0x02
                db 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0
                db 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff
                db 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff
                db 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x0c, 0, 15, 8, 0
; Port, register and value, to 0.
.to_font:       dw 0x3c4, 0x0402, 0x3c4, 0x0704, 0x3ce, 0x0005, 0x3ce, 0x0406, 0
.to_text:       dw 0x3c4, 0x0302, 0x3c4, 0x0204, 0x3ce, 0x1005, 0x3ce, 0x0e06, 0

pairs:          lodsw
                test ax, ax
                jz .done
                mov dx, ax
                lodsw
                out dx, ax
                jmp pairs
.done:          ret

%include "vga.asm"

; Characters 32 to 126, five columns of seven dots each, the lowest bit at the top.
font:           db 0x00,0x00,0x00,0x00,0x00, 0x00,0x00,0x5f,0x00,0x00, 0x00,0x07,0x00,0x07,0x00, 0x14,0x7f,0x14,0x7f,0x14
                db 0x24,0x2a,0x7f,0x2a,0x12, 0x23,0x13,0x08,0x64,0x62, 0x36,0x49,0x56,0x20,0x50, 0x00,0x00,0x07,0x00,0x00
                db 0x00,0x1c,0x22,0x41,0x00, 0x00,0x41,0x22,0x1c,0x00, 0x2a,0x1c,0x7f,0x1c,0x2a, 0x08,0x08,0x3e,0x08,0x08
                db 0x00,0x50,0x30,0x00,0x00, 0x08,0x08,0x08,0x08,0x08, 0x00,0x60,0x60,0x00,0x00, 0x20,0x10,0x08,0x04,0x02
                db 0x3e,0x51,0x49,0x45,0x3e, 0x00,0x42,0x7f,0x40,0x00, 0x42,0x61,0x51,0x49,0x46, 0x22,0x41,0x49,0x49,0x36
                db 0x18,0x14,0x12,0x7f,0x10, 0x27,0x45,0x45,0x45,0x39, 0x3c,0x4a,0x49,0x49,0x30, 0x01,0x71,0x09,0x05,0x03
                db 0x36,0x49,0x49,0x49,0x36, 0x06,0x49,0x49,0x29,0x1e, 0x00,0x36,0x36,0x00,0x00, 0x00,0x56,0x36,0x00,0x00
                db 0x08,0x14,0x22,0x41,0x00, 0x14,0x14,0x14,0x14,0x14, 0x00,0x41,0x22,0x14,0x08, 0x02,0x01,0x51,0x09,0x06
                db 0x3e,0x41,0x5d,0x55,0x1e, 0x7e,0x09,0x09,0x09,0x7e, 0x7f,0x49,0x49,0x49,0x36, 0x3e,0x41,0x41,0x41,0x22
                db 0x7f,0x41,0x41,0x41,0x3e, 0x7f,0x49,0x49,0x49,0x41, 0x7f,0x09,0x09,0x09,0x01, 0x3e,0x41,0x49,0x49,0x3a
                db 0x7f,0x08,0x08,0x08,0x7f, 0x00,0x41,0x7f,0x41,0x00, 0x20,0x40,0x41,0x3f,0x01, 0x7f,0x08,0x14,0x22,0x41
                db 0x7f,0x40,0x40,0x40,0x40, 0x7f,0x02,0x0c,0x02,0x7f, 0x7f,0x04,0x08,0x10,0x7f, 0x3e,0x41,0x41,0x41,0x3e
                db 0x7f,0x09,0x09,0x09,0x06, 0x3e,0x41,0x51,0x21,0x5e, 0x7f,0x09,0x19,0x29,0x46, 0x26,0x49,0x49,0x49,0x32
                db 0x01,0x01,0x7f,0x01,0x01, 0x3f,0x40,0x40,0x40,0x3f, 0x1f,0x20,0x40,0x20,0x1f, 0x7f,0x20,0x18,0x20,0x7f
                db 0x63,0x14,0x08,0x14,0x63, 0x07,0x08,0x70,0x08,0x07, 0x61,0x51,0x49,0x45,0x43, 0x00,0x7f,0x41,0x41,0x00
                db 0x02,0x04,0x08,0x10,0x20, 0x00,0x41,0x41,0x7f,0x00, 0x04,0x02,0x01,0x02,0x04, 0x40,0x40,0x40,0x40,0x40
                db 0x00,0x01,0x02,0x04,0x00, 0x20,0x54,0x54,0x54,0x78, 0x7f,0x48,0x44,0x44,0x38, 0x38,0x44,0x44,0x44,0x28
                db 0x38,0x44,0x44,0x48,0x7f, 0x38,0x54,0x54,0x54,0x18, 0x08,0x7e,0x09,0x01,0x02, 0x0c,0x52,0x52,0x52,0x3e
                db 0x7f,0x08,0x04,0x04,0x78, 0x00,0x44,0x7d,0x40,0x00, 0x20,0x40,0x44,0x3d,0x00, 0x7f,0x10,0x28,0x44,0x00
                db 0x00,0x41,0x7f,0x40,0x00, 0x7c,0x04,0x78,0x04,0x78, 0x7c,0x08,0x04,0x04,0x78, 0x38,0x44,0x44,0x44,0x38
                db 0x7c,0x14,0x14,0x14,0x08, 0x08,0x14,0x14,0x18,0x7c, 0x7c,0x08,0x04,0x04,0x08, 0x48,0x54,0x54,0x54,0x24
                db 0x04,0x3f,0x44,0x40,0x20, 0x3c,0x40,0x40,0x20,0x7c, 0x1c,0x20,0x40,0x20,0x1c, 0x3c,0x40,0x30,0x40,0x3c
                db 0x44,0x28,0x10,0x28,0x44, 0x0c,0x50,0x50,0x50,0x3c, 0x44,0x64,0x54,0x4c,0x44, 0x00,0x08,0x36,0x41,0x00
                db 0x00,0x00,0x7f,0x00,0x00, 0x00,0x41,0x36,0x08,0x00, 0x08,0x04,0x08,0x10,0x08
font_end:

                times 0xfff0-($-$$) db 0xff
                jmp 0xf000:start
                times 0x10000-($-$$) db 0xff
