; A boot sector that prints a line.
        org 0x7c00              ; where the firmware puts us
        bits 16

start:
        xor ax, ax
        mov ds, ax              ; addresses count from 0
        cld                     ; text is read forwards
        mov si, text
next:
        lodsb                   ; AL = byte at SI, SI = SI + 1
        test al, al
        jz done
        mov ah, 0x0e            ; function: print a character
        int 0x10
        jmp next
done:
        hlt
        jmp done

text:   db "Hello, world", 0

        times 510-($-$$) db 0
        dw 0xaa55
