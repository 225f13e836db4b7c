; INT 11h, 12h, 15h and 1Ah: what there is in the machine, and how calls return.

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
