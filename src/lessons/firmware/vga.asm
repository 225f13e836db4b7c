; Registers of a VGA's mode from DS:SI: miscellaneous, 5 of the sequencer, 25 of the CRTC, 9 of the graphics, 21 of the attribute
; controller. Changes AX, CX, DX and SI, which is then behind them.
vga_mode:
                mov dx, 0x3c2
                lodsb
                out dx, al
                mov dx, 0x3c4
                mov cx, 5
                call indexed
                mov dx, 0x3d4
                mov ax, 0x0011          ; unprotect
                out dx, ax
                mov cx, 25
                call indexed
                mov dx, 0x3ce
                mov cx, 9
                call indexed
                mov dx, 0x3da
                in al, dx
                mov dx, 0x3c0
                xor ah, ah
.attribute:     mov al, ah
                out dx, al
                lodsb
                out dx, al
                inc ah
                cmp ah, 21
                jne .attribute
                mov al, 0x20
                out dx, al
                ret

indexed:        xor ah, ah
.next:          mov al, ah
                out dx, al
                inc dx
                lodsb
                out dx, al
                dec dx
                inc ah
                loop .next
                ret
