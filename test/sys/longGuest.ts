/** The frame of 64-bit test guests: from real mode to long mode, with GDT, IDT, TSS; `body` is 64-bit code in ring 0. */

/**
 * Selectors: 08 code64, 10 data, 1b/23/2b user code32, data, code64 (in SYSRET's order), 30 TSS.
 * Identity map of the first 2 MiB, which user code may use; nothing above is present. Every vector's handler writes
 * vector and error code to port 10h, the frame's RIP to 11h, CS to 12h, TF, IF and RF of RFLAGS (from bit 8 on) to 13h;
 * then it goes on in ring 0 at the address in [resume] with the frame's RSP. IST1 is at 7800h; ring 0's stack at 7000h.
 */
export const longGuest = (body: string, extra = ""): string => `
bits 16
org 0x1000
start:
  xor ax,ax
  mov ds,ax
  mov es,ax
  mov ss,ax
  mov sp,0x1000
  cld
  mov edi,0x8000
  mov ecx,0xc00
  xor eax,eax
  a32 rep stosd
  mov dword [0x8000],0x9007
  mov dword [0x9000],0xa007
  mov dword [0xa000],0x87
  mov ecx,256
  xor ebx,ebx
gates:
  mov eax,handlers
  lea edx,[ebx+ebx*2]
  lea eax,[eax+edx*4]
  lea edi,[ebx*8]
  lea edi,[edi*2+0xc000]
  mov [edi],ax
  mov word [edi+2],8
  mov word [edi+4],0x8e00
  shr eax,16
  mov [edi+6],ax
  mov dword [edi+8],0
  mov dword [edi+12],0
  inc ebx
  loop gates
  lgdt [gdtr]
  lidt [idtr]
  mov eax,0x620
  mov cr4,eax
  mov eax,0x8000
  mov cr3,eax
  mov ecx,0xc0000080
  rdmsr
  or eax,0x901
  wrmsr
  mov eax,0x80010033
  mov cr0,eax
  jmp 8:long
gdtr: dw 0x3f
  dd gdt
idtr: dw 0xfff
  dd 0xc000
align 8
gdt: dq 0,0x00a09b000000ffff,0x00c093000000ffff,0x00cffb000000ffff,0x00cff3000000ffff,0x00affb000000ffff
  dw 0xff
  dw tss
  db 0,0x89,0,0
  dq 0
bits 64
long:
  mov ax,0x10
  mov ds,ax
  mov es,ax
  mov ss,ax
  mov ax,0x30
  ltr ax
  mov rsp,0x6000
${body}
finish:
  cli
  hlt
put:
  out 0x10,eax
  ret
; On the stack: vector, error code, RIP, CS, RFLAGS, RSP, SS
common:
  pop rax
  out 0x10,eax
  pop rax
  out 0x10,eax
  mov eax,[rsp]
  out 0x11,eax
  mov eax,[rsp+8]
  out 0x12,eax
  mov eax,[rsp+16]
  shr eax,8
  and eax,0x103
  out 0x13,eax
  mov rax,[resume]
  mov rsp,[rsp+24]
  jmp rax
resume: dq finish
align 16
tss: dd 0
  dq 0x7000,0,0,0,0x7800
  times 0x66-0x2c db 0
  dw 0x68
  times 0x20 db 0xff
  times 0x60 db 0
  db 0xff
align 4
${extra}
align 16
handlers:
${Array.from({ length: 256 }, (_, v) => {
  const hasError = [8, 10, 11, 12, 13, 14, 17].includes(v);
  return `${hasError ? "nop\n nop" : "push byte 0"}\n db 0x68\n dd ${v}\n db 0xe9\n dd common-$-4\n`;
}).join("")}
`;
