; INT 10h: the text screen.

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
