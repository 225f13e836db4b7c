; Numbers as text.

; Prints RAX in decimal.
print_decimal:  xor ecx, ecx

; Prints RAX in decimal, right-aligned in ECX columns filled with DIL.
print_aligned:  mov r8d, 10
                xor r9d, r9d            ; digits, which lie on the stack with the last one deepest
.digit:         xor edx, edx
                div r8
                push rdx
                inc r9d
                test rax, rax
                jnz .digit
.fill:          cmp r9d, ecx
                jae .put
                mov al, dil
                call putc
                dec ecx
                jmp .fill
.put:           pop rax
                add al, "0"
                call putc
                dec r9d
                jnz .put
                ret

; Prints RAX in hexadecimal: 16 digits, or the lowest ECX ones.
print_hex64:    mov ecx, 16
print_hex:      mov r8, rax
                mov r9d, ecx
                shl ecx, 2
                ror r8, cl              ; the first digit to print is now the highest
                call say
                db "0x", 0
.digit:         rol r8, 4
                mov eax, r8d
                and eax, 15
                mov al, [hex_digits + rax]
                call putc
                dec r9d
                jnz .digit
                ret

hex_digits      db "0123456789abcdef"

; Prints the frequency RAX (Hz) in MHz, rounded to three places.
print_mhz:      add rax, 500
                xor edx, edx
                mov ecx, 1000
                div rcx                 ; kHz
                xor edx, edx
                div rcx
                push rdx
                call print_decimal
                mov al, "."
                call putc
                pop rax
                mov ecx, 3
                mov dil, "0"
                call print_aligned
                call say
                db " MHz", 0
                ret
