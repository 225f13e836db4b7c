; INT 13h: the first disk, by ATA's ports.

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
