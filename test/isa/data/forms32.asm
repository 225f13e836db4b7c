; One line for each form of an instruction that the assembler must encode as NASM does: 32-bit code.
        bits 32
        org 0x1000
back:
        cli
        lgdt [ebx]
        o32 lgdt [ebx]
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
        jmp far [ebx]
        jmp dword far [ebx]
        call far dword [ebx]
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
        fld dword [ebx]
        fld qword [ebx]
        fld tword [ebx]
        fadd dword [esi]
        fstp st3
        fadd to st2
        fadd st2,st0
        fadd st0,st2
        fadd st2
        faddp st3
        faddp
        fnstsw ax
        fldenv [ebx]
        movaps xmm1,[ebx]
        movd xmm1,eax
        movd [ebx],xmm1
        movsd xmm1,[ebx]
        movsd
        cmpsd xmm1,xmm2,3
        mov eax,cr0
        mov cr4,ebx
        mov dr7,eax
        mov ds,ax
        mov ds,eax
        mov ds,[ebx]
        sldt ax
        sldt eax
        sldt [ebx]
        smsw eax
        lmsw ax
        lmsw [ebx]
        str cx
        lar ax,bx
        lar eax,ebx
        lar eax,bx
        lar eax,[ebx]
        verr [ebx]
        bound ax,[ebx]
        bound eax,[ebx]
        les bx,[esi]
        lss esp,[esi]
        enter 4,2
        leave
        o32 leave
        xlatb
        es xlatb
        cmpxchg8b [ebx]
        lock cmpxchg8b [ebx]
        arpl ax,cx
        arpl [ebx],cx
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
        invlpg [ebx]
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
        bt word [ebx],3
        call word [ebx]
        call dword [ebx]
        push dword [ebx]
        pushf
        add eax,5
        add ax,5
        add ax,0xffff
        add eax,0xfffffff0
        add al,5
        add byte [ebx],5
        add byte [ebx+esi],5
        add word [ebp+edi*4+5],5
        add word [ebp],5
        add dword [0x12345678],0x12345
        add dword [esi-300],0x12345
        mov [word 0x5], dword 5
        mov [bx], dword 5
        add [ebx+ecx+back],cl
        add [eax*2],cl
        mov ecx,[eax+esp]
        mov ecx,[ebx*4+5]
        mov ecx,[fs:ebx]
        mov ecx,[ebx*5+7]
        mov ecx,[esp+8]
        mov ecx,[nosplit eax*1]
        mov ecx,[back]
        mov ecx,[byte eax]
        mov ecx,[dword eax]
        mov ecx,[es:bp+si]
        mov ecx,[ebx]
        mov ecx,[ebx+esi]
        mov ecx,[ebp+edi*4+5]
        mov ecx,[ebp]
        mov ecx,[0x12345678]
        mov ecx,[esi-300]
        mov ecx,[word 0x5]
        mov ecx,[bx]
        mov ecx,[ebx+ecx+back]
        mov ecx,[eax*2]
        mov [eax+esp],cx
        mov [ebx*4+5],cx
        mov al,[fs:ebx]
        mov al,[ebx*5+7]
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
        push word [esp+8]
        push word [nosplit eax*1]
        pop word [back]
        pop word [byte eax]
        inc ax
        inc eax
        inc byte [dword eax]
        inc byte [es:bp+si]
        inc byte [ebx]
        inc byte [ebx+esi]
        inc byte [ebp+edi*4+5]
        inc byte [ebp]
        inc byte [0x12345678]
        inc byte [esi-300]
        inc byte [word 0x5]
        inc byte [bx]
        inc byte [ebx+ecx+back]
        inc byte [eax*2]
        inc byte [eax+esp]
        inc byte [ebx*4+5]
        inc byte [fs:ebx]
        inc byte [ebx*5+7]
        inc byte [esp+8]
        inc byte [nosplit eax*1]
        inc byte [back]
        inc byte [byte eax]
        dec dword [dword eax]
        xchg ax,bx
        xchg cx,dx
        xchg eax,ebx
        xchg ecx,[es:bp+si]
        xchg ecx,[ebx]
        xchg [ebx+esi],ecx
        xchg [ebp+edi*4+5],ecx
        test eax,ebx
        test [ebp],ebx
        test [0x12345678],ebx
        test ebx,[esi-300]
        test ebx,[word 0x5]
        test al,5
        test eax,5
        test ebx,5
        test byte [bx],5
        test byte [ebx+ecx+back],5
        imul eax,5
        imul eax,ebx
        imul eax,[eax*2],500
        imul eax,[eax+esp],500
        imul byte [ebx*4+5]
        imul byte [fs:ebx]
        shl eax,1
        shl eax,5
        shl ax,cl
        sal byte [ebx*5+7],1
        sal byte [esp+8],1
        shld eax,ebx,5
        shld [nosplit eax*1],ebx,cl
        shld [back],ebx,cl
        bt eax,5
        bt [byte eax],eax
        bt [dword eax],eax
        bts dword [es:bp+si],5
        lock add [ebx],eax
        lock add [ebx+esi],eax
        lock bts dword [ebp+edi*4+5],5
        lock bts dword [ebp],5
        movzx eax,cl
        movzx eax,cx
        movzx eax,byte [0x12345678]
        movzx eax,byte [esi-300]
        movzx cx,byte [word 0x5]
        movzx cx,byte [bx]
        movsx eax,word [ebx+ecx+back]
        movsx eax,word [eax*2]
        lea eax,[eax+esp]
        lea eax,[ebx*4+5]
        lea cx,[fs:ebx]
        lea cx,[ebx*5+7]
        bswap eax
        cmovz eax,ebx
        setnz cl
        setc [esp+8]
        setc [nosplit eax*1]
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
        call [back]
        call [byte eax]
        jmp [dword eax]
        jmp word [es:bp+si]
        jmp word [ebx]
        ret
        ret 5
        retn
        nop
        o16 nop
        o32 nop
        nop dword [ebx+esi]
        nop dword [ebp+edi*4+5]
        nop eax
        clc
        cmpxchg [ebp],ecx
        cmpxchg [0x12345678],ecx
        xadd cl,dl
        bsf eax,[esi-300]
        bsf eax,[word 0x5]
        not dword [bx]
        not dword [ebx+ecx+back]
        div ecx
        add cl,ch
        and eax,~7
        and eax,~0x80000000
        mov eax,'abcd'
        mov al,'a'
        xchg ax,ax
        xchg eax,eax
        mov eax,[fs:esi]
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
