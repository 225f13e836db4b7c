; A boot sector that shows what firmware has given it: the drive, a second sector read by INT 13h, memory by INT 15h, a key
; by INT 16h, all on the screen by INT 10h.

                org 0x7c00
                bits 16

start:          jmp 0:main
main:           xor ax, ax
                mov ds, ax
                mov es, ax
                mov ss, ax
                mov sp, 0x7c00
                mov [drive], dl
                mov si, hello
                call text
                mov al, [drive]
                call hex
                ; The second sector: by address where there are extensions, else by cylinder, head, sector.
                mov bx, 0x55aa
                mov ah, 0x41
                mov dl, [drive]
                int 0x13
                jc .chs
                mov si, packet
                mov ah, 0x42
                mov dl, [drive]
                int 0x13
                jmp .done
.chs:           mov ax, 0x0201
                mov bx, 0x8000
                mov cx, 2
                xor dh, dh
                mov dl, [drive]
                int 0x13
.done:          jc failed
                mov si, 0x8000
                call text
                ; KiB from 1 MiB on, of the 64 MiB at most that this call can tell.
                mov ah, 0x88
                int 0x15
                push ax
                mov al, ah
                call hex
                pop ax
                call hex
                mov si, ask
                call text
.key:           xor ah, ah
                int 0x16
                cmp al, 13
                je .off
                mov ah, 0x0e
                int 0x10
                jmp .key
.off:           mov si, bye
                call text
                ; A disk that is not read-only keeps what was typed: the sector again, with another first letter.
                mov byte [0x8000], '!'
                mov ax, 0x0301
                mov bx, 0x8000
                mov cx, 2
                xor dh, dh
                mov dl, [drive]
                int 0x13
                setc al
                add al, '0'
                mov ah, 0x0e
                int 0x10
.end:           hlt
                jmp .end

failed:         mov si, broken
                call text
                jmp main.end

text:           lodsb
                test al, al
                jz .done
                mov ah, 0x0e
                xor bx, bx
                int 0x10
                jmp text
.done:          ret

hex:            push ax
                shr al, 4
                call .digit
                pop ax
                and al, 15
.digit:         add al, 48
                cmp al, 58
                jb .put
                add al, 39
.put:           mov ah, 0x0e
                xor bx, bx
                int 0x10
                ret

packet:         db 16, 0
                dw 1, 0x8000, 0
                dq 1
drive:          db 0
hello:          db 13, 10, "booted from ", 0
ask:            db " KiB", 13, 10, "type: ", 0
bye:            db 13, 10, "written ", 0
broken:         db " cannot be read", 0
                times 510 - ($ - $$) db 0
                dw 0xaa55
                db ", second sector; ", 0
                times 1024 - ($ - $$) db 0
