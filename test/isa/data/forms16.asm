; One line for each form of an instruction that the assembler must encode as NASM does: 16-bit code.
        bits 16
        org 0x1000
back:
        cli
        lgdt [bx]
        o32 lgdt [bx]
        retf
        retf 5
        o32 retf
        o32 ret
        iret
        iretd
        pushfd
        pusha
        pushad
        popfd
        push ds
        o32 push ds
        jmp far [bx]
        jmp dword far [bx]
        call far dword [bx]
        jmp dword 8:fwd
        jmp 8:fwd
        call 8:fwd
        jmp 0x8:dword 0x12345678
        loop $
        loop $,ecx
        loopne $,cx
        jecxz $
        jcxz $
        a32 movsb
        a32 rep stosd
        gs a32 lodsw
        cmpsd
        in ax,dx
        in al,5
        in eax,dx
        out dx,eax
        out 0x80,al
        fld dword [bx]
        fld qword [bx]
        fld tword [bx]
        fadd dword [si]
        fstp st3
        fadd to st2
        fadd st2,st0
        fadd st0,st2
        fadd st2
        faddp st3
        faddp
        fnstsw ax
        fldenv [bx]
        movaps xmm1,[bx]
        movd xmm1,eax
        movd [bx],xmm1
        movsd xmm1,[bx]
        movsd
        cmpsd xmm1,xmm2,3
        mov eax,cr0
        mov cr4,ebx
        mov dr7,eax
        mov ds,ax
        mov ds,eax
        mov ds,[bx]
        sldt ax
        sldt eax
        sldt [bx]
        smsw eax
        lmsw ax
        lmsw [bx]
        str cx
        lar ax,bx
        lar eax,ebx
        lar eax,bx
        lar eax,[bx]
        verr [bx]
        bound ax,[bx]
        bound eax,[bx]
        les bx,[si]
        lss esp,[si]
        enter 4,2
        leave
        o32 leave
        xlatb
        es xlatb
        cmpxchg8b [bx]
        lock cmpxchg8b [bx]
        arpl ax,cx
        arpl [bx],cx
        int 3
        int3
        int 0x10
        icebp
        int1
        aam
        aam 5
        aad
        lahf
        wait
        fwait
        invlpg [bx]
        pause
        rep movsw
        repz cmpsb
        repnz scasw
        rep insb
        outsd
        ud2
        hlt
        fs lodsb
        loopz $
        mov word [es:bx+5],0xffff
        jmp short $+2
        jmp near $
        bt word [bx],3
        call word [bx]
        call dword [bx]
        push dword [bx]
        pushf
        add eax,5
        add ax,5
        add ax,0xffff
        add eax,0xfffffff0
        add al,5
        add byte [bx],5
        add byte [bx+si],5
        add word [bp+di+5],5
        add word [bp],5
        add dword [0x1234],0x12345
        add dword [si-300],0x12345
        mov [dword 0x5], dword 5
        mov [eax], dword 5
        add [ebp],cl
        add [eax*2],cl
        mov ecx,[eax+esp]
        mov ecx,[ebx*4+5]
        mov ecx,[bx+0x80]
        mov ecx,[fs:bx]
        mov ecx,[ebx*3]
        mov ecx,[eax+ebx*8-5]
        mov ecx,[esp]
        mov ecx,[nosplit eax*2]
        mov ecx,[back]
        mov ecx,[bx+back]
        mov ecx,[di+bx]
        mov ecx,[es:bp+si]
        mov ecx,[bx]
        mov ecx,[bx+si]
        mov ecx,[bp+di+5]
        mov ecx,[bp]
        mov ecx,[0x1234]
        mov ecx,[si-300]
        mov ecx,[dword 0x5]
        mov ecx,[eax]
        mov ecx,[ebp]
        mov ecx,[eax*2]
        mov [eax+esp],cx
        mov [ebx*4+5],cx
        mov al,[bx+0x80]
        mov al,[fs:bx]
        mov eax,ebx
        mov ax,bx
        mov ax,5
        mov eax,5
        mov eax,back
        mov eax,fwd-back
        add eax,fwd-back
        add eax,back
        push 5
        push word 5
        push 0x1234
        push back
        push ax
        push word [ebx*3]
        push word [eax+ebx*8-5]
        pop word [esp]
        pop word [nosplit eax*2]
        inc ax
        inc eax
        inc byte [back]
        inc byte [bx+back]
        inc byte [di+bx]
        inc byte [es:bp+si]
        inc byte [bx]
        inc byte [bx+si]
        inc byte [bp+di+5]
        inc byte [bp]
        inc byte [0x1234]
        inc byte [si-300]
        inc byte [dword 0x5]
        inc byte [eax]
        inc byte [ebp]
        inc byte [eax*2]
        inc byte [eax+esp]
        inc byte [ebx*4+5]
        inc byte [bx+0x80]
        inc byte [fs:bx]
        inc byte [ebx*3]
        inc byte [eax+ebx*8-5]
        inc byte [esp]
        inc byte [nosplit eax*2]
        dec dword [back]
        dec dword [bx+back]
        xchg ax,bx
        xchg cx,dx
        xchg eax,ebx
        xchg ecx,[di+bx]
        xchg ecx,[es:bp+si]
        xchg [bx],ecx
        xchg [bx+si],ecx
        test eax,ebx
        test [bp+di+5],ebx
        test [bp],ebx
        test ebx,[0x1234]
        test ebx,[si-300]
        test al,5
        test eax,5
        test ebx,5
        test byte [dword 0x5],5
        test byte [eax],5
        imul eax,5
        imul eax,ebx
        imul eax,[ebp],500
        imul eax,[eax*2],500
        imul byte [eax+esp]
        imul byte [ebx*4+5]
        shl eax,1
        shl eax,5
        shl ax,cl
        sal byte [bx+0x80],1
        sal byte [fs:bx],1
        shld eax,ebx,5
        shld [ebx*3],ebx,cl
        shld [eax+ebx*8-5],ebx,cl
        bt eax,5
        bt [esp],eax
        bt [nosplit eax*2],eax
        bts dword [back],5
        bts dword [bx+back],5
        lock add [di+bx],eax
        lock add [es:bp+si],eax
        lock bts dword [bx],5
        lock bts dword [bx+si],5
        movzx eax,cl
        movzx eax,cx
        movzx eax,byte [bp+di+5]
        movzx eax,byte [bp]
        movzx cx,byte [0x1234]
        movzx cx,byte [si-300]
        movsx eax,word [dword 0x5]
        movsx eax,word [eax]
        lea eax,[ebp]
        lea eax,[eax*2]
        lea cx,[eax+esp]
        lea cx,[ebx*4+5]
        bswap eax
        cmovz eax,ebx
        setnz cl
        setc [bx+0x80]
        setc [fs:bx]
        cbw
        cwde
        cwd
        cdq
        jmp fwd
        jmp back
        jmp near fwd
        jmp short $
        jz back
        jnae near fwd
        call back
        call fwd
        call eax
        call ax
        call [ebx*3]
        call [eax+ebx*8-5]
        jmp [esp]
        jmp [nosplit eax*2]
        jmp word [back]
        jmp word [bx+back]
        ret
        ret 5
        retn
        nop
        o16 nop
        o32 nop
        nop dword [di+bx]
        nop dword [es:bp+si]
        nop eax
        clc
        cmpxchg [bx],ecx
        cmpxchg [bx+si],ecx
        xadd cl,dl
        bsf eax,[bp+di+5]
        bsf eax,[bp]
        not dword [0x1234]
        not dword [si-300]
        div ecx
        add cl,ch
        and eax,~7
        and eax,~0x80000000
        mov eax,'abcd'
        mov al,'a'
        xchg ax,ax
        xchg eax,eax
        mov eax,[fs:si]
        cmp eax,byte 5
        cmp eax,strict dword 5
        push byte 5
        push strict word 5
        movsx ax,cl
        jmp $
        jmp $$
        times 3 inc eax
        dw fwd,back,$
        dd fwd-back,-1
        db 'abc',0,"x",`\n`,5
        dw 'abc'
        resb 5
        align 4
        align 8, db 5
fwd:
