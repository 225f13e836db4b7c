; A ROM of our own for a machine with firmware: shadow RAM, the VGA's modes, disk and keyboard. It reports on the debug
; port, a line for each step, and goes on when a byte comes on COM1.
;
; The last 64 KiB below 4 GiB, seen at 0xf0000 too. DS is the ROM, ES what is drawn on, SS:SP below 0x8000.

                org 0
                bits 16

start:          cli
                xor ax, ax
                mov ss, ax
                mov sp, 0x7c00
                mov ax, cs
                mov ds, ax

; ---- Shadow RAM: what a byte reads as after a write, under each setting of PAM0 ------------------------------------------

                mov ax, 0xf000
                mov es, ax
                ; First all of it from ROM to RAM, so that the code goes on there.
                mov al, 0x20
                call pam
                xor si, si
                xor di, di
                mov cx, 0x8000
                cld
                rep movsw
                mov al, 0x00
                call probe
                mov al, 0x20
                call probe
                mov al, 0x10
                call probe
                mov al, 0x30
                call probe
                mov al, 0x10
                call pam
                call step

; ---- Mode 12h: sixteen colours in four planes -----------------------------------------------------------------------------

                mov si, mode12
                call set_mode
                mov ax, 0xa000
                mov es, ax
                ; Bars of 40 dots, write mode 2: the colour is the processor's data.
                mov ax, 0x0205
                call graphics
                xor di, di
                mov dx, 480
.bar_row:       xor al, al
.bar:           mov cx, 5
                rep stosb
                inc al
                cmp al, 16
                jne .bar
                dec dx
                jnz .bar_row
                ; A frame of dots at every eighth line, colour 15 by set/reset through a bit mask.
                mov ax, 0x0005
                call graphics
                mov ax, 0x0f00
                call graphics
                mov ax, 0x0f01
                call graphics
                mov ax, 0x8108
                call graphics
                xor di, di
                mov dx, 60
.dots:          mov cx, 80
.dot:           mov al, [es:di]
                stosb
                loop .dot
                add di, 80 * 7
                dec dx
                jnz .dots
                ; Exclusive or with 5 in planes 0 and 2 of lines 100 to 119.
                mov ax, 0x0001
                call graphics
                mov ax, 0xff08
                call graphics
                mov ax, 0x1803
                call graphics
                mov ax, 0x0502
                call sequencer
                mov di, 100 * 80
                mov cx, 20 * 80
.xor:           mov al, [es:di]
                mov al, 0xff
                stosb
                loop .xor
                mov ax, 0x0f02
                call sequencer
                mov ax, 0x0003
                call graphics
                ; Write mode 3: data and bit mask choose the dots, set/reset is the colour. Rotated by 1.
                mov ax, 0x0305
                call graphics
                mov ax, 0x0103
                call graphics
                mov ax, 0x0a00
                call graphics
                mov ax, 0x7e08
                call graphics
                mov di, 200 * 80
                mov cx, 10 * 80
.three:         mov al, [es:di]
                mov al, 0x55
                stosb
                loop .three
                mov ax, 0x0003
                call graphics
                mov ax, 0xff08
                call graphics
                ; Write mode 1: lines 0 to 39 again from 400 on, by the latches.
                mov ax, 0x0105
                call graphics
                xor si, si
                mov di, 400 * 80
                mov cx, 40 * 80
                push ds
                push es
                pop ds
                rep movsb
                pop ds
                mov ax, 0x0005
                call graphics
                ; Read mode 1: how many of the bytes of line 300 are colour 3 throughout.
                mov ax, 0x0805
                call graphics
                mov ax, 0x0302
                call graphics
                mov ax, 0x0f07
                call graphics
                mov si, 300 * 80
                mov cx, 80
                xor bl, bl
.count:         mov al, [es:si]
                inc si
                cmp al, 0xff
                jne .other
                inc bl
.other:         loop .count
                mov al, bl
                call byte_out
                mov ax, 0x0005
                call graphics
                call step

; ---- A scrolling planar screen: every line one up, by the latches, as often as it goes until a byte comes -------------------

                xor bx, bx
.scroll:        mov ax, 0x0105
                call graphics
                mov si, 80
                xor di, di
                mov cx, 479 * 80
                push ds
                push es
                pop ds
                rep movsb
                pop ds
                inc bx
                mov dx, 0x3fd
                in al, dx
                test al, 1
                jz .scroll
                mov dx, 0x3f8
                in al, dx
                mov al, bh
                call byte_out
                mov al, bl
                call byte_out
                mov ax, 0x0005
                call graphics
                call step

