/**
 * Kernels for Multiboot that a learner could have written, each with one mistake that ends in a triple fault. They say on COM1
 * that they are there, so that a timeline has something before its end.
 */

const opening = `
bits 32
org 0x100000
header: dd 0x1badb002, 0x10000, -(0x1badb002+0x10000), header, header, 0, end, start
hello:  db "kernel", 10
helloEnd:
start:  mov esp,0x90000
        mov esi,hello
        mov ecx,helloEnd-hello
        mov dx,0x3f8
        rep outsb
        lgdt [gdtr]
        jmp 8:flat
flat:   mov eax,0x10
        mov ds,eax
        mov es,eax
        mov ss,eax
`;

/** Selectors 08 code, 10 data, 1b user code, 23 user data, 28 TSS, 30 64-bit code. `end` is the last of memory. */
const tables = `
align 8
gdt:    dq 0,0x00cf9b000000ffff,0x00cf93000000ffff,0x00cffb000000ffff,0x00cff3000000ffff
        dw 0x67,tss-header
        db 0x10,0x89,0,0
        dq 0x00af9b000000ffff
gdtEnd:
gdtr:   dw gdtEnd-gdt-1
        dd gdt
align 4
tss:    times 0x66 db 0
        dw 0x68
align 4096
end:
`;

/** An IDT of \`count\` gates of 8 bytes to \`handler\`, all with the same byte of type and rights. */
const gates = (count: number, rights: number): string => `
        mov edi,idt
        mov ecx,${count}
        mov eax,handler
.gate:  mov [edi],ax
        mov word [edi+2],8
        mov word [edi+4],${rights << 8}
        ror eax,16
        mov [edi+6],ax
        ror eax,16
        add edi,8
        loop .gate
        lidt [idtr]
`;
const idt = (bytes: number): string => `
idtr:   dw ${bytes}-1
        dd idt
align 8
idt:    times ${bytes} db 0
handler: iretd
`;

/** Gates without the bit that says that they are there. */
const badIdt = `${opening}${gates(32, 0x0e)}
        mov eax,1
        xor edx,edx
        xor ecx,ecx
        div ecx
        hlt
${idt(256)}${tables}`;

/** Paging and long mode are right; the IDT still has the gates of 32-bit code, which are half as long. */
const badIdt64 = `${opening}${gates(32, 0x8e)}
        mov dword [0x201000],0x202003
        mov dword [0x202000],0x203003
        mov dword [0x203000],0x83
        mov eax,0x20
        mov cr4,eax
        mov eax,0x201000
        mov cr3,eax
        mov ecx,0xc0000080
        rdmsr
        or eax,0x100
        wrmsr
        mov eax,cr0
        or eax,0x80000000
        mov cr0,eax
        jmp 0x30:long
bits 64
long:   int3
        hlt
${idt(256)}${tables}`;

/** The first interrupt from user code looks for the kernel's stack in a TSS that nobody has filled in. */
const badTss = `${opening}${gates(64, 0xee)}
        mov ax,0x28
        ltr ax
        push dword 0x23
        push dword 0x80000
        pushfd
        push dword 0x1b
        push dword user
        iretd
user:   mov eax,1
        int 0x30
        jmp user
${idt(512)}${tables}`;

/** Paging for a kernel at the upper half is turned on where nothing maps the instructions that are being executed. */
const badCr3 = `${opening}${gates(32, 0x8e)}
        mov edi,0x204000
        mov eax,3
        mov ecx,1024
.page:  stosd
        add eax,0x1000
        loop .page
        mov dword [0x203000+4*768],0x204003
        mov eax,0x203000
        mov cr3,eax
        mov eax,cr0
        or eax,0x80000000
        mov cr0,eax
        jmp 0xc0000000+upper-header+0x100000
upper:  hlt
${idt(256)}${tables}`;

export const BROKEN_KERNELS = { badIdt, badIdt64, badTss, badCr3 } as const;
