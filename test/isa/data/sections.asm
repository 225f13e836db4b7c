; Sections as a flat binary has them, structures, and branches that leave their section.
bits 16
org 0x7c00
section .data
message: db "data", 0
        dw message, start, $$, $
section .text
start:  mov si, message
        mov di, room
        jmp message
        jz message
        jmp 0x7c20
        jmp short 0x7c20
        jc 0x7c10
        loop 0x7c08
        jcxz 0x7c08
        call 0x7c00
        jmp start
        call far [message]
        jmp 0:far_away
section .bss
        alignb 8
room:   resb 4
more:   resw 2
after:
section .rodata align=16
table:  dw table, room, more, after
        align 8, db 0xcc
        db 1
section .high vstart=0x9000
far_away: dw far_away, $$
section .text
        dw after - room
        align 4
        times 200-($-$$) db 0x90
struc point
.x:     resw 1
.y:     resd 1
.colour: resb 3
endstruc
struc other, 4
.a:     resb 1
        alignb 4
.b:     resd 1
endstruc
        istruc point
          at point.x, dw 1
          at point.colour, db 2
        iend
        db point_size, point.y, other.b, other_size
        mov ax, [bx + point.colour]
absolute 0x500
buffer: resb 16
buffer_end:
section .data
        dw buffer, buffer_end
        mov ax, [buffer]
..@quiet: nop
.local: dw buffer_end.local
bits 64
default rel
        mov eax, [message]
        mov eax, [0x1000]
        mov eax, [abs message]
        lea rax, [$ + 4]
        jmp 0x7c20
        jmp table
        mov rax, [fs:0x28]