; ---- Mode 13h: a byte a dot ------------------------------------------------------------------------------------------------

                mov si, mode13
                call set_mode
                xor di, di
                xor dx, dx
.row13:         xor cx, cx
.dot13:         mov al, cl
                xor al, dl
                stosb
                inc cx
                cmp cx, 320
                jne .dot13
                inc dx
                cmp dx, 200
                jne .row13
                call step

; ---- Mode X: 320x240, a plane for every fourth dot; two pages -----------------------------------------------------------------

                mov si, modex
                call set_mode
                mov bx, 0x0102
.plane:         mov ah, bh
                mov al, 2
                call sequencer
                mov di, 0x4b00
                xor dx, dx
.rowx:          mov al, dl
                add al, bh
                mov cx, 80
                rep stosb
                inc dx
                cmp dx, 240
                jne .rowx
                shl bh, 1
                cmp bh, 16
                jne .plane
                mov ax, 0x4b0c
                mov dx, 0x3d4
                out dx, ax
                mov ax, 0x000d
                out dx, ax
                call step

; ---- The display interface: 1024x768x32 through its banks of 64 KiB ------------------------------------------------------------

                mov si, dispi
                call set_dispi
                xor bp, bp              ; bank
                xor ebx, ebx            ; number of the dot
.bank:          mov dx, 0x1ce
                mov ax, 5
                out dx, ax
                inc dx
                mov ax, bp
                out dx, ax
                xor di, di
                mov cx, 0x4000
.pixel:         mov eax, ebx
                imul eax, 0x010305
                stosd
                inc ebx
                loop .pixel
                inc bp
                cmp bp, 48
                jne .bank
                call step

; ---- Text, in a font of our own: line r of character c is c, exclusive or 11h times r --------------------------------------------------

                mov si, dispi_off
                call set_dispi
                mov si, mode12
                call set_mode
                mov ax, 0x0402          ; plane 2
                call sequencer
                mov ax, 0xa000
                mov es, ax
                xor di, di
                xor bl, bl
.glyph:         xor dl, dl
.glyph_line:    mov al, bl
                xor al, dl
                stosb
                add dl, 0x11            ; carries after sixteen lines
                jnc .glyph_line
                add di, 16
                inc bl
                jnz .glyph
                mov si, mode3
                call set_mode
                mov ax, 0xb800
                mov es, ax
                ; Cell n has character n and attribute n + n / 256, which does not blink.
                xor di, di
                xor bx, bx
.cell:          mov al, bl
                mov ah, bl
                add ah, bh
                and ah, 0x7f
                stosw
                inc bx
                cmp bx, 80 * 25
                jne .cell
                mov di, 160 * 3
                mov ax, 0x0720
                mov cx, 80
                rep stosw
                mov di, 160 * 3 + 4
                mov si, hello
                mov ah, 0x1e
.letter:        lodsb
                test al, al
                jz .written
                stosw
                jmp .letter
.written:       call step

; ---- The disk: sector 5 by PIO, all words at once --------------------------------------------------------------------------------

                mov eax, 0x80000904     ; IDE function: I/O ports
                mov dx, 0xcf8
                out dx, eax
                mov dx, 0xcfc
                mov ax, 5
                out dx, ax
                mov eax, 0x80000940     ; both channels' ports
                mov dx, 0xcf8
                out dx, eax
                mov dx, 0xcfc
                mov eax, 0x80008000
                out dx, eax
                mov dx, 0x1f2
                mov al, 1
                out dx, al
                inc dx
                mov al, 5
                out dx, al
                inc dx
                xor al, al
                out dx, al
                inc dx
                out dx, al
                inc dx
                mov al, 0xe0
                out dx, al
                inc dx
                mov al, 0x20
                out dx, al
.busy:          in al, dx
                test al, 0x80
                jnz .busy
                xor ax, ax
                mov es, ax
                mov di, 0x7001          ; odd, so that words are not aligned
                mov cx, 256
                mov dx, 0x1f0
                rep insw
                mov si, 0x7001
                mov cx, 512
                xor bl, bl
.sum:           es lodsb
                add bl, al
                rol bl, 1
                loop .sum
                mov al, bl
                call byte_out
                mov ax, di
                mov al, ah
                call byte_out
                ; And to sector 6, from where it is.
                mov dx, 0x1f2
                mov al, 1
                out dx, al
                inc dx
                mov al, 6
                out dx, al
                mov dx, 0x1f7
                mov al, 0x30
                out dx, al
                push ds
                push es
                pop ds
                mov si, 0x7001
                mov cx, 256
                mov dx, 0x1f0
                rep outsw
                pop ds
                mov dx, 0x1f7
