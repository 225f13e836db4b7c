; Long mode entered from 32-bit protected mode, with SYSCALL, TSS, MSRs and compatibility mode.
        org 0x100000
        bits 32
KERNEL  equ 0x08
TABLES  equ 0x200000
IA32_EFER equ 0xc0000080

_start: cli
        mov eax, 0x80000001
        cpuid
        bt edx, 29
        jnc no_long_mode
        mov edi, TABLES
        mov cr3, edi
        mov dword [edi], TABLES + 0x1003
        mov dword [edi + 0x1000], TABLES + 0x2003
        mov dword [edi + 0x2000], 0x83
        mov eax, cr4
        bts eax, 5
        mov cr4, eax
        mov ecx, IA32_EFER
        rdmsr
        or eax, (1 << 8) | 1
        wrmsr
        mov eax, cr0
        or eax, 1 << 31
        mov cr0, eax
        lgdt [gdt_pointer]
        jmp KERNEL:long_mode
no_long_mode:
        hlt
        jmp no_long_mode

        bits 64
        default rel
long_mode:
        lea rsp, [stack_top]
        mov rax, 0x123456789abcdef
        mov rax, -1
        mov rax, 5
        mov eax, 0x80000000
        mov rbx, message
        lea rsi, [message]
        mov al, [message]
        mov eax, [fs:0x28]
        mov rax, [gs:rbx+8]
        mov [abs 0x1000], rax
        mov rax, [qword abs 0xffff800000001000]
        mov qword [counter], 7
        add qword [counter], 0x1000
        cmp byte [rdi+r8*2], 'a'
        inc dword [r13]
        push rbp
        push r12
        push 0x1000
        push -1
        pop qword [r12]
        movsxd rcx, dword [rsi+4]
        movsx rdx, byte [rsi]
        movzx r8d, word [rsi]
        mov spl, 1
        mov r10b, [r11]
        xchg rax, r9
        bswap r11
        cqo
        idiv r10
        imul r9, r10, -3
        shl r9, cl
        shrd [rdi], r9, 5
        cmovne rax, [counter]
        sete [counter]
        lock cmpxchg16b [rdi]
        lock cmpxchg [rdi], r8
        lock or dword [rsp], 0
        movnti [rdi], rax
        mfence
        lfence
        sfence
        pause
        mov cr8, rax
        mov rax, cr2
        mov dr7, rax
        mov ax, ds
        mov ss, ax
        swapgs
        syscall
        sysret
        o64 sysret
        sysenter
        rdtscp
        invlpg [rdi]
        lgdt [gdt_pointer]
        lidt [rdi]
        sgdt [rsp]
        ltr ax
        wrmsr
        rdmsr
        call sub
        call [vector]
        call r9
        jmp qword [rdi+8]
        jmp far [vector]
        rep stosq
        rep movsq
        lodsq
        loop $
        jrcxz $
        jmp .out
        times 130 nop
.out:   je sub
        iretq
        retfq
        hlt
        ud2
sub:    enter 16, 0
        leave
        ret
        ret 8

        fxsave [rsp]
        fxrstor [rsp]
        fxsave64 [rsp]
        fninit
        fld qword [counter]
        fld tword [counter]
        fild dword [counter]
        fistp qword [counter]
        fadd dword [rdi]
        fadd st1
        fadd st3, st0
        faddp
        fmulp st2, st0
        fxch st4
        fxch
        fstp st1
        fucomi st2
        fnstcw [rsp]
        fldcw [rsp]
        fnstsw ax
        fld1
        fldpi
        fsin
        fwait
        movq mm0, [rdi]
        movd mm1, eax
        paddd mm0, mm1
        emms
        movaps xmm0, [rdi]
        movups [rdi+16], xmm9
        movdqa xmm8, xmm1
        movdqu xmm1, [rsi]
        movss xmm0, [counter]
        movsd xmm1, [counter]
        addsd xmm1, xmm2
        mulps xmm3, [rdi]
        cvtsi2sd xmm0, eax
        cvtsi2sd xmm0, rax
        cvttsd2si rax, xmm0
        cvttss2si ecx, [counter]
        pxor xmm1, xmm1
        pshufd xmm1, xmm2, 0x1b
        pcmpeqb xmm1, [rdi]
        pmovmskb eax, xmm1
        movd xmm1, eax
        movq xmm1, rax
        movq rax, xmm1
        movq xmm2, [rdi]
        movhlps xmm0, xmm1
        movlhps xmm0, xmm1
        movhps xmm0, [rdi]
        shufps xmm0, xmm1, 2
        psrldq xmm0, 4
        psllq xmm1, 3
        ucomisd xmm0, xmm1
        cmpps xmm0, xmm1, 2
        pextrw eax, xmm1, 3
        pinsrw xmm1, eax, 3
        maskmovdqu xmm1, xmm2
        movntdq [rdi], xmm1
        ldmxcsr [rsp]
        stmxcsr [rsp]
        prefetchnta [rdi]
        clflush [rdi]

        align 8
message db `long mode\r\n\0`
        align 8, db 0
gdt:    dq 0, 0x00209a0000000000, 0x0000920000000000
gdt_pointer:
        dw $ - gdt - 1
        dq gdt
vector  dq sub
        dw KERNEL
counter dq 0
stack:  resb 256
stack_top:
