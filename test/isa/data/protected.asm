; From real mode to 32-bit protected mode with paging, a TSS, an IDT and a fault handler.
        bits 16
        org 0x8000
CODE    equ gdt.code - gdt
DATA    equ gdt.data - gdt
TSS     equ gdt.tss - gdt
PAGES   equ 0x10000

entry:  cli
        lgdt [gdt.pointer]
        lidt [idt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword CODE:protected

        bits 32
protected:
        mov ax, DATA
        mov ds, eax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov esp, 0x7000
        mov ax, TSS
        ltr ax
        xor eax, eax
        lldt ax
        sldt [esp-4]
        str eax
        ; Identity map of 4 MiB.
        mov edi, PAGES
        mov eax, 3
        mov ecx, 1024
.fill:  mov [edi+4096], eax
        add eax, 0x1000
        add edi, 4
        dec ecx
        jnz .fill
        mov dword [PAGES], PAGES + 4096 + 7
        mov eax, PAGES
        mov cr3, eax
        mov eax, cr4
        or eax, 1 << 4
        mov cr4, eax
        mov eax, cr0
        or eax, 0x80010000
        mov cr0, eax
        jmp short .paged
.paged: invlpg [0x400000]
        wbinvd
        mov dr7, eax
        mov eax, dr6
        clts
        fninit
        mov ecx, 0x1b
        rdmsr
        btr eax, 11
        wrmsr
        rdtsc
        cpuid
        pushad
        popad
        pushfd
        popfd
        push dword [ebp+8]
        push dword 5
        push 0x12345
        push ds
        pop es
        push fs
        pop gs
        call far [vector]
        jmp far [vector]
        jmp CODE:.next
.next:  call CODE:sub
        lock cmpxchg8b [esi]
        lock inc dword [counter]
        lock xadd [counter], eax
        xchg eax, [counter]
        bound eax, [esp]
        arpl ax, bx
        lar eax, bx
        lsl ecx, ax
        verr ax
        verw [counter]
        aaa
        aad
        daa
        salc
        in eax, dx
        out dx, ax
        rep outsd
        lfs esi, [vector]
        shld eax, edx, cl
        bsr eax, [counter]
        cmovae eax, [ebx+ecx*4-8]
        setg [counter]
        imul eax, [ebx], 1000
        mov eax, [fs:0]
        a16 mov eax, [bx+si]
        mov eax, [bx+si]
        int3
        int 0x80
        into
        align 16
sub:    nop
        retf
        align 8, db 0xcc
fault:  add esp, 4
        iretd
        iret
        o16 iret

        align 8
gdt:    dq 0
.code:  dq 0x00cf9a000000ffff
.data:  dq 0x00cf92000000ffff
.tss:   dw 103, tss - $$ + 0x8000
        db 0, 0x89, 0, 0
.pointer:
        dw .pointer - gdt - 1
        dd gdt
idt_pointer:
        dw 32*8 - 1
        dd 0x9000
vector: dd sub
        dw CODE
counter:
        dd 0
tss:    times 104 db 0