.written6:      in al, dx
                test al, 0x88
                jnz .written6
                call byte_out
                call step

; ---- Keys, as they come --------------------------------------------------------------------------------------------------------

                mov al, 0x60            ; translate, no interrupts, keyboard on
                out 0x64, al
                mov al, 0x60
                out 0x60, al
.key:           in al, 0x64
                test al, 1
                jz .key
                in al, 0x60
                cmp al, 0xfa            ; none of ours
                je .key
                call byte_out
                cmp al, 0x9c
                jne .key
                call step
.end:           hlt
                jmp .end

; ---- Routines --------------------------------------------------------------------------------------------------------------------

; AL to PAM0; then writes AL to a byte of the ROM, reads it and reports.
probe:          call pam
                mov bl, al
                add bl, 1
                mov [es:spot], bl
                mov al, [es:spot]
                jmp byte_out

; PAM0 = AL, which it keeps.
pam:            push eax
                mov eax, 0x80000058
                mov dx, 0xcf8
                out dx, eax
                pop eax
                mov dx, 0xcfd
                out dx, al
                ret

; AL in hexadecimal to the debug port; it keeps AX.
byte_out:       push ax
                mov dx, 0x402
                mov ah, al
                shr al, 4
                call .digit
                mov al, ah
                and al, 15
                call .digit
                pop ax
                ret
.digit:         add al, 48
                cmp al, 58
                jb .put
                add al, 39
.put:           out dx, al
                ret

; Ends the line and waits for a byte on COM1.
step:           mov dx, 0x402
                mov al, 10
                out dx, al
                mov dx, 0x3fd
.wait:          in al, dx
                test al, 1
                jz .wait
                mov dx, 0x3f8
                in al, dx
                ret

; Register AL = AH.
graphics:       mov dx, 0x3ce
                out dx, ax
                ret
sequencer:      push dx
                mov dx, 0x3c4
                out dx, ax
                pop dx
                ret

; Registers from DS:SI as vga_mode has them; then the DAC gets entry i = (i, i/2, 63 - i) in six bits each.
set_mode:       call vga_mode
                mov dx, 0x3c8
                xor al, al
                out dx, al
                inc dx
                xor bl, bl
.dac:           mov al, bl
                out dx, al
                shr al, 1
                out dx, al
                mov al, 63
                sub al, bl
                out dx, al
                inc bl
                jnz .dac
                ret

%include "vga.asm"

; Pairs of words, index and value, to -1.
set_dispi:      mov dx, 0x1ce
                lodsw
                cmp ax, -1
                je .done
                out dx, ax
                inc dx
                lodsw
                out dx, ax
                jmp set_dispi
.done:          ret

dispi:          dw 4, 0, 1, 1024, 2, 768, 3, 32, 4, 0x41, -1
dispi_off:      dw 4, 0, -1
hello:          db "Tabhyve ", 0xb0, " 0", 0

mode12:         db 0xe3
                db 0x03, 0x01, 0x0f, 0x00, 0x06
                db 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0
                db 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff
                db 0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff
                db 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1, 0, 15, 0, 0
mode13:         db 0x63
                db 0x03, 0x01, 0x0f, 0x00, 0x0e
                db 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0, 0, 0, 0, 0, 0
                db 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff
                db 0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff
                db 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 15, 0, 0
modex:          db 0xe3
                db 0x03, 0x01, 0x0f, 0x00, 0x06
                db 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0d, 0x3e, 0x00, 0x41, 0, 0, 0, 0, 0, 0
                db 0xea, 0xac, 0xdf, 0x28, 0x00, 0xe7, 0x06, 0xe3, 0xff
                db 0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff
                db 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 15, 0, 0
mode3:          db 0x67
                db 0x03, 0x00, 0x03, 0x00, 0x02
                db 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x2d, 0x0e, 0, 0, 0, 0
                db 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff
                db 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff
                db 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x0c, 0, 15, 8, 0

                times 0x8000 - ($ - $$) db 0xaa
spot:           db 0xaa
                times 0xfff0 - ($ - $$) db 0
                db 0xea                 ; jmp 0xf000:start
                dw start, 0xf000
                times 0x10000 - ($ - $$) db 0
