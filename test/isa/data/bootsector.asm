; A real-mode boot sector: loads the rest of the disk, asks for the memory map, switches A20 on.
%define STAGE2 0x8000
%define SECTORS 16
        bits 16
        org 0x7c00

start:  jmp short begin
        nop
        db "TABHYVE "
        dw 512
        times 11 db 0

begin:
        cli
        cld
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, start
        jmp 0:.here
.here:  sti
        mov [drive], dl
        mov si, message
        call print

        ; Extended read, then the old way.
        mov ah, 0x42
        mov si, packet
        int 0x13
        jnc .loaded
        mov ax, 0x0200 | SECTORS
        mov cx, 2
        xor dh, dh
        mov bx, STAGE2
        int 0x13
        jc near fail
.loaded:
        mov di, map
        xor ebx, ebx
.next:  mov eax, 0xe820
        mov edx, 'PAMS'
        mov ecx, 24
        int 0x15
        jc .end
        cmp eax, 'PAMS'
        jne .end
        add di, cx
        inc word [count]
        test ebx, ebx
        jnz .next
.end:
        in al, 0x92
        or al, 2
        and al, ~1
        out 0x92, al
        push word 0x1234
        pushf
        popf
        pop ax
        lea bx, [bp+si+3]
        mov ax, [es:bx+di-2]
        mov al, [cs:message]
        mov eax, [dword 0x12]
        movzx ecx, byte [si]
        rep movsb
        repne scasb
        repe cmpsw
        es lodsb
        rep stosd
        insw
        outsb
        xlatb
        loop .end
        jcxz .end
        jecxz .end
        les di, [bx]
        lds si, [map]
        enter 16, 0
        leave
        lgdt [bx]
        o32 lgdt [bx]
        mov eax, cr0
        smsw ax
        jmp far [vector]
        call far [bx+si]
        jmp STAGE2>>4:0
        jmp dword 8:fail

fail:   mov si, oops
        call print
.stop:  hlt
        jmp .stop

print:  push ax
        push bx
        mov ah, 0x0e
.more:  lodsb
        or al, al
        jz .done
        mov bx, 7
        int 0x10
        jmp .more
.done:  pop bx
        pop ax
        ret

message db "hello", 13, 10, 0
oops:   db 'disk error', 0
vector  dw 0, 0xf000
packet: db 16, 0
        dw SECTORS, STAGE2, 0
        dq 1
drive   db 0
count   dw 0
        times 510-($-$$) db 0
        dw 0xaa55
map     equ 0x500
