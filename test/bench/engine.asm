; Three programs for measuring the engines: rdi = how often (crc, sieve) or the number (fib); rax = result. As gcc -O2
; writes them, but for fib, which stays the plain recursion.
bits 64
org 0x400000

table equ 0x510000
data  equ 0x520000
size  equ 65536

; CRC-32 of the data, rdi times: table-driven, a byte at a time.
crc:
    mov r8, rdi
    mov edi, table
    xor ecx, ecx
.entry:
    mov eax, ecx
    mov edx, 8
.bit:
    mov esi, eax
    shr esi, 1
    mov r9d, esi
    xor r9d, 0xedb88320
    test al, 1
    cmove r9d, esi
    mov eax, r9d
    sub edx, 1
    jne .bit
    mov [rdi + rcx * 4], eax
    add rcx, 1
    cmp rcx, 256
    jne .entry
    mov eax, -1
.again:
    mov esi, data
    lea rdx, [rsi + size]
    align 16
.byte:
    movzx ecx, byte [rsi]
    add rsi, 1
    xor ecx, eax
    shr eax, 8
    movzx ecx, cl
    xor eax, [rdi + rcx * 4]
    cmp rdx, rsi
    jne .byte
    sub r8, 1
    jne .again
    ret

; Primes below `size`, rdi times: a byte for each number.
sieve:
    mov r9, rdi
    mov edi, data
    mov esi, size
.again:
    mov rax, rdi
    lea rdx, [rsi + rdi]
    align 16
.clear:
    mov byte [rax], 0
    add rax, 1
    cmp rax, rdx
    jne .clear
    mov ecx, 4
    mov edx, 2
    xor r8d, r8d
    jmp .test
.next:
    add rdx, 1
    add rcx, 2
    cmp rsi, rdx
    je .done
.test:
    cmp byte [rdi + rdx], 0
    jne .next
    add r8, 1
    mov rax, rcx
    cmp rsi, rcx
    jle .next
    align 16
.strike:
    mov byte [rdi + rax], 1
    add rax, rdx
    cmp rsi, rax
    jg .strike
    add rdx, 1
    add rcx, 2
    cmp rsi, rdx
    jne .test
.done:
    sub r9, 1
    jne .again
    mov rax, r8
    ret

    align 16
fib:
    cmp rdi, 1
    jle .leaf
    push rbp
    push rbx
    sub rsp, 8
    mov rbx, rdi
    lea rdi, [rdi - 1]
    call fib
    mov rbp, rax
    lea rdi, [rbx - 2]
    call fib
    add rax, rbp
    add rsp, 8
    pop rbx
    pop rbp
    ret
.leaf:
    mov rax, rdi
    ret
