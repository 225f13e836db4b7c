; One line for each form of an instruction that the assembler must encode as NASM does: 64-bit code.
        bits 64
        org 0x1000
back:
        syscall
        sysret
        o64 sysret
        swapgs
        iretq
        iret
        retfq
        retf
        pushfq
        popfq
        pushf
        push fs
        pop gs
        push word 5
        o16 push fs
        enter 8,0
        leave
        jmp far [rbx]
        jmp qword far [rbx]
        call dword far [rbx]
        lgdt [rel back]
        mov rax,cr8
        mov cr8,r9
        mov r9,dr7
        mov ds,r9w
        mov ds,eax
        mov ds,[r9]
        mov [r9],ss
        sldt rax
        sldt r9d
        str rax
        smsw rax
        lar rax,bx
        lar r9,[rbx]
        lsl eax,ecx
        fxsave [r9]
        fxsave64 [r9]
        movsq
        rep movsq
        a32 movsb
        jrcxz $
        jecxz $
        loop $,rcx
        loop $,ecx
        cmpxchg16b [r8]
        cmpxchg8b [r8]
        movd xmm9,eax
        movd xmm1,r9d
        movq xmm1,r9
        movq r9,xmm12
        movq xmm1,xmm2
        movq xmm1,[r9]
        movq [r9],xmm1
        movq mm1,rax
        movq mm1,mm2
        movq mm1,[rax]
        movd [rax],mm1
        movd eax,mm2
        movq rax,mm1
        movss xmm1,xmm12
        movss [r9],xmm12
        movaps xmm1,xmm2
        movaps [rax],xmm9
        cvtsi2sd xmm1,eax
        cvtsi2sd xmm1,r9
        cvtsi2sd xmm1,dword [r9]
        cvtsi2ss xmm1,qword [r9]
        cvttsd2si r9,xmm1
        cvttsd2si eax,[rbx]
        cvtpi2ps xmm1,mm3
        cvtps2pi mm1,xmm9
        movmskps eax,xmm9
        pmovmskb r9d,mm1
        pextrw eax,xmm9,5
        pextrw r9d,mm1,2
        pinsrw xmm9,[rax],3
        pinsrw xmm9,eax,3
        pinsrw mm1,word [rax],2
        pshufw mm1,mm2,5
        psrlw xmm9,5
        psrlw mm3,5
        psrlw xmm9,[rax]
        pslldq xmm9,5
        movnti [rax],r9
        movnti [rax],ecx
        movntq [rax],mm1
        movq2dq xmm9,mm1
        movdq2q mm1,xmm9
        maskmovq mm1,mm2
        ldmxcsr [rax]
        prefetcht0 [rax]
        clflush [rax]
        in eax,dx
        fld tword [rsp]
        fistp qword [rsp]
        rdtscp
        rdmsr
        invlpg [rax]
        xchg rax,[rbx]
        bswap rax
        sgdt [rax]
        lss rsp,[rax]
        lfs eax,[rax]
        nop
        o16 nop
        out dx,al
        verw ax
        lldt [rax]
        ltr ax
        mov rax,5
        mov rax,-1
        mov rax,0xffffffff
        mov rax,0x123456789abcdef
        mov rax,back
        mov r9,5
        mov r9d,5
        mov qword [rbx],-5
        mov qword [rbx+rsi],-5
        mov r8,[rbp+rdi*4+5]
        mov r8,[rbp]
        add rax,5
        add r9,back
        add rcx,0x7fffffff
        push rax
        push r9
        push qword [0x12345678]
        push qword [rsi-300]
        push word [rel back]
        push word [rel fwd]
        pop r12
        pop qword [ebx]
        pop qword [rbx+rcx+back]
        mov spl,5
        mov sil,[rax*2]
        mov sil,[rax+rsp]
        mov ah,cl
        mov ah,[rbx*4+5]
        mov ah,[fs:rbx]
        movsxd rax,ecx
        movsx rax,ecx
        movsx rax,dword [r13]
        movsx rax,dword [r12]
        movsxd rax,dword [r13+r12*8]
        movsxd rax,dword [r8*2]
        movzx r9,byte [rsp+8]
        movzx r9,byte [abs back]
        movzx r9d,sil
        mov al,[qword 0x5]
        mov [qword back],rax
        mov eax,[qword 0x123456789]
        cdqe
        cqo
        xchg rax,r8
        xchg rax,rax
        xchg r9,rbx
        bswap r10
        imul r9,r10,5
        imul r9,5
        jmp rax
        call r9
        call [byte rax]
        call [r9*4+rax]
        jmp qword [rax+r15]
        jmp qword [fs:0x10]
        cmovl r9,[a32 rel back]
        lock cmpxchg [rbx],r9
        lock cmpxchg [rbx+rsi],r9
        lock xadd [rbp+rdi*4+5],r9d
        lock xadd [rbp],r9d
        shl r9,cl
        shr qword [0x12345678],1
        shr qword [rsi-300],1
        test r9,r10
        test rax,-5
        setz r9b
        mov r15w,5
        lea r9,[rel back]
        lea r9,[rel fwd]
        lea r9d,[ebx]
        lea r9d,[rbx+rcx+back]
        bt r9,5
        push 5
        push -1
        push back
        push dword 5
        inc r9
        not r9b
        ret
        add eax,5
        push qword 5
        mov cl,r9b
        inc byte [rax*2]
        inc byte [rax+rsp]
        inc byte [rbx*4+5]
        inc byte [fs:rbx]
        inc byte [r13]
        inc byte [r12]
        inc byte [r13+r12*8]
        inc byte [r8*2]
        inc byte [rsp+8]
        inc byte [abs back]
        inc byte [byte rax]
        inc byte [r9*4+rax]
        inc byte [rax+r15]
        inc byte [fs:0x10]
        inc byte [a32 rel back]
        inc byte [rbx]
        inc byte [rbx+rsi]
        inc byte [rbp+rdi*4+5]
        inc byte [rbp]
        inc byte [0x12345678]
        inc byte [rsi-300]
        inc byte [rel back]
        inc byte [rel fwd]
        inc byte [ebx]
        inc byte [rbx+rcx+back]
        test byte [rax*2],5
        test byte [rax+rsp],5
        mov eax,back
        mov eax,[rbx*4+5]
        mov eax,[fs:rbx]
        dq fwd,1.5
        dd 1.5
        add r9,[r13]
        add r9,[r12]
        add r9,[r13+r12*8]
        add r9,[r8*2]
        add r9,[rsp+8]
        add r9,[abs back]
        add r9,[byte rax]
        add r9,[r9*4+rax]
        add r9,[rax+r15]
        add r9,[fs:0x10]
        add r9,[a32 rel back]
        add r9,[rbx]
        add r9,[rbx+rsi]
        add r9,[rbp+rdi*4+5]
        add r9,[rbp]
        add r9,[0x12345678]
        add r9,[rsi-300]
        add r9,[rel back]
        add r9,[rel fwd]
        add r9,[ebx]
        add r9,[rbx+rcx+back]
        add r9,[rax*2]
        add r9,[rax+rsp]
        add r9,[rbx*4+5]
        add r9,[fs:rbx]
fwd:
